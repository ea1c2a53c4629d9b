"""What gates are worth to a recogniser: arms with a gate against the same arms without it, and whether what a gate
measures of an arm's samples goes along with what they are worth.

A gate that lets candidates through changes nothing, one that refuses good ones costs draws and variety. Both show here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from validators.trials.studies.compare import Difference, pair_differences
from validators.trials.studies.resampling import Interval, Resampling, interval_of
from validators.trials.studies.roles import Roles

FEWEST_POINTS = 5  # of a correlation
ALL_GATES = "all gates"


@dataclass(frozen=True, slots=True)
class GatePair:
    """Two arms that differ in a gate alone. gate: its name, or `ALL_GATES`."""

    gate: str
    on: str
    off: str


@dataclass(frozen=True, slots=True)
class GateReading:
    """What a gate gave the candidates of an arm in one view. score: their mean, NaN where none had one; let_in: the
    share that it let in."""

    arm: str
    condition: str
    gate: str
    score: float
    let_in: float


@dataclass(frozen=True, slots=True)
class GateWorth:
    """An arm with a gate minus the same without it, of one classifier, group and metric. let_in: mean share of
    candidates that the gate let in; NaN for all gates together."""

    gate: str
    let_in: float
    difference: Difference


@dataclass(frozen=True, slots=True)
class GateValue:
    """Spearman's rank correlation, over arms and conditions, of a gate's mean score with the arm's difference in UAR
    from doing nothing, with its interval over people. n: pairs of arm and condition."""

    gate: str
    classifier: str
    n: int
    correlation: Interval


def gate_worths(
    resampling: Resampling, pairs: Sequence[GatePair], readings: Sequence[GateReading]
) -> tuple[GateWorth, ...]:
    """Every pair whose arms are in the study, of each classifier, and of groups that are kinds or stand alone."""
    grid, rows = resampling.grid, []
    in_kind = {n for group in grid.groups if group.is_kind for n in group.conditions}
    groups = [g for g in grid.groups if g.is_kind or not set(g.conditions) <= in_kind]
    for pair in pairs:
        if not {pair.on, pair.off} <= set(grid.arms):
            continue
        own = [r.let_in for r in readings if r.arm == pair.on and r.gate == pair.gate]
        let_in = float(np.mean(own)) if own else math.nan
        for classifier in range(len(grid.classifiers)):
            for group in groups:
                found = pair_differences(resampling, (pair.on, pair.off), classifier, group)
                rows += [GateWorth(pair.gate, let_in, d) for d in found if d.metric in ("uar", "f1_pruned")]
    return tuple(rows)


def gate_values(resampling: Resampling, roles: Roles, readings: Sequence[GateReading]) -> tuple[GateValue, ...]:
    """One for each gate and classifier. Undefined, with the reason, for fewer than `FEWEST_POINTS` pairs of arm and
    condition, or a gate that gives all of them the same score."""
    grid, rows = resampling.grid, []
    for gate in sorted({r.gate for r in readings}):
        scores: dict[tuple[str, str], list[float]] = {}
        for r in readings:
            if r.gate == gate and math.isfinite(r.score) and r.arm in grid.arms and r.condition in grid.conditions:
                scores.setdefault((r.arm, r.condition), []).append(r.score)
        for classifier, name in enumerate(grid.classifiers):
            x, draws = [], []
            for (arm, condition), values in sorted(scores.items()):
                at = [grid.conditions.index(condition)]
                ours, theirs = resampling.mean_over((arm, roles.nothing), classifier, at)
                if np.isfinite(ours[0, 0] - theirs[0, 0]):
                    x.append(float(np.mean(values)))
                    draws.append(ours[:, 0] - theirs[:, 0])
            rows.append(GateValue(gate, name, len(x), _correlation(x, draws, resampling.n_units)))
    return tuple(rows)


def _correlation(x: Sequence[float], draws: Sequence[np.ndarray], n_units: int) -> Interval:
    """[P] scores, P x [R + 1] differences -> Spearman's rho of each draw, as an interval."""
    from scipy.stats import rankdata

    if len(x) < FEWEST_POINTS:
        return Interval.undefined(f"{len(x)} pairs of arm and condition; at least {FEWEST_POINTS} are wanted")
    if len(set(x)) < 2:
        return Interval.undefined("the gate gives all arms the same score")
    ranks = rankdata(x)
    of_draws = rankdata(np.stack(draws), axis=0)  # [P, R + 1]
    centred, others = ranks - ranks.mean(), of_draws - of_draws.mean(axis=0)
    spread = np.sqrt((centred**2).sum() * (others**2).sum(axis=0))
    rho = np.divide(centred @ others, spread, out=np.full(others.shape[1], np.nan), where=spread > 0)
    return interval_of(rho, n_units)
