"""Adversarial autoencoder: in place of a KL term, a discriminator tells codes from draws of a prior.

Makhzani et al. 2015. With the prior `classes` each class has a Gaussian of its own in the space of codes and the
discriminator is given the class (their section 2.3): the decoder needs no class, the code holds it. With `normal` one
N(0, 1) serves all and the decoder is given the class (their section 2.4). The encoder never sees the class; a code is a
point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field

from features.representation import Spec
from generators.autoencoders.autoencoder import Autoencoder
from generators.autoencoders.corruption import CorruptParams, corrupt, require_corruption
from generators.autoencoders.networks import VaeNetwork, Views
from generators.autoencoders.objective import residual_nats
from generators.autoencoders.variational import autoencoder_phase
from generators.condition import ConditionFields
from generators.fitting import initialised
from generators.gan.critics import Critic, CriticOptions
from generators.gan.losses import ADVERSARIAL
from generators.generator import Device
from generators.params import TrainedParams
from generators.trained import TrainSet
from training.device import compiled
from training.loop import Minibatch, Phase
from training.seeds import derive_seed


class AaeParams(CorruptParams):
    """Parameters of the adversarial autoencoder."""

    prior: Literal["classes", "normal"] = Field(
        "classes", description="classes: a Gaussian for each class, known to the discriminator; normal: one N(0, 1)"
    )
    separation: float = Field(
        4.0, ge=0, le=100, description="of the prior `classes`: distance of neighbouring means, in standard deviations"
    )
    codes: Literal["fitted", "prior"] = Field(
        "fitted", description="what samples are drawn from: the density that a class' codes have, or the prior"
    )
    adversarial: float = Field(0.1, ge=0, le=100, description="weight of what the discriminator says of the codes")
    loss: Literal["logistic", "hinge", "least-squares"] = Field("logistic", description="of the discriminator")
    lr_critic: float = Field(2e-3, gt=0, le=1, description="learning rate of the discriminator")
    noise: float = Field(
        0.0, ge=0, le=5, description="standard deviation of the input's noise, in normalised units; 0: none (no DAE)"
    )


class AdversarialAutoencoder(Autoencoder):
    """aae: see the module."""

    name = "aae"
    Params: ClassVar[type[TrainedParams]] = AaeParams
    params: AaeParams

    def __init__(self, spec: Spec, classes: Sequence[str], **params: Any) -> None:
        super().__init__(spec, classes, **params)
        require_corruption(self.name, self.params, spec)

    @property
    def views(self) -> Views:
        """The class is in the code (prior `classes`), or told to the decoder."""
        return Views("nothing", "given" if self.params.prior == "classes" else "all", points=True)

    def _means(self) -> torch.Tensor:
        """[K, latent] of the prior."""
        if self.params.prior == "normal":
            return torch.zeros(len(self.classes), self.params.latent)
        return prior_means(len(self.classes), self.params.latent, self.params.separation)

    def _phases(self, network: VaeNetwork, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        p, spec = self.params, self.spec
        with initialised(derive_seed(seed, "critic")):
            critic = code_critic(p, len(self.classes)).to(train.x.device)
        game, means = ADVERSARIAL[p.loss], self._means().to(train.x.device)
        call: Any = compiled(network, device.compile)
        size = float(train.x[0].numel())

        def loss(batch: Minibatch) -> dict[str, torch.Tensor]:
            x, conditions = train.take(batch.rows)
            seen, hidden = corrupt(x, batch, p, spec)
            rebuilt, code, _ = call(seen, conditions, x.new_zeros(len(x), p.latent))
            judged = torch.where(hidden > 0, rebuilt, x) if p.hidden_only else rebuilt
            fooled = game.generator(critic(code, conditions).score)
            extra, terms = (0.0, {}) if network.heads is None else network.heads(code, conditions)
            total = residual_nats(x, judged, spec) / size + p.adversarial * fooled + extra
            return {"loss": total, "mse": (x - rebuilt).square().mean(), "fooled": fooled, **terms}

        def critic_loss(batch: Minibatch) -> dict[str, torch.Tensor]:
            x, conditions = train.take(batch.rows)
            with torch.no_grad():
                seen, _ = corrupt(x, batch, p, spec)
                code, _ = network.encode(seen, network.read_under(conditions))
            drawn = conditions["emotion"] @ means + batch.randn(len(x), p.latent)
            of_prior, of_code = critic(drawn, conditions), critic(code, conditions)
            return {"loss": game.critic(of_prior.score, of_code.score)}

        return [
            autoencoder_phase(network, p, loss),
            Phase("critic", critic, critic_loss, p.lr_critic, betas=(0.0, 0.99), clip=p.clip),
        ]

    @torch.no_grad()
    def _settle(self, train: TrainSet) -> None:
        super()._settle(train)
        if self.params.codes == "prior" and self.network is not None:
            self.network.density.set(self._means())


def code_critic(p: AaeParams, n_classes: int) -> Critic:
    """Of codes [B, latent]; one of the prior `classes` is given the class."""
    options = CriticOptions(kind="projection" if p.prior == "classes" else "plain", width=max(8, p.width // 2))
    return Critic(Spec("codes", (p.latent,), layout="vector"), n_classes, ConditionFields(), options)


def prior_means(n_classes: int, latent: int, separation: float) -> torch.Tensor:
    """[K, latent]: means of which neighbours are `separation` apart: on the axes where there are enough of them (then
    all are neighbours), else on a circle (two dimensions and more) or a line."""
    if latent >= n_classes:
        return torch.eye(n_classes, latent) * (separation / math.sqrt(2.0))
    means = torch.zeros(n_classes, latent)
    if latent == 1:
        means[:, 0] = separation * (torch.arange(n_classes) - (n_classes - 1) / 2)
        return means
    angles = 2.0 * math.pi * torch.arange(n_classes) / n_classes
    radius = separation / (2.0 * math.sin(math.pi / n_classes))
    means[:, 0], means[:, 1] = radius * torch.cos(angles), radius * torch.sin(angles)
    return means
