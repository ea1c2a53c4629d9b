"""Averages of any width, chosen after the fit (Karras et al. 2024, section 3.2 and algorithm 3).

Two power-function averages are kept, and snapshots of both now and then. Their profiles over past steps span those of
other widths: the average that a fit with another width would have had is a weighted sum of what was kept, by least
squares in the profiles.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from training.ema import Ema, decay_of, std_to_gamma

KEPT = (0.05, 0.10)  # widths of the two averages, as in the paper
SNAPSHOTS = 24  # the newest of them are kept
RATIO = 1.12  # steps between snapshots grow: what counts is a share of the steps so far


class _Kept(nn.Module):
    """What is kept of `size` parameters: both averages now, and snapshots of them with their steps (0: none)."""

    now: torch.Tensor
    kept: torch.Tensor
    steps: torch.Tensor
    step: torch.Tensor

    def __init__(self, module: nn.Module, size: int, device: torch.device) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("now", torch.zeros(2, size, device=device))
        self.register_buffer("kept", torch.zeros(SNAPSHOTS, 2, size, device=device))
        self.register_buffer("steps", torch.zeros(SNAPSHOTS, dtype=torch.long))
        self.register_buffer("step", torch.zeros((), dtype=torch.long))


class PostHocEma(Ema):
    """`module` has the average of width `std`, as an `Ema` has; `of_width` gives that of others.

    Snapshots cost 2 * `SNAPSHOTS` copies of the parameters: for small networks.
    """

    def __init__(self, source: nn.Module, std: float) -> None:
        super().__init__(source, std)
        size = sum(p.numel() for p in source.parameters())
        self.gammas = tuple(std_to_gamma(width) for width in KEPT)
        self._state = _Kept(self.module, size, next(source.parameters()).device)

    @property
    def state(self) -> nn.Module:
        """The average, the two that are kept, and their snapshots."""
        return self._state

    @torch.no_grad()
    def update(self, source: nn.Module, step: int) -> None:
        """As `Ema.update`; takes a snapshot where one is due."""
        super().update(source, step)
        state = self._state
        now, kept, steps = state.now, state.kept, state.steps
        weights = nn.utils.parameters_to_vector([p.detach() for p in source.parameters()])
        for row, gamma in enumerate(self.gammas):
            now[row].lerp_(weights, 1.0 - decay_of(gamma, step))
        state.step.fill_(step)
        newest = int(steps.max())
        if step >= max(newest + 1, round(newest * RATIO)):
            place = int(steps.argmin())
            kept[place].copy_(now)
            steps[place] = step

    @torch.no_grad()
    def of_width(self, std: float) -> nn.Module:
        """A copy of `module` with the average that a fit with this width would have."""
        state = self._state
        steps, step = state.steps, int(state.step)
        places = [int(p) for p in torch.nonzero((steps > 0) & (steps < step))[:, 0]]
        profiles = [(int(steps[p]), gamma) for p in places for gamma in self.gammas]
        profiles += [(step, gamma) for gamma in self.gammas]
        shares = blend(profiles, (step, std_to_gamma(std)))
        vectors = torch.cat([state.kept[places].flatten(0, 1), state.now])
        mixed = torch.from_numpy(shares).to(vectors.device, torch.float32) @ vectors
        module = copy.deepcopy(self.module)
        nn.utils.vector_to_parameters(mixed, module.parameters())
        return module


def blend(kept: list[tuple[int, float]], wanted: tuple[int, float]) -> np.ndarray:
    """Profiles (last step, gamma) that are kept and the one that is wanted -> weights whose sum of profiles is nearest
    to it (eq. 136 to 138), float64."""
    last, gammas = (np.array(values, np.float64) for values in zip(*kept, strict=True))
    inner = _inner(last[:, None], gammas[:, None], last[None], gammas[None])
    against = _inner(last, gammas, np.float64(wanted[0]), np.float64(wanted[1]))
    return np.linalg.lstsq(inner, against, rcond=1e-10)[0]


def _inner(
    t_a: np.ndarray, gamma_a: np.ndarray, t_b: np.ndarray | np.float64, gamma_b: np.ndarray | np.float64
) -> np.ndarray:
    """Integral of the product of two profiles (gamma + 1) t'^gamma / t^(gamma + 1) on [0, min t], eq. 137."""
    least = np.minimum(t_a, t_b)
    ratio = (least / t_a) ** gamma_a * (least / t_b) ** gamma_b
    product: np.ndarray = (gamma_a + 1) * (gamma_b + 1) * ratio * least / (t_a * t_b * (gamma_a + gamma_b + 1))
    return product
