"""Where a signal lives and where it only goes on: values that stand still, lines that fill a gap, a sensor off.

What a body never does is seen in the signal alone, so that beats, bands and spectra are not taken from it.
"""

from __future__ import annotations

import numpy as np

FLAT_S = 0.5  # one value as long is a flat stretch, of signals that never rest
MIN_FLAT_VALUES = 8  # at low rates neighbouring values may be equal by their steps
_STRAIGHT_S = 1.0  # of pulse waves and ECG: coarse converters hold one value between two beats for less
_WINDOW_S = 2.0  # holds a beat at 30 a minute, the slowest that is believed
_QUIET = 0.1  # of the usual range within a window: less is no pulse, weak ones of cold hands have more
_USUAL = 0.75  # quantile over windows: a sensor off for up to three quarters of a trial is still seen as off


def runs_of(mask: np.ndarray) -> np.ndarray:
    """[T] bool -> [k, 2] (first, one after the last) of the runs of True, in order."""
    edges = np.flatnonzero(np.diff(np.r_[False, np.asarray(mask, bool), False].astype(np.int8)))
    return edges.reshape(-1, 2)


def flat_runs(signal: np.ndarray, least: int) -> np.ndarray:
    """[T] -> [k, 2] (first, one after the last) of runs of one value, `least` values and longer; NaN is no value."""
    same = np.diff(np.asarray(signal, dtype=np.float64)) == 0
    runs = runs_of(same) + np.array([0, 1])
    return runs[runs[:, 1] - runs[:, 0] >= max(least, 2)]


def flat_values(rate_hz: float, flat_s: float = FLAT_S) -> int:
    """Values of the shortest flat stretch at this rate."""
    return max(MIN_FLAT_VALUES, int(np.ceil(flat_s * rate_hz)))


def flat_share(signal: np.ndarray, rate_hz: float, flat_s: float = FLAT_S) -> float:
    """[T] -> share of the time in flat stretches of `flat_s` (and `MIN_FLAT_VALUES`) or longer; 0 for no values."""
    runs = flat_runs(signal, flat_values(rate_hz, flat_s))
    return float((runs[:, 1] - runs[:, 0]).sum() / max(len(signal), 1))


def beating(signal: np.ndarray, rate_hz: float) -> np.ndarray:
    """[T] of ECG or pulse wave, finite -> [k, 2] (first, one after the last) of the stretches that may hold beats.

    Left out: straight lines of 1 s and longer (a value held, a rail, a gap filled along a line), and where the range
    within 2 s stays under a tenth of what is usual in the trial (a sensor off the body).
    """
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    x = np.asarray(signal, dtype=np.float64)
    if x.size < 3:
        return np.zeros((0, 2), np.int64)
    still = np.zeros(x.size, bool)
    # what float32 and its rounding leave of a line
    tolerance = 4 * np.finfo(np.float32).eps * np.abs(x).max()
    for start, stop in runs_of(np.abs(np.diff(x, 2)) <= tolerance):
        if stop + 2 - start >= _STRAIGHT_S * rate_hz:
            still[start : stop + 2] = True
    size = max(3, round(_WINDOW_S * rate_hz))
    span = maximum_filter1d(x, size) - minimum_filter1d(x, size)
    if (half := size // 2) < x.size // 2:  # a window that reaches over an end may hold no beat
        span[:half], span[-half:] = span[half], span[-half - 1]
    if not still.all():
        quiet = span < _QUIET * np.quantile(span[~still], _USUAL)
        for start, stop in runs_of(quiet):  # a window is quiet from half of its length inside the stretch on
            still[max(0, start - half) : stop + half] = True
    return runs_of(~still)
