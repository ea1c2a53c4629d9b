"""MCD as the package pymcd (0.2.1) computes it, so that a number of ours can be set beside a published one.

Its convention, each choice of which differs from ours: resampled to 22050 Hz (soxr HQ), WORLD envelope of DIO,
StoneMask and CheapTrick with an FFT of 512 each 5 ms, coefficients 0 to 13 at alpha 0.65. The power spectrum is handed
to `mcep` as an amplitude (itype 3) and squared, 1e-8 is added: about twice the distance where sound is loud, and gain
matters. Mode "dtw" aligns c1 to c13 by FastDTW of radius 1 and then measures c0 to c13 along that path; mode "plain"
pads the shorter signal with zeros. For comparison only: gates never use it.

FastDTW: Salvador & Chan 2007, Intelligent Data Analysis 11(5). An approximation: its path can cost more than the best.
"""

from __future__ import annotations

import math

import numpy as np
import soxr

from corpora.errors import PayloadError
from features.speech.tracking.dio import dio
from features.speech.tracking.stonemask import stonemask
from features.speech.vocoder import pyworld
from validators.maths.speech.melcepstrum import TO_DB, cepstrum_matrix, refusal, windowed_path

RATE_HZ, N_FFT, ORDER, ALPHA, HOP_MS, ADDED = 22050, 512, 13, 0.65, 5.0, 1e-8
CONVENTION = {
    True: "pymcd-dtw: c0-c13, alpha 0.65, 22050 Hz, FFT 512, DIO, 5 ms, power as amplitude, FastDTW of radius 1",
    False: "pymcd-plain: c0-c13, alpha 0.65, 22050 Hz, FFT 512, DIO, 5 ms, power as amplitude, zero-padded",
}


def resampled(signal: np.ndarray, rate_hz: int) -> np.ndarray:
    """[n] float -> [ceil(n * 22050 / rate)] float32 at 22050 Hz, as librosa.load does it."""
    x = np.asarray(signal, dtype=np.float32)
    if rate_hz == RATE_HZ:
        return x
    resampled = soxr.resample(x, rate_hz, RATE_HZ, quality="HQ")
    n = math.ceil(len(x) * RATE_HZ / rate_hz)
    fitted: np.ndarray = np.pad(resampled, (0, max(0, n - len(resampled))))[:n]
    return fitted


def cepstrum(signal: np.ndarray) -> np.ndarray:
    """[n] float at 22050 Hz -> [T, 14] float64: c0 to c13 each 5 ms."""
    x = np.ascontiguousarray(signal, dtype=np.float64)
    f0, times = dio(x, RATE_HZ, hop_ms=HOP_MS)
    f0 = stonemask(x, f0, times, RATE_HZ)
    power = pyworld.cheaptrick(x, f0, times, RATE_HZ, fft_size=N_FFT)
    return np.log(power**2 + ADDED) @ cepstrum_matrix(N_FFT, ALPHA, ORDER)


def mcd(a: np.ndarray, b: np.ndarray, rate_hz: int, *, align: bool = True) -> tuple[float, str | None]:
    """Two signals [n], [m] at one rate -> (MCD in dB, None), or (NaN, reason slug) where there is no number.

    `align`: its mode "dtw", otherwise its mode "plain".
    """
    for signal in (a, b):
        if (refused := refusal(signal, rate_hz)) is not None:
            return math.nan, refused.reason
    x, y = resampled(a, int(rate_hz)), resampled(b, int(rate_hz))
    if not align:
        longer = max(len(x), len(y))
        x, y = (np.pad(s, (0, longer - len(s))) for s in (x, y))
    first, second = cepstrum(x), cepstrum(y)
    if align:
        rows, columns = fast_path(first[:, 1:], second[:, 1:])
        first, second = first[rows], second[columns]
    return TO_DB * float(np.sqrt(((first - second) ** 2).sum(axis=1)).mean()), None


def fast_path(x: np.ndarray, y: np.ndarray, radius: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """[n, D], [m, D] -> the steps of FastDTW's path, [L] int64 into x and into y, from (0, 0) to (n - 1, m - 1)."""
    n, m = len(x), len(y)
    if not n or not m:
        raise PayloadError("empty", "no frames to align")
    if min(n, m) < radius + 2:
        low, high = np.zeros(n, dtype=np.int64), np.full(n, m, dtype=np.int64)
    else:
        low, high = _window(*fast_path(_halved(x), _halved(y), radius), n, m, radius)
    return windowed_path(np.ascontiguousarray(x), np.ascontiguousarray(y), low, high)


def _halved(x: np.ndarray) -> np.ndarray:
    """[n, D] -> [n // 2, D]: means of two rows."""
    even = x[: len(x) - len(x) % 2]
    halved: np.ndarray = (even[0::2] + even[1::2]) / 2
    return halved


def _window(rows: np.ndarray, columns: np.ndarray, n: int, m: int, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """A path at half the length -> [n] first column and [n] end column of what is searched in each row."""
    half = n // 2 + 1
    low, high = np.full(half, m, dtype=np.int64), np.zeros(half, dtype=np.int64)
    for shift in range(-radius, radius + 1):
        at = rows + shift
        inside = (at >= 0) & (at < half)
        np.minimum.at(low, at[inside], columns[inside] - radius)
        np.maximum.at(high, at[inside], columns[inside] + radius + 1)
    fine = np.arange(n) // 2
    return np.clip(2 * low[fine], 0, m), np.clip(2 * high[fine], 0, m)
