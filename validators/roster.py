"""Who is in a split, by labels and groups alone, and what that says before anything is decoded or fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from corpora.errors import UserError
from validators.batch import Batch
from validators.maths.folds import group_folds

CERTAIN = 8  # groups of every class: folds that hold each class are then always met, and looking for them takes long
T = TypeVar("T")
_PLURAL = {"person": "people"}


@dataclass(frozen=True, slots=True)
class Roster:
    """Row i of every field is one sample. groups: () makes each sample its own; subjects: None where not known."""

    modality: str
    ids: tuple[str, ...]
    emotions: tuple[str, ...]
    groups: tuple[str, ...] = ()
    subjects: tuple[str | None, ...] = ()
    layout: str = ""  # as of a Batch

    @classmethod
    def of(cls, batch: Batch) -> Roster:
        """Who is in a batch."""
        return cls(batch.modality, batch.ids, batch.emotions, batch.groups, batch.subjects, batch.layout)

    @property
    def kind(self) -> str:
        """As of a `Batch`: the modality, or "vector"."""
        return self.layout or self.modality

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, mask: np.ndarray) -> Roster:
        """The rows of a boolean mask."""
        kept = np.flatnonzero(mask)
        ids, emotions, groups = (_cut(column, kept) for column in (self.ids, self.emotions, self.groups))
        return replace(self, ids=ids, emotions=emotions, groups=groups, subjects=_cut(self.subjects, kept))

    def of_classes(self, classes: Sequence[str]) -> Roster:
        """The rows of these classes."""
        return self.rows(np.isin(np.asarray(self.emotions, dtype=str), list(classes)))

    @property
    def group_names(self) -> np.ndarray:
        """[n] str"""
        return np.asarray(self.groups or self.ids, dtype=str)

    @property
    def unit(self) -> str:
        """What a group is, in the user's words: speaker, person, or group where it is something else."""
        if not self.groups or not self.subjects or None in self.subjects:
            return "group"
        pairs = set(zip(self.groups, self.subjects, strict=True))
        if len(pairs) > len(set(self.groups)) or len(pairs) > len(set(self.subjects)):
            return "group"
        return "speaker" if self.modality == "speech" else "person"


def _cut(column: tuple[T, ...], rows: np.ndarray) -> tuple[T, ...]:
    return tuple(column[i] for i in rows) if column else ()


def counted(n: int, unit: str) -> str:
    """ "1 speaker", "3 people", "no group"."""
    return f"{n or 'no'} {unit if n == 1 else _PLURAL.get(unit, unit + 's')}"


def lacks_groups(name: str, n: int, unit: str, where: str, least: int = 2) -> str:
    """ "anger has 1 speaker in dev; 2 are needed"."""
    return f"{name} has {counted(n, unit)} in {where}; {least} are needed"


def alone_in_class(spread: Mapping[str, int], unit: str) -> dict[str, str]:
    """Class -> its groups in train -> class -> why its real samples have no others to be compared with."""
    return {name: lacks_groups(name, n, unit, "train") for name, n in spread.items() if n < 2}


def why_no_judges(train: Roster, classes: Sequence[str], folds: int, seed: int) -> str:
    """Why no judge of these classes can be cross-fitted on train; "" where it can."""
    if len(classes) < 2:
        return f"judges tell classes apart, and there is only {', '.join(classes) or 'none'}"
    groups, labels = train.group_names, np.asarray(train.emotions, dtype=str)
    spread = {name: len(np.unique(groups[labels == name])) for name in classes}
    few = [lacks_groups(name, n, train.unit, "train") for name, n in spread.items() if n < 2]
    if few:
        return "; ".join(few) + ", so that judges can be asked about people whom they have not met"
    return why_no_folds(train, folds, seed) if min(spread.values()) < CERTAIN else ""


def why_no_folds(train: Roster, folds: int, seed: int, *, by_class: bool = True) -> str:
    """Why train cannot be cut into folds that share no group (`by_class`: and hold each class); "" where it can."""
    try:
        group_folds(train.group_names, train.emotions if by_class else ["all"] * len(train), folds, seed)
    except UserError as error:
        return str(error)
    return ""
