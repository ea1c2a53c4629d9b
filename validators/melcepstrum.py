"""Mel-cepstral distortion: how far one spectral envelope is from another, in dB. Pure functions.

Convention mcd24-dtw-5ms: WORLD envelope (DIO, StoneMask, CheapTrick) each 5 ms, 24 mel-cepstral coefficients without
c0, alpha by sampling rate, exact DTW (steps diagonal, up, left), mean over the path. Numbers of other conventions
differ by whole dB and may not be compared. The value does not depend on the gain of either recording.

Mel-cepstrum: Fukada, Tokuda, Kobayashi & Imai 1992 (https://doi.org/10.1109/ICASSP.1992.225953), its frequency
transformation as in Tokuda et al. 1994. Distortion: Kubichek 1993 (https://doi.org/10.1109/PACRIM.1993.407206).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numba
import numpy as np

from corpora.errors import PayloadError, UserError
from features.vocoder import pyworld
from features.world import F0_FLOOR_HZ, SILENT_PEAK, fft_length, track_f0

CONVENTION = "mcd24-dtw-5ms"
ORDER = 24
HOP_S = 0.005
SHORTEST_S = 0.05
# Warping that comes nearest to the mel scale at each rate (SPTK's recommendations)
ALPHA = {8000: 0.31, 10000: 0.35, 12000: 0.37, 16000: 0.42, 22050: 0.45, 32000: 0.50, 44100: 0.53, 48000: 0.55}
TO_DB = 10.0 / math.log(10.0) * math.sqrt(2.0)
_RMS = 0.05  # signals are brought to this first, so that WORLD's absolute safeguards weigh the same at any gain


def warping(rate_hz: int) -> float:
    """All-pass constant alpha of the mel-cepstrum at a rate. Raises `UserError` at a rate without a convention."""
    if rate_hz not in ALPHA:
        allowed = ", ".join(map(str, sorted(ALPHA)))
        raise UserError(f"mel-cepstral distortion at {rate_hz} Hz has no convention; resample to one of {allowed} Hz.")
    return ALPHA[rate_hz]


@lru_cache(maxsize=8)
def cepstrum_matrix(n_fft: int, alpha: float, order: int = ORDER) -> np.ndarray:
    """-> [n_fft / 2 + 1, order + 1] float64, read-only: log power spectrum @ matrix = mel-cepstrum c0 to c_order.

    Composes the inverse Fourier transform of log magnitude with the recursion that warps the frequency axis by a
    first-order all-pass (`freqt`); both are linear, so one product does for all frames.
    """
    half = n_fft // 2
    k = np.arange(half + 1)
    weights = np.where((k == 0) | (k == half), 1.0, 2.0)
    # one-sided cepstrum of log magnitude: log|X| = sum_k c_k cos(k w), hence both weights, and the half of log power
    cosines = np.cos(2.0 * np.pi * np.outer(k, k) / n_fft)
    inverse = 0.5 * weights[:, None] * cosines * weights[None, :] / n_fft  # [bin, quefrency]
    warped = np.zeros((order + 1, half + 1))  # [coefficient, bin]: the recursion runs over all bins at once
    for quefrency in range(half, -1, -1):
        before = warped.copy()
        warped[0] = inverse[:, quefrency] + alpha * before[0]
        warped[1] = (1.0 - alpha**2) * before[0] + alpha * before[1]
        for m in range(2, order + 1):
            warped[m] = before[m - 1] + alpha * (before[m] - warped[m - 1])
    matrix = np.ascontiguousarray(warped.T)
    matrix.setflags(write=False)
    return matrix


def refusal(signal: np.ndarray, rate_hz: float) -> PayloadError | None:
    """Why a signal [n] has no mel-cepstrum (empty, non-finite, too-short, silent), or None if it has one."""
    n = len(signal)
    if n == 0:
        return PayloadError("empty", "no samples")
    if not np.isfinite(signal).all():
        return PayloadError("non-finite", f"{int((~np.isfinite(signal)).sum())} of {n} samples are NaN or infinite")
    if n < SHORTEST_S * rate_hz:
        return PayloadError("too-short", f"{n / rate_hz:.3f} s; at least {SHORTEST_S:g} s")
    peak = float(np.abs(signal).max())
    if peak < SILENT_PEAK:
        return PayloadError("silent", f"peak {peak:.1e} of full scale; at least {SILENT_PEAK:.0e}")
    return None


def mel_cepstrum(signal: np.ndarray, rate_hz: int) -> np.ndarray:
    """[n] float in [-1, 1] -> [T, 24] float32: c1 to c24 each 5 ms.

    Raises `PayloadError`: empty, non-finite, too-short (under 50 ms), silent (peak under -80 dBFS).
    """
    alpha = warping(int(rate_hz))
    if (refused := refusal(signal, rate_hz)) is not None:
        raise refused
    x = np.array(signal, dtype=np.float64)
    x *= _RMS / math.sqrt(float((x**2).mean()))
    f0, times = track_f0(x, int(rate_hz), hop_s=HOP_S)
    n_fft = fft_length(int(rate_hz))
    envelope = pyworld.cheaptrick(x, f0, times, int(rate_hz), f0_floor=F0_FLOOR_HZ, fft_size=n_fft)
    return (np.log(envelope) @ cepstrum_matrix(n_fft, alpha)[:, 1:]).astype(np.float32)


@numba.njit(cache=True, nogil=True)
def _dtw(a: np.ndarray, b_transposed: np.ndarray) -> tuple[float, int]:  # pragma: no cover (compiled)
    """[n, D], [D, m] float32 -> (sum of Euclidean distances along the best path, its number of steps).

    Among paths of equal cost the shorter one counts, so that the result is symmetric in its arguments. No fastmath: the
    value is the same on every machine.
    """
    n, d = a.shape
    m = b_transposed.shape[1]
    cost = np.empty(m, dtype=np.float64)
    length = np.empty(m, dtype=np.int64)
    squared = np.empty(m, dtype=np.float32)
    for i in range(n):
        squared[:] = 0.0
        for k in range(d):
            value = a[i, k]
            for j in range(m):
                difference = value - b_transposed[k, j]
                squared[j] += difference * difference
        diagonal, diagonal_length = 0.0, 0  # of column j - 1 in row i - 1
        for j in range(m):
            local = math.sqrt(squared[j])
            up, up_length = cost[j], length[j]
            if i == 0 and j == 0:
                best, steps = 0.0, 0
            elif i == 0:
                best, steps = cost[j - 1], length[j - 1]
            elif j == 0:
                best, steps = up, up_length
            else:
                best, steps = diagonal, diagonal_length
                if up < best or (up == best and up_length < steps):
                    best, steps = up, up_length
                left, left_length = cost[j - 1], length[j - 1]
                if left < best or (left == best and left_length < steps):
                    best, steps = left, left_length
            cost[j] = best + local
            length[j] = steps + 1
            diagonal, diagonal_length = up, up_length
    return cost[m - 1], length[m - 1]


def dtw(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """[n, D], [m, D] -> (cost of the best path, number of its steps), steps diagonal, up and left (Sakoe & Chiba 1978).

    Raises `ValueError` for empty sequences, other shapes or values that are not finite.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise ValueError(f"dtw wants two non-empty sequences [n, D], got {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("dtw: NaN or infinities in a sequence")
    total, steps = _dtw(np.ascontiguousarray(a, dtype=np.float32), np.ascontiguousarray(b.T, dtype=np.float32))
    return float(total), int(steps)


def mcd_dtw(a: np.ndarray, b: np.ndarray) -> float:
    """Mel-cepstra [n, 24], [m, 24] -> MCD in dB, mean over the DTW path; symmetric."""
    total, steps = dtw(a, b)
    return TO_DB * total / steps


def mcd_plain(a: np.ndarray, b: np.ndarray) -> float:
    """Mel-cepstra [n, 24], [n, 24] that are aligned in time -> MCD in dB, mean over frames."""
    if a.shape != b.shape or a.ndim != 2 or not len(a):
        raise ValueError(f"plain MCD wants two sequences of one length, got {a.shape} and {b.shape}")
    difference = a.astype(np.float64) - b.astype(np.float64)
    value = TO_DB * float(np.sqrt((difference**2).sum(axis=1)).mean())
    if not math.isfinite(value):
        raise ValueError("plain MCD: NaN or infinities in a sequence")
    return value


def mcd(a: np.ndarray, b: np.ndarray, rate_hz: int, *, align: bool = True) -> tuple[float, str | None]:
    """Two signals [n], [m] at one rate -> (MCD in dB, None), or (NaN, reason slug) where there is no number.

    `align`: by DTW; otherwise frame by frame over the length that both have.
    """
    try:
        first, second = mel_cepstrum(a, rate_hz), mel_cepstrum(b, rate_hz)
    except PayloadError as error:
        return math.nan, error.reason
    if align:
        return mcd_dtw(first, second), None
    n = min(len(first), len(second))
    return mcd_plain(first[:n], second[:n]), None


def summary(cepstra: np.ndarray) -> np.ndarray:
    """[T, 24] -> [49] float64 in cepstral units: mean, standard deviation and a share of log duration."""
    c = cepstra.astype(np.float64)
    return np.concatenate([c.mean(axis=0), c.std(axis=0), [0.2 * math.log(len(c))]])
