"""Measures over two sets of features: closed forms or brute force, properties, and input that has no number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from corpora.errors import UserError
from validators.maths.auc import auc, auc_interval
from validators.maths.c2st import c2st
from validators.maths.diversity import vendi_score
from validators.maths.kernel import cmmd, energy_distance, kid, mmd2, squared_distances
from validators.maths.prdc import kth_neighbour, kth_smallest, prdc
from validators.maths.sets import blocks, column_scale, unit_rows
from validators.maths.transport import sliced_wasserstein, wasserstein_1d


def sets(seed: int, n: int = 12, m: int = 9, d: int = 3, shift: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(m, d)) + shift


def brute_mmd2(x: np.ndarray, y: np.ndarray, k) -> float:  # type: ignore[no-untyped-def]
    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    xy = sum(k(a, b) for a in x for b in y) / (n * m)
    return float(xx + yy - 2 * xy)


@pytest.mark.parametrize("seed", range(3))
def test_kernel_distances_are_the_sums_of_their_definitions(seed: int) -> None:
    x, y = sets(seed)
    d = x.shape[1]
    assert kid(x, y).value == pytest.approx(brute_mmd2(x, y, lambda a, b: (a @ b / d + 1) ** 3), rel=1e-12)
    gauss = brute_mmd2(x, y, lambda a, b: np.exp(-((a - b) @ (a - b)) / 200))
    assert cmmd(x, y).value == pytest.approx(1000 * gauss, rel=1e-9)
    energy = brute_mmd2(x, y, lambda a, b: -np.linalg.norm(a - b))
    assert energy_distance(x, y).value == pytest.approx(energy, rel=1e-9)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = sets(0, 50, 37)
    whole = kid(x, y), prdc(x, y)
    monkeypatch.setattr("validators.maths.kernel._BLOCK", 7)
    monkeypatch.setattr("validators.maths.prdc._BLOCK", 7)
    assert kid(x, y).value == pytest.approx(whole[0].value, rel=1e-12)
    assert kid(x, y).low == pytest.approx(whole[0].low, rel=1e-9)
    assert prdc(x, y) == whole[1]


def test_jackknife_is_that_of_leaving_rows_out() -> None:
    x, y = sets(1, 8, 6)
    value = kid(x, y)
    without_x = np.array([kid(np.delete(x, i, 0), y).value for i in range(8)])
    without_y = np.array([kid(x, np.delete(y, i, 0)).value for i in range(6)])
    variance = 7 * without_x.var() + 5 * without_y.var()
    assert (value.high - value.low) / 2 == pytest.approx(1.959963984540054 * np.sqrt(variance), rel=1e-9)


def test_kid_is_unbiased_and_its_interval_holds_zero_as_often_as_it_says() -> None:
    values, held = [], 0
    for seed in range(200):
        x, y = sets(seed, 40, 60, 4, 0.0)
        found = kid(x, y)
        values.append(found.value)
        held += found.low <= 0 <= found.high
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)
    assert 0.9 <= held / 200 <= 1.0  # the jackknife is a little wide where both sets are of one law
    shifted = [kid(*sets(seed, 40, 60, 4, 1.0)) for seed in range(20)]
    assert all(found.low > 0 for found in shifted)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_distances_do_not_know_which_set_is_which(seed: int) -> None:
    x, y = sets(seed)
    for measure in (kid, cmmd, energy_distance):
        assert measure(x, y).value == pytest.approx(measure(y, x).value, rel=1e-9, abs=1e-12)
    assert sliced_wasserstein(x, y) == pytest.approx(sliced_wasserstein(y, x), rel=1e-9)
    assert sliced_wasserstein(x, x) == 0


@pytest.mark.parametrize("sizes", [(30, 30), (30, 41), (7, 90)])
def test_wasserstein_on_a_line_is_scipys(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=sizes[0]), rng.normal(size=sizes[1]) + 1
    assert wasserstein_1d(a, b, p=1) == pytest.approx(wasserstein_distance(a, b), rel=1e-9)


def test_sliced_wasserstein_of_a_shift_is_its_length_over_root_d() -> None:
    x = np.random.default_rng(0).normal(size=(200, 5))
    step = np.array([3.0, 0, 4, 0, 0])
    assert sliced_wasserstein(x, x + step, directions=4000) == pytest.approx(5 / np.sqrt(5), rel=0.05)


def brute_prdc(real: np.ndarray, fake: np.ndarray, k: int) -> tuple[float, float, float, float]:
    def reach(x: np.ndarray, i: int) -> float:
        return sorted(np.linalg.norm(x[i] - x[j]) for j in range(len(x)) if j != i)[k - 1]

    radii, own = [reach(real, i) for i in range(len(real))], [reach(fake, i) for i in range(len(fake))]
    far = np.array([[np.linalg.norm(r - f) for f in fake] for r in real])
    inside = far < np.array(radii)[:, None]
    return (
        float(inside.any(axis=0).mean()),
        float((far < np.array(own)[None]).any(axis=1).mean()),
        float(inside.sum(axis=0).mean() / k),
        float((far.min(axis=1) < np.array(radii)).mean()),
    )


@pytest.mark.parametrize("k", [1, 3])
def test_prdc_is_that_of_the_definition(k: int) -> None:
    x, y = sets(5, 25, 18, 2)
    found = prdc(x, y, k=k)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(brute_prdc(x, y, k))


def test_prdc_tells_fidelity_from_variety() -> None:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(400, 2))
    same = prdc(real, rng.normal(size=(400, 2)))
    assert min(same.precision, same.recall, same.coverage) > 0.85 and same.density == pytest.approx(1, abs=0.15)
    collapsed = prdc(real, rng.normal(size=(400, 2)) * 0.05)
    assert collapsed.precision == 1 and collapsed.recall < 0.1 and collapsed.coverage < 0.15
    elsewhere = prdc(real, rng.normal(size=(400, 2)) + 20)
    assert (elsewhere.precision, elsewhere.recall, elsewhere.coverage) == (0, 0, 0)


def test_vendi_counts_what_differs() -> None:
    assert vendi_score(np.eye(6)) == pytest.approx(6)
    assert vendi_score(np.ones((6, 4))) == pytest.approx(1)
    assert vendi_score(np.repeat(np.eye(3), 10, axis=0)) == pytest.approx(3)
    far = np.array([[0.0], [1000.0], [2000.0]])
    assert vendi_score(far, kernel="rbf", scale=1.0) == pytest.approx(3)
    x = np.random.default_rng(0).normal(size=(30, 50))
    assert vendi_score(x) == pytest.approx(vendi_score(np.hstack([x, np.zeros((30, 5))])))


def test_two_samples_of_one_law_cannot_be_told_apart_and_others_can() -> None:
    rng = np.random.default_rng(0)
    same = c2st(rng.normal(size=(80, 5)), rng.normal(size=(60, 5)))
    assert same.low < 0.5 < same.high and same.p > 0.01
    other = c2st(rng.normal(size=(80, 5)), rng.normal(size=(60, 5)) + 1.5)
    assert other.accuracy > 0.85 and other.auc > 0.9 and other.p < 1e-6
    twisted = np.random.default_rng(1).normal(size=(150, 2)) * 3
    assert c2st(rng.normal(size=(150, 2)), twisted, classifier="forest").auc > 0.75  # same mean: a line cannot tell


def test_groups_stay_in_one_fold() -> None:
    """Eight recordings of each person are alike: parted, some would give away the others."""
    rng = np.random.default_rng(0)
    people = np.repeat(rng.normal(size=(16, 20)), 8, axis=0) + rng.normal(size=(128, 20)) * 0.01
    names = [str(i) for i in np.repeat(np.arange(16), 8)]
    apart = c2st(people[:64], people[64:], real_groups=names[:64], synthetic_groups=names[64:], classifier="knn")
    loose = c2st(people[:64], people[64:], classifier="knn")
    assert loose.auc > 0.98 and apart.auc < 0.85


def test_auc_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(0)
    positive, negative = rng.integers(0, 5, 30) + 1.0, rng.integers(0, 5, 20) * 1.0
    pairs = np.sign(positive[:, None] - negative[None]) / 2 + 0.5
    assert auc(positive, negative) == pytest.approx(pairs.mean())
    assert auc(negative, positive) == pytest.approx(1 - pairs.mean())
    with pytest.raises(ValueError, match="0 positive"):
        auc(positive[:0], negative)


def test_rows_of_length_one_and_columns_that_stand_still() -> None:
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_array_equal(unit_rows(x), [[0.6, 0.8], [0.0, 0.0]])
    np.testing.assert_array_equal(unit_rows(np.array([[3.0, 4.0], [1e-13, 0.0]]), least=1e-12), [[0.6, 0.8], [0.0, 0]])
    np.testing.assert_array_equal(column_scale(np.array([2.0, 1e-8]), np.array([0.0, 1e3])), [2.0, 1.0])
    assert [(b.start, b.stop) for b in blocks(5, 2)] == [(0, 2), (2, 4), (4, 5)]


def test_auc_interval_is_hanley_and_mcneils() -> None:
    # their example: A = 0.893, 51 abnormal and 58 normal images, standard error 0.032
    low, high = auc_interval(0.893, 51, 58)
    assert (high - low) / 2 / 1.96 == pytest.approx(0.032, abs=0.001)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_have_no_number(bad: float) -> None:
    x, y = sets(0, 30, 30)
    y[3, 1] = bad
    assert np.isnan(kid(x, y).value) and np.isnan(energy_distance(x, y).value)
    assert np.isnan(prdc(x, y).precision) and np.isnan(sliced_wasserstein(x, y)) and np.isnan(vendi_score(y))
    assert np.isnan(c2st(x, y).auc)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_rows(n: int) -> None:
    x, y = sets(0, max(n, 1), 8)
    x = x[:n]
    found = kid(x, y)
    assert np.isnan(found.value) == (n < 2)
    assert np.isnan(found.low)
    assert np.isnan(prdc(x, y).recall) and np.isnan(c2st(x, y).auc)
    assert np.isnan(sliced_wasserstein(x, y)) == (n == 0)


def test_one_column_and_constant_columns() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=40), rng.normal(size=30)
    assert np.isfinite(kid(x, y).value) and np.isfinite(prdc(x, y).density)
    flat = np.ones((20, 3))
    assert kid(flat, flat).value == pytest.approx(0) and energy_distance(flat, flat).value == 0
    assert c2st(flat, flat).auc == 0.5


def test_shapes_that_do_not_fit_are_errors() -> None:
    for measure in (kid, sliced_wasserstein, prdc, c2st):
        with pytest.raises(UserError, match="number of columns"):
            measure(np.ones((5, 2)), np.ones((5, 3)))
    with pytest.raises(UserError, match="at least 1"):
        prdc(np.ones((5, 2)), np.ones((5, 2)), k=0)
    with pytest.raises(UserError, match="known: forest"):
        c2st(np.ones((20, 2)), np.ones((20, 2)), classifier="oracle")


def test_squared_distances_never_fall_below_zero() -> None:
    x = np.full((5, 3), 1e8) + np.random.default_rng(0).normal(size=(5, 3)) * 1e-6
    assert (squared_distances(x, x) >= 0).all()
    assert mmd2(x, x + 1, lambda a, b: a @ b.T).value != 0


@given(st.integers(1, 9), st.integers(1, 2000), st.integers(0, 9), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_kth_smallest_is_partition(b: int, n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 12, (b, n)).astype(float) if seed % 2 else rng.normal(size=(b, n))  # ties and none
    k = min(k, n - 1)
    np.testing.assert_array_equal(kth_smallest(x, k), np.sort(x, axis=1)[:, k])


def test_prdc_counts_five_neighbours_unless_it_is_told_otherwise() -> None:
    x, y = sets(7, 40, 30, 2)
    assert prdc(x, y) == prdc(x, y, k=5) != prdc(x, y, k=4)
    assert np.isnan(prdc(x[:5], y).precision) and np.isfinite(prdc(x[:6], y[:6]).precision)


def test_a_point_on_the_edge_of_a_ball_is_outside() -> None:
    """Whole numbers about 0, so that equal distances are equal: the balls are open, as in the papers' code."""
    real = np.array([[-3.0], [-1.0], [1.0], [3.0]])  # each nearest neighbour is 2 away
    edge = np.array([[-5.0], [5.0], [-5.0], [5.0]])  # 2 from the outer two
    on_edge = prdc(real, edge, k=1)
    assert (on_edge.precision, on_edge.density, on_edge.coverage) == (0.0, 0.0, 0.0)
    inside = prdc(real, edge * 0.9, k=1)
    assert (inside.precision, inside.density, inside.coverage) == (1.0, 1.0, 0.5)
    wide = np.array([[-9.0], [-5.0], [5.0], [9.0]])  # balls of 4: -1 and 1 lie on those of -5 and 5, -3 and 3 inside
    assert prdc(real, wide, k=1).recall == 0.5


