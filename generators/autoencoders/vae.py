"""Conditional variational autoencoder: the quick generator that works from a few hundred samples on.

Kingma & Welling 2014; conditional: Sohn et al. 2015. What keeps its samples from washing out:
- the likelihood's variance is that of the residual itself, row by row (sigma-VAE, Rybkin et al. 2021, eq. 9), so that
  no row is drowned by a louder one and no hand-set weight decides how much detail is worth;
- what the decoder leaves over is drawn as well, and codes come from a density fitted to those of each class
  (generators/autoencoders/autoencoder.py, density.py).

With heads (generators/autoencoders/heads.py) the encoder does not see the class: the code has to tell it.
"""

from __future__ import annotations

from typing import ClassVar

from generators.autoencoders.autoencoder import Autoencoder
from generators.autoencoders.networks import BOTH_SEE_ALL, VaeNetwork, Views
from generators.autoencoders.params import ElboParams, HeadParams
from generators.autoencoders.variational import Setting, negative_elbo, plain_phases
from generators.generator import Device, TrainData
from generators.held_out import held_out
from generators.params import TrainedParams
from generators.trained import TrainSet
from training.loop import Phase


class VaeParams(ElboParams, HeadParams):
    """Parameters of the conditional VAE."""


class ConditionalVAE(Autoencoder):
    """cvae: see the module. `sample` draws the latent of each draw from its own seed."""

    name = "cvae"
    Params: ClassVar[type[TrainedParams]] = VaeParams
    params: VaeParams

    @property
    def views(self) -> Views:
        """Heads want an encoder that does not see what they are to answer."""
        return Views(encoder="nothing") if self.params.headed else BOTH_SEE_ALL

    def _phases(self, network: VaeNetwork, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        return plain_phases(network, self.params, Setting(self.spec, train, device))

    def held_out_loss(self, data: TrainData, device: Device) -> float:
        """The negative bound of held-out samples in nats a cell. Raises `UserError` where none is held out."""
        assert self.network is not None
        return negative_elbo(self.network, self.params, held_out(data, self.fields), device)
