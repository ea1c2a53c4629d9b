"""Whose voice is it? The GE2E speaker encoder (Wan et al. 2018, arXiv 1710.10467), trained on thousands of speakers.

Read from the file that the package resemblyzer carries; its own code needs webrtcvad. Mel energies of 25 ms every 10 ms
-> windows of 1.6 s -> three LSTM layers of 256 -> the last state, projected, rectified, of length 1 -> mean over
windows, of length 1.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from scipy.fft import rfft
from torch import nn

from features.pretrained.packages import packaged
from features.pretrained.torchfile import filled
from features.speech.logmel import hz_to_mel, mel_filters, mel_to_hz
from features.speech.rate import RATE_HZ, at_16k

NAME = "speaker_ge2e"
COLUMNS = 256
_FRAME, _HOP, _MELS = 400, 160, 40
_WINDOW, _STEP = 160, 77  # frames of a window, and between the starts of two: 1.3 a second, as its authors hear
_COVERED = 0.75  # of the last window, else it is left out
_LEVEL = 10.0 ** (-26.0 / 20.0)  # root mean square that what is voiced is brought to: gain is no identity
_QUIET_DB = 40.0  # frames that lie this far under the loudest hold no voice, and are left out
_DIGITS = 6


class Network(nn.Module):
    """[B, T, 40] float32 mel energies -> [B, 256], rows of length 1. Named as the weights are."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_MELS, COLUMNS, 3, batch_first=True)
        self.linear = nn.Linear(COLUMNS, COLUMNS)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """[B, T, 40] -> [B, 256]."""
        _, (hidden, _) = self.lstm(mels)
        return nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)


class SpeakerEncoder:
    """Loaded by `speaker_encoder()`. title: NAME@VERSION#HASH of the weights."""

    def __init__(self, network: Network, title: str) -> None:
        self._network, self.title = network, title

    def encode(self, signal: np.ndarray, rate_hz: float) -> np.ndarray:
        """[n] float in [-1, 1] at `rate_hz` -> [256] float32 of length 1, no value negative; gain does not matter.

        Raises `UserError` for an empty or non-finite signal.
        """
        heard = at_16k(signal, rate_hz)
        mels = mel_energies(heard)
        loud = mels.sum(axis=1)
        voiced = loud >= loud.max() * 10.0 ** (-_QUIET_DB / 10.0)
        mels = mels[voiced] * _gain(heard[np.repeat(voiced, _HOP)[: heard.size]])
        last = max(0, len(mels) - _WINDOW)
        starts = list(range(0, last + _STEP, _STEP))
        if len(starts) > 1 and (len(mels) - starts[-1]) < _COVERED * _WINDOW:
            starts.pop()
        mels = np.pad(mels, ((0, max(0, starts[-1] + _WINDOW - len(mels))), (0, 0)))
        windows = np.stack([mels[start : start + _WINDOW] for start in starts])
        with torch.inference_mode():
            points = self._network(torch.from_numpy(windows)).numpy().astype(np.float64)
        mean = points.mean(axis=0)
        length = math.sqrt(float(mean @ mean)) or 1.0
        return np.round(mean / length, _DIGITS).astype(np.float32)


def speaker_encoder() -> SpeakerEncoder:
    """The encoder; loaded once a process. Raises `UserError` where it is not installed or its package is damaged."""
    return _loaded(packaged(NAME).title())


@lru_cache(maxsize=1)
def _loaded(title: str) -> SpeakerEncoder:
    scored = frozenset({"similarity_weight", "similarity_bias"})  # of its training alone
    return SpeakerEncoder(filled(Network(), packaged(NAME), "model_state", beside=scored), title)


def mel_energies(signal: np.ndarray) -> np.ndarray:
    """[n] at 16 kHz -> [n // 160 + 1, 40] float32 power, no logarithm: Hann windows of 25 ms centred on every 10 ms;
    triangles of one area (Slaney's), 0 to 8 kHz."""
    half = _FRAME // 2
    padded = np.pad(np.asarray(signal, np.float64), (half, half))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP]
    power = np.abs(rfft(frames * np.hanning(_FRAME + 1)[:-1], axis=1)) ** 2
    return (power @ _filters().T).astype(np.float32)


@lru_cache(maxsize=1)
def _filters() -> np.ndarray:
    top = RATE_HZ / 2.0
    corners = mel_to_hz(np.linspace(hz_to_mel(0.0), hz_to_mel(top), _MELS + 2))
    return mel_filters(RATE_HZ, _FRAME, _MELS, 0.0, top) * (2.0 / (corners[2:] - corners[:-2]))[:, None]


def _gain(voiced: np.ndarray) -> np.float32:
    """Samples -> what energies are multiplied with, so that they are those of `_LEVEL`."""
    power = float(np.mean(np.square(voiced, dtype=np.float64))) if voiced.size else 0.0
    return np.float32(_LEVEL**2 / power if power > 0.0 else 1.0)
