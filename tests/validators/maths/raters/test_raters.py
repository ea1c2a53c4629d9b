"""Statistics of raters against simulated truths and the packages that people use."""

from __future__ import annotations

import math

import krippendorff
import numpy as np
import pytest
from scipy.special import ndtr
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as oracle_kappa

from validators.maths.raters.agreement import Level, fleiss_kappa, krippendorff_alpha
from validators.maths.raters.crossed import crossed, difference, mean
from validators.maths.raters.detection import criterion, d_prime, sensitivity, share_correct
from validators.maths.raters.relation import rank_relation


def raters(
    d: float, seed: int, n_raters: int = 12, n_items: int = 60, bias: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Raters who call an item synthetic where d' * is synthetic + noise is beyond d' / 2 + bias."""
    rng = np.random.default_rng(seed)
    parts = np.arange(n_items) % 2
    heard = d * parts + rng.normal(size=(n_raters, n_items))
    return (heard > d / 2 + bias).astype(float), parts


@pytest.mark.parametrize("d", [0.0, 1.0, 2.0])
def test_d_prime_of_simulated_raters(d: float) -> None:
    said = [sensitivity(*raters(d, seed)) for seed in range(12)]
    assert np.mean([one.value for one in said]) == pytest.approx(d, abs=0.12)
    assert sum(one.low <= d <= one.high for one in said) >= 10, "intervals hold the truth"
    right = share_correct(*raters(d, 3))
    assert right.value == pytest.approx(float(ndtr(d / 2)), abs=0.06)


def test_bias_is_no_sensitivity() -> None:
    called, parts = raters(1.0, 1, n_raters=30, bias=0.7)
    assert sensitivity(called, parts).value == pytest.approx(1.0, abs=0.15)
    assert criterion(called, parts).value == pytest.approx(0.7, abs=0.12)


def test_perfect_chance_and_blind() -> None:
    parts = np.arange(20) % 2
    perfect = np.tile(parts.astype(float), (4, 1))
    best = sensitivity(perfect, parts)
    assert best.value == pytest.approx(d_prime(40, 40, 0, 40)) and 4 < best.value < 6, "finite by the correction"
    assert sensitivity(np.ones((4, 20)), parts).value == pytest.approx(0.0)
    assert d_prime(5, 10, 5, 10) == 0 and d_prime(0, 10, 10, 10) < -2
    with pytest.raises(ValueError):
        d_prime(11, 10, 0, 10)


def test_unanswered_counts_for_nothing() -> None:
    called, parts = raters(1.5, 2)
    half = called.copy()
    half[:, 30:] = np.nan
    assert sensitivity(half, parts).value == pytest.approx(sensitivity(called[:, :30], parts[:30]).value)
    assert math.isnan(sensitivity(np.full((3, 4), np.nan), np.arange(4) % 2).value)


def test_intervals_of_a_crossed_table_hold_its_mean() -> None:
    """Raters and items both have effects of their own: answers are not independent, and an interval that takes them
    for it is far too small."""
    held = wider = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        values = 3 + rng.normal(0, 0.6, (10, 1)) + rng.normal(0, 0.5, (1, 24)) + rng.normal(0, 0.4, (10, 24))
        said = crossed(values, np.zeros(24, int), mean)
        held += said.low <= 3 <= said.high
        wider += said.high - said.low > 2 * 1.96 * values.std() / math.sqrt(values.size)
    assert held >= 35 and wider == 40


def test_a_difference_of_kinds() -> None:
    rng = np.random.default_rng(0)
    parts = np.arange(40) % 2
    said = crossed(3.5 - 0.5 * parts + rng.normal(0, 0.5, (8, 40)), parts, difference)
    assert said.value == pytest.approx(-0.5, abs=0.1) and said.low < -0.5 < said.high < 0 and said.n == 320


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("seed", range(4))
def test_alpha_is_krippendorffs(level: Level, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.clip(rng.integers(1, 6, 30) + rng.integers(-1, 2, (4, 30)), 1, 5).astype(float)
    values[rng.random(values.shape) < 0.25] = np.nan
    expected = krippendorff.alpha(values, level_of_measurement=level)
    assert krippendorff_alpha(values, level) == pytest.approx(expected, abs=1e-10)


def test_alpha_at_its_ends() -> None:
    assert krippendorff_alpha(np.tile([1.0, 2.0, 3.0], (3, 1)), "nominal") == 1.0
    assert math.isnan(krippendorff_alpha(np.ones((3, 5)), "nominal"))
    assert math.isnan(krippendorff_alpha(np.array([[1.0, np.nan], [np.nan, 2.0]]), "nominal")), "no item twice"
    rng = np.random.default_rng(5)
    assert abs(krippendorff_alpha(rng.integers(0, 2, (6, 400)).astype(float), "nominal")) < 0.05


@pytest.mark.parametrize("seed", range(3))
def test_kappa_is_fleiss(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((5, 25)) < 0.6, rng.integers(0, 4, 25), rng.integers(0, 4, (5, 25))).astype(float)
    table, _ = aggregate_raters(values.T.astype(int))
    assert fleiss_kappa(values) == pytest.approx(oracle_kappa(table), abs=1e-12)
    with pytest.raises(ValueError, match="every item"):
        fleiss_kappa(np.array([[1.0, np.nan], [1.0, 2.0]]))


def test_rank_relation_holds_the_truth() -> None:
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    true_rho, held = 6 / math.pi * math.asin(0.6 / 2), 0  # of a normal pair with correlation 0.6
    for _ in range(100):
        x = rng.normal(size=40)
        y = 0.6 * x + 0.8 * rng.normal(size=40)
        said = rank_relation(norm.cdf(x), y)
        held += said.low <= true_rho <= said.high
    assert held >= 90
    assert math.isnan(rank_relation(np.ones(9), np.arange(9.0)).value)
    assert rank_relation(np.arange(4.0), np.arange(4.0)).n == 4 and math.isnan(rank_relation(x[:4], y[:4]).value)
    assert rank_relation(np.arange(9.0), -np.arange(9.0)).value == -1.0
