"""From a representation's units to what a network likes, and back. Statistics come from train rows alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from features.representation import Spec

CLAMP = 5.0  # standard deviations; a single broken frame must not own the loss
MARGIN = 0.05  # share of the observed range by which a sample may exceed it
CHUNK = 256  # samples read at once from a memory-mapped array


def chunks(arrays: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """The chosen rows of a (memory-mapped) array in pieces that fit into memory, as float32."""
    for start in range(0, len(rows), CHUNK):
        yield np.asarray(arrays[rows[start : start + CHUNK]], np.float32)


def on_grid(arrays: np.ndarray, spec: Spec) -> np.ndarray:
    """[n, *spec.shape] -> [n, C, H, W], the form that networks take."""
    return arrays.reshape(len(arrays), *spec.grid)


class Normaliser(nn.Module):
    """Standardisation of each row (of a vector: each column), or the identity for arrays with a fixed value range.

    Statistics are of valid columns (mask row > 0). In normalised space padding is 0 and the mask row is +1 or -1.
    """

    mean: torch.Tensor  # [C, H, 1], as the other statistics
    std: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    pad: torch.Tensor
    lengths: torch.Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        c, h, w = spec.grid
        for name, value in (("mean", 0.0), ("std", 1.0), ("low", 0.0), ("high", 0.0), ("pad", 0.0)):
            self.register_buffer(name, torch.full((c, h, 1), value))
        self.register_buffer("lengths", torch.tensor([1, w]))  # shortest and longest in train, columns

    def fit(self, arrays: np.ndarray, rows: np.ndarray) -> Normaliser:
        """arrays [N, *spec.shape]; rows: the indices that statistics may come from."""
        if self.spec.bounds is not None and self.spec.mask_row is None:
            return self
        c, h, w = self.spec.grid
        n, total, squares = np.zeros(1), np.zeros((c, h)), np.zeros((c, h))
        low, high, pad = np.full((c, h), np.inf), np.full((c, h), -np.inf), np.zeros((c, h))
        shortest, longest = w, 1
        for part in (on_grid(part, self.spec) for part in chunks(arrays, rows)):
            valid = self._valid_numpy(part)  # [B, 1, 1, W]
            n += valid.sum()
            wide = part.astype(np.float64)
            total += np.where(valid, wide, 0.0).sum(axis=(0, 3))
            squares += np.where(valid, wide**2, 0.0).sum(axis=(0, 3))
            low = np.minimum(low, np.where(valid, wide, np.inf).min(axis=(0, 3)))
            high = np.maximum(high, np.where(valid, wide, -np.inf).max(axis=(0, 3)))
            lengths = valid.sum(axis=(1, 2, 3))
            shortest, longest = min(shortest, int(lengths.min())), max(longest, int(lengths.max()))
            padded = np.argwhere(~valid[:, 0, 0])
            if len(padded):  # constant in every representation; the first one tells
                pad = wide[padded[0, 0], :, :, padded[0, 1]]
        mean = total / max(float(n[0]), 1.0)
        std = np.sqrt(np.maximum(squares / max(float(n[0]), 1.0) - mean**2, 0.0))
        std = np.where(std > 1e-6, std, 1.0)
        values = {"mean": mean, "std": std, "low": low, "high": high, "pad": pad}
        for name, value in values.items():
            getattr(self, name).copy_(torch.from_numpy(value[..., None]).float())
        self.lengths.copy_(torch.tensor([max(shortest, 1), longest]))
        return self

    def _valid_numpy(self, part: np.ndarray) -> np.ndarray:
        if self.spec.mask_row is None:
            return np.ones((len(part), 1, 1, part.shape[-1]), bool)
        return part[:, :1, self.spec.mask_row : self.spec.mask_row + 1, :] > 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] in units -> normalised."""
        z = x if self.spec.bounds is not None else ((x - self.mean) / self.std).clamp(-CLAMP, CLAMP)
        row = self.spec.mask_row
        if row is None:
            return z
        valid = x[:, :1, row : row + 1, :] > 0
        z = torch.where(valid, z, torch.zeros_like(z))
        z[:, :, row, :] = torch.where(valid[:, :, 0, :], 1.0, -1.0)
        return z

    def inverse(self, z: torch.Tensor) -> torch.Tensor:
        """Normalised -> [B, C, H, W] in units, within the bounds, or the range observed in train (and a margin).

        With a mask row the length is where the row changes sign best (largest sum before minus sum after), within the
        lengths seen in train; padding gets the values that padding has in train.
        """
        z = z.float()
        if self.spec.bounds is not None:
            x = z.clamp(*self.spec.bounds)
        else:
            margin = MARGIN * (self.high - self.low)
            x = z * self.std + self.mean
            x = torch.minimum(torch.maximum(x, self.low - margin), self.high + margin)
        row = self.spec.mask_row
        if row is None:
            return x
        valid = self.valid(z)
        x = torch.where(valid, x, self.pad)
        x[:, :, row, :] = torch.where(valid[:, :, 0, :], 1.0, -1.0)
        return x

    def valid(self, z: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] normalised (mask row may be noisy) -> [B, 1, 1, W] bool: the first `length` columns."""
        row = self.spec.mask_row
        if row is None:
            return torch.ones_like(z[:, :1, :1, :], dtype=torch.bool)
        shortest, longest = (int(v) for v in self.lengths)
        gain = z[:, :, row, :].mean(dim=1).clamp(-1, 1).cumsum(dim=1)  # [B, W], for length 1 ... W
        length = gain[:, shortest - 1 : longest].argmax(dim=1) + shortest
        columns = torch.arange(z.shape[-1], device=z.device)
        return (columns[None, :] < length[:, None])[:, None, None, :]
