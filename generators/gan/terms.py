"""Terms that are added to a game: each a pure function of tensors, a scalar to be minimised, without its weight."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from generators.condition import Conditions
from generators.gan.critics import Verdict
from training.loop import Minibatch

FEATURES_SHARE = 0.1  # of the distance of features in the consistency term. Wei et al. 2018, eq. 5
PROBE = 0.1  # length of the step that looks for the virtual adversarial direction
SAME = 1e-5  # distance below which two samples count as one


def mixed(x: torch.Tensor, conditions: Conditions, alpha: float, batch: Minibatch) -> tuple[torch.Tensor, Conditions]:
    """Each sample [B, ...] and its conditions mixed with another one's of the batch, by a share from Beta(alpha,
    alpha); alpha 0: as they are, and no random number is used. Zhang et al. 2018; inside a GAN: Latif et al. 2020."""
    if alpha == 0.0:
        return x, conditions
    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=batch.rng)))
    share = torch.from_numpy(rng.beta(alpha, alpha, len(x)).astype(np.float32)).to(x.device)
    other = torch.from_numpy(rng.permutation(len(x))).to(x.device)
    return _mix(x, other, share), {name: _mix(values, other, share) for name, values in conditions.items()}


def _mix(values: torch.Tensor, other: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    part = share.reshape(-1, *(1,) * (values.dim() - 1))
    return part * values + (1 - part) * values[other]


def consistency_term(one: Verdict, two: Verdict, margin: float = 0.0) -> torch.Tensor:
    """max(0, |D(x') - D(x'')| + 0.1 |D_(x') - D_(x'')| - margin) of one real batch under two dropouts; D_ are the
    features, their distance the mean over them. Wei et al. 2018 (CT-GAN), eqs. 4 and 5."""
    scores = (one.score - two.score).abs()
    features = (one.features - two.features).abs().mean(dim=1)
    return F.relu(scores + FEATURES_SHARE * features - margin).mean()


def smoothness_term(
    logits_of: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, radius: float, batch: Minibatch
) -> torch.Tensor:
    """KL(p(x) || p(x + r)) with r of length `radius` in the direction that changes the answer most, by one power
    iteration from a random direction. Miyato et al. 2018 (virtual adversarial training), eqs. 5 to 7."""
    with torch.no_grad():
        answer = F.log_softmax(logits_of(x), dim=1)
    probe = (PROBE * _unit(batch.randn(*x.shape))).requires_grad_(True)
    (direction,) = torch.autograd.grad(_divergence(answer, logits_of(x + probe)), probe)
    return _divergence(answer, logits_of(x + radius * _unit(direction)))


def _unit(x: torch.Tensor) -> torch.Tensor:
    norm = x.flatten(1).norm(dim=1).clamp(min=1e-12)
    return x / norm.reshape(-1, *(1,) * (x.dim() - 1))


def _divergence(answer: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    return F.kl_div(F.log_softmax(logits, dim=1), answer, reduction="batchmean", log_target=True)


def triplet_term(
    anchors: torch.Tensor, others: torch.Tensor, labels: torch.Tensor, margin: float, batch: Minibatch
) -> torch.Tensor:
    """max(0, d(a, p) - d(a, n) + margin), d squared distances. anchors and others: [B, E]; row i of both is of class
    labels [B]. p: another of the same class, n: one of a different class, drawn at random; rows whose batch lacks one
    of the two do not count. Schroff et al. 2015, eq. 2."""
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    lots = batch.rand(2, len(labels), len(labels))
    near, far = _one_of(same & ~itself, lots[0]), _one_of(~same, lots[1])
    usable = (same & ~itself).any(dim=1) & (~same).any(dim=1)
    pull = (anchors - others[near]).square().sum(dim=1)
    push = (anchors - others[far]).square().sum(dim=1)
    return (F.relu(pull - push + margin) * usable).sum() / usable.sum().clamp(min=1)


def _one_of(allowed: torch.Tensor, lots: torch.Tensor) -> torch.Tensor:
    return torch.where(allowed, lots, -1.0).argmax(dim=1)


def diversity_term(one: torch.Tensor, two: torch.Tensor, z_one: torch.Tensor, z_two: torch.Tensor) -> torch.Tensor:
    """d(z', z'') / d(G(z'), G(z'')), d mean absolute differences over the batch: large where different latents give the
    same sample. Mao et al. 2019 (mode seeking), eq. 2, turned over to be minimised as in their code."""
    return (z_one - z_two).abs().mean() / ((one - two).abs().mean() + SAME)


def boundary_term(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """max(0, log p(class) - log p(best other)) of the class that was asked for: nothing on the wrong side, so samples
    come close to the decision boundary and do not cross it. logits [B, K], classes [B, K] weights."""
    asked = classes.argmax(dim=1, keepdim=True)
    others = logits.scatter(1, asked, float("-inf")).amax(dim=1)
    return F.relu(logits.gather(1, asked)[:, 0] - others).mean()
