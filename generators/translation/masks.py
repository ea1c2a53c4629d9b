"""What is hidden of an array and what is kept: cells of a grid over it, a known share of them hidden."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from features.representation import Spec
from training.seeds import generator

STRETCHES = 8  # of each row of signals
SQUARES = 8  # along each side of an image


def cell_grid(spec: Spec) -> tuple[int, int]:
    """Cells down and across: each column of a vector; of rows, stretches of time of each row; squares of images."""
    _, h, w = spec.grid
    if spec.layout == "image":
        return min(SQUARES, h), min(SQUARES, w)
    return (h, 1) if spec.layout == "vector" else (h, min(STRETCHES, w))


def hidden(uniform: torch.Tensor, rates: torch.Tensor, spec: Spec) -> torch.Tensor:
    """Uniform numbers [B, cells], one for each cell of `cell_grid`, and rates [B] in [0, 1] -> [B, 1, H, W] bool, True:
    hidden. Exactly round(rate * cells) cells of each are: those with the smallest numbers. A mask row never is."""
    down, across = cell_grid(spec)
    count = torch.round(rates.double() * uniform.shape[1]).long()
    ranks = uniform.argsort(dim=1).argsort(dim=1)
    cells = (ranks < count[:, None]).reshape(-1, 1, down, across)
    _, h, w = spec.grid
    rows = torch.arange(h, device=uniform.device) * down // h
    columns = torch.arange(w, device=uniform.device) * across // w
    whole = cells[:, :, rows][:, :, :, columns]
    if spec.mask_row is not None:
        whole = whole.clone()
        whole[:, :, spec.mask_row] = False
    return whole


def hidden_of(seeds: Sequence[int], rates: torch.Tensor, spec: Spec) -> torch.Tensor:
    """As `hidden`, on the CPU, the cells of each by its own seed."""
    down, across = cell_grid(spec)
    uniform = [torch.rand(down * across, generator=generator(seed)) for seed in seeds]
    return hidden(torch.stack(uniform) if uniform else torch.zeros(0, down * across), rates.cpu(), spec)
