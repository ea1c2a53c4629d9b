"""Frechet, KID and PRDC from products of float32 against float64 (or better), on inputs that are hard for float32.

Thresholds of size are lowered, so that small sets take the way of large ones.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validators.maths import cubes, frechet, kernel, nearness
from validators.maths import prdc as neighbours
from validators.maths.centred import SINGLE, covariance, single_covariance, singles
from validators.maths.cubes import cube_sums
from validators.maths.frechet import features_frechet, frechet_distance
from validators.maths.kernel import kid, mmd2, polynomial_kernel
from validators.maths.prdc import prdc
from validators.maths.sets import same_rows

Pair = tuple[np.ndarray, np.ndarray]
KINDS = (
    "plain",
    "mixed",
    "rectified",
    "decay",
    "scales",
    "offset",
    "far offset",
    "tiny spread",
    "outlier",
    "copied column",
    "constant column",
    "copied rows",
    "clumps",
    "whole numbers",
    "collapsed",
    "minute",
    "vast",
)


def pair(kind: str, n: int, d: int, seed: int = 0) -> Pair:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, d)) * 1.05 + 0.1
    spread = np.arange(1, d + 1) ** -2.0
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    scales = 10.0 ** rng.uniform(-4, 4, d)
    mix = rng.normal(size=(d, d)) / np.sqrt(d)
    match kind:
        case "mixed":
            return x @ mix, y @ mix
        case "rectified":
            return np.maximum(x - 1, 0), np.maximum(y - 1, 0)
        case "decay":
            return (x * spread) @ turn, (y * spread) @ turn
        case "scales":
            return x * scales + 100 * scales, y * scales + 100 * scales
        case "offset":
            return x + 1e3, y + 1e3
        case "far offset":
            return x + 1e7, y + 1e7
        case "tiny spread":
            return 1.0 + x * 1e-7, 1.0 + y * 1e-7
        case "outlier":
            x[3] *= 1e6
        case "copied column":
            x[:, 1], y[:, 1] = x[:, 0], y[:, 0]
        case "constant column":
            x[:, 1] = y[:, 1] = 0.1
        case "copied rows":
            x[: n // 2], y[:9] = x[n // 2 : 2 * (n // 2)], x[:9]
        case "clumps":
            return x + 1e4 * rng.integers(0, 2, (n, 1)), y + 1e4 * rng.integers(0, 2, (n, 1))
        case "whole numbers":
            return np.round(x), np.round(y)
        case "collapsed":
            return x, y * 1e-3
        case "minute":
            return x * 1e-30, y * 1e-30
        case "vast":
            return x * 1e30, y * 1e30
    return x, y


# --- covariances ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 63, 2048, 2100])
def test_covariances_are_numpys_in_the_upper_half(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(n).normal(size=(n, 7)) * np.arange(1, 8) + 5.0
    expected = np.triu(np.cov(x.T))
    np.testing.assert_allclose(covariance(x, x.mean(axis=0)), expected, rtol=0, atol=1e-13)
    found, noise = single_covariance(x, x.mean(axis=0))
    scale = np.sqrt(np.outer(expected.diagonal(), expected.diagonal()))
    assert (np.abs(found - expected) / scale).max() < 1e-6 and noise < 1e-6
    np.testing.assert_allclose(found.diagonal(), expected.diagonal(), rtol=1e-13)


@pytest.mark.parametrize("kind", ["plain", "far offset", "rectified", "tiny spread"])
def test_the_noise_of_a_covariance_is_that_of_its_errors(kind: str) -> None:
    x, _ = pair(kind, 1500, 40)
    exact = covariance(x, x.mean(axis=0))
    found, noise = single_covariance(x, x.mean(axis=0))
    beside = np.triu_indices(40, 1)
    errors = ((found - exact) / np.sqrt(np.outer(exact.diagonal(), exact.diagonal())))[beside]
    assert 0.5 < noise / np.sqrt(np.square(errors).mean()) < 2.0


# --- Frechet ----------------------------------------------------------------------------------------------------------


def in_singles(x: np.ndarray, y: np.ndarray) -> float | None:
    return frechet._in_singles(x, x.mean(axis=0), y, y.mean(axis=0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_frechet_in_float32_is_that_of_float64_or_is_not_given(
    kind: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = pair(kind, 700, 60, seed)
    exact = features_frechet(x, y)  # too small for float32
    monkeypatch.setattr(frechet, "_WORK", 0)
    assert features_frechet(x, y) == pytest.approx(exact, rel=2e-7)
    value = in_singles(x, y)
    if kind in ("plain", "offset", "far offset", "tiny spread", "collapsed"):
        assert value == pytest.approx(exact, rel=1e-7), "an input that float32 can do"
    elif value is not None:
        assert value == pytest.approx(exact, rel=2e-7)
    if kind in ("outlier", "copied column", "constant column", "decay"):
        assert value is None, "little is left of the smallest directions"


@pytest.mark.parametrize("kind", ["plain", "mixed", "rectified", "whole numbers"])
def test_the_bound_of_frechets_loss_holds(kind: str) -> None:
    for seed in range(5):
        x, y = pair(kind, 400, 40, seed)
        mu1, mu2 = x.mean(axis=0), y.mean(axis=0)
        (cov1, noise1), (cov2, noise2) = single_covariance(x, mu1), single_covariance(y, mu2)
        lower1, lower2 = frechet._factor(cov1), frechet._factor(cov2)
        assert lower1 is not None and lower2 is not None
        loss = frechet._loss(lower1, cov1.diagonal(), noise1, lower2)
        loss += frechet._loss(lower2, cov2.diagonal(), noise2, lower1)
        exact = frechet_distance(mu1, covariance(x, mu1), mu2, covariance(y, mu2))
        assert abs(frechet_distance(mu1, cov1, mu2, cov2) - exact) < loss + 1e-12 * exact


def test_a_loss_that_matters_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two all but equal sets: little distance is left beside what rounding does to it."""
    x, _ = pair("plain", 700, 60)
    y = x + 1e-6 * np.random.default_rng(1).normal(size=x.shape)
    assert in_singles(x, y) is None
    monkeypatch.setattr(frechet, "_WORK", 0)
    assert features_frechet(x, y) == frechet_distance(
        x.mean(axis=0), covariance(x, x.mean(axis=0)), y.mean(axis=0), covariance(y, y.mean(axis=0))
    )


