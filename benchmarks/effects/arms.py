"""Cells (a train part in which one class is pruned) and arms: what is added to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.effects.corpora import LEAST, SHARE, Rows, features
from benchmarks.effects.people import PERSON_WEIGHT, interpolated_people
from generators.effects import EffectParams, Effects, class_effects
from training.seeds import derive_seed
from validators.trials.classifiers.priors import class_weights


@dataclass
class Cell:
    """One train part with class k pruned, in the scaled space of its real rows; gone: [G, D] of what was pruned."""

    x: np.ndarray
    y: np.ndarray
    subjects: list[str | None]
    gone: np.ndarray
    gone_subjects: list[str | None]
    test: np.ndarray
    y_test: np.ndarray
    k: int
    n_classes: int
    seed: int

    @cached_property
    def counts(self) -> np.ndarray:
        return np.bincount(self.y, minlength=self.n_classes)

    @cached_property
    def _effects(self) -> dict[Any, Effects]:
        return {}

    def effects(self, estimator: str = "shared", **more: Any) -> Effects:
        key = (estimator, *sorted(more.items()))
        if key not in self._effects:
            params = EffectParams(estimator=estimator, **more)
            self._effects[key] = class_effects(self.x, self.y, self.subjects, self.n_classes, params=params)
        return self._effects[key]

    @cached_property
    def true_effects(self) -> Effects:
        """With the samples that were pruned: a bound, no method."""
        x, y = np.concatenate([self.x, self.gone]), np.append(self.y, np.full(len(self.gone), self.k))
        params = EffectParams(estimator="naive")
        return class_effects(x, y, self.subjects + self.gone_subjects, self.n_classes, params=params)


@dataclass
class Added:
    """Rows beside the real ones. source: [M] place of the real row that each comes from, -1 where it is real itself."""

    x: np.ndarray
    y: np.ndarray
    w: np.ndarray
    source: np.ndarray


def none(cell: Cell) -> Added:
    return Added(cell.x[:0], cell.y[:0], np.zeros(0), np.zeros(0, int))


def joined(*parts: Added) -> Added:
    return Added(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("x", "y", "w", "source")))


def oracle(cell: Cell) -> Added:
    n = len(cell.gone)
    return Added(cell.gone, np.full(n, cell.k), np.ones(n), np.full(n, -1))


def fill(
    cell: Cell,
    effects: Effects,
    classes: list[int] | None = None,
    *,
    sources: str = "all",
    amount: float = 1.0,
    extra: float = 0.0,
) -> Added:
    """Rows of every short class, or of `classes`: all samples of other classes moved, at the weight that is missing
    (`all`), or as many at random as are missing (`many`). amount: share of what is missing; extra: weight for every
    class beside that, as a share of the largest class."""
    parts = [none(cell)]
    most = float(cell.counts.max())
    for k in range(cell.n_classes) if classes is None else classes:
        wanted = amount * (most - cell.counts[k]) + extra * most
        usable = np.isfinite(effects.offsets[k]).all(axis=1) & (cell.counts >= 8)
        rows = np.flatnonzero(usable[cell.y] & (cell.y != k))
        if wanted <= 0 or not len(rows) or not effects.usable(k):
            continue
        weight = np.full(len(rows), wanted / len(rows))
        if sources == "many":
            rng = np.random.default_rng(derive_seed("effects", cell.seed, k))
            rows = rng.permutation(rows)[: round(wanted)]
            weight = np.ones(len(rows))
        parts.append(Added(cell.x[rows] + effects.offsets[k, cell.y[rows]], np.full(len(rows), k), weight, rows))
    return joined(*parts)


def others(cell: Cell) -> list[int]:
    return [k for k in range(cell.n_classes) if k != cell.k]


@dataclass
class TrainSet:
    """What a classifier is trained on. tau: of the logit adjustment of its answers, by its effective prior."""

    x: np.ndarray
    y: np.ndarray
    w: np.ndarray
    tau: float = 0.0
    kinds: tuple[str, ...] = ("svm", "logistic")


def with_real(cell: Cell, added: Added, **more: Any) -> TrainSet:
    x, y = np.concatenate([cell.x, added.x]), np.concatenate([cell.y, added.y])
    return TrainSet(x, y, np.concatenate([np.ones(len(cell.y)), added.w]), **more)


def people(cell: Cell, added: Added, effects: Effects) -> TrainSet:
    """Every row once more as an interpolated person; both at half weight."""
    plain = with_real(cell, added)
    if len(effects.subjects) < 2:
        return plain
    level_of = np.concatenate([effects.level_of, effects.level_of[added.source]])
    copies, _, _ = interpolated_people(plain.x, level_of, effects.levels, seed=derive_seed("people", cell.seed))
    w = PERSON_WEIGHT * np.concatenate([plain.w, plain.w])
    return TrainSet(np.concatenate([plain.x, copies]), np.tile(plain.y, 2), w)


def as_heavy(cell: Cell, train: TrainSet) -> TrainSet:
    """All weights times one number, so that they sum to the real rows: added ones loosen no penalty."""
    train.w = train.w * (len(cell.y) / train.w.sum())
    return train


def adjusted(cell: Cell, added: Added) -> TrainSet:
    """Answers adjusted by the effective prior, weights as heavy as the real rows."""
    return as_heavy(cell, with_real(cell, added, tau=1.0, kinds=("logistic",)))


def weighted(cell: Cell) -> TrainSet:
    return TrainSet(cell.x, cell.y, class_weights(cell.y, cell.n_classes))


Arm = Callable[[Cell], TrainSet]
ARMS: dict[str, Arm] = {
    "nothing": lambda c: with_real(c, none(c)),
    "class weights": weighted,
    "logit adjustment": lambda c: with_real(c, none(c), tau=1.0, kinds=("logistic",)),
    "fill": lambda c: with_real(c, fill(c, c.effects(), others(c))),
    "oracle + fill": lambda c: with_real(c, joined(oracle(c), fill(c, c.effects(), others(c)))),
    "oracle": lambda c: with_real(c, oracle(c)),
    "shrunk, as many": lambda c: with_real(c, fill(c, c.effects("shrunk"), sources="many")),
    "naive, all": lambda c: with_real(c, fill(c, c.effects("naive"))),
    "shrunk, all": lambda c: with_real(c, fill(c, c.effects("shrunk"))),
    "shared, as many": lambda c: with_real(c, fill(c, c.effects(), sources="many")),
    "shared, all": lambda c: with_real(c, fill(c, c.effects())),
    "shared, all, people": lambda c: people(c, fill(c, c.effects()), c.effects()),
    "shared, all + half": lambda c: with_real(c, fill(c, c.effects(), extra=0.5)),
    "shared, all + half, people": lambda c: people(c, fill(c, c.effects(), extra=0.5), c.effects()),
    "shared, all + half, total": lambda c: as_heavy(c, with_real(c, fill(c, c.effects(), extra=0.5))),
    "shared, all + half, people, total": lambda c: as_heavy(c, people(c, fill(c, c.effects(), extra=0.5), c.effects())),
    "shared, a tenth, adjusted": lambda c: adjusted(c, fill(c, c.effects(), amount=0.1)),
    "shared, a tenth + 0.3, adjusted": lambda c: adjusted(c, fill(c, c.effects(), amount=0.1, extra=0.3)),
    "true mean, all": lambda c: with_real(c, joined(fill(c, c.true_effects, [c.k]), fill(c, c.effects(), others(c)))),
}


def cells(rows: Rows, seeds: int) -> Iterator[tuple[tuple[int, int, int], Cell]]:
    """(seed, fold, class) and the cell."""
    for seed in range(seeds):
        for f, test in enumerate(rows.folds(seed)):
            for k in rows.pruned:
                yield (seed, f, k), cell_of(rows, (seed, f, k), test)


def cell_of(rows: Rows, unit: tuple[int, int, int], test: np.ndarray) -> Cell:
    """Class k of fold f pruned in its train part; unit: (seed, f, k)."""
    seed, f, k = unit
    rest = np.setdiff1d(np.arange(len(rows.y)), test)
    mine = rest[rows.y[rest] == k]
    gone = np.random.default_rng([11, seed, f, k]).permutation(mine)[max(LEAST, round(SHARE * len(mine))) :]
    train = np.setdiff1d(rest, gone)
    x, x_gone, x_test = features(rows, train, gone, test)
    who, lost = ([rows.subjects[i] for i in part] for part in (train, gone))
    y, y_test, drawn = rows.y[train], rows.y[test], derive_seed(rows.name, seed, f, k)
    return Cell(x, y, who, x_gone, lost, x_test, y_test, k, len(rows.classes), drawn)
