"""The cells of a study as a grid of arm x classifier x condition x seed x fold, and which of them can be compared.

Cells that differ in nothing but the arm have the same test samples. So arms are compared over the cells that all of
them have, and what is missing is counted with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from validators.trials.studies.answers import AS_IS, Cell, Study
from validators.trials.studies.scores import Confusions, confusions, tallies


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions that are averaged into one line. name: the condition itself, or the kind of several ("one class to
    10 %"). conditions: their indices. of_class: whether one class is pruned in each of them."""

    name: str
    conditions: tuple[int, ...]
    of_class: bool

    @property
    def is_kind(self) -> bool:
        """Whether several conditions of one kind stand together."""
        return len(self.conditions) > 1


@dataclass(frozen=True, slots=True)
class Missing:
    """Cells that a line lacks. n: how many of the `expected`; reasons: (what their status and reason say, how many),
    the most frequent first."""

    n: int
    expected: int
    reasons: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Grid:
    """Names along each axis (arms and classifiers in the order of the cells, the rest sorted), and what lies where.

    place: [A, F, N, S, O] int64 index into the study's cells by arm, classifier, condition, seed, fold; -1 where there
    is none. ok: the same shape, bool. tally: [C, U, 3, K] (`scores.tallies`). pruned: class of each condition.
    """

    study: Study
    confusion: Confusions
    arms: tuple[str, ...]
    classifiers: tuple[str, ...]
    conditions: tuple[str, ...]
    seeds: tuple[int, ...]
    folds: tuple[int, ...]
    place: np.ndarray
    ok: np.ndarray
    pruned: tuple[int | None, ...]

    @cached_property
    def tally(self) -> np.ndarray:
        """[C, U, 3, K] float32: hits, targets and answers of each cell, unit and class."""
        return tallies(self.confusion.counts).astype(np.float32)

    @cached_property
    def expected(self) -> np.ndarray:
        """[F, N, S, O] bool: whether the study has this cell for any arm."""
        return np.any(self.place >= 0, axis=0)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Kinds of pruned classes first (most cells first), then `as is`, then every other condition by itself."""
        kinds: dict[str, list[int]] = {}
        for n, name in enumerate(self.conditions):
            kinds.setdefault(kind_of(name, self._pruned_name(n)), []).append(n)
        several = [Group(k, tuple(own), self.pruned[own[0]] is not None) for k, own in kinds.items() if len(own) > 1]
        cells = {g.name: int(self.expected[:, list(g.conditions)].sum()) for g in several}
        several.sort(key=lambda g: (not g.of_class, -cells[g.name], g.name))
        single = [Group(name, (n,), self.pruned[n] is not None) for n, name in enumerate(self.conditions)]
        single.sort(key=lambda g: (g.name != AS_IS, g.name))
        return (*several, *single)

    def _pruned_name(self, condition: int) -> str | None:
        pruned = self.pruned[condition]
        return None if pruned is None else self.study.classes[pruned]

    def shared(self, arms: Sequence[str], classifier: int, condition: int) -> np.ndarray:
        """[S, O] bool: the cells that all of these arms have with status ok."""
        rows = [self.arms.index(arm) for arm in arms]
        return np.logical_and.reduce(self.ok[rows, classifier, condition])

    def missing(self, arms: Sequence[str], classifier: int, conditions: Sequence[int]) -> Missing:
        """Cells of these conditions that one of `arms` lacks: a place (seed, fold) that two arms lack counts once, and
        its reason is the first arm's."""
        reasons: Counter[str] = Counter()
        expected = n = 0
        for condition in conditions:
            wanted = self.expected[classifier, condition]
            lost = wanted & ~self.shared(arms, classifier, condition)
            expected += int(wanted.sum())
            n += int(lost.sum())
            for seed, fold in zip(*np.nonzero(lost), strict=True):
                reasons[self._why(arms, classifier, condition, (int(seed), int(fold)))] += 1
        return Missing(n, expected, tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))))

    def _why(self, arms: Sequence[str], classifier: int, condition: int, at: tuple[int, int]) -> str:
        for arm in arms:
            place = int(self.place[self.arms.index(arm), classifier, condition, at[0], at[1]])
            if place < 0:
                return f"{arm}: never computed"
            cell = self.study.cells[place]
            if cell.status != "ok":
                return f"{arm}: {said(cell)}"
        raise ValueError("no arm lacks this cell")  # unreachable: `lost` holds what one of them lacks

    def pooled(self, arm: int, classifier: int, condition: int, mask: np.ndarray) -> np.ndarray:
        """[S, U, 3, K] float64: tallies of each seed, folds added up, of the cells where `mask` [S, O] is true."""
        own = self.place[arm, classifier, condition]
        seeds = [self.tally[own[s][mask[s]]].sum(0, dtype=np.float64) for s in range(len(self.seeds))]
        return np.stack(seeds)

    def of_cells(self, arm: int, classifier: int, condition: int, mask: np.ndarray) -> np.ndarray:
        """[n, 3, K] float64: tallies of each of the n cells where `mask` is true, people added up, in their order."""
        return self.tally[self.place[arm, classifier, condition][mask]].sum(1, dtype=np.float64)


