"""What a denoising network predicts, at which noise it learns, and how much each noise level counts.

Everything is said of x = x0 + sigma * eps ("variance exploding"); x0 has spread 1 over train in every channel. What the
network sees is c_in * x, which has spread 1 as well, and x0 is c_skip * x + c_out * F (Karras et al. 2022, eq. 7 with
sigma_data = 1). The cosine schedule (Nichol & Dhariwal 2021) is a table of 1,000 such noise levels: for it c_in * x is
the usual sqrt(abar) x0 + sqrt(1 - abar) eps. So one set of samplers serves all of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import torch

Prediction = Literal["v", "epsilon", "edm"]
Spacing = Literal["trailing", "karras"]
TIMESTEPS = 1000
MAX_BETA = 0.999
RHO = 7.0  # Karras et al. 2022, eq. 5
EDM_RANGE = (0.004, 160.0)  # 0.002 and 80 at the spread 0.5 of the paper
EDM_LOG_MEAN, EDM_LOG_STD = -1.2 + math.log(2.0), 1.2  # table 1, at spread 1
KARRAS_RANGE = (0.01, 80.0)  # of tables whose last level hides everything many times over
STUDENT_MIDDLE = 2 * 0.821  # second of two steps, at spread 1 (Song & Dhariwal 2024: 0.821 at spread 0.5)


class Scales(NamedTuple):
    """x0 = skip * x + out * F(into * x, time)."""

    into: float
    skip: float
    out: float
    time: float


@lru_cache(maxsize=1)
def cosine_table() -> np.ndarray:
    """[1000] noise levels of the cosine schedule, rising; diffusers' `squaredcos_cap_v2`."""

    def bar(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    steps = range(TIMESTEPS)
    betas = np.array([min(1 - bar((i + 1) / TIMESTEPS) / bar(i / TIMESTEPS), MAX_BETA) for i in steps], np.float32)
    abar = np.cumprod(1.0 - betas.astype(np.float32), dtype=np.float32).astype(np.float64)
    return np.sqrt((1.0 - abar) / abar)


@dataclass(frozen=True, slots=True)
class Precondition:
    """One of the three parametrisations. "v" and "epsilon" know the 1,000 levels of the cosine schedule; "edm" any."""

    prediction: Prediction = "v"

    def scales(self, sigma: float) -> Scales:
        """Of one noise level > 0; `time` is what the network gets (timesteps; edm: 250 ln sigma)."""
        into = 1.0 / math.sqrt(1.0 + sigma * sigma)
        if self.prediction == "epsilon":
            return Scales(into, 1.0, -sigma, self.time_of(sigma))
        sign = -1.0 if self.prediction == "v" else 1.0
        return Scales(into, into * into, sign * sigma * into, self.time_of(sigma))

    def time_of(self, sigma: float) -> float:
        """Noise level -> the network's time. Between two levels of the table, by the logarithm."""
        if self.prediction == "edm":
            return 250.0 * math.log(sigma)
        table = cosine_table()
        return float(np.interp(math.log(sigma), np.log(table), np.arange(TIMESTEPS)))

    def levels(self, share: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[b] in [0, 1) -> noise levels [b] that training meets and the network's times [b]."""
        if self.prediction == "edm":
            normal = math.sqrt(2.0) * torch.erfinv((2.0 * share - 1.0).clamp(-1 + 1e-6, 1 - 1e-6))
            sigma = (EDM_LOG_MEAN + EDM_LOG_STD * normal).exp().clamp(*EDM_RANGE)
            return sigma, 250.0 * sigma.log()
        t = (share * TIMESTEPS).long().clamp(max=TIMESTEPS - 1)
        table = torch.from_numpy(cosine_table()).to(share.device, torch.float32)
        return table[t], t.float()

    def target(self, x0: torch.Tensor, eps: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """What the network is to say. x0, eps [b, ...], sigma broadcast to them."""
        if self.prediction == "epsilon":
            return eps
        v = (eps - sigma * x0) / (1.0 + sigma.square()).sqrt()
        return v if self.prediction == "v" else -v

    def denoised(self, x: torch.Tensor, output: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """x and the network's output -> x0, sigma a tensor that broadcasts (of training; samplers use `scales`)."""
        if self.prediction == "epsilon":
            return x - sigma * output
        sign = -1.0 if self.prediction == "v" else 1.0
        return x / (1.0 + sigma.square()) + sign * sigma / (1.0 + sigma.square()).sqrt() * output

    def weights(self, sigma: torch.Tensor, min_snr: float) -> torch.Tensor:
        """[b] weights of the squared error of the network's output: 1, or min(SNR, min_snr) on the error of x0 (Hang et
        al. 2023, eq. 9 and section 3.4), where SNR = 1 / sigma^2."""
        if min_snr <= 0:
            return torch.ones_like(sigma)
        snr = sigma.square().reciprocal()
        capped = snr.clamp(max=min_snr)
        return capped / snr if self.prediction == "epsilon" else capped / (snr + 1.0)

    def grid(self, steps: int, spacing: Spacing = "trailing", start: float = 1.0) -> list[float]:
        """steps + 1 falling noise levels, the last 0. start in (0, 1]: how far up they begin, in time of the cosine
        schedule, whose level at `start` is about tan(start * 90 degrees)."""
        if self.prediction == "edm" or spacing == "karras":
            low, high = EDM_RANGE if self.prediction == "edm" else KARRAS_RANGE
            if start < 1.0:
                high = min(high, max(2.0 * low, math.tan(start * math.pi / 2)))
            ramp = 1.0 - np.arange(steps) / max(1, steps - 1)
            return [*(low ** (1 / RHO) + ramp * (high ** (1 / RHO) - low ** (1 / RHO))) ** RHO, 0.0]
        table, top = cosine_table(), TIMESTEPS
        if self.prediction == "epsilon":  # at the highest levels the estimate is noise minus noise
            top = int(np.searchsorted(table, KARRAS_RANGE[1]))
        t = start * top * (1.0 - np.arange(steps) / steps) - 1.0
        if start == 1.0:
            t = np.round(t)  # as diffusers' schedulers space them
        log = np.interp(np.maximum(t, 0.0), np.arange(TIMESTEPS), np.log(table))
        return [*np.exp(log), 0.0]


def student_levels(prediction: Prediction, steps: int) -> list[float]:
    """steps + 1 falling noise levels at which a consistency model is asked, the last 0: the highest that training
    meets, then as a cosine schedule falls in even steps of time, its middle at `STUDENT_MIDDLE`.

    The levels of `Precondition.grid` will not do: those of Karras et al. end where noise hides nothing, and a pass
    there changes nothing.
    """
    top = EDM_RANGE[1] if prediction == "edm" else Precondition(prediction).grid(1)[0]
    between = (STUDENT_MIDDLE * math.tan(math.pi / 2 * (1.0 - i / steps)) for i in range(1, steps))
    return [float(top), *between, 0.0]


def posterior_log_variances(sigma: torch.Tensor, after: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise levels before and after one reverse step -> logarithms of the smaller and the larger variance between which
    improved DDPM learns (Nichol & Dhariwal 2021, eq. 15), in units of x. The smaller one is 0 at the last step:
    floored at 1e-20."""
    fallen = sigma.square() - after.square()
    small = after.square() * fallen / sigma.square()
    large = fallen * (1.0 + after.square()) / (1.0 + sigma.square())
    return small.clamp(min=1e-20).log(), large.clamp(min=1e-20).log()


def variational_bits(x0: torch.Tensor, denoised: torch.Tensor, share: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The term of the variational bound at timesteps t [b] of the cosine schedule, bits for each cell, [b].

    x0, denoised [b, ...]: truth and estimate, whose gradient the caller stops; share [b, ...] in [0, 1]: where the log
    variance lies between its bounds. At t = 0, where arrays are not discrete, the density of a normal instead of the
    decoder's probability of a pixel value (Nichol & Dhariwal 2021, section 3.1).
    """
    table = torch.from_numpy(cosine_table()).to(x0.device, torch.float32)
    t = t.long()
    before = torch.where(t > 0, table[(t - 1).clamp(min=0)], torch.zeros_like(table[t]))
    shape = (-1, *[1] * (x0.dim() - 1))
    sigma, after = table[t].view(shape), before.view(shape)
    small, large = posterior_log_variances(sigma, after)
    first_small, _ = posterior_log_variances(table[1], table[0])
    last = (t == 0).view(shape)
    small = torch.where(last, first_small, small)
    log_variance = share * large + (1.0 - share) * small
    pull = torch.where(last, torch.ones_like(sigma), 1.0 - after.square() / sigma.square())
    squares = (pull * (x0 - denoised)).square()
    own = torch.where(last, torch.zeros_like(small), small.exp())
    nats = 0.5 * (log_variance + (own + squares) / log_variance.exp())
    offset = torch.where(last, torch.full_like(small, math.log(2 * math.pi)), -small - 1.0)
    return ((nats + 0.5 * offset) / math.log(2.0)).flatten(1).mean(dim=1)