def test_few_rows_for_many_columns_stay_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frechet, "_WORK", 0)
    monkeypatch.setattr(frechet, "_in_singles", lambda *_: pytest.fail("asked"))
    x, y = pair("plain", 80, 60)
    assert features_frechet(x, y) > 0 and features_frechet(x[:20], y) > 0


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_few_rows_far_from_the_origin_lose_nothing(offset: float) -> None:
    x, y = pair("plain", 300, 50)
    y = y[:20]
    assert features_frechet(np.round(x, 3) + offset, np.round(y, 3) + offset) == pytest.approx(
        features_frechet(np.round(x, 3), np.round(y, 3)), rel=1e-12 if offset == 0 else 1e-6
    )


# --- KID --------------------------------------------------------------------------------------------------------------


def long_kid(x: np.ndarray, y: np.ndarray) -> float:
    """By the definition, with 64 bits of mantissa."""
    x, y = x.astype(np.longdouble), y.astype(np.longdouble)
    n, m, d = len(x), len(y), x.shape[1]
    xx, yy, xy = ((a @ b.T / d + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    own = (xx.sum() - xx.trace()) / (n * (n - 1)) + (yy.sum() - yy.trace()) / (m * (m - 1))
    return float(own - 2 * xy.sum() / (n * m))


@pytest.mark.parametrize("kind", KINDS)
def test_kid_in_float32_is_that_of_more_digits_or_falls_back(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "vast":
        return  # its cube leaves float64
    monkeypatch.setattr(kernel, "MANY", 16)
    x, y = pair(kind, 120, 30)
    y = y[:90]
    found, plain, sums = kid(x, y), mmd2(x, y, polynomial_kernel), cube_sums(x, y)
    half = (found.high - found.low) / 2
    if found == plain:
        assert kind in ("outlier", "far offset", "tiny spread", "minute"), "float32 can do it"
        return
    exact = long_kid(x, y)
    rounding = 1e-14 * float(np.abs(sums.xx).sum() / (120 * 119))  # of float64, in what the value is a difference of
    assert abs(found.value - exact) <= min(sums.error, 1e-4 * half) + rounding
    assert abs(found.value - exact) <= 3e-6 * half + rounding
    assert found.low == pytest.approx(plain.low, abs=1e-5 * half + 10 * rounding)


def test_kid_of_features_as_networks_give_them_is_wrong_by_a_millionth_of_its_interval() -> None:
    x, y = pair("rectified", 1100, 64)
    sums, plain = cube_sums(x, y), mmd2(x, y, polynomial_kernel)
    half = (plain.high - plain.low) / 2
    found = kid(x, y)
    assert found != plain and abs(found.value - plain.value) < 2e-6 * half and sums.error < 1e-4 * half
    assert found.value == pytest.approx(plain.value, rel=1e-6)


def test_the_check_of_kid_sees_wrong_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products with half the digits: the check finds it, and the value is that of float64."""
    monkeypatch.setattr(kernel, "MANY", 16)

    def rough(x: np.ndarray, centre: np.ndarray) -> Pair:
        rounded, squares = singles(x, centre)
        return rounded.astype(np.float16).astype(np.float32), squares

    monkeypatch.setattr(cubes, "singles", rough)
    x, y = pair("plain", 120, 30)
    assert kid(x, y) == mmd2(x, y, polynomial_kernel)


@pytest.mark.parametrize("sizes", [(513, 20), (64, 65), (600, 530)])
def test_blocks_of_cubes_are_the_sums_of_the_whole_matrix(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(sizes[0], 5)), rng.normal(size=(sizes[1], 5)) + 1.0
    sums = cube_sums(x, y)
    for own, of in ((sums.xx, x), (sums.yy, y)):
        whole = polynomial_kernel(of, of)
        np.testing.assert_allclose(own, whole.sum(axis=1) - whole.diagonal(), rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(sums.xy, polynomial_kernel(x, y).sum(axis=1), rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(sums.yx, polynomial_kernel(x, y).sum(axis=0), rtol=1e-6, atol=1e-4)


# --- PRDC -------------------------------------------------------------------------------------------------------------


def apart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared distances by differences: whole numbers stay whole."""
    return np.stack([np.vecdot(row - y, row - y) for row in x])


def decide(x: np.ndarray, y: np.ndarray, k: int) -> tuple[np.ndarray, ...]:
    own = [apart(of, of) for of in (x, y)]
    for far in own:
        np.fill_diagonal(far, np.inf)
    radii = [np.sort(far, axis=1)[:, k - 1] for far in own]
    far = apart(x, y)
    inside = far < radii[0][:, None]
    return (*radii, inside.sum(axis=1), inside.sum(axis=0), (far < radii[1][None]).any(axis=1))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("minute", "vast")])
@pytest.mark.parametrize(("d", "k"), [(3, 5), (90, 2)])
def test_no_comparison_of_distances_is_turned_by_float32(
    kind: str, d: int, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearness, "_OPEN", 10**6)  # all that is open is compared again, however much
    x, y = pair(kind, 230, d)
    y = y[:200]
    centre = x.mean(axis=0)
    one, other = nearness.rows_about(x, centre), nearness.rows_about(y, centre)
    reach_one, reach_other = nearness.reach(one, k), nearness.reach(other, k)
    expected = decide(x, y, k)
    np.testing.assert_allclose(reach_one, expected[0], rtol=1e-13)
    np.testing.assert_allclose(reach_other, expected[1], rtol=1e-13)
    if kind in ("whole numbers", "plain", "mixed", "collapsed"):  # elsewhere float64 itself may tie
        for found, right in zip(nearness.within(one, other, expected[0], expected[1]), expected[2:], strict=True):
            np.testing.assert_array_equal(found, right)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.floats(1e-7, 1e-1))