def part_of(grid: Grid, kept: np.ndarray) -> Grid:
    """The same grid over the answers about some samples alone (bool [N]); units, and so resamples, stay the same."""
    return replace(grid, confusion=confusions(grid.study, kept))


def kind_of(condition: str, pruned: str | None) -> str:
    """ "fear to 10 %" of class fear -> "one class to 10 %"; a condition that prunes no single class is its own kind."""
    return condition if pruned is None else condition.replace(pruned, "one class", 1)


def said(cell: Cell) -> str:
    """Status and reason of a cell that is not ok."""
    return f"{cell.status}: {cell.reason}" if cell.reason else cell.status


def grid_of(study: Study) -> Grid:
    """The grid of all cells and answers.

    Raises `ValueError` for two cells at one place, a pruned class that the study does not have, a condition that
    prunes different classes, or cells with status ok of one place whose number of answers differs between arms.
    """
    cells = study.cells
    arms, classifiers = (tuple(dict.fromkeys(getattr(c, axis) for c in cells)) for axis in ("arm", "classifier"))
    conditions = tuple(sorted({c.condition for c in cells}))
    seeds, folds = tuple(sorted({c.seed for c in cells})), tuple(sorted({c.fold for c in cells}))
    axes = [{name: n for n, name in enumerate(axis)} for axis in (arms, classifiers, conditions, seeds, folds)]
    place = np.full([len(axis) for axis in axes], -1, np.int64)
    ok = np.zeros(place.shape, bool)
    pruned: dict[int, int | None] = {}
    for n, cell in enumerate(cells):
        names = (cell.arm, cell.classifier, cell.condition, cell.seed, cell.fold)
        at = tuple(axis[name] for axis, name in zip(axes, names, strict=True))
        if place[at] >= 0:
            raise ValueError(f"two cells of {names}")
        place[at], ok[at] = n, cell.status == "ok"
        if cell.pruned is not None and cell.pruned not in study.classes:
            raise ValueError(f"cell of {names}: pruned class {cell.pruned!r} is none of {', '.join(study.classes)}")
        own = None if cell.pruned is None else study.classes.index(cell.pruned)
        if pruned.setdefault(at[2], own) != own:
            raise ValueError(f"condition {cell.condition!r} prunes different classes")
    _check_paired(study, place, ok)
    whole = confusions(study)
    of_condition = tuple(pruned[n] for n in range(len(conditions)))
    return Grid(study, whole, arms, classifiers, conditions, seeds, folds, place, ok, of_condition)


def _check_paired(study: Study, place: np.ndarray, ok: np.ndarray) -> None:
    """Cells of one place have the same test samples: compared by number and sum of their indices."""
    n = np.bincount(study.cell, minlength=len(study.cells))
    total = np.bincount(study.cell, weights=study.sample, minlength=len(study.cells))
    for values in (n, total):
        own = np.where(ok, values[place] if len(values) else 0, np.nan)
        with np.errstate(invalid="ignore"):
            uneven = np.fmax.reduce(own, axis=0) != np.fmin.reduce(own, axis=0)
        uneven &= ok.any(0)
        if uneven.any():
            raise ValueError(f"arms of one place were tested on different samples ({int(uneven.sum())} places)")
