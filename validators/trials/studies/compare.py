"""What each arm scores, and what it differs from a baseline by: paired, with intervals over people and seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from validators.trials.studies.grid import Grid, Group, Missing
from validators.trials.studies.mixed import Mixed, mixed_model
from validators.trials.studies.resampling import NAN, Interval, Resampling, interval_of, p_value
from validators.trials.studies.roles import Roles
from validators.trials.studies.scores import METRICS, absent, metrics_of

_TIE = 1e-12
OF_CLASS = ("f1_pruned", "recall_pruned")


@dataclass(frozen=True, slots=True)
class Line:
    """Score of an arm in [0, 1], of one classifier and metric, averaged over the conditions of a group and over seeds.
    An arm that lacks cells (`missing.n`) is no part of a ranking with complete ones."""

    arm: str
    classifier: str
    group: str
    metric: str
    score: Interval
    missing: Missing


@dataclass(frozen=True, slots=True)
class Effect:
    """Cohen's d_z: mean of the units' own differences / their standard deviation. n: units (people; groups of split
    units where there are many) that have every class; NaN with a reason for fewer than two, or for equal ones."""

    d_z: float
    n: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """Over (condition, seed, fold) pairs: how often the arm is better, worse, the same, or one of both undefined."""

    wins: int
    losses: int
    ties: int
    undefined: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Arm minus baseline (in [-1, 1]; 0.01 is a point), over the cells that both have.

    p: two-sided, of the bootstrap (`resampling.p_value`). p_holm: Holm's over all arms but this baseline and the
    yardsticks, of the same classifier, group and metric; NaN for a yardstick. mixed: None where it was not asked for.
    missing.n above 0: the arm (or the baseline) lacks cells, and this is a comparison of what is left.
    """

    arm: str
    baseline: str
    classifier: str
    group: str
    metric: str
    difference: Interval
    p: float
    p_holm: float
    effect: Effect
    record: Record
    missing: Missing
    mixed: Mixed | None = None

    @property
    def complete(self) -> bool:
        """Whether no cell is missing on either side."""
        return self.missing.n == 0


def lines(resampling: Resampling) -> tuple[Line, ...]:
    """Every arm x classifier x group x metric. f1_pruned and recall_pruned only of groups that prune a class."""
    grid, rows = resampling.grid, []
    for classifier, name in enumerate(grid.classifiers):
        for group in grid.groups:
            for arm in grid.arms:
                missing = grid.missing((arm,), classifier, group.conditions)
                draws = resampling.mean_over((arm,), classifier, group.conditions)[0]
                why = why_undefined(grid, (arm,), classifier, group)
                for m, metric in metrics_for(group):
                    score = interval_of(draws[:, m], resampling.n_units, why)
                    rows.append(Line(arm, name, group.name, metric, score, missing))
    return tuple(rows)


def differences(
    resampling: Resampling, roles: Roles, *, mixed: Sequence[str] = ("uar", "f1_pruned")
) -> tuple[Difference, ...]:
    """Every arm against every baseline of `roles` that the study has, x classifier x group x metric.

    mixed: metrics of which a mixed model is fitted as well, against `roles.nothing`, for kinds and for conditions
    without a kind.
    """
    grid, rows = resampling.grid, []
    for classifier in range(len(grid.classifiers)):
        for group in grid.groups:
            wanted = mixed if group.is_kind or not group.of_class else ()
            for baseline in (name for name in roles.baselines if name in grid.arms):
                family = [
                    difference
                    for arm in grid.arms
                    if arm != baseline
                    for difference in pair_differences(
                        resampling, (arm, baseline), classifier, group, wanted if baseline == roles.nothing else ()
                    )
                ]
                rows += _with_holm(family, roles)
    return tuple(rows)


def metrics_for(group: Group) -> list[tuple[int, str]]:
    """(place, name) of the METRICS that the group has."""
    return [(m, name) for m, name in enumerate(METRICS) if group.of_class or name not in OF_CLASS]


def why_undefined(grid: Grid, arms: Sequence[str], classifier: int, group: Group) -> str:
    """Why a score over the cells that `arms` share may be undefined; "" where nothing speaks against it."""
    masks = {c: grid.shared(arms, classifier, c) for c in group.conditions}
    if not any(mask.any() for mask in masks.values()):
        missing = grid.missing(arms, classifier, group.conditions)
        return "no cells: " + ("; ".join(f"{why} ({n})" for why, n in missing.reasons) or "not in the study")
    arm = grid.arms.index(arms[0])
    for condition, mask in masks.items():
        if not mask.any():
            continue
        of_seeds = grid.pooled(arm, classifier, condition, mask).sum(1)[mask.any(1)]
        for tally in of_seeds:
            if said := absent(tally, grid.study.classes):
                return said
    return ""


