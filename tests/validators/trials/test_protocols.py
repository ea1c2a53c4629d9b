"""Protocols priced on data whose truth is known: rows added before a split are remembered, and after it are not."""

from __future__ import annotations

import numpy as np
import pytest

from validators.trials.protocols import Fold, Task, filled, random_folds, score_after, score_before


def noise_task(n: int = 200, people: int = 20) -> Task:
    """No feature knows the class; a fifth of the samples are of class 1."""
    rng = np.random.default_rng(0)
    y = (np.arange(n) % 5 == 0).astype(int)
    return Task(rng.normal(size=(n, 10)), y, np.asarray([f"p{i % people}" for i in range(n)]), ("many", "few"))


def test_filled_rows_are_near_rows_of_their_class() -> None:
    task = noise_task()
    x, y, source = filled(task.x, task.y, 0.01, np.random.default_rng(1))
    assert np.bincount(y).tolist() == [160, 160]
    assert (x[:200] == task.x).all() and (source[:200] == np.arange(200)).all()
    assert (task.y[source] == y).all() and np.abs(x - task.x[source]).max() < 0.1
    assert (source[200:] != np.arange(200, 320)).any() and not np.allclose(x[200:], task.x[source[200:]])


def test_adding_before_the_split_is_remembered_and_after_it_is_not() -> None:
    task = noise_task()
    folds = random_folds(task.y, 3, 0)
    before = score_before(task, jitter=0.05, repeats=3, seed=0, n_bootstrap=100)
    after = score_after(task, folds, jitter=0.05, seed=0, n_bootstrap=100)
    assert before.uar[0] > 0.75, "the short class is told by versions of the same sample"
    assert abs(after.uar[0] - 0.5) < 0.1
    assert before.groups == 20, "versions of a sample are drawn with the person it is of"
    assert before.n_train == after.n_train == 256 and before.n_test > after.n_test


def test_accuracy_and_uar_by_hand() -> None:
    """One feature tells the classes; two of ten test labels are turned, so eight answers are right."""
    x = np.repeat([[0.0], [1.0]], 30, axis=0) + np.random.default_rng(0).normal(0, 0.01, (60, 1))
    y = np.repeat([0, 1], 30)
    test = np.array([0, 1, 2, 3, 4, 5, 30, 31, 32, 33])
    shown = y.copy()
    shown[[0, 30]] = 1 - shown[[0, 30]]
    train = np.setdiff1d(np.arange(60), test)
    task = Task(x, shown, np.arange(60).astype(str), ("a", "b"))
    scored = score_after(task, [Fold(train, test)], jitter=None, seed=0, n_bootstrap=200)
    # asked for a: rows 1 to 5 and 30, of which 5 are right; for b: rows 31 to 33 and 0, of which 3 are right
    assert scored.accuracy[0] == pytest.approx(0.8) and scored.uar[0] == pytest.approx((5 / 6 + 3 / 4) / 2)
    interval = scored.interval("accuracy")
    assert interval.low is not None and interval.high is not None and interval.low < 0.8 < interval.high
    assert (scored.n_train, scored.n_test, scored.groups) == (50, 10, 10)


def test_random_folds_hold_every_row_once() -> None:
    for fold in random_folds(noise_task().y, 3, 0):
        assert sorted([*fold.train, *fold.test]) == list(range(200)) and len(fold.test) == 40