def test_equal_rows_are_neighbours_at_no_distance() -> None:
    twice = np.repeat(np.array([[-1.0], [1.0]]), 3, axis=0)
    near = np.array([[-1.0], [1.0], [1.0]])
    assert np.isnan(prdc(twice, near, k=1).coverage), "balls of no radius hold nobody: there is no number"
    assert prdc(twice, np.repeat(near, 2, axis=0), k=3).coverage == 1.0


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_equal_rows_stay_at_no_distance_where_rounding_says_otherwise(scale: float) -> None:
    rows = np.repeat(np.random.default_rng(3).normal(size=(5, 7)) * scale + 0.3 * scale, 4, axis=0)
    assert (kth_neighbour(rows, 1) <= 1e-12 * scale**2).all() and (kth_neighbour(rows, 1) >= 0.0).all()


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("sizes", [(4, 4), (5, 3), (3, 7), (1, 6)])
def test_wasserstein_of_any_order_is_that_of_repeated_points(sizes: tuple[int, int], p: int) -> None:
    """Each point n m / n times: then both have equally many and the distance is that of sorted pairs."""
    rng = np.random.default_rng(sum(sizes))
    a, b = rng.normal(size=sizes[0]), rng.normal(size=sizes[1]) * 2
    wide = np.sort(np.repeat(a, sizes[1])), np.sort(np.repeat(b, sizes[0]))
    assert wasserstein_1d(a, b, p=p) == pytest.approx(np.mean(np.abs(wide[0] - wide[1]) ** p), rel=1e-9)


