"""Augmentation inside the game: real and generated arrays are changed alike before the critic sees them.

DiffAugment (Zhao et al. 2020) always, or with a probability that adapts to how far the critic overfits (ADA, Karras et
al. 2020). For rows only shifts in time, because brightness and contrast of a cepstrum are its loudness and timbre; for
vectors, hidden columns.
"""

from __future__ import annotations

import torch
from torch import nn

from features.representation import Spec
from training import ddp
from training.loop import Minibatch

SHIFT = 0.125  # of a side: how far DiffAugment moves
CUTOUT = 0.4  # of a side: what DiffAugment blanks; of a vector's columns, the most
TARGET = 0.6  # ADA's r_t: mean sign of the critic's scores of real arrays. Karras et al. 2020, section 3.1
RAMP = 20_000  # real arrays over which the probability can rise from 0 to 1


class Adaptive(nn.Module):
    """ADA's probability, which the loop keeps with the critic's weights."""

    probability: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("probability", torch.zeros(()))

    @torch.no_grad()
    def adapt(self, real: torch.Tensor, middle: float) -> None:
        """real: [B] scores of real arrays, `middle` between real and generated. More augmentation where more of them
        are on the real side than `TARGET` says, else less; in [0, 1]."""
        overfit = ddp.average(torch.sign(real - middle).mean()) - TARGET
        moved = self.probability + torch.sign(overfit) * len(real) * ddp.world_size() / RAMP
        self.probability.copy_(moved.clamp(0.0, 1.0))


def adaptive_augment(x: torch.Tensor, batch: Minibatch, spec: Spec, probability: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W] -> the same, each sample augmented with the probability (scalar), else as it is."""
    chosen = batch.rand(len(x), 1, 1, 1) < probability
    return torch.where(chosen, diff_augment(x, batch, spec), x)


def diff_augment(x: torch.Tensor, batch: Minibatch, spec: Spec) -> torch.Tensor:
    """[B, C, H, W] -> the same, each sample changed at random in a way that gradients pass through. Zhao et al. 2020.

    Images: brightness, contrast, shift, cutout. Rows: shift in time, the mask row with it. Vectors: up to `CUTOUT` of
    the columns are hidden (at their mean, 0).
    """
    n, _, h, w = x.shape
    if spec.layout == "vector":
        share = CUTOUT * batch.rand(n, 1, 1, 1)
        return x * (batch.rand(n, 1, h, 1) >= share).to(x.dtype)
    if spec.layout == "image":
        x = x + (batch.rand(n, 1, 1, 1) - 0.5)
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        x = (x - mean) * (batch.rand(n, 1, 1, 1) + 0.5) + mean
    down = max(1, round(h * SHIFT)) if spec.layout == "image" else 0
    across = max(1, round(w * SHIFT))
    rows = torch.arange(h, device=x.device)[None, :] - _whole(batch.rand(n, 1), down)
    columns = torch.arange(w, device=x.device)[None, :] - _whole(batch.rand(n, 1), across)
    inside = ((rows >= 0) & (rows < h))[:, :, None] & ((columns >= 0) & (columns < w))[:, None, :]
    index = torch.arange(n, device=x.device)[:, None, None]
    shifted = x[index, :, rows.clamp(0, h - 1)[:, :, None], columns.clamp(0, w - 1)[:, None, :]].permute(0, 3, 1, 2)
    x = shifted * inside[:, None].to(x.dtype)
    if spec.layout == "image":
        size = (round(h * CUTOUT), round(w * CUTOUT))
        top = (batch.rand(n, 1, 1) * (h + 1)).long() - size[0] // 2
        left = (batch.rand(n, 1, 1) * (w + 1)).long() - size[1] // 2
        y = torch.arange(h, device=x.device)[None, :, None]
        z = torch.arange(w, device=x.device)[None, None, :]
        hidden = (y >= top) & (y < top + size[0]) & (z >= left) & (z < left + size[1])
        x = x * (~hidden)[:, None].to(x.dtype)
    return x


def _whole(uniform: torch.Tensor, most: int) -> torch.Tensor:
    """Uniform [0, 1) -> whole numbers from -most to most."""
    return (uniform * (2 * most + 1)).long() - most
