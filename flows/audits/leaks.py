"""The audit of folders and releases that needs no project: what they share, and what that is worth to a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpora.errors import UserError
from corpora.splits.shared import COPIES, LEAKS, PEOPLE, Shared, Within, shared_by_sides
from corpora.splits.sides import Side, read_sides
from flows.audits.decoded import side_batch
from validators.batch import Batch
from validators.trials.leakworth import Worth, leak_worth

COPIED, COPIED_OR_PEOPLE = "exact and near copies", "copies and people"


@dataclass(frozen=True, slots=True)
class Priced:
    """What the leak between the first side and side `test` is worth. leak: `COPIED`, or `COPIED_OR_PEOPLE` where
    subjects, groups, sessions or recordings are shared. worth: None where there is no number, and `reason` says why."""

    test: int
    leak: str
    worth: Worth | None
    reason: str


@dataclass(frozen=True, slots=True)
class Audited:
    """All that an audit found. shared: every two sides. priced: the first side against each other one that shares
    something with it."""

    sides: tuple[Side, ...]
    shared: tuple[Shared, ...]
    within: tuple[Within, ...]
    priced: tuple[Priced, ...]

    @property
    def leaks(self) -> bool:
        """Whether any two sides share something."""
        return any(shared.leaks for shared in self.shared)


def audit_inputs(given: Sequence[str], *, seed: int = 0, worth: bool = True) -> Audited:
    """Two or more inputs as `corpora.splits.sides.read_sides` takes them. `worth` False: nothing is trained.

    Raises `UserError` for bad input, `IntegrityError` for a damaged release.
    """
    sides = read_sides(given)
    shared, within = shared_by_sides(sides)
    priced = _priced(sides, shared, seed) if worth else []
    return Audited(tuple(sides), tuple(shared), tuple(within), tuple(priced))


def kind_names(side: Side) -> dict[str, str]:
    """Kinds of findings in words. What a split unit is depends on the release: mostly a subject."""
    groups, subjects = side.index["group_id"].to_pylist(), side.index["subject_id"].to_pylist()
    unit = "shared subjects" if groups == subjects else "shared groups"
    return {
        "repeats": "exact repeats",
        "near": "near copies",
        "split_unit": unit,
        "subject": "shared subjects",
        "session": "shared sessions",
        "recording": "shared recordings",
        "short_texts": "short texts (no leak)",
    }


def _priced(sides: Sequence[Side], shared: Sequence[Shared], seed: int) -> list[Priced]:
    priced: list[Priced] = []
    train: Batch | str | None = None
    for of in shared:
        if of.first != 0 or not of.leaks:
            continue
        train = _batch(sides[0]) if train is None else train
        test = _batch(sides[of.second])
        copies, every = of.involved(COPIES)[0], of.involved(LEAKS)[0]
        asked = [(COPIED, copies)] if copies else []
        if any(kind in of.rows for kind in PEOPLE):
            asked.append((COPIED_OR_PEOPLE, every))
        for leak, rows in asked:
            priced.append(_price(train, test, leak, rows, of.second, seed))
    return priced


def _price(train: Batch | str, test: Batch | str, leak: str, rows: Sequence[int], number: int, seed: int) -> Priced:
    for side in (train, test):
        if isinstance(side, str):
            return Priced(number, leak, None, side)
    assert isinstance(train, Batch) and isinstance(test, Batch)
    leaked = np.zeros(len(train), bool)
    leaked[list(rows)] = True
    try:
        return Priced(number, leak, leak_worth(train, test, leaked, seed=seed), "")
    except UserError as why:  # a number that cannot be: said in its place
        return Priced(number, leak, None, str(why))


def _batch(side: Side) -> Batch | str:
    """The side decoded, or why it has no plain features."""
    try:
        return side_batch(side)
    except UserError as why:
        return str(why)