def test_sliced_wasserstein_is_seeded_and_of_second_order_by_default() -> None:
    x, y = sets(8, 9, 9, 3)
    assert sliced_wasserstein(x, y) == sliced_wasserstein(x, y, p=2, seed=0, directions=256)
    assert sliced_wasserstein(x, y) != sliced_wasserstein(x, y, seed=1)
    assert sliced_wasserstein(x[:, :1], y[:, :1], p=1) == pytest.approx(wasserstein_1d(x[:, 0], y[:, 0], p=1))
    assert np.isnan(sliced_wasserstein(x[:0], y)) and np.isfinite(sliced_wasserstein(x[:1], y))


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_rows_whose_ball_is_a_point_are_left_out_where_that_decides(seed: int, k: int) -> None:
    """Whole numbers on a line, many of them repeated; every rule by a loop of its own."""
    rng = np.random.default_rng(seed)
    half = np.concatenate([rng.integers(-6, 7, 5), np.repeat(rng.integers(-6, 7, 1), 3)]).astype(float)
    real = np.concatenate([half, -half])  # about 0, so that whole numbers stay whole
    fake = np.concatenate(
        [rng.integers(-6, 7, 7), np.repeat(real[-1], 2), np.repeat(rng.integers(-6, 7, 1), 3)]
    ).astype(float)

    def radius(x: np.ndarray, i: int) -> float:
        return float(sorted(abs(np.delete(x, i) - x[i]))[k - 1])

    of_real, of_fake = [radius(real, i) for i in range(len(real))], [radius(fake, i) for i in range(len(fake))]
    holds = np.array([[abs(f - r) < radius for f in fake] for r, radius in zip(real, of_real, strict=True)])
    recalled = np.array([any(abs(r - f) < radius for f, radius in zip(fake, of_fake, strict=True)) for r in real])
    covered = np.array([min(abs(fake - r)) < radius for r, radius in zip(real, of_real, strict=True)])
    at_flat_real = np.array([(real == f).sum() > k for f in fake])
    at_flat_fake = np.array([(fake == r).sum() > k for r in real])
    flat_and_met = np.array([(real == r).sum() > k and bool((fake == r).any()) for r in real])
    inside = holds.sum(axis=0)
    expected = {
        "precision": (inside > 0, at_flat_real & (inside == 0)),
        "recall": (recalled, at_flat_fake & ~recalled),
        "density": (inside / k, at_flat_real),
        "coverage": (covered, flat_and_met),
    }
    found = prdc(real[:, None], fake[:, None], k=k)
    for name, (values, unclear) in expected.items():
        kept = values[~unclear]
        assert getattr(found, name) == pytest.approx(kept.mean() if kept.size else np.nan, nan_ok=True), name
        assert found.left_out.get(name, 0) == unclear.sum(), name
