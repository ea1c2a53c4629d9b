"""A difference of statistics -> the changed waveform. What does not differ is not touched."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d

from features.speech.differential.analysis import ORDER, Analysis
from features.speech.differential.envelope import filtered
from features.speech.differential.levels import at_level_of
from features.speech.differential.psola import Placement, placed
from features.speech.differential.statistics import UNVOICED_ORDER, Statistics, has_both, has_pitch, statistics

MOST_C0_SPREAD, MOST_SPREAD = 0.7, 0.5  # change of a log spread, either way
MOST_DEVIATION = 3.0  # standard deviations: frames further out are moved as if they stood there
MOST_PITCH = 1.0  # log F0: 17 semitones
MOST_DURATION = 0.5
MOST_PERTURBATION = 1.0  # log: a factor of 2.7 for jitter and shimmer
MOST_PERIOD, MOST_AMPLITUDE = 0.25, 0.7  # a scaled deviation: share of the period; log amplitude
ACTIVE_FRAMES, SMOOTH_FRAMES = 7, 3


def converted(analysis: Analysis, change: Statistics, *, forced: bool = False) -> np.ndarray:
    """The source's analysis and a difference of statistics -> [n] float64, not limited to full scale.

    The length is the source's, times exp of the change of log duration (0: unchanged). A change of pitch, jitter,
    shimmer or the unvoiced part of a source without them does nothing. A change of 0 gives the signal itself; `forced`
    sends it through both stages all the same, for tests: the difference is below 1e-12.
    """
    signal = analysis.signal
    moves = cepstral_moves(analysis, change)
    if moves.any() or forced:
        signal = filtered(signal, moves, analysis.rate_hz)
    placement = grain_placement(analysis, change)
    if placement is not None or forced:
        steps = analysis.marks.periods
        placement = placement or Placement(steps, np.ones(len(steps) + 1))
        moved = placed(signal, analysis.marks.at, analysis.marks.voiced, placement, analysis.rate_hz)
        signal = at_level_of(moved, signal, analysis.rate_hz)
    return signal


def cepstral_moves(analysis: Analysis, change: Statistics) -> np.ndarray:
    """-> [T, 40] float64: what is added to each frame's mel-cepstrum. Pauses are left alone."""
    active, cepstra = analysis.active, analysis.cepstra
    kept = cepstra[active]
    mean, spread = kept.mean(axis=0), kept.std(axis=0)
    low, high = mean - MOST_DEVIATION * spread, mean + MOST_DEVIATION * spread
    low[0], high[0] = kept[:, 0].min(), kept[:, 0].max()
    most = np.array([MOST_C0_SPREAD, *[MOST_SPREAD] * (ORDER - 1)])
    stretch = np.expm1(np.clip(change.log_sds, -most, most))
    moves = (np.clip(cepstra, low, high) - mean) * stretch + change.means
    if change.unvoiced.any() and has_both(analysis):
        # the mean over active frames stays: unvoiced frames go one way, voiced ones the other, by their shares
        unvoiced = (analysis.f0_hz <= 0).astype(np.float64)
        moves[:, :UNVOICED_ORDER] += np.outer(unvoiced - unvoiced[active].mean(), change.unvoiced)
    weights = uniform_filter1d(active.astype(np.float64), ACTIVE_FRAMES, mode="nearest")
    return uniform_filter1d(weights[:, None] * moves, SMOOTH_FRAMES, axis=0, mode="nearest")


def grain_placement(analysis: Analysis, change: Statistics) -> Placement | None:
    """Where grains go, or None where they stay."""
    stretch = float(np.exp(np.clip(change.log_duration, -MOST_DURATION, MOST_DURATION)))
    pitch = has_pitch(analysis) and (change.log_f0_mean != 0 or change.log_f0_log_sd != 0)
    perturbed = analysis.marks.voiced.any() and (change.jitter != 0 or change.shimmer != 0)
    if stretch == 1 and not pitch and not perturbed:
        return None
    marks = analysis.marks
    steps, gains = marks.periods.copy(), np.ones(len(marks.at))
    if perturbed and change.jitter != 0:
        mean, deviation = analysis.period_deviation()
        steps = mean + np.clip(deviation * _factor(change.jitter), -MOST_PERIOD * mean, MOST_PERIOD * mean)
    if perturbed and change.shimmer != 0:
        louder = analysis.amplitude_deviation() * (_factor(change.shimmer) - 1)
        gains *= np.exp(np.clip(louder, -MOST_AMPLITUDE, MOST_AMPLITUDE))
    if pitch:
        ratio = pitch_ratio(analysis, change)
        frames = np.arange(len(ratio)) * analysis.hop
        middles = (marks.at[:-1] + marks.at[1:]) / 2
        steps = steps / np.where(marks.voiced, np.interp(middles, frames, ratio), 1.0)
        # more grains a second, each with less: the power stays
        gains *= np.where(marks.run >= 0, np.interp(marks.at, frames, ratio) ** -0.5, 1.0)
    return Placement(steps, gains, stretch)


def pitch_ratio(analysis: Analysis, change: Statistics) -> np.ndarray:
    """-> [T] float64: factor on F0 in each frame."""
    log_f0, mean = analysis.log_f0(), statistics(analysis).log_f0_mean
    spread = np.expm1(np.clip(change.log_f0_log_sd, -MOST_PITCH, MOST_PITCH))
    return np.exp(np.clip((log_f0 - mean) * spread + change.log_f0_mean, -MOST_PITCH, MOST_PITCH))


def _factor(log: float) -> float:
    return float(np.exp(np.clip(log, -MOST_PERTURBATION, MOST_PERTURBATION)))
