"""A transformer whose attention runs along one side of a table at a time: over bands, then over channels.

After FSDT (Yi et al. 2024), whose denoiser of EEG attends over frequencies and over electrodes; attention along one
axis at a time: Ho et al. 2019 (axial transformers, arXiv 1912.12180). Blocks are steered as DiT's are (adaLN-Zero,
Peebles & Xie 2023). The table of a vector is read from the names of its columns, `<channel>_<feature>`; of a grid it is
the grid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import nn

from generators.layers import TimeEmbedding, groups

MLP = 4  # hidden units of a block to one of a token
STEERED = 9  # shift, scale and gate of each of a block's three parts


@dataclass(frozen=True, slots=True)
class Table:
    """Where columns stand. rows, columns: names of both sides; places: for each column of the vector its cell, counted
    row by row. Cells that no column has are empty."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    places: tuple[int, ...]


def table_of(names: Sequence[str]) -> Table:
    """Names `<channel>_<feature>`, either of which may hold underscores -> their table. A name is cut where what stands
    before the cut and what stands behind it are both shared by as many names as possible; one without an underscore is
    a row and a column of its own."""
    cuts = [_cuts(name) for name in names]
    heads = Counter(head for each in cuts for head, _ in each)
    tails = Counter(tail for each in cuts for _, tail in each)

    def shared(cut: tuple[str, str]) -> tuple[int, int]:
        both = heads[cut[0]], tails[cut[1]]
        return min(both), max(both)

    chosen = [max(each, key=shared) for each in cuts]
    rows, columns = (tuple(dict.fromkeys(cut[side] for cut in chosen)) for side in (0, 1))
    return Table(rows, columns, tuple(rows.index(a) * len(columns) + columns.index(b) for a, b in chosen))


def _cuts(name: str) -> list[tuple[str, str]]:
    parts = name.split("_")
    heads = list(accumulate(parts, "{}_{}".format))[:-1]
    return [(head, name[len(head) + 1 :]) for head in heads] or [(name, "")]


class AxialBlock(nn.Module):
    """Tokens [B, R, C, size] -> the same: attention within each row, within each column, and a network of two layers,
    each beside a way past it and shut at the start."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(size, elementwise_affine=False) for _ in range(3))
        self.along_rows = nn.MultiheadAttention(size, heads, batch_first=True)
        self.along_columns = nn.MultiheadAttention(size, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(size, MLP * size), nn.GELU(), nn.Linear(MLP * size, size))
        self.steer = nn.Linear(size, STEERED * size)
        nn.init.zeros_(self.steer.weight)
        nn.init.zeros_(self.steer.bias)

    def forward(self, x: torch.Tensor, steer: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
        """x [B, R, C, size], steer [B, size], empty [R, C] bool, cells that nothing looks at."""
        parts = self.steer(F.silu(steer))[:, None, None].chunk(STEERED, dim=-1)
        for i, part in enumerate((self._within_rows, self._within_columns, self._each)):
            shift, scale, gate = parts[3 * i : 3 * i + 3]
            x = x + gate * part(self.norms[i](x) * (1 + scale) + shift, empty)
        return x

    def _within_rows(self, x: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
        return _attended(self.along_rows, x, empty)

    def _within_columns(self, x: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
        return _attended(self.along_columns, x.transpose(1, 2), empty.T).transpose(1, 2)

    def _each(self, x: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.mlp(x)
        return out


def _attended(attention: nn.MultiheadAttention, x: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
    """x [B, A, L, size], empty [A, L] -> attention over L, for each of A apart."""
    b, a, length, size = x.shape
    flat = x.reshape(b * a, length, size)
    mask = empty.repeat(b, 1) if bool(empty.any()) else None
    out: torch.Tensor = attention(flat, flat, flat, key_padding_mask=mask, need_weights=False)[0]
    return out.reshape(b, a, length, size)


class AxialDiT(nn.Module):
    """A denoiser over a table of tokens: of a vector each column is one, of a grid each position."""

    empty: torch.Tensor  # [R, C] bool
    places: torch.Tensor  # [D] cells of a vector's columns

    def __init__(
        self, channels: int, outputs: int, grid: tuple[int, int], names: Sequence[str], width: int, depth: int
    ):
        """names: of a vector's columns, as many as channels; none, or other ones: the table has one row."""
        super().__init__()
        size = 4 * width
        self.vector = grid == (1, 1)
        sides, places = grid, torch.arange(grid[0] * grid[1])
        if self.vector:
            table = table_of(names) if len(names) == channels else Table(("",), tuple(map(str, range(channels))), ())
            sides = len(table.rows), len(table.columns)
            places = torch.tensor(table.places or range(channels))
        self.sides, self.inputs = sides, 1 if self.vector else channels
        self.outputs = outputs // channels if self.vector else outputs
        empty = torch.ones(sides[0] * sides[1], dtype=torch.bool)
        empty[places] = False
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("empty", empty.reshape(sides), persistent=False)
        self.time = TimeEmbedding(size)
        self.into = nn.Linear(self.inputs, size)
        self.row, self.column = (nn.Parameter(0.02 * torch.randn(n, size)) for n in sides)
        self.blocks = nn.ModuleList(AxialBlock(size, groups(width)) for _ in range(depth))
        self.norm = nn.LayerNorm(size, elementwise_affine=False)
        self.last = nn.Linear(size, 2 * size)
        self.out = nn.Linear(size, self.outputs)
        for layer in (self.last, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor, t: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """x [b, channels, *grid], t [b] float, embedding [b, E] -> [b, outputs, *grid]."""
        steer = self.time(t) + embedding
        tokens = self._tokens(x)
        h = self.into(tokens) + self.row[:, None] + self.column
        for block in self.blocks:
            h = block(h, steer, self.empty)
        shift, scale = self.last(F.silu(steer))[:, None, None].chunk(2, dim=-1)
        h = self.out(self.norm(h) * (1 + scale) + shift)  # [b, R, C, outputs]
        if not self.vector:
            return h.permute(0, 3, 1, 2)
        return h.flatten(1, 2)[:, self.places].transpose(1, 2).reshape(len(x), -1, 1, 1)

    def _tokens(self, x: torch.Tensor) -> torch.Tensor:
        """-> [b, R, C, inputs]; 0 in empty cells."""
        if not self.vector:
            return x.permute(0, 2, 3, 1)
        cells = x.new_zeros(len(x), self.sides[0] * self.sides[1])
        return cells.index_copy(1, self.places, x.flatten(1)).reshape(len(x), *self.sides, 1)
