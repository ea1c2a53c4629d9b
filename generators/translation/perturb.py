"""edit, `mode: perturb`: a small and sparse change within a bound, after which a recogniser no longer hears the class.

After STAA-Net (Chang et al. 2024): one pass of a network gives a magnitude and a mask, whose product is added to a real
sample. It is trained against one recogniser, which is fitted to the same train rows first and then frozen; what counts
is whether others, which it never saw, are misled as well (black-box transfer). Samples keep their class: they probe
classifiers, and train them for what they cannot hear yet.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

from features.representation import Spec
from generators.condition import ConditionFields, Conditions
from generators.gan.critics import Critic
from generators.trained import Network, TrainSet
from generators.translation.networks import GridBody, TranslatorOptions, VectorBody, as_long
from generators.translation.params import EditParams
from training.ema import Ema
from training.loop import Minibatch, Phase

OPEN = 0.5  # of the mask's logistic: above it, a cell is changed


class Perturbed(NamedTuple):
    """y: [B, C, H, W]; magnitude: the same shape, in [-1, 1] of the bound; mask: the same shape, soft, in [0, 1]."""

    y: torch.Tensor
    magnitude: torch.Tensor
    mask: torch.Tensor


class Perturber(Network):
    """One pass from a sample to the sample with its perturbation."""

    def __init__(self, spec: Spec, n_classes: int, fields: ConditionFields, params: EditParams) -> None:
        embedding = 4 * params.width
        super().__init__(spec, n_classes, fields, embedding)
        self.spec, self.epsilon = spec, params.epsilon
        options = TranslatorOptions(params.width, params.blocks)
        self.body = (VectorBody if spec.layout == "vector" else GridBody)(spec, 2, embedding, options)
        self.vary = torch.nn.Linear(params.latent, embedding)

    def forward(self, x: torch.Tensor, conditions: Conditions, latent: torch.Tensor) -> Perturbed:
        """x [B, C, H, W] normalised, of the class that the conditions say; latent [B, latent]. No cell moves farther
        than epsilon, and none out of the Spec's bounds; cells whose mask is shut stay as they are, exactly."""
        parts = self.body(x, self.condition(conditions) + self.vary(latent))
        magnitude, mask = torch.tanh(parts[:, 0]), torch.sigmoid(parts[:, 1])
        # shut or open in value, soft in its gradient (straight-through, Bengio et al. 2013)
        gate = (mask > OPEN).to(mask.dtype) + mask - mask.detach()
        y = x + self.epsilon * magnitude * gate
        if self.spec.bounds is not None:
            y = y.clamp(*self.spec.bounds)
        return Perturbed(as_long(y, x, self.spec), magnitude, mask)


def missed_loss(logits: torch.Tensor, own: torch.Tensor, margin: float) -> torch.Tensor:
    """Logits [B, K] of a recogniser and shares of the true classes [B, K] -> how far the true class is from losing by
    `margin` to another one. Carlini & Wagner 2017 (arXiv 1608.04644), their f_6."""
    true = F.one_hot(own.argmax(dim=1), own.shape[1]).bool()
    lead = logits[true] - logits.masked_fill(true, -torch.inf).amax(dim=1)
    return F.relu(lead + margin).mean()


def noise_to_signal(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """[B, ...] perturbed and real arrays -> mean over the batch of the energy of the change over that of the sample."""
    change = (y - x).square().flatten(1).sum(dim=1)
    return (change / x.square().flatten(1).sum(dim=1).clamp(min=1e-6)).mean()


def attack_phases(network: Perturber, victim: Critic, train: TrainSet, params: EditParams) -> list[Phase]:
    """The perturbation against a frozen recogniser, which has the first share of the steps to learn."""
    p = params

    def victim_loss(batch: Minibatch) -> dict[str, torch.Tensor]:
        x, own = train.take(batch.rows)
        logits = victim(x, own).logits
        assert logits is not None
        right = (logits.argmax(dim=1) == own["emotion"].argmax(dim=1)).float().mean()
        return {"loss": F.cross_entropy(logits, own["emotion"]), "right": right}

    def loss(batch: Minibatch) -> dict[str, torch.Tensor]:
        x, own = train.take(batch.rows)
        made = network(x, own, batch.randn(len(x), p.latent))
        logits = victim(made.y, own).logits
        assert logits is not None
        parts = {
            "missed": missed_loss(logits, own["emotion"], p.missed_margin),
            "magnitude": made.magnitude.square().mean(),
            "sparsity": made.mask.mean(),
            "quality": noise_to_signal(made.y, x),
        }
        weights = {
            "missed": p.missed_weight,
            "magnitude": p.magnitude_weight,
            "sparsity": p.sparsity_weight,
            "quality": p.quality_weight,
        }
        total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        heard = (logits.argmax(dim=1) == own["emotion"].argmax(dim=1)).float().mean()
        return {"loss": total, **parts, "heard": heard}

    start, betas = p.victim_share, (0.5, 0.999)
    average = Ema(network, p.ema_std)
    return [
        Phase("perturbation", network, loss, p.lr, betas, p.weight_decay, p.clip, ema=average, span=(start, 1.0)),
        Phase("victim", victim, victim_loss, p.lr_critic, betas, p.weight_decay, p.clip, span=(0.0, start)),
    ]
