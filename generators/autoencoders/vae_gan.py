"""VAE-GAN: a conditional VAE whose decoder plays against critics, so that what it draws is not only right on average.

Larsen et al. 2016. With two opposed critics: VAE-D2GAN (Bao et al. 2021 for EEG; the game of Nguyen et al. 2017).
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from generators.autoencoders.autoencoder import Autoencoder
from generators.autoencoders.networks import VaeNetwork
from generators.autoencoders.params import CriticParams
from generators.autoencoders.variational import Setting, adversarial_phases, make_critic
from generators.fitting import initialised
from generators.generator import Device
from generators.params import TrainedParams
from generators.trained import TrainSet
from training.loop import Phase
from training.seeds import derive_seed


class VaeGanParams(CriticParams):
    """Parameters of the VAE-GAN."""

    critics: Literal["one", "two"] = Field(
        "one", description="one critic with `loss`, or two opposed ones with the loss of D2GAN"
    )

    @model_validator(mode="after")
    def _two_have_a_loss_of_their_own(self) -> Self:
        if self.critics == "two" and self.loss != "hinge":
            raise ValueError("loss is of one critic; two opposed critics have D2GAN's. Leave loss out, or critics: one")
        return self


class VaeGan(Autoencoder):
    """vae_gan: see the module."""

    name = "vae_gan"
    Params: ClassVar[type[TrainedParams]] = VaeGanParams
    params: VaeGanParams

    def _phases(self, network: VaeNetwork, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        with initialised(derive_seed(seed, "critic")):
            critic = make_critic(self.spec, len(self.classes), self.fields, self.params, self.params.critics)
        return adversarial_phases(network, critic.to(train.x.device), self.params, Setting(self.spec, train, device))
