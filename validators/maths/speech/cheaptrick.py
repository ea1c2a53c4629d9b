"""CheapTrick's spectral envelope as a cepstrum, all frames at once: what pyworld gives, in a fraction of the time.

Morise 2015, Speech Communication 67 (https://doi.org/10.1016/j.specom.2014.09.003), as pyworld 0.3 has it: F0-adaptive
Hann window, power spectrum with DC correction, smoothing over 2/3 of F0, liftering of the log spectrum. The
mel-cepstrum is linear in the cepstrum, so the way back to a spectrum is left out. WORLD adds fixed pseudo-random noise
at 1e-12 against zeros; it decides what digital silence looks like and is therefore the same here.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numba
import numpy as np
import scipy.fft

UNVOICED_HZ = 500.0  # what WORLD takes where there is no F0
Q1 = -0.15  # of the lifter that gives peaks their height back
WINDOW_NOISE, POWER_NOISE = 1e-12, 2.220446049250313e-16
BLOCK = 32  # frames at a time
MOST_KEPT = (
    1 << 22
)  # random numbers (32 MiB, about 25 s of sound) that stay in memory; for longer sound they are drawn anew


def log_cepstrum(
    signal: np.ndarray, f0_hz: np.ndarray, times_s: np.ndarray, rate_hz: int, n_fft: int, reach: int | None = None
) -> np.ndarray:
    """[n] float64, [T] Hz (0: unvoiced), [T] s -> [T, reach] float64: real cepstrum of the log power envelope, of its
    n_fft / 2 + 1 quefrencies the first `reach` (None: all). `n_fft` is a power of 2.

    The discrete Fourier transform of all of it (as an even sequence of n_fft) is the log of `pyworld.cheaptrick`'s
    result.
    """
    lowest = 3.0 * rate_hz / (n_fft - 3.0)
    f0 = np.where(f0_hz > lowest, f0_hz, UNVOICED_HZ)
    half = np.floor(1.5 * rate_hz / f0 + 0.5).astype(np.int64)  # of the window, in samples
    bins = n_fft // 2 + 1
    reach = bins if reach is None else min(reach, bins)
    taken = np.concatenate([[0], np.cumsum(2 * half + 1 + bins)])  # random numbers used before each frame
    needed, start = 1 << max(16, int(taken[-1]).bit_length()), taken[:-1]
    noise = _noise(needed) if needed <= MOST_KEPT else _noise.__wrapped__(needed)
    signal, rate = np.ascontiguousarray(signal, np.float64), float(rate_hz)
    out = np.empty((len(f0), reach))
    frames = np.empty((BLOCK, n_fft))
    for first in range(0, len(f0), BLOCK):  # blocks stay in the processor's cache
        rows = slice(first, min(first + BLOCK, len(f0)))
        block = frames[: rows.stop - first]
        _windowed(signal, f0[rows], times_s[rows], half[rows], rate, noise, start[rows], block)
        spectrum = scipy.fft.rfft(block, axis=1)
        power = _smooth(spectrum, f0[rows], rate, n_fft, noise, (start + 2 * half + 1)[rows])
        np.log(power, out=power)
        out[rows] = scipy.fft.dct(power, 1, axis=1, overwrite_x=True)[:, :reach]
    out /= n_fft
    values, of_frame = np.unique(f0, return_inverse=True)  # unvoiced frames share one row
    out[:, 1:] *= _lifter(values, rate, reach)[of_frame]
    return out


def _lifter(f0_hz: np.ndarray, rate_hz: float, reach: int) -> np.ndarray:
    """[U] Hz -> [U, reach - 1] float64, of quefrencies 1 to reach - 1: sinc times (1 - 2 q + 2 q cos 2a). 1 at 0."""
    angle = np.pi / rate_hz * f0_hz[:, None] * np.arange(1, reach)
    sine = np.sin(angle)
    lifter: np.ndarray = sine / angle * (1.0 - 4.0 * Q1 * sine * sine)
    return lifter


@lru_cache(maxsize=2)
def _noise(n: int) -> np.ndarray:
    """-> [n] float64: the fixed sequence of WORLD, sums of 12 words of a xorshift generator less 6; read-only."""
    numbers = np.empty(n)
    _fill(numbers)
    numbers.setflags(write=False)
    return numbers


@numba.njit(cache=True, nogil=True)
def _fill(out: np.ndarray) -> None:  # pragma: no cover (compiled)
    """Marsaglia 2003, Xorshift RNGs, 128 bits with the paper's seeds."""
    x, y, z, w = np.uint32(123456789), np.uint32(362436069), np.uint32(521288629), np.uint32(88675123)
    for i in range(out.size):
        total = np.uint64(0)
        for _ in range(12):
            t = np.uint32(x ^ np.uint32(x << np.uint32(11)))
            x, y, z = y, z, w
            w = np.uint32((w ^ (w >> np.uint32(19))) ^ (t ^ (t >> np.uint32(8))))
            total += np.uint64(w >> np.uint32(4))
        out[i] = np.float64(total) / 268435456.0 - 6.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _windowed(
    x: np.ndarray,
    f0: np.ndarray,
    times: np.ndarray,
    half: np.ndarray,
    rate: float,
    noise: np.ndarray,
    taken: np.ndarray,
    out: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    """Fills out [T, n_fft] with three periods each under a Hann window of unit energy, without their weighted mean, and
    zeros behind them."""
    window = np.empty(2 * half.max() + 1)
    last, weight = 0.0, 0.0
    for t in range(f0.size):
        h, origin = half[t], math.floor(times[t] * rate + 0.001 + 0.5)
        n = 2 * h + 1
        if f0[t] != last:  # unvoiced frames follow each other
            last, energy = f0[t], 0.0
            for i in range(h + 1):
                window[i] = 0.5 * math.cos(math.pi * ((i - h) / 1.5 / rate) * last) + 0.5
                window[2 * h - i] = window[i]
            for i in range(n):
                energy += window[i] * window[i]
            energy = math.sqrt(energy)
            weight = 0.0
            for i in range(n):
                window[i] /= energy
                weight += window[i]
        frame, total = out[t], 0.0
        for i in range(n):
            at = min(x.size - 1, max(0, origin + i - h))
            frame[i] = x[at] * window[i] + noise[taken[t] + i] * WINDOW_NOISE
            total += frame[i]
        mean = total / weight
        for i in range(n):
            frame[i] -= window[i] * mean
        frame[n:] = 0.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _smooth(
    spectrum: np.ndarray, f0: np.ndarray, rate: float, n_fft: int, noise: np.ndarray, taken: np.ndarray
) -> np.ndarray:  # pragma: no cover (compiled)
    """[T, n_fft / 2 + 1] complex -> float64, its power: what lies below F0 is mirrored up, then the mean over 2/3 of F0
    around each bin, by differences of a running sum."""
    half, step = n_fft // 2, rate / n_fft
    widest = int(f0.max() * 2.0 / 3.0 * n_fft / rate) + 1
    running, low = np.empty(half + 2 * widest + 1), np.empty(half + 1)
    left, right = np.empty(half + 1, np.int32), np.empty(half + 1, np.int32)  # bins of the running sum, and the way
    after_left, after_right = np.empty(half + 1), np.empty(half + 1)  # from them to the edges of the mean
    power = np.empty((f0.size, half + 1))
    last, width, edge = 0.0, 0.0, 0
    for t in range(f0.size):
        p = power[t]
        for i in range(half + 1):
            value = spectrum[t, i]
            p[i] = value.real * value.real + value.imag * value.imag
        below = 1 + int(f0[t] * n_fft / rate)
        for i in range(below):
            place = (i * step - f0[t]) / -step
            base = int(place)
            low[i] = p[base] + (p[base + 1] - p[base]) * (place - base)
        for i in range(below):
            p[i] += low[i]
        if f0[t] != last:
            last = f0[t]
            width = last * 2.0 / 3.0
            edge = int(width * n_fft / rate) + 1
            origin = -(edge - 0.5) * step
            for i in range(half + 1):
                place = (i * step - width / 2.0 - origin) / step
                left[i] = int(place)
                after_left[i] = place - left[i]
                place = (i * step - width / 2.0 + width - origin) / step
                right[i] = int(place)
                after_right[i] = place - right[i]
        for i in range(edge):  # the spectrum goes on as its mirror image on both sides
            running[i] = p[edge - i] * rate / n_fft
            running[half + 2 * edge - i] = p[half - edge + i] * rate / n_fft
        for i in range(half + 1):
            running[edge + i] = p[i] * rate / n_fft
        for i in range(1, half + 2 * edge + 1):
            running[i] += running[i - 1]
        for i in range(half + 1):
            a, b = left[i], right[i]
            lower = running[a] + (running[a + 1] - running[a]) * after_left[i]
            upper = running[b] + (running[b + 1] - running[b]) * after_right[i]
            p[i] = max((upper - lower) / width + abs(noise[taken[t] + i]) * POWER_NOISE, 1e-300)
    return power
