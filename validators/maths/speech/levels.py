"""How loud one recording is beside another, frame by frame. Pure functions."""

from __future__ import annotations

import math

import numpy as np

from validators.maths.speech.melcepstrum import HOP_S, dtw_path, mel_cepstrum, refusal

WINDOW_S = 0.025
RANGE_DB = 60.0  # frames further under the loudest one count as that quiet: between words there is only noise


def frame_levels(signal: np.ndarray, rate_hz: int) -> np.ndarray:
    """[n] float -> [n // hop + 1] float64 dB re full scale (root mean square), each 5 ms over 25 ms, the first centred
    on sample 0: the frames of `mel_cepstrum`. Not less than 60 dB under the loudest."""
    hop, half = HOP_S * rate_hz, max(1, round(WINDOW_S * rate_hz / 2))
    sums = np.concatenate([[0.0], np.cumsum(np.square(signal, dtype=np.float64))])
    centres = np.floor(np.arange(int(len(signal) / hop) + 1) * hop + 0.5).astype(np.int64)
    low, high = np.clip(centres - half, 0, len(signal)), np.clip(centres + half, 0, len(signal))
    power = np.maximum(sums[high] - sums[low], 0.0) / np.maximum(high - low, 1)
    level: np.ndarray = 10.0 * np.log10(np.maximum(power, power.max() * 10.0 ** (-RANGE_DB / 10.0)))
    return level


def energy_difference(
    a: np.ndarray, b: np.ndarray, rate_hz: int, *, path: bool = True, gain: bool = True
) -> tuple[float, str | None]:
    """Two signals [n], [m] at one rate -> (mean absolute difference of frame level in dB, None), or (NaN, reason slug).

    `path`: along the DTW path of their mel-cepstra; otherwise frame by frame over the length that both have. `gain`:
    False takes off the mean difference, so that recordings that differ by a factor differ by 0.
    """
    for signal in (a, b):
        if (refused := refusal(signal, rate_hz)) is not None:
            return math.nan, refused.reason
    first, second = frame_levels(a, rate_hz), frame_levels(b, rate_hz)
    if path:
        rows, columns = dtw_path(mel_cepstrum(a, rate_hz), mel_cepstrum(b, rate_hz))
        difference = second[np.minimum(columns, len(second) - 1)] - first[np.minimum(rows, len(first) - 1)]
    else:
        n = min(len(first), len(second))
        difference = second[:n] - first[:n]
    if not gain:
        difference = difference - difference.mean()
    return float(np.abs(difference).mean()), None
