"""What a corpus' licence lets a release do: be passed on or not, and why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def why_restricted(corpus: str, license: str) -> str:
    """Why what was made of a corpus may not be passed on."""
    return f"licence {license} of {corpus} does not allow passing on"


def restrictions(corpora: Iterable[Mapping[str, Any]]) -> list[str]:
    """`corpora` of a release's manifest -> why it may not be passed on, one line a corpus; []: it may.

    What a reader's `fake()` wrote is free. A card that does not say so does not allow it.
    """
    return [
        why_restricted(entry["id"], entry["card"].get("license", "unknown"))
        for entry in corpora
        if not entry.get("made_up") and not entry["card"].get("may_redistribute")
    ]
