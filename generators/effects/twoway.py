"""What a subject and what a class add to a sample: the additive model x = level of subject + effect of class + rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ROUNDS = 6  # of backfitting; later ones change nothing that matters


@dataclass(frozen=True)
class TwoWay:
    """levels: [S, D] of subjects; effects: [K, D] of classes (0 where a class has no row), centred over the classes
    `over`."""

    levels: np.ndarray
    effects: np.ndarray


@dataclass(frozen=True)
class Sums:
    """All that the fit needs of the rows: it costs one pass, however many fits leave a class out."""

    by_subject: np.ndarray  # [S, D]
    by_class: np.ndarray  # [K, D]
    cells: np.ndarray  # [S, K] rows of each

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, level_of: np.ndarray, n_subjects: int, n_classes: int) -> Sums:
        """x: [N, D] float64, y: [N] class indices, level_of: [N] subject indices."""
        from scipy.sparse import csr_array

        rows = np.arange(len(x)), np.ones(len(x))
        subject_of = csr_array((rows[1], (level_of, rows[0])), shape=(n_subjects, len(x)))
        class_of = csr_array((rows[1], (y, rows[0])), shape=(n_classes, len(x)))
        return cls(subject_of @ x, class_of @ x, (subject_of @ class_of.T).toarray())

    def without(self, k: int, x: np.ndarray, level_of: np.ndarray) -> Sums:
        """The same without class k, whose rows are x [n, D] of the subjects level_of [n]."""
        by_subject, by_class, cells = self.by_subject.copy(), self.by_class.copy(), self.cells.copy()
        np.subtract.at(by_subject, level_of, x)
        by_class[k], cells[:, k] = 0.0, 0.0
        by_subject[cells.sum(axis=1) == 0] = 0.0  # not what rounding leaves of them
        return Sums(by_subject, by_class, cells)

    def fit(self, over: np.ndarray) -> TwoWay:
        """Backfitting in `ROUNDS` rounds; over: [K] bool, the classes whose effects have mean 0. A subject without
        rows gets the mean level of the others."""
        n_subject, n_class = self.cells.sum(axis=1)[:, None], self.cells.sum(axis=0)[:, None]
        effects, levels = np.zeros_like(self.by_class), np.zeros_like(self.by_subject)
        for _ in range(ROUNDS):
            levels = (self.by_subject - self.cells @ effects) / np.maximum(n_subject, 1.0)
            effects = (self.by_class - self.cells.T @ levels) / np.maximum(n_class, 1.0)
            effects = np.where(n_class > 0, effects - effects[over].mean(axis=0), 0.0)
        levels[n_subject[:, 0] == 0] = levels[n_subject[:, 0] > 0].mean(axis=0)
        return TwoWay(levels, effects)


def subject_index(subjects: Sequence[str | None]) -> tuple[tuple[str, ...], np.ndarray]:
    """N subjects -> their different names in order, and [N] the index of each row's. Who is not known is one more
    subject, ""."""
    names = tuple(sorted({s or "" for s in subjects}))
    place = {name: i for i, name in enumerate(names)}
    return names, np.array([place[s or ""] for s in subjects], np.int64)


def centre_by_subject(
    values: np.ndarray, labels: np.ndarray, subjects: Sequence[str | None], n_classes: int
) -> np.ndarray:
    """[N, D] -> deviations from each subject's own level, where subjects are known, else from the global one.

    The level is fitted together with the class effects (two-way additive model by backfitting), so that a subject who
    has only angry samples does not lose the anger.
    """
    names, index = subject_index(subjects)
    effect = np.zeros((n_classes, values.shape[1]))
    level = np.zeros((len(names), values.shape[1]))
    for _ in range(50):
        rest = values - effect[labels]
        level = np.stack([rest[index == j].mean(axis=0) for j in range(len(names))])
        rest = values - level[index]
        new = np.stack([rest[labels == k].mean(axis=0) for k in range(n_classes)])
        new -= new.mean(axis=0)
        if np.allclose(new, effect, atol=1e-9):
            break
        effect = new
    return values - level[index]
