"""`emoforge push-hub`: what it shows."""

from __future__ import annotations

from pathlib import Path

from emoforge import console
from flows.publishing.hub import push_hub as do


def push_hub(tag: str, address: str, repo: Path, *, private: bool, as_json: bool) -> None:
    """Raises what `flows.publishing.hub.push_hub` raises."""
    done = do(tag, address, repo=repo, private=private)
    if as_json:
        console.print_json(done.as_dict())
    else:
        console.out.print(done.sentence, markup=False)
