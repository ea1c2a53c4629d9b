"""From a joint vector of latent and condition to arrays: what a generator ends in, and an autoencoder that is a critic.

Called with the joint [B, J] (recurrent: [B, T, J], one for each column) and the embedding [B, E] that steers the blocks
of a perceptron; -> [B, C, H, W] in normalised space, float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from features.representation import Spec
from generators.layers import Grid, ResBlock, groups, level_widths
from generators.vectors import HIDDEN, Mlp


class GridDecoder(nn.Module):
    """Convolutions to images and rows."""

    def __init__(self, spec: Spec, joint: int, embedding: int, width: int) -> None:
        super().__init__()
        self.grid = grid = Grid(spec)
        widths = level_widths(width, grid.levels)
        self.mix = nn.Linear(joint, embedding)
        self.start = nn.Linear(joint, widths[-1] * grid.seed[0] * grid.seed[1])
        self.blocks = nn.ModuleList(
            ResBlock(grid, widths[i + 1], widths[i], embedding) for i in reversed(range(grid.levels))
        )
        self.norm = nn.GroupNorm(groups(widths[0]), widths[0])
        self.out = grid.conv(widths[0], grid.channels)

    def forward(self, joint: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """See the module; the joint itself steers every level, so the embedding is not looked at again."""
        style = self.mix(joint)
        h = self.start(joint).reshape(len(joint), -1, *self.grid.seed)
        for block in self.blocks:
            h = block(self.grid.up(h), style)
        return as_real(self.grid.unfold(self.out(F.silu(self.norm(h)))).float(), self.grid.spec)


class VectorDecoder(nn.Module):
    """A perceptron to the columns of a vector."""

    def __init__(self, spec: Spec, joint: int, embedding: int, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.mlp = Mlp(joint, spec.shape[0], HIDDEN * width, embedding)

    def forward(self, joint: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """See the module."""
        return as_real(self.mlp(joint, embedding).float()[:, None, :, None], self.spec)


class RecurrentDecoder(nn.Module):
    """An LSTM to rows: one column for each step, from noise of its own."""

    def __init__(self, spec: Spec, joint: int, width: int) -> None:
        super().__init__()
        self.spec = spec
        c, h, _ = spec.grid
        self.lstm = nn.LSTM(joint, 2 * width, batch_first=True)
        self.out = nn.Linear(2 * width, c * h)

    def forward(self, joint: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """See the module; the condition is in every step's joint."""
        states, _ = self.lstm(joint)
        x: torch.Tensor = self.out(states).float().transpose(1, 2)
        return as_real(x.reshape(len(joint), *self.spec.grid), self.spec)


def make_decoder(spec: Spec, joint: int, embedding: int, width: int, *, recurrent: bool = False) -> nn.Module:
    """The decoder that suits the layout."""
    if spec.layout == "vector":
        return VectorDecoder(spec, joint, embedding, width)
    if recurrent:
        return RecurrentDecoder(spec, joint, width)
    return GridDecoder(spec, joint, embedding, width)


def as_real(x: torch.Tensor, spec: Spec) -> torch.Tensor:
    """[B, C, H, W] of any value -> what real arrays can be: in [-1, 1] where the Spec has bounds; mask within +-1 and
    nothing in the padding where it has a mask row (a soft gate keeps the gradient)."""
    if spec.bounds is not None:
        return torch.tanh(x)
    if spec.mask_row is None:
        return x
    row = spec.mask_row
    mask = torch.tanh(x[:, :, row : row + 1, :])
    gate = torch.sigmoid(6.0 * mask[:, :1])
    return torch.cat([x[:, :, :row] * gate, mask, x[:, :, row + 1 :] * gate], dim=2)
