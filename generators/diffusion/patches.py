"""How arrays lie before a denoiser: coefficients of patches, or the columns of a vector, each of mean 0 and spread 1
over train."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from corpora.errors import ParamsError
from features.representation import Spec
from generators.condition import Conditions
from generators.diffusion.space import Rearranged

FEW_ROWS = 8  # so many are channels of one position, by default
SPREAD_FLOOR = 1e-3  # a band or a column without anything in it must not be blown up


class Patches(Rearranged):
    """Space to depth, in frequencies: [B, C, H, W] <-> [B, C * ph * pw, H' / ph, W' / pw], padded (edge values) so
    that the U-Net can halve both sides `levels` - 1 times.

    The pixels of a patch become their cosine coefficients, each scaled to mean 0 and spread 1 over train. Noise of one
    level then hides fine detail no sooner than the coarse shape, and an error of the network in a fine band, where
    natural arrays have little, is as small as that band: without it, patches show as a grid (in the spirit of
    diffusion over wavelets, Guth et al. 2022). Of rows, which have units of their own, only time is transformed. A
    patch that spans all rows leaves a grid of height 1, which is halved in time alone.
    """

    mean: torch.Tensor  # [channels, 1, 1]
    basis: torch.Tensor  # [ph * pw, ph * pw], orthonormal

    def __init__(self, spec: Spec, patch: tuple[int, int], levels: int) -> None:
        super().__init__()
        c, h, w = spec.grid
        self.spec, self.patch = spec, patch
        unit = [p * 2 ** (levels - 1) for p in patch]
        if spec.layout == "rows" and patch[0] >= h:
            unit[0] = patch[0]
        self.padded = (-(-h // unit[0]) * unit[0], -(-w // unit[1]) * unit[1])
        self.channels = c * patch[0] * patch[1]
        self.grid = (self.padded[0] // patch[0], self.padded[1] // patch[1])
        if self.padded[0] >= 2 * h or self.padded[1] >= 2 * w:
            raise ParamsError(
                f"patch {list(patch)} and levels {levels} make blocks of {unit[0]} x {unit[1]}, too coarse for "
                f"arrays of {h} x {w}; lower one of them"
            )
        rows = cosines(patch[0]) if spec.layout == "image" else torch.eye(patch[0])
        self.register_buffer("basis", torch.kron(rows, cosines(patch[1])))
        self.register_buffer("mean", torch.zeros(self.channels, 1, 1))
        self.register_buffer("std", torch.ones(self.channels, 1, 1))

    @torch.no_grad()
    def fit(self, x: torch.Tensor, conditions: Conditions) -> None:
        """Mean and spread of each coefficient over x [N, C, H, W], normalised train arrays."""
        n, total, squares = 0, torch.zeros_like(self.mean).double(), torch.zeros_like(self.std).double()
        for part in x.split(512):
            folded = self._coefficients(part).double()
            n += folded[:, 0].numel()
            total += folded.sum(dim=(0, 2, 3))[:, None, None]
            squares += folded.square().sum(dim=(0, 2, 3))[:, None, None]
        self.mean.copy_(total / n)
        self.std.copy_((squares / n - (total / n) ** 2).clamp(min=SPREAD_FLOOR**2).sqrt())

    def _coefficients(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        x = F.pad(x, (0, self.padded[1] - w, 0, self.padded[0] - h), mode="replicate")
        x = x.reshape(b, c, self.grid[0], self.patch[0], self.grid[1], self.patch[1])
        x = x.permute(0, 1, 3, 5, 2, 4).reshape(b, c, -1, *self.grid)
        return torch.einsum("fp,bcpyx->bcfyx", self.basis, x).reshape(b, self.channels, *self.grid)

    def fold(self, x: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[B, C, H, W] -> [B, channels, *grid], standardised coefficients."""
        return (self._coefficients(x) - self.mean) / self.std

    def unfold(self, z: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[B, channels, *grid] standardised coefficients -> [B, C, H, W]."""
        c, h, w = self.spec.grid
        x = (z * self.std + self.mean).reshape(len(z), c, -1, *self.grid)
        x = torch.einsum("fp,bcfyx->bcpyx", self.basis, x)
        x = x.reshape(len(x), c, *self.patch, *self.grid).permute(0, 1, 4, 2, 5, 3)
        return x.reshape(len(x), c, *self.padded)[:, :, :h, :w]


class Columns(Rearranged):
    """The columns of a vector as channels, each of mean 0 and spread 1 over train: [B, 1, D, 1] <-> [B, D, 1, 1]."""

    mean: torch.Tensor  # [D, 1, 1]

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.channels, self.grid = spec.shape[0], (1, 1)
        self.register_buffer("mean", torch.zeros(self.channels, 1, 1))
        self.register_buffer("std", torch.ones(self.channels, 1, 1))

    @torch.no_grad()
    def fit(self, x: torch.Tensor, conditions: Conditions) -> None:
        """Mean and spread of each column over x [N, 1, D, 1], normalised train arrays."""
        columns = x.flatten(1).double()
        self.mean.copy_(columns.mean(dim=0)[:, None, None])
        self.std.copy_(columns.std(dim=0, correction=0).clamp(min=SPREAD_FLOOR)[:, None, None])

    def fold(self, x: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[B, 1, D, 1] -> [B, D, 1, 1], standardised."""
        return (x.reshape(len(x), -1, 1, 1) - self.mean) / self.std

    def unfold(self, z: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[B, D, 1, 1] standardised -> [B, 1, D, 1]."""
        return (z * self.std + self.mean).reshape(len(z), 1, -1, 1)


def cosines(n: int) -> torch.Tensor:
    """Orthonormal basis of the DCT-II: [n frequencies, n places]."""
    k, at = torch.arange(n)[:, None].double(), torch.arange(n)[None, :].double()
    basis = torch.cos(math.pi / n * (at + 0.5) * k) * math.sqrt(2.0 / n)
    basis[0] /= math.sqrt(2.0)
    return basis.float()


def default_patch(spec: Spec, network: str = "auto") -> tuple[int, int]:
    """Rows and columns that become one position; a transformer has fewer of them, and keeps rows apart."""
    if network in ("dit", "axial"):
        return (4, 4) if spec.layout == "image" else (1 if spec.grid[1] <= FEW_ROWS else 4, 16)
    if spec.layout == "image":
        return 2, 2
    rows = spec.grid[1]
    return (rows if rows <= FEW_ROWS else 2), 4
