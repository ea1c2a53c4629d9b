"""What a corpus' licence lets a release do: be passed on or not, and under which names it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from corpora.schema import CorpusCard

_COPYLEFT = ("-SA", "ODbL", "GPL")  # what is made of it stands under the same licence


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms of a release: all licences of its corpora hold at once, the strictest decides."""

    licenses: tuple[str, ...]  # SPDX ids, sorted
    may_redistribute: bool
    non_commercial: bool
    share_alike: bool
    restricted_by: tuple[str, ...]  # names of the corpora that may not be passed on


def terms_of(cards: Iterable[CorpusCard]) -> Terms:
    """Cards of a run's corpora -> the terms of what is made of them, synthetic samples included.

    A sample that a generator drew from a restricted corpus is treated as restricted: its licence may reach that far,
    and the careful reading costs nothing.
    """
    every = list(cards)
    ids = tuple(sorted({card.license for card in every}))
    restricted = tuple(sorted(card.name for card in every if not card.may_redistribute))
    return Terms(
        licenses=ids,
        may_redistribute=not restricted,
        non_commercial=any("-NC" in name for name in ids),
        share_alike=any(word in name for name in ids for word in _COPYLEFT),
        restricted_by=restricted,
    )


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
