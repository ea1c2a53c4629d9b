"""What the networks of a diffusion are taught, each as a phase of the one loop.

The noise levels of a batch are spread evenly, which takes most of the noise out of the loss (Kingma et al. 2021,
appendix I.1). Conditions are dropped at random, so that the same network also knows the unconditional score (Ho &
Salimans 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from generators.autoencoders.networks import VaeNetwork
from generators.autoencoders.objective import kl_nats, rebuilt_nats
from generators.condition import Conditions
from generators.diffusion.guidance import taught_target
from generators.diffusion.networks import NoisyClassifier, Steered
from generators.diffusion.params import DiffusionParams
from generators.diffusion.precondition import Precondition, variational_bits
from training.loop import Minibatch
from training.seeds import derive_seed, noise

Take = Callable[[Minibatch], tuple[torch.Tensor, Conditions]]  # a batch -> x0 [b, channels, *grid], their conditions
Loss = Callable[[Minibatch], dict[str, torch.Tensor]]
HELD_LEVELS, HELD_AT_ONCE = 4, 32
GOLDEN = 0.6180339887  # multiples of it fill [0, 1) evenly, however many there are
STAGES = 8  # doublings of easy consistency tuning
PSEUDO_HUBER = 0.00054  # Song & Dhariwal 2024, section 3.3, times the root of the cells


@dataclass(frozen=True, slots=True)
class Clean:
    """Held-out arrays [n, channels, *grid] in the space of the denoiser, their conditions, and a seed each."""

    x0: torch.Tensor
    conditions: Conditions
    seeds: Sequence[int]


@dataclass(frozen=True, slots=True)
class Noisy:
    """A batch under noise. x0, eps, seen [b, channels, *grid]; sigma [b, 1, 1, 1]; t [b]."""

    x0: torch.Tensor
    conditions: Conditions
    eps: torch.Tensor
    seen: torch.Tensor
    sigma: torch.Tensor
    t: torch.Tensor


def noisy(take: Take, batch: Minibatch, precondition: Precondition) -> Noisy:
    """Draws one noise level and noise for each row."""
    x0, conditions = take(batch)
    n = len(x0)
    share = (torch.arange(n, device=x0.device) + batch.rand(1)) / n
    level, t = precondition.levels(share)
    sigma = level.view(-1, 1, 1, 1)
    eps = batch.randn(*x0.shape)
    return Noisy(x0, conditions, eps, (x0 + sigma * eps) / (1.0 + sigma.square()).sqrt(), sigma, t)


def denoising_loss(
    core: Steered, call: Any, take: Take, params: DiffusionParams, bands: torch.Tensor | None = None
) -> Loss:
    """Of a denoiser. call: `core`, compiled or not; bands: [channels] weights of the squared error, or None."""
    p, precondition = params, Precondition(params.prediction)

    def loss(batch: Minibatch) -> dict[str, torch.Tensor]:
        seen = noisy(take, batch, precondition)
        n = len(seen.x0)
        drop = batch.rand(n) < (1.0 if p.guide == "classifier" else p.drop_condition)
        output = call(seen.seen, seen.t, seen.conditions, drop)
        raw = None
        if p.learned_variance:
            output, raw = output.chunk(2, dim=1)
        target = precondition.target(seen.x0, seen.eps, seen.sigma)
        if p.guide == "trained" and p.guidance > 1:
            with torch.no_grad():
                free = core(seen.seen, seen.t, seen.conditions, torch.ones_like(drop))[:, : output.shape[1]]
            taught = taught_target(target, output.detach(), free, p.guidance)
            target = torch.where(drop.view(-1, 1, 1, 1), target, taught)
        weights = precondition.weights(seen.sigma, p.min_snr)
        error = (weights / weights.mean() * (output - target).square()).mean(dim=(0, 2, 3))
        total = error.mean() if bands is None else (bands * error).mean()
        if raw is None:
            return {"loss": total, "mse": error.mean()}
        x = seen.x0 + seen.sigma * seen.eps
        estimate = precondition.denoised(x, output.detach(), seen.sigma)
        bits = variational_bits(seen.x0, estimate, torch.sigmoid(raw), seen.t).mean()
        return {"loss": total + 1000.0 * p.vlb * bits, "mse": error.mean(), "vlb": bits}

    return loss


@torch.no_grad()
def held_out_error(
    core: Steered, precondition: Precondition, params: DiffusionParams, clean: Clean, bands: torch.Tensor | None
) -> float:
    """Mean weighted squared error of the network's output on held-out arrays, each under `HELD_LEVELS` noise levels
    that are spread evenly, the noise being the row's own: what `denoising_loss` is on average, without its chance."""
    p, n = params, len(clean.x0)
    total, weight = 0.0, 0.0
    for level in range(HELD_LEVELS):
        share = (level + (torch.arange(n) * GOLDEN) % 1.0) / HELD_LEVELS
        sigmas, times = precondition.levels(share.to(clean.x0.device))
        eps = noise([derive_seed(seed, level) for seed in clean.seeds], clean.x0.shape[1:], clean.x0.device)
        for rows in torch.arange(n).split(HELD_AT_ONCE):
            x0, sigma = clean.x0[rows], sigmas[rows].view(-1, 1, 1, 1)
            seen = (x0 + sigma * eps[rows]) / (1.0 + sigma.square()).sqrt()
            drop = torch.full((len(rows),), p.guide == "classifier", device=x0.device)
            under = {name: values[rows] for name, values in clean.conditions.items()}
            output = core(seen, times[rows], under, drop)[:, : x0.shape[1]]
            weights = precondition.weights(sigma, p.min_snr)
            squares = (output - precondition.target(x0, eps[rows], sigma)).square().mean(dim=(2, 3), keepdim=True)
            squares = squares if bands is None else squares * bands[None, :, None, None]
            total += float((weights * squares).sum()) / x0.shape[1]
            weight += float(weights.sum())
    return total / weight