def test_near_ties_are_decided_as_by_differences(seed: int, d: int, apart_by: float) -> None:
    """Rows on a sphere about the centre with small shifts: all distances to it are all but equal."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(70, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    x = np.concatenate([x, -x])
    y = apart_by * rng.normal(size=(60, d))
    one, other = nearness.rows_about(x, x.mean(axis=0)), nearness.rows_about(y, x.mean(axis=0))
    expected = decide(x, y, 3)
    edge = np.sort(apart(x, y).ravel())[len(x) * len(y) // 2]  # a radius that some pair has to the last bit
    radii = np.full(len(x), edge)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearness, "_OPEN", 10**6)
        found = nearness.within(one, other, radii, expected[1])
    np.testing.assert_array_equal(found[0], (apart(x, y) < edge).sum(axis=1))
    np.testing.assert_array_equal(found[1], (apart(x, y) < edge).sum(axis=0))
    np.testing.assert_array_equal(found[2], expected[4])


@pytest.mark.parametrize("kind", KINDS)
def test_prdc_is_that_of_float64(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "whole numbers":
        return  # float64 after a centre is taken off ties by chance; differences do not
    x, y = pair(kind, 300, 20)
    x, y = x[:290], y
    plain = prdc(x, y)
    monkeypatch.setattr(nearness, "MANY", 0)
    asked = []
    monkeypatch.setattr(neighbours, "_balls_of_doubles", lambda *a: asked.append(1) or BALLS(*a))  # type: ignore[func-returns-value]
    assert prdc(x, y) == plain
    assert bool(asked) == (kind in ("minute", "vast", "clumps", "outlier")) or kind in ("copied rows", "far offset")


BALLS = neighbours._balls_of_doubles


def test_products_in_blocks_are_those_of_symmetry(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = pair("plain", 600, 9)
    rows = nearness.rows_about(x, x.mean(axis=0))
    whole = nearness._whole(rows.centred)
    np.testing.assert_array_equal(whole, whole.T)
    np.testing.assert_allclose(whole, rows.centred @ rows.centred.T, atol=1e-5)
    before = nearness.reach(rows, 4)
    monkeypatch.setattr(nearness, "_WHOLE", 0)
    np.testing.assert_array_equal(nearness.reach(rows, 4), before)


def test_float32_has_the_bound_that_decisions_rest_on() -> None:
    for kind, d in itertools.product(("plain", "rectified", "offset", "scales"), (3, 500)):
        x, _ = pair(kind, 100, d)
        rows = nearness.rows_about(x, x.mean(axis=0))
        exact = (x - x.mean(axis=0)) @ (x - x.mean(axis=0)).T
        bound = rows.gamma * np.sqrt(np.outer(rows.squares, rows.squares))
        errors = np.abs(rows.centred @ rows.centred.T - exact)
        assert (errors <= bound).all() and errors.max() > 0
        assert rows.gamma > d * SINGLE


def test_rows_are_numbered_by_all_their_columns() -> None:
    x = np.zeros((4, 100))
    x[1, 57], x[2, 57], x[3, 0] = 1.0, -0.0, 1.0
    y = np.concatenate([x[[1, 3]], np.full((1, 100), 2.0)])
    found = same_rows(x, y)
    assert found[0].tolist() == [0, 1, 0, 2] and found[1].tolist() == [1, 2, 3]


def test_rows_that_are_not_finite_have_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ((frechet, "_WORK"), (nearness, "MANY"), (kernel, "MANY")):
        monkeypatch.setattr(*name, 0)
    for bad in (np.nan, np.inf, -np.inf):
        x, y = pair("plain", 60, 5)
        y[7, 2] = bad
        assert np.isnan(features_frechet(x, y)) and np.isnan(features_frechet(y, x))
        assert np.isnan(kid(x, y).value) and np.isnan(prdc(x, y).recall)
