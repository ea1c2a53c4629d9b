"""Heart rate and its variability from ECG or pulse waves: beats by NeuroKit2, measures over intervals that are sound.

A missed beat doubles an interval and a sensor off for ten seconds makes one of them, which a mean hides and a squared
difference multiplies. So beats are looked for only where the signal lives (features/physio/stretches.py), must look
alike, an interval must be possible and like its neighbours, and no difference is taken across what was left out.
Nothing is corrected or filled in.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from corpora.errors import UserError
from features.physio.ranges import RANGES
from features.physio.steps import kind_of
from features.physio.stretches import beating

if TYPE_CHECKING:  # what encodes a sample needs none of the code that prepares one
    pass

Source = Literal["ECG", "BVP"]
MIN_INTERVALS = 3
MIN_RATE_HZ = 20.0  # below, a beat falls between values
# ms: 30 to 220 beats a minute, as of rates; most tools keep 300 to 2000
LOW_MS, HIGH_MS = 60_000.0 / RANGES["HR"].high, 60_000.0 / RANGES["HR"].low
_NEIGHBOURS = 11  # intervals whose median one is compared with (Lipponen & Tarvainen 2019)
_SPREADS = 5.2  # quartile deviations from it that are believed, 3.5 standard deviations of a Gaussian (ibid.)
_BELIEVED, _DOUBTED = 0.13, 0.25  # of the median: less is always believed, more is a missed or a second beat
MAX_LEFT_OUT = 0.4  # of the intervals
MIN_COVERED = 0.5  # of the time, by intervals that were kept
_SHAPE_S = 0.25  # to either side of a beat: less than half of the shortest usual interval
_MIN_ALIKE = 0.7  # correlation with the median beat
_SHORTEST_S = 3.0  # of a stretch that beats are looked for in
_EDGE_S = 0.25  # beside a gap, where a filter rings and a half wave looks like a beat
CONVENTION = "NeuroKit2 peaks, intervals of 273 to 2000 ms, artefacts left out (Lipponen & Tarvainen 2019)"


@dataclass(frozen=True, slots=True)
class Heart:
    """bpm: 60 / mean interval. sdnn_ms: deviation of intervals (ddof 1). rmssd_ms: root mean squared difference of
    successive intervals (Task Force 1996, table 1). NaN with a reason where there is no number. `intervals` were found,
    `left_out` of them not used; for `off_s` there was no signal that could hold beats."""

    bpm: float
    sdnn_ms: float
    rmssd_ms: float
    beats: int
    reason: str | None = None
    intervals: int = 0
    left_out: int = 0
    off_s: float = 0.0


def heart(signal: np.ndarray, rate_hz: float, kind: str = "ECG") -> Heart:
    """[T] of ECG or BVP (any unit) -> `Heart`. Minutes give steady variability; from 10 s on the rate is usable.

    Intervals carry the error of the sampling, 1/rate: at 64 Hz some 6 ms in RMSSD. Reasons: not-finite, flat (no
    stretch of 3 s lives), gaps (sound intervals cover less than half of the time), and those of `of_beats`. Raises
    `UserError` for another kind or a rate under 20 Hz.
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
    stretches = beating(signal, rate_hz)
    whole = len(stretches) == 1 and (stretches[0] == [0, signal.size]).all()
    runs = []
    for start, stop in stretches:
        if not whole and stop - start < _SHORTEST_S * rate_hz:
            continue
        at = start + beats_of(signal[start:stop], rate_hz, known)  # type: ignore[arg-type]
        low, high = start + (start > 0) * _EDGE_S * rate_hz, stop - (stop < signal.size) * _EDGE_S * rate_hz
        runs.append(at[(at >= low) & (at <= high)])
    if not runs:
        return _none("flat")
    alike = _alike(signal, np.concatenate(runs), rate_hz)
    sound = np.split(alike, np.cumsum([len(run) for run in runs])[:-1])
    measured = of_beats(*(run / rate_hz for run in runs), seconds=signal.size / rate_hz, sound=sound)
    return replace(measured, off_s=(signal.size - int((stretches[:, 1] - stretches[:, 0]).sum())) / rate_hz)


