"""DistillMOS: a small network that imitates a large one which learned from listeners (Stahl & Gamper 2025, 2502.05356).

Compressed complex spectrum (20 ms, every 10 ms) -> six convolutions -> transformer of seven layers -> attention over
time -> opinion. Only the weights are taken from the package: its own code needs torchaudio.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from features.pretrained.packages import packaged
from features.pretrained.torchfile import filled
from features.speech.mos import SCALES
from features.speech.rate import at_16k

_WINDOW = 122_880  # samples that it hears at once: 7.68 s
_HOP, _FRAME = 160, 320
_POWER = 0.3  # of magnitudes
_WIDTH, _HEADS, _LAYERS = 200, 8, 7
_CHANNELS = (2, 64, 64, 128, 256, 256, 256)  # before the first convolution, after each
_FEATURES = 1024
_FRAMES = 384  # of a window after the convolutions
_FAR = 16_000  # samples between the starts of two windows, at most


class Network(nn.Module):
    """[B, 122880] float32 -> opinions [B] in [1, 5]. Named as the weights are."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(_CHANNELS)):
            stride = (1 if i == 0 else 2, 2 if i == len(_CHANNELS) - 2 else 1)  # of frequency, of time
            layers += [nn.Conv2d(before, after, 3, stride, padding=(0, 1)), nn.LeakyReLU(0.1)]
        block = nn.TransformerEncoderLayer(_WIDTH, _HEADS, 2 * _WIDTH, dropout=0.0, batch_first=True)
        self.cnn = nn.ModuleDict({"cnn": nn.Sequential(*layers)})
        position = nn.Module()
        position.register_buffer("pe", torch.zeros(1, _FRAMES, _WIDTH))
        transformer = nn.ModuleDict(
            {
                "norm": nn.BatchNorm1d(_FEATURES),
                "position_encoding": position,
                "linear_proj": nn.Linear(_FEATURES, _WIDTH),
                "transformer_encoder": nn.TransformerEncoder(block, _LAYERS, enable_nested_tensor=False),
            }
        )
        pool = {
            "linear1": nn.Linear(_WIDTH, 2 * _WIDTH),
            "linear2": nn.Linear(2 * _WIDTH, 1),
            "linear3": nn.Linear(_WIDTH, 1),
        }
        self.transformer_pool_attn = nn.ModuleDict(
            {
                "norm_input": nn.BatchNorm1d(_FEATURES),
                "transformer": transformer,
                "norm_trans": nn.BatchNorm1d(_WIDTH),
                "pool": nn.ModuleDict(pool),
            }
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, 122880], peak 1 -> [B]."""
        parts: Any = self.transformer_pool_attn
        inner, pool = parts["transformer"], parts["pool"]
        features = self.cnn["cnn"](compressed(x)).flatten(1, 2)  # [B, 1024, frames]
        x = inner["linear_proj"](inner["norm"](parts["norm_input"](features)).transpose(1, 2))
        x = inner["transformer_encoder"](x + inner["position_encoding"].pe)
        x = parts["norm_trans"](x.transpose(1, 2)).transpose(1, 2)
        attention = torch.softmax(pool["linear2"](torch.relu(pool["linear1"](x))), dim=1)
        return 1.0 + 4.0 * torch.sigmoid(pool["linear3"]((attention * x).sum(dim=1)))[:, 0]


def compressed(x: torch.Tensor) -> torch.Tensor:
    """[B, n] -> [B, 2, 161, n // 160]: real and imaginary part of the spectrum, magnitudes to the power of 0.3."""
    edge = (_FRAME - _HOP) // 2
    padded = functional.pad(x, (edge, edge), mode="reflect")
    window = torch.hann_window(_FRAME)
    spectrum = torch.stft(padded, _FRAME, _HOP, window=window, center=False, return_complex=True)
    magnitude = spectrum.abs().clamp_min(1e-12)
    return torch.view_as_real(spectrum * magnitude ** (_POWER - 1.0)).permute(0, 3, 1, 2)


class DistillMos:
    """Hears a recording in windows of 7.68 s, evenly spread and at most a second apart, and averages; a shorter one is
    followed by silence. Level does not matter."""

    scales = SCALES["distillmos"]

    def __init__(self) -> None:
        encoder = packaged("distillmos")
        self.title = encoder.title()
        self._network = _loaded(self.title)

    def opinions(self, signal: np.ndarray, rate_hz: float) -> dict[str, float]:
        """[n] float at `rate_hz`, n >= 1 -> ovrl. Raises `UserError` for an empty or non-finite signal."""
        heard = at_16k(signal, rate_hz)
        beyond = max(0, heard.size - _WINDOW)
        starts = np.linspace(0, beyond, -(-beyond // _FAR) + 1).astype(int)
        heard = np.pad(heard, (0, max(0, _WINDOW - heard.size)))
        windows = np.stack([heard[start : start + _WINDOW] for start in starts])
        windows = windows / (np.abs(windows).max(axis=1, keepdims=True) + 1e-8)
        with torch.inference_mode():
            each = [float(self._network(torch.from_numpy(window[None]))[0]) for window in windows.astype(np.float32)]
        return {"ovrl": float(np.mean(each))}


@lru_cache(maxsize=1)
def _loaded(title: str) -> Network:
    network: Network = filled(Network(), packaged("distillmos"), "model")
    return network
