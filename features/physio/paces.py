"""Numbers of a trial of signals: level, spread and shape of each channel, and how much of it moves at which pace.

Paces are bands of octaves and more from half a minute a cycle to 50 Hz: breath, pulse and the bands of the EEG. The
trial's own length sets how slow a band it can show.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from corpora.errors import UserError

if TYPE_CHECKING:  # what encodes a sample needs none of the code that prepares one
    pass

# Hz. From 1 Hz on near to those of the EEG; a band is left out where half the rate does not reach its upper edge
_EDGES_HZ = (0.03, 0.1, 0.3, 0.7, 1.5, 3.0, 8.0, 14.0, 31.0, 50.0)
PACES_HZ = tuple(pairwise(_EDGES_HZ))
PULSE_HZ = (0.7, 3.0)  # 42 to 180 beats a minute
_FLOOR = 1e-12  # of a channel's variance: what a band without power has


def columns_at(rate_hz: float) -> list[str]:
    """Names of the features of one channel, at this rate."""
    paces = [f"de_{low:g}-{high:g}Hz" for low, high in PACES_HZ if high <= rate_hz / 2]
    pulse = ["pulse_hz", "pulse_share"] if PULSE_HZ[1] <= rate_hz / 2 else []
    return ["mean", "log_sd", "skewness", "kurtosis", "trend", "roughness", *paces, *pulse]


def units_at(rate_hz: float, unit: str) -> list[str]:
    """Units of `columns_at`, for a signal in `unit`."""
    units = {"mean": unit, "log_sd": f"ln {unit}".rstrip(), "pulse_hz": "Hz"}
    return [units.get(name, "nat" if name.startswith("de_") else "") for name in columns_at(rate_hz)]


def trial_features(signals: list[np.ndarray], rate_hz: float) -> np.ndarray:
    """Finite [T_i, C] (or [T_i]) in one order of channels -> [n, C * columns] float64, all finite.

    mean, ln of the standard deviation; skewness and excess kurtosis; trend: the slope of the best line, in standard
    deviations a trial; roughness: ln of the mean step over the deviation; differential entropies 1/2 ln(2 pi e P) in
    nats of the power P in each of `PACES_HZ` (Duan, Zhu & Lu 2013, of the spectrum instead of a filter's output);
    the strongest line at 0.7 to 3 Hz, which is the heart rate of a channel with a pulse in it, and its share of the
    power there. A constant channel has its mean, and else what no movement gives. Raises `UserError`: trials with other
    numbers of channels, no rate.
    """
    trials = [np.asarray(s, np.float64).reshape(len(s), -1) for s in signals]
    widths = sorted({trial.shape[1] for trial in trials})
    if len(widths) > 1:
        raise UserError(f"trials of {', '.join(map(str, widths))} channels do not stand in one batch")
    if not rate_hz > 0 or not math.isfinite(rate_hz):
        raise UserError("a batch of signals needs its sampling rate (rate_hz in Hz)")
    if not trials:
        return np.zeros((0, 0))
    return np.stack([_of_trial(trial, rate_hz).ravel() for trial in trials])


def _of_trial(x: np.ndarray, rate_hz: float) -> np.ndarray:
    """[T, C] -> [C, columns]"""
    n = len(x)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    moves = deviation > 1e-9 * (np.abs(mean) + np.finfo(np.float64).tiny)
    scale = np.where(moves, deviation, 1.0)
    z = np.where(moves, (x - mean) / scale, 0.0)
    time = np.linspace(-0.5, 0.5, n) if n > 1 else np.zeros(1)
    trend = (time @ z) / max(float(time @ time), 1e-12)
    step = np.abs(np.diff(z, axis=0)).mean(axis=0) if n > 1 else np.zeros(x.shape[1])
    floor = np.where(moves, _FLOOR * scale**2, np.finfo(np.float64).tiny)
    parts = [
        mean,
        0.5 * np.log(np.maximum(np.where(moves, scale**2, 0.0), floor)),
        (z**3).mean(axis=0),
        np.where(moves, (z**4).mean(axis=0) - 3.0, 0.0),
        trend,
        np.log(np.maximum(step, 1e-6)),
    ]
    frequency, power = _spectrum(x - mean, rate_hz)
    for low, high in PACES_HZ:
        if high <= rate_hz / 2:
            inside = (frequency >= low) & (frequency < high)
            if not inside.any() and len(frequency):  # too short a trial for this band: the line nearest to it
                inside = np.arange(len(frequency)) == np.abs(frequency - math.sqrt(low * high)).argmin()
            parts.append(0.5 * np.log(2 * math.pi * math.e * np.maximum(power[inside].sum(axis=0), floor)))
    if PULSE_HZ[1] <= rate_hz / 2:
        parts += _pulse(frequency, power, moves)
    return np.stack(parts, axis=1)


def _spectrum(x: np.ndarray, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """[T, C] -> lines [F] Hz without 0, and the power at each [F, C] in unit^2; Hann. They sum to
    about the variance."""
    from scipy.signal import periodogram

    if len(x) < 4:
        return np.zeros(0), np.zeros((0, x.shape[1]))
    frequency, power = periodogram(x, fs=rate_hz, window="hann", scaling="density", axis=0)
    return frequency[1:], power[1:] * frequency[1]


def _pulse(frequency: np.ndarray, power: np.ndarray, moves: np.ndarray) -> list[np.ndarray]:
    inside = (frequency >= PULSE_HZ[0]) & (frequency <= PULSE_HZ[1])
    if not inside.any():
        return [np.full(power.shape[1], sum(PULSE_HZ) / 2), np.zeros(power.shape[1])]
    there, at = power[inside], frequency[inside]
    total = there.sum(axis=0)
    share = np.divide(there.max(axis=0), total, out=np.zeros_like(total), where=moves & (total > 0))
    return [np.where(share > 0, at[there.argmax(axis=0)], sum(PULSE_HZ) / 2), share]
