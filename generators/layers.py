"""Building blocks of the convolutional generators, and how arrays lie on the grid that convolutions run over."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from features.representation import Spec


class Grid:
    """How [B, C, H, W] lies for convolutions. Images stay as they are; layout "rows" (speech, signals) gets its rows as
    channels, because neighbouring rows are different quantities: [B, C*H, 1, W].

    Sides are padded at the end (edge values) to multiples of 2^levels and cropped on the way back.
    """

    def __init__(self, spec: Spec, coarsest: int = 8) -> None:
        c, h, w = spec.grid
        self.spec = spec
        self.rows_as_channels = spec.layout == "rows"
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
        """A convolution that keeps the sides: 3 x 3 over images, 5 columns over rows."""
        return nn.Conv2d(inputs, outputs, self.kernel, padding=(self.kernel[0] // 2, self.kernel[1] // 2))

    def up(self, x: torch.Tensor) -> torch.Tensor:
        """Twice as long along the sides that levels halve."""
        return F.interpolate(x, scale_factor=(float(self.stride[0]), float(self.stride[1])), mode="nearest")

    def down(self, x: torch.Tensor) -> torch.Tensor:
        """Half as long along those sides, by averages (the last of an odd number of columns is left out)."""
        if self.rows_as_channels:  # the bits of avg_pool2d, by a strided sum: cheaper, backwards most of all
            whole = x.shape[-1] // 2 * 2
            return (x[..., 0:whole:2] + x[..., 1:whole:2]) * 0.5
        return F.avg_pool2d(x, self.stride)


def groups(channels: int, least: int = 1) -> int:
    """Groups of a GroupNorm: the most, up to 8, that divide `channels` with `least` channels each (1 where none)."""
    return next(g for g in (8, 4, 2, 1) if channels % g == 0 and (channels >= g * least or g == 1))


class ResBlock(nn.Module):
    """Two convolutions beside a shortcut; an embedding scales and shifts in between (FiLM, Perez et al. 2018). least:
    channels that are normalised together, at least."""

    def __init__(self, grid: Grid, inputs: int, outputs: int, embedding: int = 0, least: int = 1) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups(inputs, least), inputs)
        self.conv1 = grid.conv(inputs, outputs)
        self.norm2 = nn.GroupNorm(groups(outputs, least), outputs)
        self.conv2 = grid.conv(outputs, outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.film = nn.Linear(embedding, 2 * outputs) if embedding else None

    def forward(self, x: torch.Tensor, embedding: torch.Tensor | None = None) -> torch.Tensor:
        """x [B, C, H, W], embedding [B, E] (None: no condition) -> [B, out, H, W]."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.norm2(h)
        if self.film is not None and embedding is not None:
            scale, shift = self.film(F.silu(embedding))[:, :, None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        out: torch.Tensor = self.conv2(F.silu(h)) + self.shortcut(x)
        return out


class TimeEmbedding(nn.Module):
    """Timesteps [B] of a diffusion -> [B, size]: sines and cosines of many periods (Vaswani et al. 2017), then two
    layers."""

    def __init__(self, size: int) -> None:
        super().__init__()
        half = max(1, size // 2)
        frequencies = torch.exp(-math.log(10_000.0) * torch.arange(half) / half)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.linear1, self.linear2 = nn.Linear(2 * half, size), nn.Linear(size, size)

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        """[B] timesteps -> [B, size]."""
        angles = t[:, None].float() * self.frequencies[None, :]  # type: ignore[index]
        waves = torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)
        out: torch.Tensor = self.linear2(F.silu(self.linear1(waves)))
        return out


class TimeUNet(nn.Module):
    """U-Net over time alone, all rows of a position as channels: [B, inputs, 1, T] -> [B, outputs, 1, T].

    `levels` resolutions, each half of the one before; T is a multiple of 2^(levels - 1). `layers` residual blocks at
    each level on either side; self-attention at the coarsest one.
    """

    def __init__(
        self,
        grid: Grid,
        inputs: int,
        widths: list[int],
        layers: int,
        embedding: int,
        *,
        attention: bool,
        outputs: int | None = None,  # default: as many as inputs
    ) -> None:
        super().__init__()

        def blocks(first: int, width: int) -> nn.ModuleList:
            return nn.ModuleList(ResBlock(grid, first if i == 0 else width, width, embedding) for i in range(layers))

        self.grid = grid
        self.into = grid.conv(inputs, widths[0])
        before = [widths[0], *widths[:-1]]
        self.down = nn.ModuleList(blocks(b, w) for b, w in zip(before, widths, strict=True))
        heads = groups(widths[-1])
        self.attention = nn.MultiheadAttention(widths[-1], heads, batch_first=True) if attention else None
        self.attention_norm = nn.LayerNorm(widths[-1]) if attention else None
        self.middle = ResBlock(grid, widths[-1], widths[-1], embedding)
        after = [widths[-1], *widths[:0:-1]]
        self.up = nn.ModuleList(blocks(a + w, w) for a, w in zip(after, widths[::-1], strict=True))
        self.norm = nn.GroupNorm(groups(widths[0]), widths[0])
        self.out = grid.conv(widths[0], outputs or inputs)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """x [B, inputs, 1, T], embedding [B, embedding] -> [B, outputs, 1, T]."""
        h = self.into(x)
        levels: list[torch.Tensor] = []
        for i, blocks in enumerate(self.down):
            h = h if i == 0 else self.grid.down(h)
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, embedding)
            levels.append(h)
        if self.attention is not None and self.attention_norm is not None:
            places = self.attention_norm(h[:, :, 0].transpose(1, 2))  # [B, T, channels]
            h = h + self.attention(places, places, places, need_weights=False)[0].transpose(1, 2)[:, :, None]
        h = self.middle(h, embedding)
        for i, blocks in enumerate(self.up):
            h = torch.cat([h if i == 0 else self.grid.up(h), levels[-1 - i]], dim=1)
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, embedding)
        out: torch.Tensor = self.out(F.silu(self.norm(h)))
        return out


def level_widths(width: int, levels: int) -> list[int]:
    """Channels at each level, from the finest to the coarsest: doubling, at most four times `width`."""
    return [width * min(2**level, 4) for level in range(levels + 1)]
