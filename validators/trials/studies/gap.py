"""Share of the oracle gap that an arm recovers: plain, and clean.

The oracle is the pruned real data given back. An arm that fills every short class wins part of that gap with classes
that nobody pruned; so the clean gap has the other classes filled at both ends, and is the one to quote.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from validators.trials.studies.compare import metrics_for, why_undefined
from validators.trials.studies.grid import Group, Missing
from validators.trials.studies.resampling import NAN, Interval, Resampling, expanded_level, interval_of
from validators.trials.studies.roles import Roles
from validators.trials.studies.scores import METRICS


@dataclass(frozen=True, slots=True)
class OpenCondition:
    """A condition whose own gap is not above 0: no share is taken over it."""

    condition: str
    gap: Interval


@dataclass(frozen=True, slots=True)
class Gap:
    """From arm `bottom` to arm `top`, of one classifier, group and metric. whole: over all conditions. gap: over those
    that count, whose own interval is above 0. Undefined with a reason where it is no yardstick."""

    clean: bool
    bottom: str
    top: str
    classifier: str
    group: str
    metric: str
    whole: Interval
    gap: Interval
    counted: tuple[str, ...]
    left_out: tuple[OpenCondition, ...]
    missing: Missing


@dataclass(frozen=True, slots=True)
class Share:
    """(arm - bottom) / (top - bottom) of the gap with the same `clean`, classifier, group and metric: 1 is the oracle,
    below 0 is worse than nothing. Over the cells that all three arms have (`missing`: those that they do not)."""

    arm: str
    clean: bool
    classifier: str
    group: str
    metric: str
    share: Interval
    missing: Missing


def gaps_and_shares(resampling: Resampling, roles: Roles) -> tuple[tuple[Gap, ...], tuple[Share, ...]]:
    """Of every classifier, group that has both ends, and metric; and of every arm that is no end of it."""
    grid = resampling.grid
    ends = {False: (roles.nothing, roles.oracle), True: (roles.fill, roles.oracle_fill)}
    gaps, shares = [], []
    for clean, (bottom, top) in ends.items():
        if bottom not in grid.arms or top not in grid.arms:
            continue
        for classifier in range(len(grid.classifiers)):
            for group in grid.groups:
                if not any(grid.shared((bottom, top), classifier, c).any() for c in group.conditions):
                    continue  # nothing is pruned there, so that there is no oracle
                for m, _ in metrics_for(group):
                    gap = gap_of(resampling, (bottom, top), classifier, group, m, clean=clean)
                    gaps.append(gap)
                    shares += [
                        share_of(resampling, arm, gap, group, m) for arm in grid.arms if arm not in (bottom, top)
                    ]
    return tuple(gaps), tuple(shares)


def gap_of(
    resampling: Resampling, ends: tuple[str, str], classifier: int, group: Group, metric: int, *, clean: bool
) -> Gap:
    """metric: place in METRICS. A condition counts where the interval of its own gap is above 0. There is no gap where
    none counts, or where the interval over *all* conditions touches 0: the few that count are then luck."""
    grid, n = resampling.grid, resampling.n_units
    counted: list[tuple[int, Interval]] = []
    left_out: list[tuple[int, Interval]] = []
    for condition in group.conditions:
        bottom, top = resampling.mean_over(ends, classifier, (condition,))[..., metric]
        single = Group(grid.conditions[condition], (condition,), group.of_class)
        own = interval_of(top - bottom, n, why_undefined(grid, ends, classifier, single))
        (counted if own.above else left_out).append((condition, own))
    bottom, top = resampling.mean_over(ends, classifier, group.conditions)[..., metric]
    whole = interval_of(top - bottom, n, why_undefined(grid, ends, classifier, group))
    if not math.isfinite(whole.low):
        gap = Interval.undefined(f"the gap has no interval: {whole.reason}")
    elif not whole.above:
        word = "is below" if whole.below else "touches"
        gap = Interval.undefined(f"the gap {word} 0: {points(whole)} points")
    elif not counted:
        gap = Interval.undefined("no condition's own gap is above 0")
    else:
        bottom, top = resampling.mean_over(ends, classifier, [c for c, _ in counted])[..., metric]
        gap = interval_of(top - bottom, n)
    return Gap(
        clean,
        *ends,
        grid.classifiers[classifier],
        group.name,
        METRICS[metric],
        whole,
        gap,
        tuple(grid.conditions[c] for c, _ in counted),
        tuple(OpenCondition(grid.conditions[c], own) for c, own in left_out),
        grid.missing(ends, classifier, group.conditions),
    )


def share_of(resampling: Resampling, arm: str, gap: Gap, group: Group, metric: int) -> Share:
    """Ratio of means over the conditions that count, and the same ratio in each draw (`ratio_interval`)."""
    grid = resampling.grid
    classifier = grid.classifiers.index(gap.classifier)
    ends = (gap.bottom, gap.top)
    counted = [c for c in group.conditions if grid.conditions[c] in gap.counted]
    missing = grid.missing((arm, *ends), classifier, counted or group.conditions)
    if not math.isfinite(gap.gap.low):
        share = Interval.undefined(gap.gap.reason)
    else:
        ours, bottom, top = resampling.mean_over((arm, *ends), classifier, counted)[..., metric]
        counts = Group(group.name, tuple(counted), group.of_class)
        why = why_undefined(grid, (arm, *ends), classifier, counts)
        share = ratio_interval(ours - bottom, top - bottom, resampling.n_units, why)
    return Share(arm, gap.clean, gap.classifier, gap.group, gap.metric, share, missing)


def ratio_interval(above: np.ndarray, below: np.ndarray, n_units: int, why_undefined: str = "") -> Interval:
    """Interval of a ratio of two differences, of their draws [R + 1] each; the first is the estimate.

    A draw whose gap is not above 0 says nothing for its ratio, whatever its sign: it counts as below every number for
    the lower end and as above every number for the upper one (what Fieller's limits do where the denominator's interval
    reaches 0). With more of them than lie beyond an end, the interval is unbounded: NaN with the reason.
    """
    both = interval_of(above, n_units, why_undefined)
    if not math.isfinite(both.low):
        return Interval(NAN, NAN, NAN, both.reason)
    if not below[0] > 0:
        return Interval.undefined("the gap over the cells that the arm has is not above 0")
    usable = np.isfinite(above[1:]) & np.isfinite(below[1:])
    a, b = above[1:][usable], below[1:][usable]
    closed = b <= 0
    ratio = a / np.where(closed, 1.0, b)
    level = expanded_level(n_units)
    value = float(above[0] / below[0])
    low = float(np.quantile(np.where(closed, -np.inf, ratio), level, method="higher"))
    high = float(np.quantile(np.where(closed, np.inf, ratio), 1.0 - level, method="lower"))
    if not (math.isfinite(low) and math.isfinite(high)):
        return Interval(value, NAN, NAN, f"unbounded: {int(closed.sum())} of {len(b)} resamples have no gap")
    return Interval(value, low, high, both.reason)


def points(interval: Interval) -> str:
    """ "2.1 [0.4, 3.9]": 100 times the interval of a difference."""
    if not math.isfinite(interval.low):
        return f"{100 * interval.value:.1f}"
    return f"{100 * interval.value:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
