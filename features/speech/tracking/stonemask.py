"""StoneMask: F0 refined by instantaneous frequency, as pyworld 0.3 gives it, in a quarter of the time.

As in WORLD (Morise, Yokomori & Ozawa 2016, https://doi.org/10.1587/transinf.2015EDP7457): three periods under a
Blackman window and under its derivative; of both spectra the bins nearest to the first two harmonics give a better F0,
those nearest to six of its harmonics the final one (Flanagan & Golden 1966, "Phase vocoder", for the instantaneous
frequency). Only these eight bins are computed. Samples at equal distance from the middle share a cosine and a sine:
phase does not matter here, so it is measured from there.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numba
import numpy as np

LOWEST_HZ = 40.0  # F0 from here down becomes unvoiced, as above a 12th of the rate
FIRST, SECOND = 2, 6  # harmonics
MOST_MOVED = 0.2  # of F0: what moves further stays
TINY = 1e-12


def stonemask(signal: np.ndarray, f0_hz: np.ndarray, times_s: np.ndarray, rate_hz: int) -> np.ndarray:
    """[n] float, [T] Hz (0: unvoiced), [T] s -> [T] Hz float64, refined; `pyworld.stonemask` of it.

    Raises ValueError where F0 and times differ in length or voiced frames come without a sample.
    """
    x = np.ascontiguousarray(signal, dtype=np.float64)
    f0, times = np.ascontiguousarray(f0_hz, dtype=np.float64), np.ascontiguousarray(times_s, dtype=np.float64)
    if f0.shape != times.shape or f0.ndim != 1:
        raise ValueError(f"F0 and times are vectors of one length, these are {f0.shape} and {times.shape}")
    heard = f0[f0 > LOWEST_HZ]
    if not heard.size:
        return np.zeros(len(f0))
    if not x.size:
        raise ValueError("voiced frames of no samples")
    half = int(1.5 * rate_hz / heard.min() + 1.0)
    return _refined(x, f0, times, int(rate_hz), _turn(_points(half)), half)


@lru_cache(maxsize=8)
def _turn(points: int) -> np.ndarray:
    """-> [points] float64: the cosine over one turn."""
    turn: np.ndarray = np.cos(2.0 * np.pi / points * np.arange(points))
    turn.setflags(write=False)
    return turn


@numba.njit(cache=True, nogil=True)
def _points(half: int) -> int:  # pragma: no cover (compiled)
    """Points of the transform whose bins are meant: a power of 2, two to four times the window of 2 `half` + 1."""
    points = 4
    while points <= 2 * (2 * half + 1):
        points *= 2
    return points


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _refined(
    x: np.ndarray, f0: np.ndarray, times: np.ndarray, rate: int, turn: np.ndarray, widest: int
) -> np.ndarray:  # pragma: no cover (compiled)
    out = np.zeros(f0.size)
    window, sample = np.empty(2 * widest + 1), np.empty(2 * widest + 1)
    folded = np.empty((widest + 1, 4))
    for t in range(f0.size):
        first = f0[t]
        if not (LOWEST_HZ < first <= rate / 12.0):
            continue
        half = int(1.5 * rate / first + 1.0)
        _fold(x, times[t], rate, half, window, sample, folded)
        points = _points(half)
        better = _of_harmonics(folded, half, rate, points, turn, first, FIRST)
        better = (
            0.0
            if better <= 0.0 or better > 2.0 * first
            else _of_harmonics(folded, half, rate, points, turn, better, SECOND)
        )
        out[t] = first if abs(better - first) > MOST_MOVED * first else better
    return out


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _fold(
    x: np.ndarray, time: float, rate: int, half: int, window: np.ndarray, sample: np.ndarray, folded: np.ndarray
) -> None:  # pragma: no cover (compiled)
    """Fills `folded` [half + 1, 4]: sums and differences of what lies i samples right and left of the time, under the
    window and under its derivative. Beyond the ends the first and last sample go on."""
    n = 2 * half + 1
    angle = 2.0 * math.pi / n  # of one sample
    step_cos, step_sin = math.cos(angle), math.sin(angle)
    cosine, sine, last = 0.0, 0.0, 0
    for i in range(n):
        place = (time + float(i - half) / rate) * rate
        at = int(place + 0.5) if place > 0.0 else int(place - 0.5)
        if i > 0 and at == last + 1:  # the angle goes on by one step; where rounding jumps, it is taken anew
            cosine, sine = cosine * step_cos - sine * step_sin, sine * step_cos + cosine * step_sin
        elif i == 0 or at != last:
            exact = ((at - 1.0) / rate - time) * rate * angle
            cosine, sine = math.cos(exact), math.sin(exact)
        last = at
        window[i] = 0.42 + 0.5 * cosine + 0.08 * (2.0 * cosine * cosine - 1.0)
        sample[i] = x[max(0, min(x.size - 1, at - 1))]
    for i in range(half + 1):
        right, left = half + i, half - i
        a, b = sample[right], sample[left]
        after = window[right + 1] if right + 1 < n else 0.0
        before = window[left - 1] if left > 0 else 0.0
        slope_a, slope_b = (window[right - 1] - after) / 2.0, (before - window[left + 1]) / 2.0
        main_a, main_b = a * window[right], b * window[left]
        slope_a *= a
        slope_b *= b
        folded[i, 0], folded[i, 1] = main_a + main_b, main_a - main_b
        folded[i, 2], folded[i, 3] = slope_a + slope_b, slope_a - slope_b
    for k in range(4):
        folded[0, k] *= 0.5  # the middle is its own partner


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _of_harmonics(
    folded: np.ndarray, half: int, rate: int, points: int, turn: np.ndarray, f0: float, harmonics: int
) -> float:  # pragma: no cover (compiled)
    """F0 by the instantaneous frequencies of the bins nearest to its harmonics, weighed by amplitude."""
    above, below = 0.0, 0.0
    stride = turn.size // points
    for h in range(1, harmonics + 1):
        at = min(int(f0 * points / rate * h + 0.5), points // 2)
        real, imaginary, slope_real, slope_imaginary = 0.0, 0.0, 0.0, 0.0
        phase = 0
        for i in range(half + 1):
            cosine, sine = turn[phase * stride], turn[((phase - points // 4) & (points - 1)) * stride]
            real += folded[i, 0] * cosine
            imaginary -= folded[i, 1] * sine
            slope_real += folded[i, 2] * cosine
            slope_imaginary -= folded[i, 3] * sine
            phase = (phase + at) & (points - 1)
        power = real * real + imaginary * imaginary
        if power == 0.0:
            frequency = 0.0
        else:
            cross = real * slope_imaginary - imaginary * slope_real
            frequency = float(at) * rate / points + cross / power * rate / 2.0 / math.pi
        amplitude = math.sqrt(power)
        above += amplitude * frequency
        below += amplitude * h
    return above / (below + TINY)
