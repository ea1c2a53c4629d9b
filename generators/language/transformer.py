"""A small transformer over pieces (Vaswani et al. 2017; pre-norm as GPT-2), causal or looking both ways.

What a line stands under comes in as its first place, a control vector (Keskar et al. 2019: control codes), or is added
to every place. A soft label mixes the vectors of its classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from generators.condition import ConditionEncoder, ConditionFields, Conditions

Cache = list[
    tuple[torch.Tensor, torch.Tensor]
]  # keys and values of each layer, [n, heads, places so far, width / heads]


@dataclass(frozen=True, slots=True)
class Size:
    """pieces: of the vocabulary; places: of the longest input, the control's not counted; `every`: the control is added
    to every place instead of standing before the first."""

    pieces: int
    places: int
    width: int
    layers: int
    heads: int
    dropout: float
    every: bool


class Block(nn.Module):
    """Attention and a network of two layers, each beside a way past it."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads = size.heads
        self.before = nn.LayerNorm(size.width)
        self.qkv = nn.Linear(size.width, 3 * size.width)
        self.out = nn.Linear(size.width, size.width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(size.width),
            nn.Linear(size.width, 4 * size.width),
            nn.GELU(),
            nn.Linear(4 * size.width, size.width),
        )
        self.drop = nn.Dropout(size.dropout)

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None,
        causal: bool,
        past: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """x: [n, t, width]; mask: [n, 1, 1, t] bool, what may be looked at. -> the same form; keys and values."""
        n, t, width = x.shape
        q, k, v = self.qkv(self.before(x)).view(n, t, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        x = x + self.drop(self.out(seen.transpose(1, 2).reshape(n, t, width)))
        return x + self.drop(self.mlp(x)), (k, v)


class PieceTransformer(nn.Module):
    """Ids under conditions -> logits of pieces. Weights of input and output pieces are one."""

    def __init__(self, size: Size, n_classes: int, fields: ConditionFields) -> None:
        super().__init__()
        self.size = size
        self.condition = ConditionEncoder(n_classes, fields, size.width)
        self.pieces = nn.Embedding(size.pieces, size.width)
        self.places = nn.Embedding(size.places + 1, size.width)
        nn.init.normal_(self.pieces.weight, std=0.02)
        nn.init.normal_(self.places.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.after = nn.LayerNorm(size.width)
        self.drop = nn.Dropout(size.dropout)

    def causal(self, ids: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[n, t] int64 -> [n, t + 1, pieces] logits: of what stands first, then of what follows each place."""
        control = self.condition(conditions)[:, None]
        x = torch.cat([control, self.pieces(ids)], dim=1) + self.places.weight[: ids.shape[1] + 1]
        if self.size.every:
            x = x + control
        x = self.drop(x)
        for block in self.blocks:
            x, _ = block(x, None, True)
        return self._logits(x)

    def begin(self, conditions: Conditions) -> tuple[torch.Tensor, Cache]:
        """-> [n, pieces] logits of what stands first, and the cache that `go_on` wants."""
        control = self.condition(conditions)[:, None]
        x = control * (2.0 if self.size.every else 1.0) + self.places.weight[:1]
        return self._step(x, [None] * len(self.blocks))

    def go_on(self, ids: torch.Tensor, conditions: Conditions, cache: Cache, place: int) -> tuple[torch.Tensor, Cache]:
        """[n] int64, the piece at `place` (from 0) of each line -> [n, pieces] logits of what follows it."""
        x = self.pieces(ids)[:, None] + self.places.weight[place + 1]
        if self.size.every:
            x = x + self.condition(conditions)[:, None]
        return self._step(x, cache)

    def _step(self, x: torch.Tensor, cache: Cache | list[None]) -> tuple[torch.Tensor, Cache]:
        kept: Cache = []
        for block, past in zip(self.blocks, cache, strict=True):
            x, now = block(x, None, False, past)
            kept.append(now)
        return self._logits(x)[:, 0], kept

    def both_ways(self, ids: torch.Tensor, conditions: Conditions, real: torch.Tensor) -> torch.Tensor:
        """[n, t] int64, real: [n, t] bool, places that are none of padding -> [n, t, pieces] logits of what stands at
        each place, seen from both sides."""
        control = self.condition(conditions)[:, None]
        x = torch.cat([control, self.pieces(ids)], dim=1) + self.places.weight[: ids.shape[1] + 1]
        if self.size.every:
            x = x + control
        x = self.drop(x)
        mask = F.pad(real, (1, 0), value=True)[:, None, None]
        for block in self.blocks:
            x, _ = block(x, mask, False)
        return self._logits(x[:, 1:])

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(self.after(x), self.pieces.weight)


def padded(rows: list[list[int]], pad: int, least: int = 1) -> torch.Tensor:
    """Rows of ids -> [n, longest] int64; at least `least` wide."""
    width = max([least, *(len(row) for row in rows)])
    out = torch.full((len(rows), width), pad, dtype=torch.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return out
