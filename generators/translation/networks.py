"""Networks from an array to an array of the same shape, steered by an embedding: what translations are built of."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from corpora.errors import ParamsError
from features.representation import Spec
from generators.layers import Grid, ResBlock, groups, level_widths
from generators.vectors import HIDDEN, Mlp

HALVINGS = 2  # of the sides, as CycleGAN's and StarGAN's generators have
SQUEEZED = 4  # channels to one of the squeeze


@dataclass(frozen=True, slots=True)
class TranslatorOptions:
    """`width`: channels at full resolution, of vectors an eighth of the hidden units; `blocks`: residual blocks at the
    coarsest one. `skip`: the network gives a change, which is added to its input. `blend`: it gives a new content and
    an attention map, which says where the content takes the place of the input. `squeeze`: channels are weighted."""

    width: int
    blocks: int
    skip: bool = True
    blend: bool = False
    squeeze: bool = False


class Translated(NamedTuple):
    """y: [B, C, H, W]; attention: the same shape in [0, 1], 1 where nothing of the input is left, or None."""

    y: torch.Tensor
    attention: torch.Tensor | None


class Squeeze(nn.Module):
    """Squeeze and excitation (Hu et al. 2018): each channel times a weight in (0, 1) that all channels decide on."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        small = max(1, channels // SQUEEZED)
        self.weigh = nn.Sequential(nn.Linear(channels, small), nn.SiLU(), nn.Linear(small, channels), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, channels, H, W] -> the same shape."""
        out: torch.Tensor = x * self.weigh(x.mean(dim=(2, 3)))[:, :, None, None]
        return out


class Block(nn.Module):
    """A residual block that an embedding steers, and the squeeze behind it where there is one."""

    def __init__(self, grid: Grid, inputs: int, outputs: int, embedding: int, *, squeeze: bool) -> None:
        super().__init__()
        self.block = ResBlock(grid, inputs, outputs, embedding)
        self.squeeze = Squeeze(outputs) if squeeze else None

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """x [B, inputs, H, W], embedding [B, E] -> [B, outputs, H, W]."""
        h: torch.Tensor = self.block(x, embedding)
        return h if self.squeeze is None else self.squeeze(h)


class GridBody(nn.Module):
    """[B, C, H, W] -> `outputs` arrays of that shape, [B, outputs, C, H, W]: down, residual blocks, up."""

    def __init__(self, spec: Spec, outputs: int, embedding: int, options: TranslatorOptions) -> None:
        super().__init__()
        self.outputs = outputs
        self.grid = grid = Grid(spec)
        widths = level_widths(options.width, min(HALVINGS, grid.levels))

        def block(inputs: int, channels: int) -> Block:
            return Block(grid, inputs, channels, embedding, squeeze=options.squeeze)

        self.into = grid.conv(grid.channels, widths[0])
        self.down = nn.ModuleList(block(a, b) for a, b in pairwise(widths))
        # faces are aligned: what a class does, it does at a place. Time has no places
        sides = [side // 2 ** (len(widths) - 1) for side in grid.padded]
        self.places = nn.Parameter(torch.randn(1, widths[-1], *sides)) if spec.layout == "image" else None
        self.middle = nn.ModuleList(block(widths[-1], widths[-1]) for _ in range(options.blocks))
        self.up = nn.ModuleList(block(a, b) for a, b in pairwise(widths[::-1]))
        self.norm = nn.GroupNorm(groups(widths[0]), widths[0])
        self.out = grid.conv(widths[0], outputs * grid.channels)
        # what is asked for may be a level of a channel, which norms would take out on the way
        self.level = nn.Linear(embedding, outputs * grid.channels)
        nn.init.normal_(self.level.weight, std=1e-2)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """x [B, C, H, W], embedding [B, E]."""
        h = self.into(self.grid.fold(x))
        for block in self.down:
            h = block(self.grid.down(h), embedding)
        if self.places is not None:
            h = h + self.places
        for block in self.middle:
            h = block(h, embedding)
        for block in self.up:
            h = block(self.grid.up(h), embedding)
        whole = self.out(F.silu(self.norm(h))) + self.level(embedding)[:, :, None, None]
        parts = whole.float().chunk(self.outputs, dim=1)
        return torch.stack([self.grid.unfold(part) for part in parts], dim=1)


class VectorBody(nn.Module):
    """The same for the columns of a vector."""

    def __init__(self, spec: Spec, outputs: int, embedding: int, options: TranslatorOptions) -> None:
        super().__init__()
        if options.squeeze:
            raise ParamsError("squeeze weighs the channels of images and rows; a vector has none. Leave it out")
        self.outputs = outputs
        self.mlp = Mlp(spec.shape[0], outputs * spec.shape[0], HIDDEN * options.width, embedding, options.blocks)
        self.out = self.mlp.out

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """x [B, 1, D, 1], embedding [B, E] -> [B, outputs, 1, D, 1]."""
        out: torch.Tensor = self.mlp(x.flatten(1), embedding).float()
        return out.reshape(len(x), self.outputs, *x.shape[1:])


class Translator(nn.Module):
    """One mapping. What a Spec's mask row calls padding stays padding: a translation keeps the length of its source."""

    def __init__(self, spec: Spec, embedding: int, options: TranslatorOptions) -> None:
        super().__init__()
        self.spec, self.options = spec, options
        body = VectorBody if spec.layout == "vector" else GridBody
        self.body = body(spec, 2 if options.blend else 1, embedding, options)
        if options.skip or options.blend:  # begins as almost nothing: the source as it is
            nn.init.normal_(self.body.out.weight, std=1e-2)
            assert self.body.out.bias is not None
            nn.init.zeros_(self.body.out.bias)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> Translated:
        """x [B, C, H, W] normalised, embedding [B, E] -> the translation, float32."""
        parts = self.body(x, embedding)
        content, bounded = parts[:, 0], self.spec.bounds is not None
        if self.options.skip:
            content = within(x, torch.tanh(content)) if bounded else x + content
        elif bounded:
            content = torch.tanh(content)
        if not self.options.blend:
            return Translated(as_long(content, x, self.spec), None)
        attention = torch.sigmoid(parts[:, 1])
        return Translated(as_long(attention * content + (1 - attention) * x, x, self.spec), attention)


def within(x: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """x and change in [-1, 1] -> x moved by that share of its way to 1 (change > 0) or to -1: never out of bounds."""
    return x + F.relu(change) * (1 - x) - F.relu(-change) * (1 + x)


def as_long(y: torch.Tensor, x: torch.Tensor, spec: Spec) -> torch.Tensor:
    """y with the mask row of x and, where that says padding, nothing; y as it is where the Spec has no mask row."""
    if spec.mask_row is None:
        return y
    row = spec.mask_row
    mask = x[:, :, row : row + 1]
    inside = (mask > 0).to(y.dtype)
    return torch.cat([y[:, :, :row] * inside, mask, y[:, :, row + 1 :] * inside], dim=2)
