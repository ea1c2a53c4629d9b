"""What a gate is worth, and whether its score foretells it: on studies with a known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.validators.trials.studies.simulated import Plan, simulated
from validators.trials.studies.gates import GatePair, GateReading, gate_values, gate_worths
from validators.trials.studies.grid import grid_of
from validators.trials.studies.resampling import Resampling
from validators.trials.studies.roles import Roles
from validators.trials.studies.summary import summarised

GAINS = {"nothing": 0.0, "a": 0.02, "b": 0.08, "c": 0.14, "c, gated": 0.28, "oracle": 0.3}


@pytest.fixture(scope="module")
def resampling() -> Resampling:
    study = simulated(Plan(GAINS, people=14), seed=3)
    return Resampling.of(grid_of(study), 200, np.random.default_rng(0))


def test_a_gate_that_helps_is_worth_what_the_arms_differ_by(resampling: Resampling) -> None:
    readings = [GateReading("c, gated", "anger to 10 %", "g", 0.5, share) for share in (0.6, 0.8)]
    pairs = [GatePair("g", "c, gated", "c"), GatePair("g", "c, gated", "is not there")]
    rows = gate_worths(resampling, pairs, readings)
    assert {(w.gate, w.difference.arm, w.difference.baseline) for w in rows} == {("g", "c, gated", "c")}
    uar = next(w for w in rows if w.difference.metric == "uar")
    assert uar.let_in == pytest.approx(0.7)
    assert uar.difference.difference.above and uar.difference.difference.value == pytest.approx(0.14, abs=0.06)


def test_correlation_is_scipys_and_its_sign_is_that_of_the_scores(resampling: Resampling) -> None:
    arms, conditions = ("a", "b", "c", "c, gated"), resampling.grid.conditions
    scores = dict(zip(arms, (0.1, 0.2, 0.3, 0.4), strict=True))
    readings = [
        GateReading(arm, c, "good", scores[arm] + 0.01 * n, 1.0) for arm in arms for n, c in enumerate(conditions)
    ]
    readings += [GateReading(r.arm, r.condition, "bad", -r.score, 1.0) for r in readings]
    readings += [GateReading(arm, c, "flat", 1.0, 1.0) for arm in arms for c in conditions]
    readings += [GateReading("a", conditions[0], "silent", math.nan, 1.0)]
    values = {v.gate: v for v in gate_values(resampling, Roles(), readings)}
    x, y = [], []
    for arm in sorted(arms):
        for condition in sorted(conditions):
            x.append(next(r.score for r in readings if r.gate == "good" and (r.arm, r.condition) == (arm, condition)))
            at = [conditions.index(condition)]
            ours, theirs = resampling.mean_over((arm, "nothing"), 0, at)
            y.append(ours[0, 0] - theirs[0, 0])
    assert values["good"].correlation.value == pytest.approx(spearmanr(x, y).statistic)
    assert values["good"].correlation.above and values["bad"].correlation.below
    assert values["good"].n == len(arms) * len(conditions)
    assert math.isnan(values["flat"].correlation.value) and "same score" in values["flat"].correlation.reason
    assert "at least" in values["silent"].correlation.reason


def test_a_summary_has_them_where_a_study_has_gates() -> None:
    study = simulated(Plan(GAINS), seed=1)
    plain = summarised(study, Roles(), n_bootstrap=100, seed=0)
    assert plain.gate_worths == plain.gate_values == ()
    gated = summarised(study, Roles(), n_bootstrap=100, seed=0, pairs=[GatePair("g", "c, gated", "c")])
    assert {w.difference.group for w in gated.gate_worths} == {"one class to 10 %"}
    assert plain.verdicts == gated.verdicts
