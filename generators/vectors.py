"""Building blocks of the networks for vectors: columns have no neighbours, so nothing is convolved."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

HIDDEN = 8  # hidden units for each channel that `width` gives the convolutional networks
DEPTH = 3  # residual blocks
Wrap = Callable[[nn.Module], nn.Module]


class MlpBlock(nn.Module):
    """[B, hidden] -> the same: two layers beside a shortcut; an embedding scales and shifts in between (FiLM)."""

    def __init__(self, hidden: int, embedding: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.linear1, self.linear2 = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.film = nn.Linear(embedding, 2 * hidden)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """x [B, hidden], embedding [B, embedding]."""
        h = self.norm2(self.linear1(F.silu(self.norm1(x))))
        scale, shift = self.film(F.silu(embedding)).chunk(2, dim=1)
        out: torch.Tensor = x + self.linear2(F.silu(h * (1 + scale) + shift))
        return out


class Mlp(nn.Module):
    """[B, inputs] -> [B, outputs] through `depth` residual blocks that an embedding [B, embedding] steers."""

    def __init__(self, inputs: int, outputs: int, hidden: int, embedding: int, depth: int = DEPTH) -> None:
        super().__init__()
        self.into = nn.Linear(inputs, hidden)
        self.blocks = nn.ModuleList(MlpBlock(hidden, embedding) for _ in range(depth))
        self.norm = nn.LayerNorm(hidden)
        self.out = nn.Linear(hidden, outputs)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """x [B, inputs] -> [B, outputs]."""
        h = self.into(x)
        for block in self.blocks:
            h = block(h, embedding)
        out: torch.Tensor = self.out(F.silu(self.norm(h)))
        return out


class CriticMlp(nn.Module):
    """[B, inputs] -> [B, hidden] features of a discriminator. No normalisation but what `wrap` does to each layer: it
    would hide from the critic how far samples are spread. `dropout`: share of hidden units that a pass in training
    leaves out."""

    def __init__(self, inputs: int, hidden: int, wrap: Wrap, depth: int = DEPTH, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.into = wrap(nn.Linear(inputs, hidden))
        self.layers = nn.ModuleList(wrap(nn.Linear(hidden, hidden)) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [B, inputs] -> [B, hidden]."""
        h: torch.Tensor = self.into(x)
        for layer in self.layers:
            h = h + layer(self.dropout(F.leaky_relu(h, 0.2)))
        return F.leaky_relu(h, 0.2)


class VectorDenoiser(nn.Module):
    """[B, D, 1, 1] noisy columns and an embedding of time and condition -> [B, outputs, 1, 1]; outputs: default D."""

    def __init__(self, columns: int, hidden: int, embedding: int, depth: int, outputs: int | None = None) -> None:
        super().__init__()
        self.mlp = Mlp(columns, outputs or columns, hidden, embedding, depth)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """x [B, D, 1, 1], embedding [B, embedding] -> [B, outputs, 1, 1]."""
        out: torch.Tensor = self.mlp(x.flatten(1), embedding)[:, :, None, None]
        return out
