"""Views to the row, searches beside brute force, and the edges between what can be split and what cannot."""

from __future__ import annotations

from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from corpora.errors import SplitError
from corpora.splits.splits import group_view, make_view
from corpora.splits.stratify import _greedy, stratified
from corpora.splits.views import view_hash
from tests.corpora.splits.test_splits import RATIOS, index_of, people, splits_of

# view -> first digits of its hash over `stable()`: a changed split is another split, and nobody's old numbers compare
GOLDEN_VIEWS: dict[str, str] = {
    "group": "c8978fc1ad43",
    "group-seed7": "e10014b1352f",
    "disjoint-subject": "2f0dbab2523e",
    "disjoint-session": "090c7f7834f2",
    "disjoint-session+subject": "090c7f7834f2",
    "group-k5-fold3": "b585ecf75fc9",
    "disjoint-subject-k4-fold1": "c8ce93d4fc10",
    "group-k5-fold3-inner2": "2a3cad0756ce",
    "loso-c:s07": "8b75db068172",
    "leave-session-c:e2": "262d1f654f14",
    "leave-corpus-c1": "b77fdc9b07d4",
    "group-prune-fear10": "413081f6845f",
    "group-prunegroups-fear25-seed3": "49c9719835a7",
    "group-groups6": "5564e2469805",
    "disjoint-subject-groups4-prune-fear50": "b17c2039d0f2",
}


def stable() -> pa.Table:
    """90 dialogues of 30 people, who meet by threes in sessions; five classes, one of them rare."""
    rng = np.random.default_rng(0)
    n = 720
    cast = np.arange(n) // 24  # one person's rows follow one another
    session = cast // 3
    return index_of(
        [f"d{i // 8:03d}" for i in range(n)],
        [
            ("anger", "fear", "neutral", "sadness", "disgust")[k]
            for k in rng.choice(5, n, p=[0.3, 0.1, 0.4, 0.17, 0.03])
        ],
        subject_id=[f"c:s{c:02d}" for c in cast],
        session_id=[f"c:e{s}" for s in session],
        gender=[("female", "male")[c % 2] for c in cast],
        corpus=[f"c{c % 2}" for c in cast],
    )


def test_views_are_what_they_were() -> None:
    index = stable()
    assert {name: view_hash(make_view(index, name))[:12] for name in GOLDEN_VIEWS} == GOLDEN_VIEWS


def test_the_search_comes_near_what_trying_everything_finds() -> None:
    """Few groups: hardly any assignment of all there are is nearer to the shares, empty cells counted."""
    shares = np.array([0.5, 0.25, 0.25])
    every = [where for where in map(np.array, product(range(3), repeat=7)) if len(set(where.tolist())) == 3]
    missed = []
    for seed in range(8):
        counts = np.random.default_rng(seed).poisson(2.0, (7, 3)).astype(float) + (np.arange(7)[:, None] == [0, 1, 2])
        reach = (counts > 0).sum(axis=0) >= 3

        def off(where: np.ndarray, counts: np.ndarray = counts, reach: np.ndarray = reach) -> float:
            held = np.stack([counts[where == s].sum(axis=0) for s in range(3)])
            by_class = np.abs(held / counts.sum(axis=0) - shares[:, None]).sum() / 3
            size = np.abs(held.sum(axis=1) / counts.sum() - shares).sum()
            return float(by_class + size + 10 * ((held == 0) & reach).sum())

        found = stratified(counts, shares, np.random.default_rng(seed))
        missed.append(off(found) - min(map(off, every)))
    assert max(missed) < 0.1 and sum(m < 1e-9 for m in missed) >= 4


def test_many_groups_are_shared_out_where_their_classes_lack_most() -> None:
    """Groups of the rarest class first, the bigger ones before the smaller, each to the split that misses it most."""
    counts = np.array([[0.0, 5.0], [1.0, 4.0], [9.0, 0.0], [8.0, 0.0], [7.0, 0.0], [0.0, 1.0], [6.0, 0.0]])
    for seed in range(8):
        where = _greedy(counts, np.array([0.5, 0.5]), np.random.default_rng(seed))
        assert where[0] != where[1] == where[5], "5 and 4 + 1 of the rare class"
        held = np.stack([counts[where == s].sum(axis=0) for s in range(2)])
        assert held[:, 1].tolist() == [5.0, 5.0] and abs(held[0, 0] - held[1, 0]) <= 3


def test_shares_of_uneven_splits_are_kept_by_the_greedy_way_too() -> None:
    rng = np.random.default_rng(1)
    counts = rng.multinomial(1, [0.6, 0.3, 0.08, 0.02], 4000).astype(float) * rng.integers(1, 4, (4000, 1))
    shares = np.array([0.7, 0.2, 0.1])
    where = _greedy(counts, shares, rng)
    held = np.stack([counts[where == s].sum(axis=0) for s in range(3)])
    assert np.abs(held / counts.sum(axis=0) - shares[:, None]).max() < 0.01


