"""Power: statsmodels', a simulation, and what cannot be said."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from statsmodels.stats.power import TTestPower

from tests.validators.trials.studies.simulated import BASELINES, CLASSES, Plan, simulated
from validators.trials.studies import power
from validators.trials.studies.grid import grid_of
from validators.trials.studies.power import Prior, expected_power, people_needed, power_of, smallest_effect
from validators.trials.studies.resampling import Resampling
from validators.trials.studies.roles import Roles


def test_effects_and_people_are_those_of_statsmodels() -> None:
    solve = TTestPower().solve_power
    for n in (8, 20, 200):
        assert smallest_effect(n) == pytest.approx(float(solve(nobs=n, alpha=0.05, power=0.8)), rel=1e-3)
    for effect in (0.2, 0.5, 1.0):
        assert people_needed(effect, 1.0) == int(np.ceil(solve(effect_size=effect, alpha=0.05, power=0.8)))
    assert people_needed(0.001, 1.0) is None and people_needed(1.0, float("nan")) is None
    with pytest.raises(ValueError, match="2 or more"):
        smallest_effect(1)


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_the_smallest_effect_is_seen_in_80_percent_of_studies(n: int) -> None:
    """Also of two and three people, where the noncentral t of scipy is NaN in places."""
    rng = np.random.default_rng(n)
    values = rng.normal(smallest_effect(n), 1.0, (20_000, n))
    assert (ttest_1samp(values, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.015)


def test_power_by_quadrature_is_the_same() -> None:
    for n, effect in ((5, 1.2), (12, 0.6), (40, 0.5)):
        exact = float(TTestPower().power(effect, n, 0.05))
        assert power._power_by_quadrature(effect, n) == pytest.approx(exact, abs=1e-3)


def test_power_of_a_study_is_of_its_spread_between_people() -> None:
    study = simulated(Plan(BASELINES | {"oracle": 0.15}, between=0.1), 0)
    resampling = Resampling.of(grid_of(study), 50, np.random.default_rng(0))
    rows = power_of(resampling, Roles(), resampling.grid.groups[0])
    (oracle,) = [row for row in rows if row.arm == "oracle"]
    own = []
    for name in sorted(set(study.subjects)):
        mean = {}
        for arm in ("oracle", "nothing"):
            mine = [n for n, c in enumerate(study.cells) if c.arm == arm]
            at = np.isin(study.cell, mine) & (np.array(study.subjects)[study.sample] == name)
            mean[arm] = np.mean([(study.answer == study.target)[at & (study.target == k)].mean() for k in range(4)])
        own.append(100 * (mean["oracle"] - mean["nothing"]))
    assert oracle.sd == pytest.approx(np.std(own, ddof=1)) and oracle.n_people == 12
    assert oracle.smallest == pytest.approx(oracle.sd * smallest_effect(12))
    assert [n.people for n in oracle.needed] == [people_needed(p, oracle.sd) for p in (1, 3, 5)]
    assert oracle.sentence.startswith("12 test people can show a difference of")


def test_expected_power_agrees_with_a_simulation() -> None:
    """Two arms that differ by chance on 12 % of the samples, and by 3 points sd between people."""
    counts, prior = np.full((12, 4), 6), Prior(discordance=0.12, between_sd=0.03)
    expected = expected_power(counts, CLASSES, prior)
    rng = np.random.default_rng(0)
    own = rng.normal(0, 0.03, (4000, 12, 1, 1)) + rng.choice([-1, 0, 1], (4000, 12, 4, 6), p=[0.06, 0.88, 0.06])
    people = own.mean((2, 3))  # [4000, 12] difference in UAR of each person
    assert expected.sd == pytest.approx(100 * people.std(), rel=0.02)
    assert expected.smallest == pytest.approx(expected.sd * smallest_effect(12))


def test_expected_power_grows_with_people_and_samples_and_knows_unequal_people() -> None:
    def smallest(counts: np.ndarray) -> float:
        return expected_power(counts, CLASSES).smallest

    assert smallest(np.full((20, 4), 6)) < smallest(np.full((10, 4), 6)) < smallest(np.full((10, 4), 3))
    uneven = np.array([[90, 90, 90, 90], *[[2, 2, 2, 2]] * 9])
    even = np.full((10, 4), 11)
    assert smallest(uneven) > smallest(even)  # one person is most of the test set


def test_what_power_cannot_say() -> None:
    one = expected_power(np.full((1, 4), 50), CLASSES)
    assert np.isnan(one.smallest) and "one person" in one.sentence and one.needed[0].people is None
    lacking = expected_power(np.array([[5, 5, 0, 5], [5, 5, 0, 5]]), CLASSES)
    assert np.isnan(lacking.smallest) and "no sample of joy" in lacking.reason
    assert "no test sample" in expected_power(np.zeros((0, 4), int), CLASSES).reason
    unknown = expected_power(np.eye(4, dtype=int).repeat(50, 0), CLASSES, people_known=False)
    assert np.isfinite(unknown.smallest) and "No people are known" in unknown.sentence
    assert "200 test split units" in unknown.sentence
    for counts in (np.ones((3, 5)), -np.ones((3, 4))):
        with pytest.raises(ValueError, match="counts"):
            expected_power(counts, CLASSES)
    with pytest.raises(ValueError, match="discordance"):
        Prior(discordance=1.2)


def test_the_sentence() -> None:
    needed = tuple(power.Needed(p, n) for p, n in ((1.0, 120), (3.0, 14), (5.0, 6)))
    assert power.sentence_of(2, 9.0, needed[:2], "people") == (
        "2 test people can show a difference of 9 points of UAR or more; for 3 points 14 are needed."
    )
    assert power.sentence_of(900, 0.7, needed, "people").endswith("of 0.7 points of UAR or more.")
