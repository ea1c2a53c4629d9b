"""The train set of one view as arms see it: real rows, scaled by themselves, and what each class lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from corpora.errors import UserError
from flows.stages.study.rows import Rows
from validators.trials.classifiers.scaling import Scaler, ScalingParams


@dataclass(frozen=True, slots=True)
class Added:
    """What an arm adds. x: [M, ...] in the scaled space; y: [M] class indices; notes: what it did otherwise than asked;
    gates: gate -> (mean score, share of candidates that it let in); weights: [M] what each row counts in training,
    None: 1, as a real row does; soft: [M, K] shares of the classes of each row, which sum to 1, None: each is of its
    class alone."""

    x: np.ndarray
    y: np.ndarray
    notes: tuple[str, ...] = ()
    gates: dict[str, tuple[float, float]] = field(default_factory=dict)
    weights: np.ndarray | None = None
    soft: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def counts(self) -> np.ndarray:
        """[M] float64, what each row counts."""
        return np.ones(len(self.y)) if self.weights is None else np.asarray(self.weights, np.float64)

    @property
    def by_class(self) -> Added:
        """What a classifier of hard labels is fitted to: a row of a soft label once for each of its classes, with its
        share of the row's weight."""
        if self.soft is None:
            return self
        row, label = np.nonzero(self.soft)
        weights = self.counts[row] * self.soft[row, label]
        return replace(self, x=self.x[row], y=label.astype(np.int64), weights=weights, soft=None)


@dataclass(frozen=True)
class TrainView:
    """train, gone, test: indices of rows whose features are known. seed: of everything that arms draw in this view.
    pruned: index of the class that was pruned, None where it is none or several."""

    rows: Rows
    classes: tuple[str, ...]
    scaling: ScalingParams
    train: np.ndarray
    gone: np.ndarray
    test: np.ndarray
    seed: int
    pruned: int | None = None

    @cached_property
    def scaler(self) -> Scaler | None:
        """Learned from the real rows of train alone; None where features are no vectors, and stay as they are."""
        x = self.rows.x[self.train]
        return Scaler.fit(x, self.scaling) if x.ndim == 2 else None

    def scaled(self, x: np.ndarray) -> np.ndarray:
        """[n, ...] features -> the space in which arms and classifiers work."""
        return np.asarray(x, np.float32) if self.scaler is None else self.scaler.apply(x)

    @cached_property
    def x(self) -> np.ndarray:
        """[N, ...] real train rows, scaled."""
        return self.scaled(self.rows.x[self.train])

    @cached_property
    def y(self) -> np.ndarray:
        """[N] class indices of train."""
        return self.labels(self.train)

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """[n] class indices of rows."""
        place = {name: k for k, name in enumerate(self.classes)}
        return np.array([place[name] for name in self.rows.emotions[rows]], np.int64)

    @cached_property
    def subjects(self) -> list[str | None]:
        """Of the train rows, None where not known."""
        return [self.rows.facts[i].subject for i in self.train]

    @cached_property
    def counts(self) -> np.ndarray:
        """[K] real train rows of each class."""
        return np.bincount(self.y, minlength=len(self.classes))

    def lacks(self, amount: float = 1.0, *, whole: bool = False, beyond: float = 0.0) -> dict[int, int]:
        """Class -> rows to add: `amount` of what is missing to the largest class, and to `beyond` times as many above
        it; `whole`: as many as the largest class has, of every class. Classes that train does not hold are not filled:
        there is nothing to learn them from."""
        most = int(self.counts.max())
        most_of_all = most * (1.0 + beyond)
        short = {k: most if whole else most_of_all - int(n) for k, n in enumerate(self.counts) if n}
        return {k: n for k, short_of in short.items() if (n := round(amount * short_of)) > 0}

    def require_test(self) -> None:
        """Raises `UserError` where the view cannot say anything."""
        if not len(self.test):
            raise UserError("no test sample of this view has features")
        if np.count_nonzero(self.counts) < 2:
            raise UserError("train holds fewer than 2 classes; a classifier has nothing to tell apart")

    def rng(self, *parts: str | int) -> np.random.Generator:
        """A random generator of this view and `parts`, the same whatever else was drawn."""
        from training.seeds import derive_seed

        return np.random.default_rng(derive_seed("study", self.seed, *parts))


def nothing(view: TrainView) -> Added:
    """No rows."""
    return Added(view.x[:0], view.y[:0])


def joined(parts: Sequence[Added]) -> Added:
    """Rows one after the other."""
    gates = {name: value for part in parts for name, value in part.gates.items()}
    notes = tuple(note for part in parts for note in part.notes)
    weights = None if all(p.weights is None for p in parts) else np.concatenate([p.counts for p in parts])
    x, y = np.concatenate([p.x for p in parts]), np.concatenate([p.y for p in parts])
    if all(p.soft is None for p in parts):
        return Added(x, y, notes, gates, weights)
    n_classes = next(p.soft.shape[1] for p in parts if p.soft is not None)
    soft = np.concatenate([np.eye(n_classes)[p.y] if p.soft is None else p.soft for p in parts])
    return Added(x, y, notes, gates, weights, soft)
