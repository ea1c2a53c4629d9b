"""Averaged weights: what a generator samples with.

Power-function averaging (Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models",
eqs. 123-127): the weight of a past step t' at step t is proportional to t'^gamma. The average starts without a bias
towards the initial weights (its warm-up is built in) and its width is a fixed share of the training done so far, so
that one setting serves 500 steps and 500,000.
"""

from __future__ import annotations

import copy

import torch
from torch import nn


def std_to_gamma(std: float) -> float:
    """Relative width of the averaging profile (0 < std < 0.28) -> its exponent gamma, by bisection of eq. 126.

    >>> round(std_to_gamma(0.10), 2), round(std_to_gamma(0.05), 2)
    (6.94, 16.97)
    """
    if not 0.0 < std < 0.28:
        raise ValueError(f"EMA std {std} is outside (0, 0.28)")
    low, high = 0.0, 1e6
    for _ in range(200):
        gamma = (low + high) / 2
        width = ((gamma + 1) / ((gamma + 2) ** 2 * (gamma + 3))) ** 0.5
        low, high = (gamma, high) if width > std else (low, gamma)
    return (low + high) / 2


def decay_of(gamma: float, step: int) -> float:
    """Share of the old average that stays at `step` (1, 2, ...), eq. 127."""
    return float((1.0 - 1.0 / step) ** (gamma + 1.0))


class Ema:
    """Holds `module`, a copy of the trained module with averaged parameters; buffers are copied, not averaged.

    `state`: all that a checkpoint must hold.
    """

    def __init__(self, source: nn.Module, std: float) -> None:
        self.gamma = std_to_gamma(std)
        self.module = copy.deepcopy(source).eval().requires_grad_(False)

    @property
    def state(self) -> nn.Module:
        """The module whose tensors are the average's state."""
        return self.module

    def decay(self, step: int) -> float:
        """Share of the old average that stays at `step` (1, 2, ...): 0 at step 1, so initial weights leave no trace."""
        return decay_of(self.gamma, step)

    @torch.no_grad()
    def update(self, source: nn.Module, step: int) -> None:
        """Moves the average after `step` (counted from 1) optimiser steps of `source`."""
        averaged: list[torch.Tensor] = list(self.module.parameters())
        torch._foreach_lerp_(averaged, [p.detach() for p in source.parameters()], 1.0 - self.decay(step))
        for mine, theirs in zip(self.module.buffers(), source.buffers(), strict=True):
            mine.copy_(theirs)
