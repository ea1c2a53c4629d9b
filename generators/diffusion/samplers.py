"""Samplers: one function each, all of one signature, over x = x0 + sigma * eps.

A sampler walks falling noise levels `sigmas` (the last is 0) from x = sigmas[0] * noise. Coefficients are plain numbers
worked out on the way, no scheduler is asked; tests hold each against diffusers' scheduler of that name or the exact
answer on a Gaussian. In these coordinates DDIM is Euler's method, and the solvers need no alpha.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from training.seeds import generator


class Denoised(NamedTuple):
    """x0: the estimate. share: where the log variance lies between its bounds ([0, 1], improved DDPM), or None."""

    x0: torch.Tensor
    share: torch.Tensor | None = None


Denoise = Callable[[torch.Tensor, float], Denoised]  # x and its noise level -> estimate
Fresh = Callable[[], torch.Tensor]  # standard normal of x's shape, new ones at each call
Sampler = Callable[[Denoise, torch.Tensor, Sequence[float], Fresh], torch.Tensor]


class RowNoise:
    """Standard normal numbers for a batch whose rows have a random generator each: row i depends on seeds[i] alone.

    The first call gives what `training.seeds.noise` gives.
    """

    def __init__(self, seeds: Sequence[int], shape: Sequence[int], device: torch.device) -> None:
        self.rngs = [generator(seed) for seed in seeds]
        self.shape, self.device = tuple(shape), device

    def __call__(self) -> torch.Tensor:
        """[n, *shape] float32."""
        return torch.stack([torch.randn(self.shape, generator=rng) for rng in self.rngs]).to(self.device)


def ddim(denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], fresh: Fresh) -> torch.Tensor:
    """Song et al. 2021 with eta = 0. One pass a step, first order."""
    del fresh
    for sigma, after in itertools.pairwise(sigmas):
        x0 = denoise(x, sigma).x0
        x = torch.lerp(x0, x, after / sigma)
    return x


def heun(denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], fresh: Fresh) -> torch.Tensor:
    """Karras et al. 2022, algorithm 1. Two passes a step (one at the last), second order."""
    del fresh
    for sigma, after in itertools.pairwise(sigmas):
        slope = (x - denoise(x, sigma).x0) / sigma
        ahead = x + (after - sigma) * slope
        if after > 0:
            slope = 0.5 * (slope + (ahead - denoise(ahead, after).x0) / after)
            ahead = x + (after - sigma) * slope
        x = ahead
    return x


def dpmpp(denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], fresh: Fresh) -> torch.Tensor:
    """DPM-Solver++(2M), midpoint (Lu et al. 2022b, algorithm 2); the last step, to 0, is of first order."""
    del fresh
    before: torch.Tensor | None = None
    width = 0.0
    for sigma, after in itertools.pairwise(sigmas):
        x0 = denoise(x, sigma).x0
        if after == 0:
            return x0
        h = math.log(sigma / after)
        ahead = x0 if before is None else x0 + (0.5 * h / width) * (x0 - before)
        x = torch.lerp(ahead, x, after / sigma)
        before, width = x0, h
    return x


def unipc(denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], fresh: Fresh) -> torch.Tensor:
    """UniPC of second order with B(h) = e^h - 1 (Zhao et al. 2023, algorithms 1 and 2): the pass at a predicted point
    also corrects it, so a step costs one. Steps to 0 are of first order."""
    del fresh
    last = x  # corrected state one step ago
    past: list[tuple[float, torch.Tensor]] = []  # (log 1/sigma, estimate), newest last
    order = 1  # of the prediction that led here
    for i, (sigma, after) in enumerate(itertools.pairwise(sigmas)):
        x0 = denoise(x, sigma).x0
        place = -math.log(sigma)
        if i > 0:
            x = _corrected(last, x0, place, past, order)
        past = [*past[-1:], (place, x0)]
        last = x
        if after == 0:
            return x0
        h = math.log(sigma / after)
        order = min(2, len(past), len(sigmas) - 1 - i)
        ahead = x0
        if order == 2:
            (before_place, before), _ = past
            ahead = x0 + 0.5 * h / (place - before_place) * (x0 - before)
        x = torch.lerp(ahead, x, after / sigma)
    return x


def _corrected(
    last: torch.Tensor, x0: torch.Tensor, place: float, past: Sequence[tuple[float, torch.Tensor]], order: int
) -> torch.Tensor:
    """UniC: the step that led to `place`, again, now that the estimate there is known."""
    start, base = past[-1]
    h = place - start
    decay = math.exp(-h)
    if order == 1:
        return torch.lerp(base + 0.5 * (x0 - base), last, decay)
    before_start, before = past[-2]
    r = (before_start - start) / h  # < 0
    # rho solves [[1, 1], [r, 1]] rho = b, b_k = k! phi_{k+1}(-h) / (e^-h - 1), phi as in the paper's appendix
    grown = math.expm1(-h)
    phi2 = grown / -h - 1.0
    phi3 = phi2 / -h - 0.5
    b1, b2 = phi2 / grown, 2.0 * phi3 / grown
    rho_before = (b2 - b1) / (r - 1.0)
    rho_here = b1 - rho_before
    return torch.lerp(base + rho_before * (before - base) / r + rho_here * (x0 - base), last, decay)


def ddpm(denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], fresh: Fresh) -> torch.Tensor:
    """Ancestral sampling (Ho et al. 2020) on the given levels: the smaller posterior variance, or the learned one where
    the network has it (Nichol & Dhariwal 2021, eq. 15). With the smaller one it is "Euler ancestral"."""
    for sigma, after in itertools.pairwise(sigmas):
        x0, share = denoise(x, sigma)
        if after == 0:
            return x0
        fallen = sigma * sigma - after * after
        small = math.log(after * after * fallen / (sigma * sigma))
        large = math.log(fallen * (1.0 + after * after) / (1.0 + sigma * sigma))
        spread: torch.Tensor | float = math.exp(0.5 * small)
        if share is not None:
            spread = (0.5 * (share * large + (1.0 - share) * small)).exp()
        x = torch.lerp(x0, x, (after / sigma) ** 2) + spread * fresh()
    return x


def euler_maruyama(denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], fresh: Fresh) -> torch.Tensor:
    """The reverse SDE of Song et al. 2021b (variance exploding) by Euler and Maruyama: first order and noisy, for many
    steps that fall slowly."""
    for sigma, after in itertools.pairwise(sigmas):
        x0 = denoise(x, sigma).x0
        if after == 0:
            return x0
        x = x + 2.0 * (after - sigma) / sigma * (x - x0) + math.sqrt(sigma * sigma - after * after) * fresh()
    return x


def inverted(denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float]) -> torch.Tensor:
    """DDIM inversion (Song et al. 2021, section 4.3): up the falling levels, backwards, to sigmas[0].

    x is taken as it stands at the lowest level above 0, which should hide nothing. Second order (Adams-Bashforth: each
    step uses the slope of the one before), so that the way back meets x again.
    """
    rising = [s for s in reversed(sigmas) if s > 0]
    before: torch.Tensor | None = None
    width = 0.0
    for sigma, above in itertools.pairwise(rising):
        slope = (x - denoise(x, sigma).x0) / sigma
        step = above - sigma
        x = x + step * (slope if before is None else slope + 0.5 * step / width * (slope - before))
        before, width = slope, step
    return x


def consistency(denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], fresh: Fresh) -> torch.Tensor:
    """Of a consistency model, whose estimate is a sample already (Song et al. 2023, algorithm 1): estimate, put fresh
    noise on it, estimate again."""
    for sigma, after in itertools.pairwise(sigmas):
        x = denoise(x, sigma).x0
        if after > 0:
            x = x + after * fresh()
    return x


SAMPLERS: dict[str, Sampler] = {
    "ddim": ddim,
    "dpmpp": dpmpp,
    "heun": heun,
    "unipc": unipc,
    "ddpm": ddpm,
    "euler_maruyama": euler_maruyama,
}
