"""What a corpus' licence lets a release do: be passed on or not, and under which names it stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