def of_beats(*runs_s: np.ndarray, seconds: float = 0.0, sound: Sequence[np.ndarray] = ()) -> Heart:
    """Times of beats [n] s, ascending, a run for each stretch without a gap -> `Heart`. `seconds`: of the trial; 0: no
    more than lies between the beats. `sound`: of each run [n] bool, beats that look like one.

    An interval is left out if a beat at its ends is not sound, if it is impossible (under 273 or over 2000 ms), or if
    it differs from the median of the 11 around it by more than 5.2 quartile deviations of such differences (Lipponen &
    Tarvainen 2019), but not by less than 13 %, and by more than 25 % in any case.
    Reasons: too-short (under 3 intervals), implausible (under 3 possible ones), artefacts (more than 40 % left out, or
    no two neighbours kept), gaps.
    """
    runs = [1000.0 * np.diff(np.asarray(times, dtype=np.float64)) for times in runs_s]
    intervals_ms, beats = np.concatenate(runs), sum(len(times) for times in runs_s)
    if len(intervals_ms) < MIN_INTERVALS:
        return _none("too-short", beats, len(intervals_ms))
    possible = (intervals_ms >= LOW_MS) & (intervals_ms <= HIGH_MS)
    if possible.sum() < MIN_INTERVALS:
        return _none("implausible", beats, len(intervals_ms), len(intervals_ms))
    if len(sound):
        possible &= np.concatenate([ok[1:] & ok[:-1] for ok in sound])
        if possible.sum() < MIN_INTERVALS:
            return _none("artefacts", beats, len(intervals_ms), int((~possible).sum()))
    kept = possible.copy()
    kept[possible] = _like_neighbours(intervals_ms[possible])
    left_out = int((~kept).sum())
    differences = np.concatenate(_differences(runs, kept))
    if (
        left_out > MAX_LEFT_OUT * len(intervals_ms)
        or kept.sum() < MIN_INTERVALS
        or len(differences) < MIN_INTERVALS - 1
    ):
        return _none("artefacts", beats, len(intervals_ms), left_out)
    kept_ms = intervals_ms[kept]
    if kept_ms.sum() < 1000.0 * MIN_COVERED * seconds:
        return _none("gaps", beats, len(intervals_ms), left_out)
    rmssd = math.sqrt(float(np.mean(differences**2)))
    bpm = 60000.0 / float(kept_ms.mean())
    return Heart(bpm, float(kept_ms.std(ddof=1)), rmssd, beats, None, len(intervals_ms), left_out)


def _alike(signal: np.ndarray, beats: np.ndarray, rate_hz: float) -> np.ndarray:
    """[beats] positions -> [beats] bool: the signal around it has the shape of the trial's median beat (Orphanidou et
    al. 2015 judge segments by the same correlation). Beats too near to an end to be judged are believed."""
    from scipy.signal import detrend

    half = round(_SHAPE_S * rate_hz)
    whole = np.flatnonzero((beats >= half) & (beats < len(signal) - half))
    alike = np.ones(len(beats), bool)
    if len(whole) <= MIN_INTERVALS:
        return alike
    shapes = signal[beats[whole].astype(np.int64)[:, None] + np.arange(-half, half + 1)]
    shapes = detrend(shapes, axis=1)  # breath and wander are no shape
    shapes = shapes / (np.linalg.norm(shapes, axis=1, keepdims=True) + np.finfo(np.float64).tiny)
    usual = np.median(shapes, axis=0)
    alike[whole] = shapes @ (usual / (np.linalg.norm(usual) + np.finfo(np.float64).tiny)) >= _MIN_ALIKE
    return alike


def _like_neighbours(intervals_ms: np.ndarray) -> np.ndarray:
    """[n] -> [n] bool"""
    half = _NEIGHBOURS // 2
    around = [intervals_ms[max(0, i - half) : i + half + 1] for i in range(len(intervals_ms))]
    median = np.array([np.median(part) for part in around])
    apart = intervals_ms - median
    low, high = np.quantile(apart, [0.25, 0.75])
    limit = np.clip(_SPREADS * (high - low) / 2, _BELIEVED * median, _DOUBTED * median)
    return np.asarray(np.abs(apart) <= limit)


def _differences(runs: Sequence[np.ndarray], kept: np.ndarray) -> list[np.ndarray]:
    """Of intervals that follow one another and are both kept, run by run."""
    differences, start = [np.zeros(0)], 0
    for run in runs:
        own = kept[start : start + len(run)]
        differences.append(np.diff(run)[own[1:] & own[:-1]])
        start += len(run)
    return differences


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


def _none(reason: str, beats: int = 0, intervals: int = 0, left_out: int = 0) -> Heart:
    return Heart(math.nan, math.nan, math.nan, beats, reason, intervals, left_out)
