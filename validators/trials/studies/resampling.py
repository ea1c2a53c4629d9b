"""Hierarchical bootstrap: people are drawn with replacement, then seeds; the same draws for all that is compared.

Cells share people, folds and seeds, so that their errors go together. One table of draws for every arm, classifier,
condition and fold keeps all that: differences, ratios and averages are computed within a draw.

People and seeds are crossed (a seed tests everybody), so both are drawn independently: Owen's pigeonhole bootstrap
(2007, Annals of Applied Statistics 1), which is never too narrow in expectation and counts what varies by person *and*
seed up to three times. Where that is most of the noise, intervals are too wide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from validators.trials.studies.grid import Grid
from validators.trials.studies.scores import METRICS, TARGETS, metrics_of

LEVEL = 0.05
UNDEFINED_DRAWS = 0.1  # with more, there is no interval: a class is held by fewer than about three people
NAN = math.nan


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval. NaN is "undefined", and `reason` says why (of the value, or of its ends)."""

    value: float
    low: float
    high: float
    reason: str = ""

    @classmethod
    def undefined(cls, reason: str) -> Interval:
        """No value and no ends."""
        return cls(NAN, NAN, NAN, reason)

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above 0; not where an end is undefined."""
        return self.low > 0.0

    @property
    def below(self) -> bool:
        """Whether the whole interval lies below 0; not where an end is undefined."""
        return self.high < 0.0


@lru_cache(maxsize=256)
def expanded_level(n_units: int) -> float:
    """Share of draws beyond each end: of the percentile interval expanded for few units (Hesterberg 2015, section 3.4:
    Phi(-sqrt(n / (n - 1)) t(1 - level / 2, n - 1))). Plain percentiles of 10 people hold the truth in about 90 %."""
    from scipy.stats import norm, t

    return float(norm.cdf(-math.sqrt(n_units / (n_units - 1)) * t.ppf(1.0 - LEVEL / 2, n_units - 1)))


def interval_of(draws: np.ndarray, n_units: int, why_undefined: str = "") -> Interval:
    """draws: [R + 1], the first is the estimate itself. Percentiles of the R resamples (`expanded_level`).

    Undefined where the estimate is; without ends where there are fewer than two units, or where more than a tenth of
    the draws are undefined (they hold no sample of a class). Fewer undefined draws are left out, and `reason` says it.
    """
    value, rest = float(draws[0]), draws[1:]
    if not math.isfinite(value):
        return Interval.undefined(why_undefined or "undefined")
    if n_units < 2:
        return Interval(value, NAN, NAN, "one person: an interval over people needs two")
    if not len(rest):
        return Interval(value, NAN, NAN, "no resamples were asked for")
    finite = np.isfinite(rest)
    lost = 1.0 - float(finite.mean())
    if lost > UNDEFINED_DRAWS:
        return Interval(value, NAN, NAN, f"{100 * lost:.0f} % of the resamples lack a class: too few people show it")
    level = expanded_level(n_units)
    low, high = np.quantile(rest[finite], [level, 1.0 - level])
    said = f"without the {int((~finite).sum())} of {len(rest)} resamples that lack a class" if lost else ""
    return Interval(value, float(low), float(high), said)


def p_value(draws: np.ndarray, n_units: int) -> float:
    """Two-sided p of "no difference", of draws [R + 1] of a difference, the first is the estimate. NaN as the interval.

    The larger of two: the bootstrap's, 2 min(share of draws <= 0, share >= 0) with one counted in addition on both
    sides (Davison & Hinkley 1997, section 4.2.3), and Student's t with the bootstrap's standard error and n - 1 degrees
    of freedom. The bootstrap alone is too sure of few people, and cannot tell p = 0.001 from 0.00001.
    """
    from scipy.stats import t

    value = float(draws[0])
    interval = interval_of(draws, n_units)
    if not math.isfinite(interval.low):
        return NAN
    rest = draws[1:][np.isfinite(draws[1:])]
    beyond = 1 + min(int((rest <= 0).sum()), int((rest >= 0).sum()))
    boot = min(1.0, 2.0 * beyond / (len(rest) + 1))
    error = float(rest.std()) * math.sqrt(n_units / (n_units - 1))
    if error == 0.0:
        return 1.0 if value == 0.0 else boot
    return max(boot, float(2.0 * t.sf(abs(value) / error, n_units - 1)))


@dataclass(frozen=True)
class Resampling:
    """Draws of one study. people [R + 1, U]: how often each unit is drawn, row 0 is ones (the estimate itself).
    seeds [R + 1, S]: the same of seeds. Scores that were computed once are kept."""

    grid: Grid
    people: np.ndarray
    seeds: np.ndarray
    _kept: dict[tuple[int, int, int, bytes], np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, grid: Grid, n_bootstrap: int, rng: np.random.Generator) -> Resampling:
        """`n_bootstrap` resamples of the grid's units and seeds."""
        units, seeds = grid.confusion.n_units, len(grid.seeds)
        people = _draws(units, n_bootstrap, rng)
        return cls(grid, people, _draws(seeds, n_bootstrap, rng))

    def with_grid(self, grid: Grid, *, estimate_alone: bool = False) -> Resampling:
        """The same draws over the answers of another grid of the same study (a slice of its samples). estimate_alone:
        without the resamples."""
        rows = slice(0, 1) if estimate_alone else slice(None)
        return Resampling(grid, self.people[rows], self.seeds[rows])

    @property
    def n_units(self) -> int:
        """Units that are resampled."""
        return self.people.shape[1]

    def scores(self, arm: str, classifier: int, condition: int, mask: np.ndarray) -> np.ndarray:
        """[R + 1, 4] METRICS of one line over the cells of `mask` [S, O]: folds pooled, averaged over the drawn seeds.
        A draw without any of the seeds that have cells is undefined, as is one that lacks a class."""
        grid, place = self.grid, self.grid.arms.index(arm)
        key = (place, classifier, condition, mask.tobytes())
        if key not in self._kept:
            here = mask.any(1)
            pooled = grid.pooled(place, classifier, condition, mask)[here]  # [S', U, 3, K]
            s, u, _, k = pooled.shape
            summed = self.people @ pooled.transpose(1, 0, 2, 3).reshape(u, s * 3 * k)
            values = metrics_of(summed.reshape(-1, s, 3, k), grid.pruned[condition])  # [R + 1, S', 4]
            weights = self.seeds[:, here, None]
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = np.where(weights > 0, values * weights, 0.0).sum(1) / weights.sum(1)
            self._kept[key] = mean
        return self._kept[key]

    def of_people(self, arm: str, classifier: int, condition: int, mask: np.ndarray) -> np.ndarray:
        """[U, 4] METRICS of each unit alone, averaged over the seeds that tested it. NaN for one that was never tested
        or that lacks a class."""
        place = self.grid.arms.index(arm)
        key = (place, classifier, condition, b"people" + mask.tobytes())
        if key not in self._kept:
            pooled = self.grid.pooled(place, classifier, condition, mask)  # [S, U, 3, K]
            tested = (pooled[..., TARGETS, :].sum(-1) > 0)[..., None]
            values = metrics_of(pooled, self.grid.pruned[condition])
            with np.errstate(invalid="ignore", divide="ignore"):
                self._kept[key] = np.where(tested, values, 0.0).sum(0) / tested.sum(0)
        return self._kept[key]

    def mean_over(
        self, arms: Sequence[str], classifier: int, conditions: Sequence[int], together: Sequence[str] = ()
    ) -> np.ndarray:
        """[len(arms), R + 1, 4]: METRICS of each arm, averaged over conditions, over the cells that all of `arms` and
        `together` have. Conditions of which they share no cell are left out (`Grid.missing` counts them); NaN where no
        condition is left."""
        lines = []
        for condition in conditions:
            mask = self.grid.shared((*arms, *together), classifier, condition)
            if mask.any():
                lines.append(np.stack([self.scores(arm, classifier, condition, mask) for arm in arms]))
        empty = np.full((len(arms), len(self.people), len(METRICS)), np.nan)
        return np.mean(lines, axis=0) if lines else empty


def _draws(n: int, n_bootstrap: int, rng: np.random.Generator) -> np.ndarray:
    """[R + 1, n] float64: ones, then how often each of n is drawn."""
    drawn = rng.multinomial(n, np.full(n, 1.0 / n), n_bootstrap)
    return np.vstack([np.ones((1, n)), drawn])
