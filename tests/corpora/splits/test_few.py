"""Views with few people in train: how many, which classes they hold, and that nothing else moves."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import SplitError
from corpora.splits.few import few_groups
from corpora.splits.splits import make_view
from tests.corpora.splits.test_split_edges import stable
from tests.corpora.splits.test_splits import index_of, people, splits_of


def column(index: pa.Table, name: str) -> dict[str, str]:
    return dict(zip(index["sample_id"].to_pylist(), index[name].to_pylist(), strict=True))


def train_groups(index: pa.Table, view: str, of: str = "group_id") -> set[str]:
    group = column(index, of)
    return {group[i] for i, s in splits_of(make_view(index, view)).items() if s == "train"}


@given(st.integers(0, 2**31), st.integers(1, 8), st.integers(1, 6))
def test_no_other_groups_hold_more_classes(seed: int, g: int, k: int) -> None:
    """Against all choices of n groups."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 3, (g, k)) * rng.integers(0, 4, (g, k)) * rng.integers(0, 2, (g, k))
    learned = rng.random(k) < 0.8
    for n in range(1, g + 1):
        chosen = few_groups(counts, learned, n, np.random.default_rng(seed))
        assert len(set(chosen.tolist())) == n and chosen.tolist() == sorted(chosen.tolist())

        def held(groups: object) -> int:
            return int((counts[list(groups)][:, learned] > 0).any(axis=0).sum())  # type: ignore[call-overload]

        assert held(chosen) == max(held(some) for some in combinations(range(g), n))


def test_a_class_that_greed_loses_is_kept() -> None:
    """The group of three classes is not the first of the two that hold all four."""
    counts = np.array([[1, 1, 0, 1, 0, 0], [0, 0, 1, 0, 1, 1], [1, 0, 1, 1, 1, 0], [0, 1, 0, 0, 0, 0]])
    for seed in range(20):
        chosen = few_groups(counts, np.ones(6, bool), 2, np.random.default_rng(seed))
        assert chosen.tolist() == [0, 1]


def test_train_holds_that_many_groups_and_dev_and_test_are_as_they_were() -> None:
    index = people(20)
    group, emotion = column(index, "group_id"), column(index, "emotion")
    for base in ("group", "group-k5-fold2", "loso-s03", "disjoint-session"):
        whole = splits_of(make_view(index, base))
        of_whole = {group[i] for i, s in whole.items() if s == "train"}
        for n in (1, 2, 4):
            split = splits_of(make_view(index, f"{base}-groups{n}"))
            assert {i: s for i, s in split.items() if s != "train"} == {i: s for i, s in whole.items() if s != "train"}
            stay = {group[i] for i, s in split.items() if s == "train"}
            assert stay <= of_whole and len(stay) == (2 * n if base == "disjoint-session" else n)
            assert {i for i, s in split.items() if s == "train"} == {
                i for i, s in whole.items() if s == "train" and group[i] in stay
            }
            assert {emotion[i] for i in split if split[i] == "train"} == {"anger", "fear", "neutral"}


def test_fewer_are_a_part_of_more_and_another_seed_draws_others() -> None:
    index = people(20)
    drawn = [train_groups(index, f"group-k5-fold1-groups{n}") for n in (1, 2, 4, 8, 16)]
    assert all(few < more for few, more in pairwise(drawn))
    assert drawn[-1] == train_groups(index, "group-k5-fold1")
    made = make_view(index, "group-k5-fold1")
    group = column(index, "group_id")
    others = set()
    for seed in range(1, 9):
        split = splits_of(make_view(index, f"group-k5-fold1-groups2-seed{seed}", outer=made))
        others.add(frozenset(group[i] for i, s in split.items() if s == "train"))
    assert len(others) > 4


def test_genders_are_kept_alike() -> None:
    genders = [g for s in range(16) for g in [("female", "male")[s % 2]] * 12]
    index = people(16, gender=list(genders))
    gender = column(index, "gender")
    shares = []
    for seed in range(12):
        split = splits_of(make_view(index, f"loso-s00-groups4-seed{seed}"))
        shares.append(np.mean([gender[i] == "female" for i, s in split.items() if s == "train"]))
    assert np.mean(np.abs(np.array(shares) - 0.5) < 0.1) > 0.8  # at random: 3 in 8


def test_inner_folds_and_prunes_are_of_the_few() -> None:
    index = people(20, per=30)
    few = train_groups(index, "group-k5-fold1-groups4")
    group = column(index, "group_id")
    held = []
    for fold in (1, 2):
        inner = splits_of(make_view(index, f"group-k5-fold1-groups4-inner{fold}of2"))
        assert {group[i] for i in inner} == few and set(inner.values()) == {"train", "dev"}
        held.append({group[i] for i, s in inner.items() if s == "dev"})
    assert held[0] | held[1] == few and not held[0] & held[1]
    whole = splits_of(make_view(index, "group-k5-fold1-groups4"))
    pruned = splits_of(make_view(index, "group-k5-fold1-groups4-prune-fear20"))
    emotion = column(index, "emotion")
    fear = [sum(s == "train" and emotion[i] == "fear" for i, s in view.items()) for view in (whole, pruned)]
    assert fear == [40, 8]


def test_components_count_where_units_are_kept_whole() -> None:
    index = stable()  # three dialogues a person
    assert len(train_groups(index, "disjoint-subject-groups4", "subject_id")) == 4
    assert len(train_groups(index, "disjoint-subject-groups4")) == 12
    assert len(train_groups(index, "group-groups4")) == 4


def test_more_than_there_are_is_an_error_that_says_how_many() -> None:
    with pytest.raises(
        SplitError, match=r"view 'group-k5-fold1-groups17': train has 16 of what is kept whole .group., 17"
    ):
        make_view(people(20), "group-k5-fold1-groups17")
    with pytest.raises(SplitError, match=r"train has 9 .*group and session"):
        make_view(people(20), "disjoint-session-k10-fold1-groups10")


def test_samples_without_a_class_go_with_their_group() -> None:
    index = index_of([f"g{i % 5}" for i in range(40)], ["anger", "fear", None, "fear"] * 10)
    assert len(train_groups(index, "group-groups2")) == 2
