"""Log-mel spectrograms in numpy: no compilation, no hidden state, the same bytes on every run.

The filters are those of Slaney's Auditory Toolbox (linear below 1 kHz, logarithmic above), as `librosa.filters.mel`
makes them with `norm=None`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

FLOOR_POWER = 1e-10  # -100 dB: under the rounding noise of PCM16
_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_BREAK_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27.0


def hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    """Hz -> mel after Slaney 1998."""
    f = np.asarray(hz, dtype=np.float64)
    above = _BREAK_HZ / _LINEAR_HZ_PER_MEL + np.log(np.maximum(f, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(f >= _BREAK_HZ, above, f / _LINEAR_HZ_PER_MEL)


def mel_to_hz(mel: np.ndarray | float) -> np.ndarray:
    """The inverse of `hz_to_mel`."""
    m = np.asarray(mel, dtype=np.float64)
    corner = _BREAK_HZ / _LINEAR_HZ_PER_MEL
    return np.where(
        m >= corner, _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(m, corner) - corner)), m * _LINEAR_HZ_PER_MEL
    )


@lru_cache(maxsize=16)
def mel_filters(rate_hz: int, n_fft: int, n_mels: int, low_hz: float, high_hz: float) -> np.ndarray:
    """-> [n_mels, n_fft // 2 + 1] float64: triangles of height 1 with corners evenly spaced in mel; read-only."""
    bins = np.fft.rfftfreq(n_fft, 1.0 / rate_hz)
    corners = mel_to_hz(np.linspace(hz_to_mel(low_hz), hz_to_mel(high_hz), n_mels + 2))
    rising = (bins[None, :] - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - bins[None, :]) / (corners[2:] - corners[1:-1])[:, None]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    filters.setflags(write=False)
    return filters


def power_frames(signal: np.ndarray, rate_hz: int, *, hop_s: float, window_s: float) -> np.ndarray:
    """[n] float -> [T, n_fft // 2 + 1] float64 power; T = n // hop + 1 frames, the first centred on sample 0.

    Hann window scaled so that a full-scale sine has power 1 (0 dB) at its bin; n_fft is the next power of 2 of the
    window. Signals are padded with zeros, so that every length, 0 included, gives at least one frame.
    """
    from scipy.fft import rfft

    hop, length = max(1, round(hop_s * rate_hz)), max(4, round(window_s * rate_hz))
    n_fft = 1 << (length - 1).bit_length()
    window = np.hanning(length + 1)[:-1]
    window *= 2.0 / window.sum()
    padded = np.concatenate([np.zeros(length // 2), np.asarray(signal, dtype=np.float64), np.zeros(length)])
    n_frames = len(signal) // hop + 1
    frames = np.lib.stride_tricks.sliding_window_view(padded, length)[::hop][:n_frames]
    spectrum = rfft(frames * window, n_fft, axis=1)
    power: np.ndarray = spectrum.real**2 + spectrum.imag**2
    return power


def logmel(
    signal: np.ndarray,
    rate_hz: int,
    *,
    n_mels: int = 40,
    hop_s: float = 0.01,
    window_s: float = 0.025,
    low_hz: float = 50.0,
    high_hz: float | None = None,
) -> np.ndarray:
    """[n] float in [-1, 1] -> [n_mels, T] float32 dB in [-100, ~10]; `high_hz` None: the Nyquist frequency.

    Depends on the gain: absolute dB, relative to a full-scale sine. Raises `ValueError` if the signal is not finite.
    """
    if not np.isfinite(signal).all():
        raise ValueError("logmel: the signal holds NaN or infinities")
    power = power_frames(signal, rate_hz, hop_s=hop_s, window_s=window_s)
    n_fft = 2 * (power.shape[1] - 1)
    filters = mel_filters(rate_hz, n_fft, n_mels, low_hz, rate_hz / 2.0 if high_hz is None else high_hz)
    mel: np.ndarray = 10.0 * np.log10(np.maximum(filters @ power.T, FLOOR_POWER))
    return mel.astype(np.float32)


def time_normalised_logmel(signal: np.ndarray, rate_hz: int, columns: int) -> np.ndarray:
    """[n] float in [-1, 1] -> [40, columns] float32 dB: the whole utterance, stretched or squeezed to `columns`.

    Linear interpolation along time of 25-ms windows at a 10-ms hop; a long utterance is averaged, not sampled.
    """
    mel = logmel(signal, rate_hz).astype(np.float64)  # [40, T]
    frames = mel.shape[1]
    sums = np.concatenate([np.zeros((len(mel), 1)), np.cumsum(mel, axis=1)], axis=1)  # integral up to each frame edge
    edges = np.linspace(0.0, frames, columns + 1)
    left = np.minimum(edges.astype(int), frames - 1)
    integral = sums[:, left] + (edges - left) * mel[:, left]
    return (np.diff(integral, axis=1) * (columns / frames)).astype(np.float32)
