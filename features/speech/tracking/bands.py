"""The bands of DIO (dio.py): a signal without its mean and what lies below 50 Hz, behind low-pass filters.

All filters are symmetric, so that each is a row of real numbers beside one spectrum that has the common phase. One
transform of the signal and one back for each band, of a length a little above what the convolution needs, do what takes
WORLD two for each band, of the next power of 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numba
import numpy as np

LOW_CUT_HZ = 50.0
NUTTALL = (0.355768, -0.487396, 0.144232, -0.012604)
EXTENDED = 9  # samples at each end, reflected, before decimation
STRIDE = 64  # samples whose angles are taken from a table
MOST_KEPT = 1 << 18  # points of a transform (16 s at 16 kHz) whose filters stay in memory: 10 MiB each


def bands(x: np.ndarray, rate: float, boundaries: np.ndarray, ratio: int = 1) -> Iterator[np.ndarray]:
    """[n] float64 at `ratio` times the rate -> for each of the boundaries [B] (Hz, rising) the band below it, [1 + n /
    ratio] float64 at the rate. The next band is written over the one before."""
    y = np.zeros(1 + len(x) // ratio)
    decimated = x if ratio == 1 else _decimated(x, ratio)[: len(y)]
    y[: len(decimated)] = decimated
    y -= y.mean()
    halves = tuple(int(rate / b / 2.0 + 0.5) for b in boundaries)
    cut = int(rate / LOW_CUT_HZ + 0.5)
    points = _length(max(len(y), cut) + cut + 2 * halves[0] + STRIDE)
    filters = _filters if points <= MOST_KEPT else _filters.__wrapped__
    shared, weights = filters(points, rate, halves)
    spectrum = np.fft.rfft(y, points) * shared
    left, right = _slip(y, rate, boundaries[0], halves)
    weighed, filtered = np.empty_like(spectrum), np.empty(points)
    blocks = filtered[: left.shape[1] * STRIDE].reshape(-1, STRIDE)
    for b in range(len(halves)):
        _weigh(spectrum, weights[b], weighed)
        np.fft.irfft(weighed, points, out=filtered)
        blocks += left[b] @ right
        yield filtered[: len(y)]


def _length(least: int) -> int:
    """The next of few lengths that transform fast, so that signals of about one length share their filters."""
    power = 1 << max(6, least.bit_length() - 1)
    return next(n for n in (power // 8 * eighths for eighths in (8, 9, 10, 12, 15, 16)) if n >= least)


@lru_cache(maxsize=4)
def _filters(points: int, rate: float, halves: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """-> ([points / 2 + 1] complex128, what all bands share: the low cut and half a sample of delay that Nuttall
    windows of even length leave; [bands, points / 2 + 1] float64, their low-pass filters without phase).

    `halves`: for each band half a period of its highest F0, in samples; its window is four times as long.
    """
    cut = int(rate / LOW_CUT_HZ + 0.5)
    kernel = np.zeros(points)
    kernel[: 2 * cut + 1] = -_hann(cut)
    kernel[cut] += 1.0
    low_cut = np.fft.rfft(np.roll(kernel, -cut)).real
    delay = np.exp(1j * np.pi / points * np.arange(points // 2 + 1))
    weights = np.empty((len(halves), points // 2 + 1))
    for half, row in zip(halves, weights, strict=True):
        kernel[:] = 0.0
        kernel[: 4 * half] = _nuttall(half)
        row[:] = (np.fft.rfft(np.roll(kernel, -2 * half)) / delay).real
    shared = low_cut * delay
    for array in (shared, weights):
        array.setflags(write=False)
    return shared, weights


def _slip(y: np.ndarray, rate: float, lowest: float, halves: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """[n] -> what WORLD's bands have too much, as products of left [B, n / 64, 3] and right [3, 64] float64.

    WORLD writes each bin's product with a filter to the bin's mirror image as well, one place too low. So the last bin
    (at half the rate) is multiplied by the product before it, and the result takes the place of both. At full scale 1
    that is next to nothing, but where the recording is digital silence next to nothing is all there is, and it decides
    where sections begin.
    """
    cut = int(rate / LOW_CUT_HZ + 0.5)
    least = len(y) + 2 * cut + 1 + 4 * int(1.0 + rate / lowest / 2.0)
    points = 1 << (int(math.log(least) / math.log(2.0)) + 1)  # of WORLD's transform
    step = 2.0 * np.pi / points
    right, cut_last, cut_before, lows = _last_bins(points, cut, halves)
    blocks = np.pad(y, (0, -len(y) % STRIDE)).reshape(-1, STRIDE) @ right.T  # [n / 64, 3]
    turn = np.exp(-1j * step * STRIDE * np.arange(len(blocks)))
    last = cut_last * blocks[:, 2].sum()
    product = cut_before * ((blocks[:, 0] + 1j * blocks[:, 1]) * turn.conj()).sum() * lows
    slipped = last * product
    delay = np.exp(-2j * step * np.array(halves))
    added = ((slipped - product) * delay)[:, None] * turn * (2.0 / points)
    left = np.empty((len(halves), len(blocks), 3))
    left[:, :, 0], left[:, :, 1], left[:, :, 2] = added.real, added.imag, slipped.real[:, None] / points
    return left, right


@lru_cache(maxsize=8)
def _last_bins(points: int, cut: int, halves: tuple[int, ...]) -> tuple[np.ndarray, float, float, np.ndarray]:
    """Of a transform of so many points -> the first 64 samples [3, 64] of the cosine and sine of the bin before the
    last and of the last bin; how much of both bins the low cut lets through; the low-pass filters [B] complex128 in the
    bin before the last."""
    step = 2.0 * np.pi / points
    near = step * np.arange(STRIDE)
    waves = np.where(np.arange(STRIDE) % 2, -1.0, 1.0) * np.stack([np.cos(near), np.sin(near), np.ones(STRIDE)])
    taps, hann = np.arange(-cut, cut + 1), _hann(cut)
    last, before = (1.0 - float((hann * np.cos(angle * taps)).sum()) for angle in (np.pi, np.pi - step))
    lows = [(_nuttall(half) * np.exp(-1j * (np.pi - step) * np.arange(4 * half))).sum() for half in halves]
    return waves, last, before, np.array(lows)


def _hann(cut: int) -> np.ndarray:
    """-> [2 cut + 1] float64, of sum 1."""
    hann: np.ndarray = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(1, 2 * cut + 2) / (2 * cut + 2))
    return hann / hann.sum()


def _nuttall(half: int) -> np.ndarray:
    """-> [4 half] float64."""
    phase = 2.0 * np.pi * np.arange(4 * half) / (4 * half - 1.0)
    window: np.ndarray = sum((a * np.cos(k * phase) for k, a in enumerate(NUTTALL)), np.zeros(4 * half))
    return window


def _decimated(x: np.ndarray, ratio: int) -> np.ndarray:
    """[n] -> every `ratio`-th sample, the last one among them, behind a Chebyshev filter that runs both ways."""
    from scipy.signal import cheby1, lfilter

    b, a = cheby1(3, 0.05, 0.8 / ratio)
    extended = np.concatenate([2.0 * x[0] - x[EXTENDED:0:-1], x, 2.0 * x[-1] - x[-2 : -EXTENDED - 2 : -1]])
    filtered = lfilter(b, a, lfilter(b, a, extended)[::-1])[::-1]
    first = (len(x) - 1) % ratio  # from the back: a sample of the extension comes along where it is near
    return np.ascontiguousarray(filtered[EXTENDED + first : EXTENDED + len(x) + EXTENDED - 1 : ratio])


@numba.njit(cache=True, nogil=True)
def _weigh(spectrum: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:  # pragma: no cover (compiled)
    for i in range(out.size):
        out[i] = complex(spectrum[i].real * weights[i], spectrum[i].imag * weights[i])
