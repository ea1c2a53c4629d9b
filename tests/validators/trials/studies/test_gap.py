"""Share of the oracle gap: ratio of means, conditions without a gap, intervals of ratios."""

from __future__ import annotations

import numpy as np
import pytest

from tests.validators.trials.studies.simulated import BASELINES, Plan, simulated, without
from validators.trials.studies.answers import Study
from validators.trials.studies.gap import Gap, Share, gaps_and_shares, ratio_interval
from validators.trials.studies.grid import grid_of
from validators.trials.studies.resampling import Resampling
from validators.trials.studies.roles import Roles

KIND = "one class to 10 %"
ARMS = BASELINES | {"fill": 0.05, "half": 0.1, "oracle": 0.2, "oracle + fill": 0.2}


def resampled(study: Study) -> Resampling:
    return Resampling.of(grid_of(study), 300, np.random.default_rng(0))


def of(study: Study, *, clean: bool, metric: str = "uar", group: str = KIND) -> tuple[Gap, dict[str, Share]]:
    gaps, shares = gaps_and_shares(resampled(study), Roles())
    (gap,) = [g for g in gaps if (g.clean, g.metric, g.group) == (clean, metric, group)]
    return gap, {s.arm: s for s in shares if (s.clean, s.metric, s.group) == (clean, metric, group)}


STUDY = simulated(Plan(ARMS), 2)


def test_plain_and_clean_shares_hold_the_truth() -> None:
    gap, shares = of(STUDY, clean=False)
    assert (gap.bottom, gap.top) == ("nothing", "oracle") and gap.gap.low < 0.2 < gap.gap.high and not gap.left_out
    half = shares["half"].share
    assert half.low < 0.5 < half.high and half.high - half.low < 1.0
    clean, clean_shares = of(STUDY, clean=True)
    assert (clean.bottom, clean.top) == ("fill", "oracle + fill") and clean.gap.low < 0.15 < clean.gap.high
    cleaner = clean_shares["half"].share
    assert cleaner.low < 1 / 3 < cleaner.high and cleaner.value < half.value  # what fill wins is not the arm's
    assert shares["class weights"].share.low < 0 < shares["class weights"].share.high
    assert "fill" not in clean_shares and "oracle" not in shares


def test_the_share_is_a_ratio_of_means() -> None:
    resampling = resampled(STUDY)
    ours, bottom, top = resampling.mean_over(("half", "nothing", "oracle"), 0, (0, 1))[:, 0, 0]
    assert of(STUDY, clean=False)[1]["half"].share.value == pytest.approx((ours - bottom) / (top - bottom))


def test_a_condition_without_a_gap_is_listed_and_left_out() -> None:
    """In "fear to 10 %" the oracle is no better: its answers are those of `nothing`."""
    answer = STUDY.answer.copy()
    of_arm = {
        arm: [n for n, c in enumerate(STUDY.cells) if c.arm == arm and c.condition == "fear to 10 %"]
        for arm in ("nothing", "oracle")
    }
    for n, m in zip(of_arm["nothing"], of_arm["oracle"], strict=True):
        answer[STUDY.cell == m] = answer[STUDY.cell == n]
    from dataclasses import replace

    study = replace(STUDY, answer=answer)
    gap, shares = of(study, clean=False)
    assert gap.counted == ("anger to 10 %",) and [o.condition for o in gap.left_out] == ["fear to 10 %"]
    assert gap.left_out[0].gap.low == gap.left_out[0].gap.high == 0.0
    resampling = resampled(study)
    ours, bottom, top = resampling.mean_over(("half", "nothing", "oracle"), 0, (0,))[:, 0, 0]
    assert shares["half"].share.value == pytest.approx((ours - bottom) / (top - bottom))
    alone, none = of(study, clean=False, group="fear to 10 %")
    assert not alone.counted and np.isnan(none["half"].share.value) and "touches 0" in none["half"].share.reason


def test_a_gap_that_touches_0_has_no_share() -> None:
    study = simulated(Plan(BASELINES | {"half": 0.1, "oracle": 0.0}), 6)
    gap, shares = of(study, clean=False)
    assert np.isfinite(gap.whole.low) and np.isnan(gap.gap.value) and "touches 0" in gap.gap.reason
    assert all(np.isnan(s.share.value) and "touches 0" in s.share.reason for s in shares.values())


def test_no_gap_without_both_ends() -> None:
    gaps, _ = gaps_and_shares(resampled(simulated(Plan(BASELINES | {"oracle": 0.1}), 0)), Roles())
    assert gaps and not any(g.clean for g in gaps)


def test_an_arm_that_lacks_cells_is_compared_over_what_all_three_have() -> None:
    lost = {n: ("failed", "x") for n, c in enumerate(STUDY.cells) if c.arm == "half" and c.seed == 1}
    _, shares = of(without(STUDY, lost), clean=False)
    assert shares["half"].missing.n == 6 and shares["class weights"].missing.n == 0
    assert shares["half"].share.value != of(STUDY, clean=False)[1]["half"].share.value
    every = {n: ("failed", "x") for n, c in enumerate(STUDY.cells) if c.arm == "half"}
    share = of(without(STUDY, every), clean=False)[1]["half"].share
    assert np.isnan(share.value) and "failed: x" in share.reason


def test_ratios_against_fieller() -> None:
    """Of two normal means, as Fieller's theorem has it."""
    rng = np.random.default_rng(0)
    a, b, sa, sb, rho, n = 3.0, 6.0, 0.6, 0.8, 0.3, 2000
    draws = rng.multivariate_normal([a, b], [[sa**2, rho * sa * sb], [rho * sa * sb, sb**2]], 200_000)
    got = ratio_interval(np.r_[a, draws[:, 0]], np.r_[b, draws[:, 1]], n)
    z, cov = 1.96, rho * sa * sb
    g = z**2 * sb**2 / b**2
    root = z / b * np.sqrt(sa**2 - 2 * a / b * cov + (a / b) ** 2 * sb**2 - g * (sa**2 - cov**2 / sb**2))
    low, high = ((a / b - g * cov / sb**2 + s * root) / (1 - g) for s in (-1, 1))
    assert (got.low, got.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


def test_resamples_without_a_gap_make_an_end_unbounded() -> None:
    above, below = np.full(1001, 1.0), np.full(1001, 2.0)
    below[1:11] = -1.0  # 1 %: they lie beyond both ends
    few = ratio_interval(above, below, 1000)
    assert (few.low, few.high) == (0.5, 0.5)
    below[1:101] = -1.0
    many = ratio_interval(above, below, 1000)
    assert many.value == 0.5 and np.isnan(many.low) and many.reason == "unbounded: 100 of 1000 resamples have no gap"


def test_resamples_without_a_gap_count_beyond_both_ends() -> None:
    ratio = np.linspace(0.0, 1.0, 1000)
    above, below = np.r_[0.5, ratio], np.ones(1001)
    whole = ratio_interval(above, below, 1_000_000)
    below[500:515] = -1.0  # 15 resamples from the middle
    wider = ratio_interval(above, below, 1_000_000)
    assert whole.low - wider.low == pytest.approx(0.015, abs=0.002)
    assert wider.high - whole.high == pytest.approx(0.015, abs=0.002)
