"""Folds and halves: nobody on both sides, every class on each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import UserError
from validators.maths.folds import group_folds, group_halves


def _table(seed: int, n_groups: int, n_classes: int) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    groups, labels = [], []
    for group in range(n_groups):
        for c in range(n_classes):
            n = int(rng.integers(1, 4))
            groups += [f"g{group}"] * n
            labels += [f"c{c}"] * n
    return groups, labels


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), n_groups=st.integers(2, 9), k=st.integers(2, 6))
def test_folds_part_no_group_and_teach_every_class(seed: int, n_groups: int, k: int) -> None:
    groups, labels = _table(seed, n_groups, 3)
    fold = group_folds(groups, labels, k, seed)
    assert fold.shape == (len(groups),) and 2 <= len(np.unique(fold)) <= k
    for name in set(groups):
        assert len(np.unique(fold[np.asarray(groups) == name])) == 1
    for f in np.unique(fold):
        assert set(np.asarray(labels)[fold != f]) == set(labels)
    assert (fold == group_folds(groups, labels, k, seed)).all()


def test_samples_without_groups_are_their_own() -> None:
    fold = group_folds((), ["a"] * 6 + ["b"] * 6, 3, seed=0)
    assert [int((fold == f).sum()) for f in range(3)] == [4, 4, 4]


@pytest.mark.parametrize(
    ("groups", "labels", "says"),
    [
        (["g"] * 4, ["a", "a", "b", "b"], "at least 2 groups"),
        (["g", "h", "g"], ["a", "a", "b"], "class 'b' has only one sample"),
        (["g", "h", "g", "g"], ["a", "a", "b", "b"], "class 'b' has only 2 samples of one group"),
    ],
)
def test_what_cannot_be_cross_fitted_is_named(groups: list[str], labels: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        group_folds(groups, labels, 4, seed=0)


def test_halves_share_no_group_and_are_stratified() -> None:
    labels = ["a"] * 30 + ["b"] * 10
    groups = [f"g{i}" for i in range(40)]
    seen = set()
    for half in group_halves(groups, labels, 20, seed=3):
        assert abs(int(half[:30].sum()) - 15) <= 1 and abs(int(half[30:].sum()) - 5) <= 1
        seen.add(half.tobytes())
    assert len(seen) == 20
    pairs = [f"g{i // 2}" for i in range(40)]
    for half in group_halves(pairs, labels, 5, seed=3):
        assert (half[::2] == half[1::2]).all()


def test_halves_of_one_group_are_refused() -> None:
    with pytest.raises(UserError, match="at least 2 groups"):
        next(group_halves(["g"] * 4, ["a"] * 4, 1, seed=0))


@pytest.mark.parametrize("k", [2, 3, 10])
def test_two_groups_are_two_folds(k: int) -> None:
    groups, labels = ["g", "g", "h", "h", "h"], ["a", "b", "a", "b", "b"]
    fold = group_folds(groups, labels, k, seed=0)
    assert sorted({(g, int(f)) for g, f in zip(groups, fold, strict=True)}) in (
        [("g", 0), ("h", 1)],
        [("g", 1), ("h", 0)],
    )
    (half,) = group_halves(groups, labels, 1, seed=0)
    assert half.tolist() in ([True] * 2 + [False] * 3, [False] * 2 + [True] * 3)


def test_one_fold_is_refused() -> None:
    with pytest.raises(UserError, match="at least 2 folds, not 1"):
        group_folds(["g", "h"], ["a", "a"], 1, seed=0)


def test_as_many_folds_as_asked_for_where_there_are_groups_enough() -> None:
    groups, labels = _table(1, 12, 3)
    for k in (2, 3, 6, 12):
        assert len(np.unique(group_folds(groups, labels, k, seed=0))) == k


def test_a_class_in_two_groups_is_never_left_to_one_fold() -> None:
    """A shuffle that puts both groups of the rare class into one fold is tried again with another."""
    groups = [f"g{i}" for i in range(12) for _ in range(2)]
    labels = ["common"] * 24
    labels[0] = labels[2] = "rare"  # one sample of g0, one of g1
    for seed in range(40):
        fold = group_folds(groups, labels, 2, seed)
        assert {int(fold[0]), int(fold[2])} == {0, 1}


def test_groups_must_be_as_many_as_labels() -> None:
    with pytest.raises(ValueError, match="2 groups for 3 samples"):
        group_folds(["g", "h"], ["a", "b", "a"], 2, seed=0)


def test_three_classes_between_three_groups_have_three_folds_and_not_two() -> None:
    """Each class lies in two of the groups: of two folds one would hold all of some class."""
    groups, labels = ["g", "g", "h", "h", "k", "k"] * 2, ["a", "c", "a", "b", "b", "c"] * 2
    assert len(np.unique(group_folds(groups, labels, 3, seed=0))) == 3
    with pytest.raises(UserError, match=r"3 groups cannot be cut into 2 folds.*a \(2 groups\), b \(2 groups\)"):
        group_folds(groups, labels, 2, seed=0)
