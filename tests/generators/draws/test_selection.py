"""Choosing among accepted candidates: by hand, against brute force, and the same answer every time."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.draws import selection
from generators.draws.selection import at_random, coverage, distances, k_centre, spread_out


def line(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


def radius(x: np.ndarray, kept: list[int] | tuple[int, ...]) -> float:
    return float(distances(x, x[list(kept)]).min(axis=1).max())


def left(x: np.ndarray, kept: list[int] | tuple[int, ...], given: np.ndarray) -> float:
    return float(distances(x, np.concatenate([given, x[list(kept)]])).min(axis=1).sum())


def test_by_hand() -> None:
    x = line(0, 1, 10, 11, 30)
    assert k_centre(x, 3) == [0, 4, 3]  # 30 is 30 from 0; then 11 is 11 from 0
    assert k_centre(x, 2, line(30)) == [0, 3]
    # sums of distances: 52, 49, 40, 41, 98: the medoid is 10; 30 then saves 20 (19 from 11), 0 saves 10 + 8
    assert coverage(x, 3) == [2, 4, 0]
    # beside a real sample at 10.5, rows cost 10.5, 9.5, 0.5, 0.5, 19.5; 30 saves 19.5, 0 saves 10.5 + 8.5, 1 as much
    assert coverage(x, 2, line(10.5)) == [4, 0]
    assert distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])).tolist() == [[5.0]]


def test_an_outlier_is_the_first_for_k_centre_and_not_for_coverage() -> None:
    crowd = np.random.default_rng(0).normal(size=(40, 2))
    x = np.concatenate([crowd, crowd + np.array([8.0, 0.0]), [[0.0, 60.0]]])
    real = crowd[:10]
    assert k_centre(x, 1, real) == [80]
    assert 40 <= coverage(x, 1, real)[0] < 80, "the crowd that real samples do not cover"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_never_worse_than_the_proofs_allow(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    x, there = rng.normal(size=(9, 2)), rng.normal(size=(2, 2))
    subsets = list(combinations(range(9), n))
    assert radius(x, k_centre(x, n)) <= 2 * min(radius(x, s) for s in subsets) + 1e-9
    nothing = left(x, (), there)
    best = nothing - min(left(x, s, there) for s in subsets)
    assert nothing - left(x, coverage(x, n, there), there) >= (1 - 1 / math.e) * best - 1e-9


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_the_lazy_way_is_the_plain_greedy_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 4, size=(25, 2)).astype(float)  # many ties and twins
    there = rng.integers(0, 4, size=(3, 2)).astype(float)
    kept: list[int] = []
    for _ in range(12):
        rest = [j for j in range(25) if j not in kept]
        kept.append(min(rest, key=lambda j: (round(left(x, [*kept, j], there), 7), j)))
    assert coverage(x, 12, there) == kept


@pytest.mark.parametrize("by", ["coverage", "k-centre"])
def test_blocks_do_not_matter_and_everybody_is_chosen_once(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(3).normal(size=(50, 5))
    whole = spread_out(x, 50, x[:7] + 0.1, by)
    monkeypatch.setattr(selection, "BLOCK_VALUES", 1)
    assert spread_out(x, 50, x[:7] + 0.1, by) == whole and sorted(whole) == list(range(50))
    assert spread_out(x, 9, x[:7] + 0.1, by) == whole[:9], "a higher target keeps what was chosen"
    twins = np.zeros((4, 2))
    assert sorted(spread_out(twins, 4, None, by)) == [0, 1, 2, 3]


@pytest.mark.parametrize("by", ["coverage", "k-centre"])
def test_odd_sizes_and_rows_that_are_no_numbers(by: str) -> None:
    x = line(0, math.nan, 5, math.inf, 9)
    assert spread_out(x, 5, line(math.nan, 1), by)[3:] == [1, 3], "last, in their order"
    assert spread_out(x[:0], 3, None, by) == [] and spread_out(x, 0, None, by) == []
    assert spread_out(x[1:2], 2, None, by) == [0]
    assert sorted(spread_out(x[:3], 9, line(2)[:0], by)) == [0, 1, 2]
    with pytest.raises(ValueError, match="columns"):
        spread_out(line(1, 2), 1, np.zeros((2, 3)), by)
    with pytest.raises(ValueError, match="finite"):
        coverage(x, 2)


def test_at_random_moves_nobody_when_one_joins() -> None:
    ids = [f"syn/g/{i}" for i in range(30)]
    order = [ids[i] for i in at_random(ids, 30, 4)]
    assert sorted(order) == sorted(ids) and order != ids
    more = ["syn/g/new", *ids]
    assert [more[i] for i in at_random(more, 31, 4) if i] == order
    assert at_random(ids, 30, 5) != at_random(ids, 30, 4) and at_random(ids, 3, 4) == at_random(ids, 30, 4)[:3]
