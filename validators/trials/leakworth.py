"""What a leak is worth: the score of a plain classifier with and without the train samples that leak, on one test set.

The classifier is that of `uplift` (validators/trials/downstream.py). The test set stays whole, so the scores are paired
sample by sample. Fewer train samples cost something by themselves; so as many others of the same classes are taken
away in their place, and what the score loses beyond that is the leak's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpora.errors import UserError
from validators.batch import Batch, rows_of, usable
from validators.embeddings.features import PLAIN
from validators.embeddings.projection import Projection
from validators.trials.downstream import (
    CLASSIFIER,
    COMPONENTS,
    bootstrap_weights,
    labelled_features,
    percentile_interval,
    svm_answers,
    weighted_scores,
)

CONTROLS = 5  # draws of others that are taken away in place of the leaked ones
MAX_TRAIN = 8000  # rows that a kernel machine learns from in a few seconds; of more, so many are drawn


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its 95 % interval; the ends are None where there is nothing to resample (a single test group)."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Worth:
    """UARs in [0, 1] over `classes` (those of both sides), on the same n_test samples of `test_groups` groups.

    with_leak: learned from all n_train samples. without: from those that do not leak, `n_leaked` fewer. difference: the
    one minus the other. others: learned from as many fewer, of the same classes, drawn at random (mean of `CONTROLS`
    draws); None where there are not as many others. beyond: others minus without, what the leak alone is worth.
    n_drawn: of train, where it was cut to `MAX_TRAIN`; else n_train.
    """

    classifier: str
    classes: tuple[str, ...]
    n_train: int
    n_drawn: int
    n_leaked: int
    n_test: int
    test_groups: int
    with_leak: Interval
    without: Interval
    difference: Interval
    others: Interval | None
    beyond: Interval | None


def leak_worth(train: Batch, test: Batch, leaked: np.ndarray, *, seed: int, n_bootstrap: int = 1000) -> Worth:
    """`leaked` [len(train)] bool: the train samples that have a copy, or somebody they share, in test. An emotion ""
    is no label. Intervals: bootstrap of test groups, and of samples within them.

    Raises `UserError` that says why there is no number: no labels, fewer than two classes in common, nothing usable,
    nothing left of a class without what leaks.
    """
    classes = _common_classes(train, test)
    inside = usable(train) & np.isin(np.asarray(train.emotions, str), classes)
    gone = np.asarray(leaked, bool)[inside]
    rng = np.random.default_rng(seed)
    kept = np.arange(int(inside.sum()))
    if len(kept) > MAX_TRAIN:
        kept = np.sort(rng.choice(kept, MAX_TRAIN, replace=False))
    part = rows_of(train, np.flatnonzero(inside)[kept])
    gone = gone[kept]
    x, y, _ = labelled_features(part, classes)
    x_test, target, groups = labelled_features(test, classes)
    if not gone.any():
        raise UserError("no train sample that leaks is labelled, usable and of a class that both sides have")
    _require_left(y, gone, classes)
    weights = bootstrap_weights(groups, n_bootstrap, seed)

    def uar(rows: np.ndarray) -> np.ndarray:
        projection = Projection.fit(x[rows], COMPONENTS)
        answers = svm_answers(projection.apply(x[rows]), y[rows], None, projection.apply(x_test))
        return weighted_scores(target, answers, weights, len(classes))[0]

    whole, clean = uar(np.arange(len(y))), uar(np.flatnonzero(~gone))
    drawn = [_others(y, gone, rng) for _ in range(CONTROLS)]
    control = _mixed([uar(rows) for rows in drawn if rows is not None])
    one_group = len(np.unique(groups)) < 2

    def interval(values: np.ndarray) -> Interval:
        return Interval(float(values[0]), *percentile_interval(values[1:], one_group))

    return Worth(
        classifier=CLASSIFIER + PLAIN[train.kind],
        classes=tuple(classes),
        n_train=int(inside.sum()),
        n_drawn=len(y),
        n_leaked=int(gone.sum()),
        n_test=len(target),
        test_groups=len(np.unique(groups)),
        with_leak=interval(whole),
        without=interval(clean),
        difference=interval(whole - clean),
        others=None if control is None else interval(control),
        beyond=None if control is None else interval(control - clean),
    )


def _mixed(draws: list[np.ndarray]) -> np.ndarray | None:
    """[1 + R] of each draw of others -> their mean, and for resample r that of draw r modulo their number: so the
    interval knows of the draws too. None for no draw."""
    if not draws:
        return None
    every = np.stack(draws)
    mixed: np.ndarray = every[np.arange(every.shape[1]) % len(every), np.arange(every.shape[1])]
    mixed[0] = every[:, 0].mean()
    return mixed


def _common_classes(train: Batch, test: Batch) -> list[str]:
    names = []
    for batch, side in ((train, "first"), (test, "second")):
        held = {name for name, good in zip(batch.emotions, usable(batch), strict=True) if name and good}
        if not held:
            raise UserError(f"the {side} side has no labels (files of a folder have the name of their subfolder)")
        names.append(held)
    common = sorted(names[0] & names[1])
    if len(common) < 2:
        raise UserError(
            f"the sides have {len(common)} class{'' if len(common) == 1 else 'es'} in common, two are needed: "
            f"{', '.join(sorted(names[0])[:8])} against {', '.join(sorted(names[1])[:8])}"
        )
    return common


def _require_left(y: np.ndarray, gone: np.ndarray, classes: list[str]) -> None:
    left = np.bincount(y[~gone], minlength=len(classes))
    empty = [classes[c] for c in np.flatnonzero(left == 0)]
    if empty:
        raise UserError(
            f"without what leaks, train has no sample of {', '.join(empty)}: the two scores are of other tasks"
        )


def _others(y: np.ndarray, gone: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Rows left when as many of each class are taken away that do not leak; None where a class has too few."""
    away = []
    for c in np.unique(y[gone]):
        own = np.flatnonzero((y == c) & ~gone)
        n = int((y[gone] == c).sum())
        if n > len(own):
            return None
        away.append(rng.choice(own, n, replace=False))
    return np.setdiff1d(np.arange(len(y)), np.concatenate(away))