@pytest.mark.parametrize("percent", [1, 40, 100])
def test_at_least_one_sample_survives_pruning(percent: int) -> None:
    index = people(10, per=3)  # a sample of each class and person
    split = splits_of(make_view(index, f"group-prune-fear{percent}"))
    emotion = dict(zip(index["sample_id"].to_pylist(), index["emotion"].to_pylist(), strict=True))
    assert sum(s == "train" and emotion[i] == "fear" for i, s in split.items()) == max(1, round(6 * percent / 100))
    rows = dict(zip(index["sample_id"].to_pylist(), index["group_id"].to_pylist(), strict=True))
    left = splits_of(make_view(index, f"group-prunegroups-fear{percent}"))
    assert len({rows[i] for i, s in left.items() if s == "train" and emotion[i] == "fear"}) == max(
        1, round(6 * percent / 100)
    )


def test_folds_of_another_number_or_seed_are_other_folds() -> None:
    index = people(20)
    names = ["group-k5-fold1", "group-k5-fold2", "group-k4-fold1", "group-k5-fold1-seed1", "group-k5-fold1-inner1"]
    assert len({view_hash(make_view(index, name)) for name in names}) == 5
    inner = [view_hash(make_view(index, f"group-k5-fold{f}-inner1of3")) for f in (1, 2)]
    assert inner[0] != inner[1]


def test_the_biggest_component_may_leave_half_of_what_the_others_should_have() -> None:
    """Dev and test should have 40 of 100: 20 are enough, 19 are not."""

    def chained(big: int) -> pa.Table:
        groups = ["big"] * big + [f"g{i}" for i in range(100 - big)]
        return index_of(list(groups), ["anger", "fear"] * 50, subject_id=list(groups))

    assert len(set(splits_of(make_view(chained(80), "disjoint-subject")).values())) == 3
    with pytest.raises(SplitError, match=r"holds 81 of them \(81.0%\); 19 are left"):
        make_view(chained(81), "disjoint-subject")
    three = ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    assert (
        len(
            set(
                splits_of(
                    make_view(index_of(list(three), ["x", "y"] * 6, subject_id=list(three)), "disjoint-subject")
                ).values()
            )
        )
        == 3
    )
    two = ["a"] * 6 + ["b"] * 6
    with pytest.raises(SplitError, match=r"2 component\(s\)"):
        make_view(index_of(list(two), ["x", "y"] * 6, subject_id=list(two)), "disjoint-subject")


def test_many_known_ids_are_not_all_listed() -> None:
    with pytest.raises(SplitError, match=r"Known: (c0:s\d\d, ){11}c0:s11 and 8 more"):
        make_view(people(20), "loso-nobody")
    with pytest.raises(SplitError, match=r"Known: (c0:s\d\d, ){11}c0:s11$"):
        make_view(people(12), "loso-nobody")


def test_a_split_without_a_share_is_not_made() -> None:
    index = people(12)
    assert set(splits_of(group_view(index, {"train": 3.0, "test": 1.0}, 0)).values()) == {"train", "test"}
    whole = splits_of(group_view(index, {"train": 6.0, "dev": 2.0, "test": 2.0}, 0))
    assert whole == splits_of(group_view(index, RATIOS, 0)), "shares are relative"
    assert splits_of(make_view(index, "group")) == whole, "60 / 20 / 20 by default"


def test_the_empty_index_has_no_view() -> None:
    with pytest.raises(SplitError, match="no samples"):
        make_view(people(2).slice(0, 0), "group")
    one = people(10).slice(0, 60)
    assert make_view(one, "group").num_rows == 60


@pytest.mark.parametrize("seed", range(4))
def test_the_greedy_way_is_that_of_its_formula(seed: int) -> None:
    """Each group where its strata are missing most, the sums written out."""
    rng = np.random.default_rng([seed, 1])
    counts = np.where(rng.random((400, 7)) < 0.25, rng.integers(1, 4, (400, 7)), 0).astype(float)
    counts[counts.sum(axis=1) == 0, 0] = 1
    counts[::3] = np.eye(7)[rng.integers(0, 7, len(counts[::3]))]
    shares = np.array([0.6, 0.3, 0.1])
    chance, total = np.random.default_rng(seed), counts.sum(axis=0)
    rarest = np.where(counts > 0, total, np.inf).min(axis=1)
    order = np.lexsort((chance.random(400), -counts.sum(axis=1), rarest))
    tie, missing, wanted = chance.random(400), shares[:, None] * total, np.zeros(400, int)
    weight = 1.0 / total
    for i in order:
        held = np.flatnonzero(counts[i])
        need = [
            sum(counts[i, k] * weight[k] * missing[s, k] for k in held) / shares[s] + 1e-12 * ((tie[i] * (s + 1)) % 1.0)
            for s in range(3)
        ]
        wanted[i] = int(np.argmax(need))
        missing[wanted[i]] -= counts[i]
    assert _greedy(counts, shares, np.random.default_rng(seed)).tolist() == wanted.tolist()
