"""Heart rate and its variability from ECG or pulse waves: beats by NeuroKit2, measures over their intervals."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np

from corpora.errors import UserError
from features.signal_steps import kind_of
from validators.signals import RANGES

Source = Literal["ECG", "BVP"]
MIN_INTERVALS = 3
MIN_RATE_HZ = 20.0  # below, a beat falls between values
CONVENTION = "NeuroKit2 peaks, no correction of artefacts"


@dataclass(frozen=True, slots=True)
class Heart:
    """bpm: 60 / mean interval. sdnn_ms: deviation of intervals (ddof 1). rmssd_ms: root mean squared difference of
    successive intervals (Task Force 1996, table 1). NaN with a reason where there is no number."""

    bpm: float
    sdnn_ms: float
    rmssd_ms: float
    beats: int
    reason: str | None = None


def heart(signal: np.ndarray, rate_hz: float, kind: str = "ECG") -> Heart:
    """[T] of ECG or BVP (any unit) -> `Heart`. Minutes give steady variability; from 10 s on the rate is usable.

    Intervals carry the error of the sampling, 1/rate: at 64 Hz some 6 ms in RMSSD. Reasons: not-finite, flat,
    too-short (under 3 intervals), implausible (a rate outside of 30 to 220). Raises `UserError` for another kind or a
    rate under 20 Hz.
    """
    known = kind_of(kind)
    if known not in ("ECG", "BVP"):
        raise UserError(f"kind is {kind!r}; heart beats are found in BVP and ECG")
    if rate_hz < MIN_RATE_HZ:
        raise UserError(f"no beat is found at {rate_hz:g} Hz; at least {MIN_RATE_HZ:g} Hz are needed")
    signal = np.asarray(signal, dtype=np.float64).ravel()
    if not np.isfinite(signal).all():
        return _none("not-finite")
    if signal.size < rate_hz:
        return _none("too-short")
    if np.ptp(signal) == 0:
        return _none("flat")
    peaks = beats_of(signal, rate_hz, known)  # type: ignore[arg-type]
    if len(peaks) <= MIN_INTERVALS:
        return _none("too-short", len(peaks))
    return of_beats(peaks / rate_hz)


def of_beats(times_s: np.ndarray) -> Heart:
    """Times of beats [n] s, ascending -> `Heart`."""
    intervals_ms = 1000.0 * np.diff(np.asarray(times_s, dtype=np.float64))
    if len(intervals_ms) < MIN_INTERVALS:
        return _none("too-short", len(intervals_ms) + 1)
    bpm = 60000.0 / float(intervals_ms.mean())
    allowed = RANGES["HR"]
    if not allowed.low <= bpm <= allowed.high:
        return _none("implausible", len(intervals_ms) + 1)
    rmssd = math.sqrt(float(np.mean(np.diff(intervals_ms) ** 2)))
    return Heart(bpm, float(intervals_ms.std(ddof=1)), rmssd, len(intervals_ms) + 1)


def beats_of(signal: np.ndarray, rate_hz: float, kind: Source) -> np.ndarray:
    """[T] finite -> [beats] positions in values, ascending: R peaks of ECG (NeuroKit's method), systolic peaks of BVP
    (Elgendi et al. 2013). Empty where none is found."""
    import neurokit2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of signals without a peak: they have none, and that is the answer
        try:
            if kind == "ECG":
                cleaned = neurokit2.ecg_clean(signal, sampling_rate=rate_hz)
                return np.asarray(neurokit2.ecg_findpeaks(cleaned, sampling_rate=rate_hz)["ECG_R_Peaks"], np.float64)
            cleaned = neurokit2.ppg_clean(signal, sampling_rate=rate_hz)
            return np.asarray(neurokit2.ppg_findpeaks(cleaned, sampling_rate=rate_hz)["PPG_Peaks"], np.float64)
        except (ValueError, IndexError, ZeroDivisionError):
            return np.zeros(0)  # what these tools raise where there is no peak, or too little to filter


def _none(reason: str, beats: int = 0) -> Heart:
    return Heart(math.nan, math.nan, math.nan, beats, reason)
