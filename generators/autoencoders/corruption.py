"""What is done to the input of a denoising or masked autoencoder: noise, or parts of it left out.

Vincent et al. 2008 (noise, cells at random); He et al. 2022 (patches of images); columns of time as in masked models of
speech; whole channels, as sensors that fail (Jaques et al. 2017). What is left out is 0, the mean of train, in
normalised space; the mask row of a speech array is never touched, for it says where the sample ends.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field

from corpora.errors import ParamsError
from features.representation import Spec
from generators.autoencoders.params import HeadParams
from training.loop import Minibatch

Corruption = Literal["noise", "cells", "patches", "time", "channels"]
ALLOWED: dict[str, tuple[str, ...]] = {
    "image": ("noise", "cells", "patches"),
    "rows": ("noise", "cells", "time", "channels"),
    "vector": ("noise", "cells"),
}


class CorruptParams(HeadParams):
    """Of autoencoders that are trained on corrupted inputs."""

    corruption: Corruption = Field(
        "noise",
        description="noise: Gaussian; cells: single cells or columns of a vector left out; patches: squares of images; "
        "time: spans of columns of rows; channels: whole rows",
    )
    noise: float = Field(0.3, ge=0, le=5, description="standard deviation of the noise, in normalised units")
    rate: float = Field(0.5, gt=0, lt=1, description="share of what is left out")
    patch: int = Field(4, ge=1, le=256, description="side of a patch, or columns of a span of time")
    hidden_only: bool = Field(
        False, description="the loss is of the cells that were left out (MAE), not of all; not with noise"
    )


def hidden_cells(shape: tuple[int, ...], kind: Corruption, rate: float, turn: torch.Tensor, patch: int) -> torch.Tensor:
    """[B, C, H, W] float32, 1 where a cell is left out; `noise` leaves none out.

    turn: [B, H * W] uniform numbers. Of cells each is left out with probability `rate`, in all channels; of patches
    (squares of `patch` cells), spans of time (`patch` columns, all rows) and channels (whole rows) the share `rate` of
    each sample, rounded, at least one and never all: those with the smallest numbers.
    """
    b, _, h, w = shape
    if kind == "noise":
        return torch.zeros(shape, device=turn.device)
    if kind == "cells":
        return (turn < rate).float().reshape(b, 1, h, w).expand(shape)
    high, wide = {"time": (h, patch), "channels": (1, w)}.get(kind, (patch, patch))
    rows, columns = math.ceil(h / high), math.ceil(w / wide)
    n = rows * columns
    left_out = min(max(1, round(rate * n)), max(1, n - 1))
    order = turn[:, :n].argsort(dim=1).argsort(dim=1)
    chosen = (order < left_out).float().reshape(b, 1, rows, columns)
    whole = chosen.repeat_interleave(high, dim=2).repeat_interleave(wide, dim=3)
    return whole[:, :, :h, :w].expand(shape)


def keep_mask_row(hidden: torch.Tensor, spec: Spec) -> torch.Tensor:
    """The same cells [B, C, H, W], without those of the row that says where a sample ends."""
    if spec.mask_row is None:
        return hidden
    kept = hidden.clone()
    kept[:, :, spec.mask_row] = 0.0
    return kept


def corrupted(x: torch.Tensor, hidden: torch.Tensor, noise: torch.Tensor | None, spec: Spec) -> torch.Tensor:
    """[B, C, H, W] with `hidden` cells at 0 and `noise` (None: none) added to the others."""
    if noise is not None:
        if spec.mask_row is not None:
            noise = noise.clone()
            noise[:, :, spec.mask_row] = 0.0
        x = x + noise
    return x * (1.0 - hidden)


def corrupt(x: torch.Tensor, batch: Minibatch, p: CorruptParams, spec: Spec) -> tuple[torch.Tensor, torch.Tensor]:
    """[B, C, H, W] -> what the encoder sees, and which cells were left out."""
    _, _, h, w = x.shape
    hidden = hidden_cells(tuple(x.shape), p.corruption, p.rate, batch.rand(len(x), h * w), p.patch)
    hidden = keep_mask_row(hidden, spec)
    noise = p.noise * batch.randn(*x.shape) if p.corruption == "noise" and p.noise > 0 else None
    return corrupted(x, hidden, noise, spec), hidden


def require_corruption(name: str, p: CorruptParams, spec: Spec) -> None:
    """Raises `ParamsError` where the layout has no such parts or only one, or nothing would be learned."""
    if p.corruption not in ALLOWED[spec.layout]:
        allowed = ", ".join(ALLOWED[spec.layout])
        raise ParamsError(
            f"generator {name}: corruption {p.corruption!r} is not of layout {spec.layout}; use {allowed}"
        )
    _, h, w = spec.grid
    parts = {"patches": -(-h // p.patch) * -(-w // p.patch), "time": -(-w // p.patch), "channels": h}
    if parts.get(p.corruption, 2) < 2:
        raise ParamsError(
            f"generator {name}: {spec.name} has {h} x {w} cells, of which corruption {p.corruption!r} with patch "
            f"{p.patch} would leave out all; use a smaller patch or another corruption"
        )
    if p.hidden_only and p.corruption == "noise":
        raise ParamsError(f"generator {name}: hidden_only needs cells that are left out, and noise leaves none out")
