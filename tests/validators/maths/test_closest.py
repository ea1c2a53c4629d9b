"""Nearest rows through products of float32, against all distances in float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from validators.maths import closest
from validators.maths.closest import Crowd, Ranking, pairs_within, rankings
from validators.maths.sets import unit_rows

N, D = 400, 96


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    """Sparse rows as of hashed words, some of them next to each other and some equal: what float32 cannot part."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((N, D)) * (rng.random((N, D)) < 0.2)).astype(np.float32)
    x[1], x[2] = x[0], x[0] + np.float32(1e-6)
    x[10:20] = x[10] + (1e-5 * rng.standard_normal((10, D))).astype(np.float32)
    return x


def slow(points: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """[b, D], [n, D] -> [b, n] by differences in float64."""
    distances: np.ndarray = np.linalg.norm(points[:, None].astype(np.float64) - rows[None].astype(np.float64), axis=2)
    return distances


def test_the_nearest_comes_first_and_all_come_in_turn(points: np.ndarray) -> None:
    asked = points[:60].astype(np.float64) + 0.01
    wanted = slow(asked, points)
    for i, ranking in rankings(asked, Crowd(points, on_sphere=False)):
        before, seen = 0.0, []
        while (near := ranking.take()) is not None:
            rows, distances = near
            np.testing.assert_allclose(distances, wanted[i, rows], rtol=1e-9, atol=1e-7)
            assert distances.min() >= before - 1e-7, "what comes later is farther than the nearest before it"
            before = distances.min()
            seen += rows.tolist()
        assert sorted(seen) == list(range(N))


def test_what_is_left_out_or_too_far_does_not_come(points: np.ndarray) -> None:
    asked = points[:30].astype(np.float64)
    wanted = slow(asked, points)
    for i, ranking in rankings(asked, Crowd(points, on_sphere=False)):
        ranking.leave_out([i, *range(10, 20)])
        least = np.delete(wanted[i], [i, *range(10, 20)]).min()
        assert least < 0.1 or ranking.take(within=least * 0.9) is None
        near = ranking.take(within=least * 1.1 + 1e-3)
        assert near is not None and near[1].min() == pytest.approx(least, abs=1e-6)


def test_on_the_sphere_a_mirror_image_counts() -> None:
    rng = np.random.default_rng(1)
    rows = unit_rows(rng.standard_normal((N, D))).astype(np.float32)
    asked, mirrored = (unit_rows(rng.standard_normal((20, D))) for _ in range(2))
    mirrored[:10] = unit_rows(rows[:10] + 0.05)
    wanted = np.sqrt(2.0 - 2.0 * np.maximum(asked @ rows.T, mirrored @ rows.T))
    for i, ranking in rankings(asked, Crowd(rows, on_sphere=True), mirrored):
        near = ranking.take()
        assert near is not None and near[1].min() == pytest.approx(wanted[i].min(), abs=1e-9)
        assert wanted[i].argmin() in near[0]


@pytest.mark.parametrize("limit", [1e-9, 1e-4, 3.0, 1e3])
def test_pairs_are_those_of_all_distances(points: np.ndarray, limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closest, "_MOST", 64)  # several blocks, each against the rows from its own on
    apart = np.delete(points, [1, 2], axis=0) if limit == 1e-9 else points  # 0 and nearly 0 are rounding
    near = np.triu(slow(apart, apart) < limit, 1)
    pairs = pairs_within(Crowd(apart, on_sphere=False), apart.astype(np.float64), None, limit)
    assert sorted(pairs) == list(zip(*map(np.ndarray.tolist, np.nonzero(near)), strict=True))


def test_few_distances_are_computed_in_float64(points: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = 0
    whole = Crowd.distances

    def counted(crowd: Crowd, point: np.ndarray, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        nonlocal computed
        computed += len(rows)
        return whole(crowd, point, rows)

    monkeypatch.setattr(Crowd, "distances", counted)
    firsts = [ranking.take() for _, ranking in rankings(points[20:].astype(np.float64), Crowd(points, on_sphere=False))]
    assert all(near is not None for near in firsts)
    assert computed < 2 * len(firsts), "one or two for each point, not one for each row of train"


def test_a_ranking_of_nobody_is_empty() -> None:
    crowd = Crowd(np.zeros((0, 3), np.float32), on_sphere=False)
    assert len(crowd) == 0 and pairs_within(crowd, np.zeros((0, 3)), None, 1.0) == []
    one = Crowd(np.ones((1, 3), np.float32), on_sphere=False)
    assert Ranking(one, np.zeros(3), None, np.full(1, np.inf, np.float32)).take() is None
