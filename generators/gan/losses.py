"""Adversarial losses as pure functions of what critics say: no network, no random number, no weight but the paper's.

Scores are realness of any real value, [B] float32; every result is a scalar to be minimised, by the critic or by the
generator as its name says. Penalties take the critic as a callable `score`: arrays [B, ...] -> [B].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

Score = Callable[[torch.Tensor], torch.Tensor]
SMALLEST = 1e-6  # added under logarithms of D2GAN's scores, which are positive but may come close to 0


class Adversarial(NamedTuple):
    """The two sides of one game. `middle`: the score between what is taken for real and for generated, None where
    scores have no zero (ADA's heuristic needs one)."""

    critic: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    generator: Callable[[torch.Tensor], torch.Tensor]
    middle: float | None


def hinge_critic(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """max(0, 1 - D(x)) + max(0, 1 + D(G)). Lim & Ye 2017; Miyato et al. 2018, eq. 16."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def wasserstein_critic(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """D(G) - D(x), to which a penalty belongs. Arjovsky et al. 2017, eq. 2."""
    return fake.mean() - real.mean()


def wasserstein_generator(fake: torch.Tensor) -> torch.Tensor:
    """-D(G); also the generator's side of the hinge loss."""
    return -fake.mean()


def least_squares_critic(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """((D(x) - 1)^2 + D(G)^2) / 2. Mao et al. 2017, eq. 9 (a = 0, b = c = 1)."""
    return 0.5 * ((real - 1).square().mean() + fake.square().mean())


def least_squares_generator(fake: torch.Tensor) -> torch.Tensor:
    """(D(G) - 1)^2 / 2. Mao et al. 2017, eq. 9."""
    return 0.5 * (fake - 1).square().mean()


def logistic_critic(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """-log s(D(x)) - log(1 - s(D(G))), s the logistic function. Goodfellow et al. 2014, eq. 1."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def logistic_generator(fake: torch.Tensor) -> torch.Tensor:
    """-log s(D(G)), the form that does not saturate. Goodfellow et al. 2014, section 3."""
    return F.softplus(-fake).mean()


ADVERSARIAL: dict[str, Adversarial] = {
    "hinge": Adversarial(hinge_critic, wasserstein_generator, 0.0),
    "wgan-gp": Adversarial(wasserstein_critic, wasserstein_generator, None),
    "wgan-div": Adversarial(wasserstein_critic, wasserstein_generator, None),
    "least-squares": Adversarial(least_squares_critic, least_squares_generator, 0.5),
    "logistic": Adversarial(logistic_critic, logistic_generator, 0.0),
}


def _slopes(score: Score, at: torch.Tensor) -> torch.Tensor:
    """Norm of the score's gradient at each array [B, ...] -> [B], itself differentiable."""
    at = at.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(score(at).sum(), at, create_graph=True)
    return slope.flatten(1).norm(dim=1)


def between(real: torch.Tensor, fake: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Points on the lines from generated to real arrays [B, ...]; share [B] in [0, 1], 1: real."""
    part = share.reshape(-1, *(1,) * (real.dim() - 1))
    return part * real + (1 - part) * fake


def gradient_penalty(score: Score, real: torch.Tensor, fake: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """(|grad D| - 1)^2 at points between real and generated arrays, without its weight (10 in the paper). share: [B]
    uniform in [0, 1). Gulrajani et al. 2017, eq. 3."""
    return (_slopes(score, between(real, fake, share)) - 1.0).square().mean()


def divergence_penalty(
    score: Score, real: torch.Tensor, fake: torch.Tensor, share: torch.Tensor, k: float = 2.0, p: float = 6.0
) -> torch.Tensor:
    """k |grad D|^p at points between real and generated arrays: the Wasserstein divergence, which asks for no Lipschitz
    constant. Wu et al. 2018 (WGAN-div), with its k = 2 and p = 6."""
    return k * _slopes(score, between(real, fake, share)).pow(p).mean()


def r1_penalty(score: Score, real: torch.Tensor) -> torch.Tensor:
    """|grad D|^2 / 2 at real arrays, without its weight gamma. Mescheder et al. 2018, eq. 9."""
    return 0.5 * _slopes(score, real).square().mean()


class TwoScores(NamedTuple):
    """What D2GAN's two critics say of the same arrays: [B] each, any real value (softplus makes them positive)."""

    first: torch.Tensor
    second: torch.Tensor


def d2gan_critic(real: TwoScores, fake: TwoScores, alpha: float, beta: float) -> torch.Tensor:
    """-(alpha log D1(x) - D1(G) - D2(x) + beta log D2(G)) with D = softplus of the score: the first critic likes real
    arrays (the game's KL term), the second generated ones (reverse KL). Nguyen et al. 2017, eq. 1."""
    first = -alpha * _log(real.first).mean() + F.softplus(fake.first).mean()
    second = F.softplus(real.second).mean() - beta * _log(fake.second).mean()
    return first + second


def d2gan_generator(fake: TwoScores, beta: float) -> torch.Tensor:
    """-D1(G) + beta log D2(G): the generator's side of the same game. Nguyen et al. 2017, eq. 1."""
    return beta * _log(fake.second).mean() - F.softplus(fake.first).mean()


def _log(score: torch.Tensor) -> torch.Tensor:
    return torch.log(F.softplus(score) + SMALLEST)


def kplus1_real(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """-log p(class) among K + 1 answers, of labelled real arrays. logits [B, K + 1], the last one "generated"; classes
    [B, K], rows that sum to 1. Salimans et al. 2016, section 5 (supervised loss). 0 of no rows."""
    if not len(logits):
        return logits.sum()
    return F.cross_entropy(logits, F.pad(classes, (0, 1)))


def kplus1_unlabelled(logits: torch.Tensor) -> torch.Tensor:
    """-log(1 - p(generated)) of real arrays whose class is not known. Salimans et al. 2016, section 5. 0 of no rows."""
    if not len(logits):
        return logits.sum()
    return (torch.logsumexp(logits, dim=1) - torch.logsumexp(logits[:, :-1], dim=1)).mean()


def kplus1_fake(logits: torch.Tensor) -> torch.Tensor:
    """-log p(generated). Salimans et al. 2016, section 5."""
    return -F.log_softmax(logits, dim=1)[:, -1].mean()


def kplus1_generator(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """-log p(class that was asked for): the generator wins only where the critic answers that class, neither another
    nor "generated". Mariani et al. 2018 (BAGAN)."""
    return F.cross_entropy(logits, F.pad(classes, (0, 1)))


def began_critic(real_error: torch.Tensor, fake_error: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """L(x) - k L(G), L the reconstruction errors [B] of the critic, an autoencoder; k a scalar in [0, 1]. Berthelot et
    al. 2017, section 3.4."""
    return real_error.mean() - k * fake_error.mean()


def began_balance(
    k: torch.Tensor, real_error: torch.Tensor, fake_error: torch.Tensor, gamma: float, rate: float
) -> torch.Tensor:
    """The next k: k + rate (gamma L(x) - L(G)), kept in [0, 1]. gamma: diversity ratio; rate: lambda of the paper.
    Berthelot et al. 2017, section 3.4."""
    moved = k + rate * (gamma * real_error.detach().mean() - fake_error.detach().mean())
    return moved.clamp(0.0, 1.0)


def began_measure(real_error: torch.Tensor, fake_error: torch.Tensor, gamma: float) -> torch.Tensor:
    """L(x) + |gamma L(x) - L(G)|: falls as the game converges. Berthelot et al. 2017, section 3.4.1."""
    real, fake = real_error.mean(), fake_error.mean()
    return real + (gamma * real - fake).abs()
