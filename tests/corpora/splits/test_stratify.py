"""Whoever learns a class meets two of its groups where there are enough; a view that could be learned from stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.splits import stratify
from corpora.splits.stratify import Learners, stratified

SHARES = np.array([0.6, 0.2, 0.2])
SPLITS = ("train", "dev", "test")


def talk_shows(seed: int, least: int = 4) -> np.ndarray:
    """[G, K] samples of people and classes: most are heard in one class, one person fills much of it."""
    rng = np.random.default_rng(seed)
    k = int(rng.integers(2, 5))
    rows = []
    for c in range(k):
        for n in rng.choice([1, 2, 5, 20, 80], int(rng.integers(least, 8))):
            rows.append(np.where(np.arange(k) == c, float(n), 0.0))
    rows += [rng.integers(1, 6, k).astype(float) for _ in range(int(rng.integers(0, 3)))]
    return np.array(rows)


def held(where: np.ndarray, counts: np.ndarray, n: int) -> np.ndarray:
    """[n, K] groups of each class in each split."""
    return np.stack([(counts[where == s] > 0).sum(axis=0) for s in range(n)])


@pytest.fixture(params=["search", "greedy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "greedy":
        monkeypatch.setattr(stratify, "_SEARCH_GROUPS", 0)
        monkeypatch.setattr(stratify, "_SEARCH_GROUPS_FOLDS", 0)
    return str(request.param)


@pytest.mark.parametrize("seed", range(12))
def test_train_holds_two_groups_of_each_class_and_no_split_lacks_one(way: str, seed: int) -> None:
    counts = talk_shows(seed)
    every = np.ones(counts.shape[1], bool)
    found = held(stratified(counts, SHARES, np.random.default_rng(1), Learners.of_train(SPLITS, every)), counts, 3)
    assert (found[0] >= 2).all() and (found[1:] >= 1).all()


@pytest.mark.parametrize("seed", range(6))
def test_who_learns_without_a_fold_still_meets_two_groups(way: str, seed: int) -> None:
    counts = talk_shows(seed, least=3)
    learners = Learners.of_folds(4, np.ones(counts.shape[1], bool))
    found = held(stratified(counts, np.full(4, 0.25), np.random.default_rng(1), learners), counts, 4)
    assert (found.sum(axis=0) - found >= 2).all()


def test_the_case_that_a_share_alone_gets_wrong() -> None:
    """One person has 60 % of a class: alone in train they are its share to the sample, and no judge can learn it."""
    counts = np.zeros((13, 2))
    counts[:4, 0] = 60, 20, 10, 10
    counts[4:, 1] = 12
    where = stratified(counts, SHARES, np.random.default_rng(0))
    assert held(where, counts, 3)[0, 0] == 1, "the shares are no longer met best by that: choose another example"
    learners = Learners.of_train(SPLITS, np.array([True, True]))
    assert held(stratified(counts, SHARES, np.random.default_rng(0), learners), counts, 3)[:, 0].tolist() == [2, 1, 1]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(4, 12), st.integers(2, 4))
def test_a_view_that_can_be_learned_from_stays_as_it_was(seed: int, n_groups: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 9, (n_groups, n_classes)).astype(float)  # everybody shows everything
    learners = Learners.of_train(SPLITS, np.ones(n_classes, bool))
    before = stratified(counts, SHARES, np.random.default_rng(5))
    if (before == 0).sum() >= 2:
        np.testing.assert_array_equal(stratified(counts, SHARES, np.random.default_rng(5), learners), before)


def test_needs() -> None:
    learners = Learners.of_train(SPLITS, np.array([True, True, True, True, False]))
    assert learners.needs(np.array([1, 2, 3, 4, 9])).tolist() == [[0, 1, 1, 2, 0]]
    assert Learners.of_folds(5, np.ones(3, bool)).needs(np.array([1, 2, 3])).tolist() == [[0, 1, 2]] * 5
