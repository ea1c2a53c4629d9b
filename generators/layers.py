"""Building blocks of the convolutional generators, and how arrays lie on the grid that convolutions run over."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from features.representation import Spec


class Grid:
    """How [B, C, H, W] lies for convolutions. Images stay as they are; an array whose rows have units of their own
    (speech) gets its rows as channels, because neighbouring rows are different quantities: [B, C*H, 1, W].

    Sides are padded at the end (edge values) to multiples of 2^levels and cropped on the way back.
    """

    def __init__(self, spec: Spec, coarsest: int = 8) -> None:
        c, h, w = spec.grid
        self.spec = spec
        self.rows_as_channels = spec.bounds is None
        self.channels = c * h if self.rows_as_channels else c
        self.height, self.width = (1, w) if self.rows_as_channels else (h, w)
        self.levels = max(1, math.ceil(math.log2(max(self.height, self.width) / coarsest)))
        self.stride = (1, 2) if self.rows_as_channels else (2, 2)
        self.kernel = (1, 5) if self.rows_as_channels else (3, 3)
        factor = 2**self.levels
        self.padded = (
            1 if self.rows_as_channels else -(-self.height // factor) * factor,
            -(-self.width // factor) * factor,
        )
        self.seed = (self.padded[0] // self.stride[0] ** self.levels, self.padded[1] // factor)

    def fold(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] -> [B, channels, *padded]."""
        x = x.reshape(x.shape[0], self.channels, self.height, self.width)
        return F.pad(x, (0, self.padded[1] - self.width, 0, self.padded[0] - self.height), mode="replicate")

    def unfold(self, x: torch.Tensor) -> torch.Tensor:
        """[B, channels, *padded] -> [B, C, H, W]."""
        return x[:, :, : self.height, : self.width].reshape(x.shape[0], *self.spec.grid)

    def conv(self, inputs: int, outputs: int) -> nn.Conv2d:
        return nn.Conv2d(inputs, outputs, self.kernel, padding=(self.kernel[0] // 2, self.kernel[1] // 2))

    def up(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=(float(self.stride[0]), float(self.stride[1])), mode="nearest")

    def down(self, x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x, self.stride)


def groups(channels: int) -> int:
    """Groups of a GroupNorm: the most, up to 8, that divide `channels`."""
    return next(g for g in (8, 4, 2, 1) if channels % g == 0)


class ResBlock(nn.Module):
    """Two convolutions beside a shortcut; an embedding scales and shifts in between (FiLM, Perez et al. 2018)."""

    def __init__(self, grid: Grid, inputs: int, outputs: int, embedding: int = 0) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups(inputs), inputs)
        self.conv1 = grid.conv(inputs, outputs)
        self.norm2 = nn.GroupNorm(groups(outputs), outputs)
        self.conv2 = grid.conv(outputs, outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.film = nn.Linear(embedding, 2 * outputs) if embedding else None

    def forward(self, x: torch.Tensor, embedding: torch.Tensor | None = None) -> torch.Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.norm2(h)
        if self.film is not None and embedding is not None:
            scale, shift = self.film(F.silu(embedding))[:, :, None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        out: torch.Tensor = self.conv2(F.silu(h)) + self.shortcut(x)
        return out


def level_widths(width: int, levels: int) -> list[int]:
    """Channels at each level, from the finest to the coarsest: doubling, at most four times `width`."""
    return [width * min(2**level, 4) for level in range(levels + 1)]
