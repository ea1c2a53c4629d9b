"""Whether FER+'s votes are in the order of FER2013's pictures: nothing but the place of a row joins the two files.

Four things must hold before a single row is joined. Both files have the same number of rows; each row has the same
Usage in both; the numbers in FER+'s image names rise (they do in the published file, in which 173 rows have no name and
four names stand twice); and FER2013's own label is among the most voted often enough. Of the published files it is in
63 % of the rows, at least in 54 % of any 100 neighbours; where rows are one place off, in 20 %. Fewer than some 75 rows
of one Usage that changed places in fer2013.csv alone are seen by nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from corpora.errors import CorpusError

WINDOW, STEP = 100, 25  # rows; fewer than half a window say nothing
LEAST_AGREEMENT = 0.4
_NUMBER = re.compile(r"fer(\d+)\.png")


@dataclass(frozen=True, slots=True)
class Place:
    """One row of either file. `usage` None: the row cannot be read. `emotions`: the label, or the most voted ones;
    empty where FER2013 has no word for the winner. `name`: of the image, in the votes."""

    usage: str | None
    emotions: frozenset[str] = frozenset()
    name: str = ""


UNREADABLE = Place(None)


def same_order(votes: Iterable[Place], pictures: Iterable[Place], title: str) -> None:
    """Raises `CorpusError` unless the two files can be joined by the place of their rows."""
    ours, theirs = _trimmed(list(votes), list(pictures))
    advice = (
        "Votes and pictures are joined by their order, so every label behind the first difference would be another "
        "picture's. Take both files as they are published, or the pictures of generate_training_data.py, which have "
        "names."
    )
    if len(ours) != len(theirs):
        raise CorpusError(f"{title}: fer2013new.csv has {len(ours)} rows, fer2013.csv {len(theirs)}. {advice}")
    differ = [
        i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a.usage != b.usage and a.usage and b.usage
    ]
    if differ:
        first = differ[0]
        raise CorpusError(
            f"{title}: Usage differs in {len(differ)} of {len(ours)} rows; first in row {first}: {ours[first].usage} "
            f"in fer2013new.csv, {theirs[first].usage} in fer2013.csv. {advice}"
        )
    _numbers_rise(ours, title, advice)
    share, first = _least_agreement(ours, theirs)
    if share < LEAST_AGREEMENT:
        raise CorpusError(
            f"{title}: from row {first} on, FER2013's own label is among the most voted in {share:.0%} of the rows "
            f"(of {WINDOW} rows; rows that belong together have about 63 %). {advice}"
        )


def doubled_names(votes: Iterable[Place]) -> dict[str, tuple[int, ...]]:
    """{image name: rows} of names that stand twice: one of the rows has another picture's name and votes."""
    rows: dict[str, list[int]] = {}
    for number, place in enumerate(votes):
        if place.name:
            rows.setdefault(place.name, []).append(number)
    return {name: tuple(there) for name, there in rows.items() if len(there) > 1}


def _trimmed(ours: list[Place], theirs: list[Place]) -> tuple[list[Place], list[Place]]:
    """Both lists; what cannot be read at the end of the longer one is no row and moves nothing."""
    for longer, other in ((ours, theirs), (theirs, ours)):
        while len(longer) > len(other) and longer[-1].usage is None:
            longer.pop()
    return ours, theirs


def _numbers_rise(votes: list[Place], title: str, advice: str) -> None:
    twice = doubled_names(votes)
    numbers = [
        (row, int(match[1]))
        for row, place in enumerate(votes)
        if place.name not in twice and (match := _NUMBER.fullmatch(place.name))
    ]
    for (_, before), (row, number) in pairwise(numbers):
        if number <= before:
            raise CorpusError(
                f"{title}: row {row} of fer2013new.csv is fer{number:07d}.png and stands behind fer{before:07d}.png; "
                f"the published rows are in ascending order. {advice}"
            )


def _least_agreement(votes: list[Place], pictures: list[Place]) -> tuple[float, int]:
    """-> (the lowest share of a window, its first row). 1.0 where there are too few rows to say."""
    agree = np.array(list(_agreements(votes, pictures)), dtype=float)
    judged = np.isfinite(agree)
    least, where = 1.0, 0
    for first in range(0, max(1, len(agree) - WINDOW + STEP), STEP):
        part = slice(first, first + WINDOW)
        if judged[part].sum() >= WINDOW / 2:
            share = float(agree[part][judged[part]].mean())
            if share < least:
                least, where = share, first
    return least, where


def _agreements(votes: list[Place], pictures: list[Place]) -> Iterator[float]:
    for ours, theirs in zip(votes, pictures, strict=True):
        if ours.emotions and theirs.emotions:
            yield float(bool(ours.emotions & theirs.emotions))
        else:
            yield float("nan")
