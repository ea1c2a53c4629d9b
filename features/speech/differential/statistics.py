"""The vector of an utterance: mean and spread of pitch, level and envelope, duration, and three finer ones.

Means stand in their own units, spreads and duration as natural logs: a class effect is then an addition for all of
them. What an utterance does not have (pitch without a voiced frame, the unvoiced part without unvoiced frames) has the
neutral value stated here; an edit of such an utterance leaves it alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from features.speech.differential.analysis import HOP_S, ORDER, Analysis

NEUTRAL_LOG_F0 = math.log(150.0)  # of an utterance with fewer than 3 voiced frames
NEUTRAL_LOG_F0_SPREAD = math.log(0.15)  # 2.6 semitones
NEUTRAL_JITTER, NEUTRAL_SHIMMER = math.log(0.01), math.log(0.05)
F0_SPREAD_FLOOR, SPREAD_FLOOR, PERTURBATION_FLOOR = 0.01, 1e-3, 1e-4
LARGEST_DEVIATION = 0.15  # of a period or an amplitude: beyond it stand errors of the marks
FEWEST = 3  # frames, or periods inside runs, that a statistic takes
UNVOICED_ORDER = 6  # c0 to c5: level and tilt


@dataclass(frozen=True, slots=True)
class Columns:
    """Which statistics a vector holds, and where. `jitter`, `shimmer`, `unvoiced`: whether it has those."""

    jitter: bool = False
    shimmer: bool = False
    unvoiced: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the D columns in their order."""
        return (
            "log_f0_mean",
            "log_f0_log_sd",
            "log_duration",
            "c0_mean",
            "c0_log_sd",
            *(f"c{i}_mean" for i in range(1, ORDER)),
            *(f"c{i}_log_sd" for i in range(1, ORDER)),
            *(("log_jitter",) if self.jitter else ()),
            *(("log_shimmer",) if self.shimmer else ()),
            *((f"c{i}_unvoiced_less_voiced" for i in range(UNVOICED_ORDER)) if self.unvoiced else ()),
        )

    @property
    def units(self) -> tuple[str, ...]:
        """Units of the D columns."""
        special = {"log_f0_mean": "ln Hz", "log_f0_log_sd": "ln ln Hz", "log_duration": "ln s"}
        return tuple(special.get(name, "ln" if "log" in name else "ln power") for name in self.names)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of an utterance, or a difference of two. float64; means and log_sds [40]: c0 to c39; unvoiced [6]."""

    log_f0_mean: float
    log_f0_log_sd: float
    log_duration: float
    means: np.ndarray
    log_sds: np.ndarray
    jitter: float
    shimmer: float
    unvoiced: np.ndarray

    def vector(self, columns: Columns) -> np.ndarray:
        """[D] float32 in the order of `columns.names`."""
        parts: list[np.ndarray | list[float]] = [
            [self.log_f0_mean, self.log_f0_log_sd, self.log_duration, self.means[0], self.log_sds[0]],
            self.means[1:],
            self.log_sds[1:],
            [self.jitter] if columns.jitter else [],
            [self.shimmer] if columns.shimmer else [],
            self.unvoiced if columns.unvoiced else [],
        ]
        return np.concatenate(parts).astype(np.float32)

    @classmethod
    def of_vector(cls, vector: np.ndarray, columns: Columns) -> Statistics:
        """[D] in the order of `columns.names` -> statistics, 0 where it has none."""
        v = np.asarray(vector, dtype=np.float64)
        rest = list(v[3 + 2 * ORDER :])
        jitter = rest.pop(0) if columns.jitter else 0.0
        shimmer = rest.pop(0) if columns.shimmer else 0.0
        means = np.concatenate([v[3:4], v[5 : 4 + ORDER]])
        log_sds = np.concatenate([v[4:5], v[4 + ORDER : 3 + 2 * ORDER]])
        unvoiced = np.array(rest) if columns.unvoiced else np.zeros(UNVOICED_ORDER)
        return cls(v[0], v[1], v[2], means, log_sds, jitter, shimmer, unvoiced)


def statistics(analysis: Analysis) -> Statistics:
    """The statistics of an utterance; always finite."""
    voiced, active = analysis.voiced, analysis.active
    pitch, spread = NEUTRAL_LOG_F0, NEUTRAL_LOG_F0_SPREAD
    if has_pitch(analysis):
        log_f0 = analysis.log_f0()[voiced]
        # half the way between these quantiles is the standard deviation of a normal variable, and no octave error of a
        # few frames inflates it; on acted speech classes differ more in it (0.76 of the spread within them) than in
        # the plain one (0.71)
        low, high = np.quantile(log_f0, [0.16, 0.84])
        pitch, spread = float(log_f0.mean()), math.log(max(float(high - low) / 2, F0_SPREAD_FLOOR))
    kept = analysis.cepstra[active]
    unvoiced = np.zeros(UNVOICED_ORDER)
    if has_both(analysis):
        low = analysis.cepstra[:, :UNVOICED_ORDER]
        unvoiced = low[active & ~voiced].mean(axis=0) - low[voiced].mean(axis=0)
    mean, deviation = analysis.period_deviation()
    return Statistics(
        pitch,
        spread,
        math.log(max(int(active.sum()), 1) * HOP_S),
        kept.mean(axis=0),
        np.log(np.maximum(kept.std(axis=0), SPREAD_FLOOR)),
        _log_perturbation(deviation / mean, analysis.marks.voiced, NEUTRAL_JITTER),
        _log_perturbation(analysis.amplitude_deviation(), analysis.marks.run >= 0, NEUTRAL_SHIMMER),
        unvoiced,
    )


def has_pitch(analysis: Analysis) -> bool:
    """Whether there are voiced frames enough for a mean of F0."""
    return int(analysis.voiced.sum()) >= FEWEST


def has_both(analysis: Analysis) -> bool:
    """Whether there are active frames enough of both kinds, voiced and unvoiced."""
    return has_pitch(analysis) and int((analysis.active & ~analysis.voiced).sum()) >= FEWEST


def _log_perturbation(relative: np.ndarray, voiced: np.ndarray, neutral: float) -> float:
    """Deviations from the local mean, relative -> log of their mean size over voiced places."""
    sizes = np.abs(relative[voiced])
    sizes = sizes[sizes > 0]  # at the ends of runs a value is its own local mean
    if len(sizes) < FEWEST:
        return neutral
    return math.log(max(float(np.minimum(sizes, LARGEST_DEVIATION).mean()), PERTURBATION_FLOOR))