def with_student(plain: Loss, core: Steered, call: Any, take: Take, params: DiffusionParams) -> Loss:
    """Easy consistency tuning (Geng et al. 2024): after 1 - student_share of the steps, the estimates at two levels of
    one noisy array are drawn together, the lower one nearer and nearer to the higher, from 0 on (where it is the
    truth), which is ordinary denoising."""
    precondition, first = Precondition(params.prediction), 1.0 - params.student_share

    def estimate(module: Any, of: Noisy, sigma: torch.Tensor, t: torch.Tensor, drop: torch.Tensor) -> torch.Tensor:
        x = of.x0 + sigma * of.eps
        output = module(x / (1.0 + sigma.square()).sqrt(), t, of.conditions, drop)
        return precondition.denoised(x, output, sigma)

    def loss(batch: Minibatch) -> dict[str, torch.Tensor]:
        if batch.progress < first:
            return plain(batch)
        of = noisy(take, batch, precondition)
        drop = torch.zeros(len(of.x0), dtype=torch.bool, device=of.x0.device)
        stage = math.floor(STAGES * (batch.progress - first) / (1.0 - first))
        gap = (1.0 + 8.0 * torch.sigmoid(-of.sigma)) / 2.0**stage  # eq. 18 of the paper with q = 2, k = 8, b = 1
        lower = of.sigma * (1.0 - gap).clamp(min=0.0)
        times = [precondition.time_of(max(float(s), 1e-4)) for s in lower.flatten()]
        here = estimate(call, of, of.sigma, of.t, drop)
        with torch.no_grad():
            below = estimate(core, of, lower.clamp(min=1e-4), torch.tensor(times, device=lower.device), drop)
            below = torch.where(lower > 0, below, of.x0)
        out = (of.sigma / (1.0 + of.sigma.square()).sqrt()) if params.prediction != "epsilon" else of.sigma
        squares = ((here - below) / out).square().flatten(1).sum(dim=1)
        c = PSEUDO_HUBER * math.sqrt(of.x0[0].numel())
        return {"loss": ((squares + c * c).sqrt() - c).mean() / math.sqrt(of.x0[0].numel()), "gap": squares.mean()}

    return loss


def classifier_loss(classifier: NoisyClassifier, take: Take, precondition: Precondition) -> Loss:
    """Cross entropy of classes of noisy arrays, at all noise levels."""

    def loss(batch: Minibatch) -> dict[str, torch.Tensor]:
        seen = noisy(take, batch, precondition)
        said = classifier(seen.seen, seen.t)
        labels = seen.conditions["emotion"]
        right = (said.argmax(dim=1) == labels.argmax(dim=1)).float().mean()
        return {"loss": -(labels * said).sum(dim=1).mean(), "right": right}

    return loss


def autoencoder_loss(vae: VaeNetwork, take: Take, params: DiffusionParams) -> Loss:
    """Of our own VAE, in whose latents the diffusion will run: likelihood and a weak KL term."""

    def loss(batch: Minibatch) -> dict[str, torch.Tensor]:
        x, conditions = take(batch)
        rebuilt, mean, logvar, length = vae(x, conditions, batch.randn(len(x), params.latent))
        fit, kl = rebuilt_nats(x, rebuilt, length, vae.normaliser.spec), kl_nats(mean, logvar).sum()
        return {"loss": (fit + params.latent_beta * kl) / x[0].numel(), "mse": (x - rebuilt).square().mean(), "kl": kl}

    return loss
