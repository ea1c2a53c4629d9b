"""Mel-cepstral distortion: how far one spectral envelope is from another, in dB. Pure functions.

Convention mcd24-dtw-5ms: WORLD envelope (DIO, StoneMask, CheapTrick) each 5 ms, 24 mel-cepstral coefficients without
c0, alpha by sampling rate, exact DTW (steps diagonal, up, left), mean over the path. Options change its name:
mcd24-plain-5ms goes frame by frame, mcd24-dtw-5ms-harvest tracks F0 with Harvest (far slower, fewer gaps).
Numbers of other conventions differ by whole dB and may not be compared (pymcd's: validators/maths/speech/pymcd.py).
The value does not depend on the gain of either recording.

Mel-cepstrum: Fukada, Tokuda, Kobayashi & Imai 1992 (https://doi.org/10.1109/ICASSP.1992.225953), its frequency
transformation as in Tokuda et al. 1994. Distortion: Kubichek 1993 (https://doi.org/10.1109/PACRIM.1993.407206).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numba
import numpy as np

from corpora.errors import PayloadError, UserError
from features.speech.world import SILENT_PEAK, fft_length, track_f0
from validators.maths.speech.cheaptrick import log_cepstrum

CONVENTION = "mcd24-dtw-5ms"  # of the gate, and of measures where no option says otherwise
F0Method = Literal["dio", "harvest"]
ORDER = 24
HOP_S = 0.005
SHORTEST_S = 0.05
# Warping that comes nearest to the mel scale at each rate (SPTK's recommendations)
ALPHA = {8000: 0.31, 10000: 0.35, 12000: 0.37, 16000: 0.42, 22050: 0.45, 32000: 0.50, 44100: 0.53, 48000: 0.55}
TO_DB = 10.0 / math.log(10.0) * math.sqrt(2.0)
_NOTHING = (
    1e-20  # warping weights below it change no bit of a coefficient: of a sum of doubles near 1 the last is 1e-16
)
_RMS = 0.05  # signals are brought to this first, so that WORLD's absolute safeguards weigh the same at any gain


def convention_of(*, align: bool = True, f0: F0Method = "dio") -> str:
    """The name under which a number may be compared with others. Raises `UserError` for an unknown F0 tracker."""
    if f0 not in ("dio", "harvest"):
        raise UserError(f"f0 is {f0!r}; known: dio, harvest")
    return (CONVENTION if align else CONVENTION.replace("dtw", "plain")) + ("" if f0 == "dio" else f"-{f0}")


def warping(rate_hz: int) -> float:
    """All-pass constant alpha of the mel-cepstrum at a rate. Raises `UserError` at a rate without a convention."""
    if rate_hz not in ALPHA:
        allowed = ", ".join(map(str, sorted(ALPHA)))
        raise UserError(f"mel-cepstral distortion at {rate_hz} Hz has no convention; resample to one of {allowed} Hz.")
    return ALPHA[rate_hz]


@lru_cache(maxsize=8)
def warping_matrix(bins: int, alpha: float, order: int = ORDER) -> np.ndarray:
    """-> [bins, order + 1] float64, read-only: one-sided cepstrum of log magnitude @ matrix = mel-cepstrum.

    The recursion that warps the frequency axis by a first-order all-pass (`freqt`) is linear, so one product does for
    all frames.
    """
    warped = np.zeros((order + 1, bins))  # [coefficient, quefrency]: the recursion runs over all of them at once
    for quefrency in range(bins - 1, -1, -1):
        before = warped.copy()
        warped[0] = alpha * before[0]
        warped[0, quefrency] += 1.0
        warped[1] = (1.0 - alpha**2) * before[0] + alpha * before[1]
        for m in range(2, order + 1):
            warped[m] = before[m - 1] + alpha * (before[m] - warped[m - 1])
    matrix = np.ascontiguousarray(warped.T)
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=8)
def reach(n_fft: int, alpha: float, order: int = ORDER) -> int:
    """How many quefrencies c1 to c_order read: beyond, the weights of the warping matrix fall to nothing (143 of 513 at
    16 kHz)."""
    read = np.abs(warping_matrix(n_fft // 2 + 1, alpha, order)[:, 1:]).max(axis=1) > _NOTHING
    return int(np.flatnonzero(read)[-1]) + 1


def _one_sided(n_fft: int) -> np.ndarray:
    """[n_fft / 2 + 1]: cepstrum of log power -> one-sided cepstrum of log magnitude, log|X| = sum_k c_k cos(k w)."""
    weights = np.full(n_fft // 2 + 1, 1.0)
    weights[[0, -1]] = 0.5
    return weights


@lru_cache(maxsize=8)
def cepstrum_matrix(n_fft: int, alpha: float, order: int = ORDER) -> np.ndarray:
    """-> [n_fft / 2 + 1, order + 1] float64, read-only: log power spectrum @ matrix = mel-cepstrum c0 to c_order."""
    half = n_fft // 2
    k = np.arange(half + 1)
    both = np.where((k == 0) | (k == half), 1.0, 2.0)  # bins that stand for two
    inverse = both[:, None] * np.cos(2.0 * np.pi * np.outer(k, k) / n_fft) / n_fft  # [bin, quefrency]
    matrix = (inverse * _one_sided(n_fft)) @ warping_matrix(half + 1, alpha, order)
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


def mel_cepstrum(signal: np.ndarray, rate_hz: int, *, f0: F0Method = "dio") -> np.ndarray:
    """[n] float in [-1, 1] -> [T, 24] float32: c1 to c24 each 5 ms. `f0`: the tracker whose pitch CheapTrick adapts to.

    Raises `PayloadError`: empty, non-finite, too-short (under 50 ms), silent (peak under -80 dBFS).
    """
    alpha = warping(int(rate_hz))
    if (refused := refusal(signal, rate_hz)) is not None:
        raise refused
    x = np.array(signal, dtype=np.float64)
    x *= _RMS / math.sqrt(float((x**2).mean()))
    f0_hz, times = track_f0(x, int(rate_hz), hop_s=HOP_S, f0_method=f0)
    n_fft = fft_length(int(rate_hz))
    read = reach(n_fft, alpha)
    cepstrum = log_cepstrum(x, f0_hz, times, int(rate_hz), n_fft, read) * _one_sided(n_fft)[:read]
    return (cepstrum @ warping_matrix(n_fft // 2 + 1, alpha)[:read, 1:]).astype(np.float32)


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


@numba.njit(cache=True, nogil=True)
def windowed_path(
    x: np.ndarray, y: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:  # pragma: no cover (compiled)
    """[n, D], [m, D] float64 -> the cheapest path whose row i stays within columns low[i] to high[i] - 1; among equals
    the step up, then the step left, then the diagonal."""
    n, d = x.shape
    m = y.shape[0]
    start = np.zeros(n + 1, dtype=np.int64)
    for i in range(n):
        start[i + 1] = start[i] + high[i] - low[i]
    step = np.empty(start[n], dtype=np.int8)
    before, now = np.full(m + 1, np.inf), np.full(m + 1, np.inf)  # column j stands at j + 1
    before[0] = 0.0
    for i in range(n):
        now[:] = np.inf
        for j in range(low[i], high[i]):
            local = 0.0
            for k in range(d):
                difference = x[i, k] - y[j, k]
                local += difference * difference
            local = math.sqrt(local)
            best, taken = before[j + 1] + local, 0
            if now[j] + local < best:
                best, taken = now[j] + local, 1
            if before[j] + local < best:
                best, taken = before[j] + local, 2
            now[j + 1] = best
            step[start[i] + j - low[i]] = taken
        before, now = now, before
    rows, columns = np.empty(n + m, dtype=np.int64), np.empty(n + m, dtype=np.int64)
    i, j, at = n - 1, m - 1, n + m
    while i >= 0 and j >= 0:
        at -= 1
        rows[at], columns[at] = i, j
        taken = step[start[i] + j - low[i]]
        if taken != 1:
            i -= 1
        if taken != 0:
            j -= 1
    return rows[at:], columns[at:]


def dtw_inputs(a: np.ndarray, b: np.ndarray) -> None:
    """Raises `ValueError` for empty sequences, other shapes than [n, D], [m, D], or values that are not finite."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise ValueError(f"dtw wants two non-empty sequences [n, D], got {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("dtw: NaN or infinities in a sequence")


def dtw(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """[n, D], [m, D] -> (cost of the best path, number of its steps), steps diagonal, up and left (Sakoe & Chiba 1978).

    Raises `ValueError` for empty sequences, other shapes or values that are not finite.
    """
    dtw_inputs(a, b)
    total, steps = _dtw(np.ascontiguousarray(a, dtype=np.float32), np.ascontiguousarray(b.T, dtype=np.float32))
    return float(total), int(steps)


def dtw_path(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[n, D], [m, D] -> the steps of the best path, [L] int64 into a and into b. Needs n * m bytes. Raises as `dtw`."""
    dtw_inputs(a, b)
    low, high = np.zeros(len(a), dtype=np.int64), np.full(len(a), len(b), dtype=np.int64)
    return windowed_path(np.ascontiguousarray(a, np.float64), np.ascontiguousarray(b, np.float64), low, high)


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


def mcd(
    a: np.ndarray, b: np.ndarray, rate_hz: int, *, align: bool = True, f0: F0Method = "dio"
) -> tuple[float, str | None]:
    """Two signals [n], [m] at one rate -> (MCD in dB, None), or (NaN, reason slug) where there is no number.

    `align`: by DTW; otherwise frame by frame over the length that both have. Its name: `convention_of`.
    """
    try:
        first, second = mel_cepstrum(a, rate_hz, f0=f0), mel_cepstrum(b, rate_hz, f0=f0)
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