def pair_differences(
    resampling: Resampling, arms: tuple[str, str], classifier: int, group: Group, mixed: Sequence[str] = ()
) -> list[Difference]:
    """The first arm minus the second, one for each metric of the group, not corrected for other comparisons. mixed:
    metrics of which a mixed model is fitted as well."""
    grid = resampling.grid
    ours, theirs = resampling.mean_over(arms, classifier, group.conditions)
    missing = grid.missing(arms, classifier, group.conditions)
    people = people_differences(resampling, arms, classifier, group)
    cells, conditions, splits = _cell_differences(grid, arms, classifier, group)
    why = why_undefined(grid, arms, classifier, group)
    rows = []
    for m, metric in metrics_for(group):
        draws, own = ours[:, m] - theirs[:, m], cells[:, m]
        usable = np.isfinite(own)
        rows.append(
            Difference(
                *arms,
                grid.classifiers[classifier],
                group.name,
                metric,
                interval_of(draws, resampling.n_units, why),
                p_value(draws, resampling.n_units),
                NAN,
                effect_of(people[:, m]),
                Record(
                    int((own > _TIE).sum()),
                    int((own < -_TIE).sum()),
                    int((np.abs(own) <= _TIE).sum()),
                    int((~usable).sum()),
                ),
                missing,
                mixed_model(own[usable], conditions[usable], splits[usable]) if metric in mixed else None,
            )
        )
    return rows


def people_differences(resampling: Resampling, arms: tuple[str, str], classifier: int, group: Group) -> np.ndarray:
    """[U, 4] first minus second arm of each unit alone, averaged over the conditions that both have; NaN for a unit
    that lacks a class."""
    own = []
    for condition in group.conditions:
        mask = resampling.grid.shared(arms, classifier, condition)
        if mask.any():
            ours, theirs = (resampling.of_people(arm, classifier, condition, mask) for arm in arms)
            own.append(ours - theirs)
    return np.mean(own, axis=0) if own else np.full((resampling.n_units, len(METRICS)), np.nan)


def effect_of(differences_of_units: np.ndarray) -> Effect:
    """[U] -> Cohen's d_z over the units whose difference is defined."""
    own = differences_of_units[np.isfinite(differences_of_units)]
    if len(own) < 2:
        return Effect(NAN, len(own), f"{len(own)} of {len(differences_of_units)} people show every class alone")
    spread = float(own.std(ddof=1))
    if spread < _TIE:
        return Effect(NAN, len(own), "all people differ by the same")
    return Effect(float(own.mean()) / spread, len(own))


def _cell_differences(
    grid: Grid, arms: tuple[str, str], classifier: int, group: Group
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each pair of cells: difference [n, 4], condition [n], split (seed, fold) [n]."""
    values, conditions, splits = [np.zeros((0, len(METRICS)))], [], []
    for condition in group.conditions:
        mask = grid.shared(arms, classifier, condition)
        ours, theirs = (
            metrics_of(grid.of_cells(grid.arms.index(arm), classifier, condition, mask), grid.pruned[condition])
            for arm in arms
        )
        values.append(ours - theirs)
        conditions += [condition] * len(ours)
        splits += np.flatnonzero(mask.ravel()).tolist()
    return np.concatenate(values), np.array(conditions, int), np.array(splits, int)


def holm(p: Sequence[float]) -> np.ndarray:
    """[n] p-values -> [n] corrected for n comparisons (Holm 1979), at most 1. As statsmodels' multipletests, which runs
    Python's garbage collection at each call: a quarter of the time of a whole summary."""
    p_values = np.asarray(p, np.float64)
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    scaled = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected


def _with_holm(family: Sequence[Difference], roles: Roles) -> list[Difference]:
    """The same rows with Holm's correction over the arms of each metric."""
    rows = list(family)
    for metric in METRICS:
        own = [
            n for n, d in enumerate(rows) if d.metric == metric and math.isfinite(d.p) and d.arm not in roles.yardsticks
        ]
        for n, p in zip(own, holm([rows[n].p for n in own]), strict=True):
            rows[n] = replace(rows[n], p_holm=float(p))
    return rows
