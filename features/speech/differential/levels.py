"""Loudness that a change of pitch must not change, and peaks that must not leave full scale."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import minimum_filter1d
from scipy.signal import oaconvolve

from corpora.errors import PayloadError

LEVEL_S = 0.05
MOST_CORRECTION = 2.0
SILENCE = 1e-10  # power, -100 dB: what the level of silence is compared with
LIMIT_S = 0.01  # to each side of a peak that is turned down
DEEPEST = 0.25  # 12 dB: a peak further beyond full scale is refused


def _hann(length: int) -> np.ndarray:
    window = np.hanning(length + 2)[1:-1]
    return window / window.sum()


def _power(signal: np.ndarray, rate_hz: int) -> np.ndarray:
    """[n] -> [n]: mean square over a Hann window of 50 ms."""
    window = _hann(round(LEVEL_S * rate_hz))
    return np.maximum(oaconvolve(signal**2, window, mode="same"), 0.0)


def at_level_of(signal: np.ndarray, source: np.ndarray, rate_hz: int) -> np.ndarray:
    """[n], [m] -> [n]: the signal with the source's level over time, by a factor within 1/2 and 2.

    A source of another length gives its level at the same share of its length.
    """
    wanted = _power(source, rate_hz)
    if len(source) != len(signal):
        wanted = np.interp(np.linspace(0, len(source) - 1, len(signal)), np.arange(len(source)), wanted)
    ratio = np.sqrt((wanted + SILENCE) / (_power(signal, rate_hz) + SILENCE))
    return signal * np.clip(ratio, 1 / MOST_CORRECTION, MOST_CORRECTION)


def within_full_scale(signal: np.ndarray, rate_hz: int, ceiling: float = 1.0) -> np.ndarray:
    """[n] -> [n] with no sample beyond `ceiling`: around each peak that is, and nowhere else, the gain goes smoothly
    down by just what is too much and up again, over 10 ms to each side.

    Raises `PayloadError` beyond-full-scale where that would take more than 12 dB.
    """
    peak = float(np.abs(signal).max())
    if peak <= ceiling:
        return signal
    if peak * DEEPEST > ceiling:
        raise PayloadError(
            "beyond-full-scale",
            f"the edit has a peak {20 * np.log10(peak / ceiling):.1f} dB over full scale; up to "
            f"{-20 * np.log10(DEEPEST):.0f} dB are turned down. Move the level of this source less",
        )
    reach = max(1, round(LIMIT_S * rate_hz))
    allowed = np.minimum(1.0, ceiling / np.maximum(np.abs(signal), 1e-12))
    lowest = np.pad(minimum_filter1d(allowed, 2 * reach + 1, mode="nearest"), reach, mode="edge")
    smooth = oaconvolve(lowest, _hann(2 * reach + 1), mode="valid")
    near = minimum_filter1d(lowest, 2 * reach + 1)[reach:-reach] < 1  # elsewhere the gain is 1 to the bit
    return signal * np.where(near, np.minimum(smooth, allowed), 1.0)
