"""One task, several protocols: what a plain classifier scores when the protocol leaks and when it does not.

A protocol is a list of folds over the rows of a corpus, and when rows are added: before the split, so that versions of
one sample lie on both sides of it, or after it, to train alone. Added rows are rows of the short classes, repeated with
jitter: the cheapest augmentation that there is, so that what is priced is the protocol and not a generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from validators.embeddings.projection import Projection
from validators.trials.downstream import (
    COMPONENTS,
    bootstrap_weights,
    percentile_interval,
    svm_answers,
    weighted_scores,
)
from validators.trials.leakworth import Interval

Metric = Literal["accuracy", "uar"]
METRICS: tuple[Metric, ...] = ("accuracy", "uar")
_TEST_SHARE = 0.2  # of a random split


@dataclass(frozen=True, slots=True)
class Task:
    """x [n, D] float64 plain features, y [n] class indices of k `classes`, groups [n]: what a resample draws."""

    x: np.ndarray
    y: np.ndarray
    groups: np.ndarray
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """Row indices of a task. Row 0 to n - 1."""

    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True, slots=True)
class Scored:
    """Resamples [1 + R] of accuracy and UAR, the first of the data as they are; and over how many answers of how many
    groups, how many rows were learned from (of the first fold)."""

    accuracy: np.ndarray
    uar: np.ndarray
    n_train: int
    n_test: int
    groups: int

    def of(self, metric: Metric) -> np.ndarray:
        """Resamples of one metric."""
        return self.accuracy if metric == "accuracy" else self.uar

    def interval(self, metric: Metric) -> Interval:
        """Its value with the 95 % interval."""
        return interval_of(self.of(metric), self.groups < 2)


def score_after(task: Task, folds: Sequence[Fold], *, jitter: float | None, seed: int, n_bootstrap: int) -> Scored:
    """Folds of real rows; `jitter` adds rows to each train set up to its largest class; None adds none."""
    target, answers, groups, n_train = [], [], [], 0
    for number, fold in enumerate(folds):
        x, y = task.x[fold.train], task.y[fold.train]
        if jitter is not None:
            x, y, _ = filled(x, y, jitter, np.random.default_rng([seed, number]))
        answers.append(_answers(x, y, task.x[fold.test]))
        target.append(task.y[fold.test])
        groups.append(task.groups[fold.test])
        n_train = n_train or len(y)
    return _scored(target, answers, groups, len(task.classes), n_train, seed, n_bootstrap)


def score_before(task: Task, *, jitter: float, repeats: int, seed: int, n_bootstrap: int) -> Scored:
    """Rows are added to the whole task, and then it is split at random, `repeats` times: what leaks. A row's group is
    that of the row that it repeats, so that intervals do not take versions of one sample for several."""
    x, y, source = filled(task.x, task.y, jitter, np.random.default_rng(seed))
    folds = random_folds(y, repeats, seed)
    wide = Task(x, y, task.groups[source], task.classes)
    return score_after(wide, folds, jitter=None, seed=seed, n_bootstrap=n_bootstrap)


def random_folds(y: np.ndarray, repeats: int, seed: int) -> list[Fold]:
    """Splits at random, a fifth is test, stratified by class: [n] class indices -> folds. Raises `ValueError` for a
    class of one row."""
    from sklearn.model_selection import StratifiedShuffleSplit

    splitter = StratifiedShuffleSplit(n_splits=repeats, test_size=_TEST_SHARE, random_state=seed)
    return [Fold(train, test) for train, test in splitter.split(y, y)]


def filled(
    x: np.ndarray, y: np.ndarray, jitter: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x [n, D], y [n] -> rows with those added that fill every class up to the largest: x [m, D], y [m], source [m].

    An added row is a row of its class at random plus normal noise of `jitter` standard deviations of each feature.
    """
    counts = np.bincount(y)
    more = [rng.choice(np.flatnonzero(y == c), counts.max() - n) for c, n in enumerate(counts) if n]
    drawn = np.concatenate(more)
    noise = rng.standard_normal((len(drawn), x.shape[1])) * x.std(axis=0) * jitter
    source = np.concatenate([np.arange(len(y)), drawn])
    return np.concatenate([x, x[drawn] + noise]), y[source], source


def interval_of(values: np.ndarray, one_group: bool) -> Interval:
    """Resamples [1 + R] -> the first with the 95 % interval of the others."""
    return Interval(float(values[0]), *percentile_interval(values[1:], one_group))


def _answers(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    projection = Projection.fit(x, COMPONENTS)
    return svm_answers(projection.apply(x), y, None, projection.apply(x_test))


def _scored(
    target: Sequence[np.ndarray],
    answers: Sequence[np.ndarray],
    groups: Sequence[np.ndarray],
    k: int,
    n_train: int,
    seed: int,
    n_bootstrap: int,
) -> Scored:
    """All folds pooled: a sample that several folds test has as many answers, and is drawn with its group."""
    asked, given, of_group = np.concatenate(target), np.concatenate(answers), np.concatenate(groups)
    weights = bootstrap_weights(of_group, n_bootstrap, seed)
    uar, _, _ = weighted_scores(asked, given, weights, k)
    accuracy = weights @ (asked == given) / weights.sum(axis=1)
    return Scored(accuracy, uar, n_train, len(asked), len(np.unique(of_group)))
