"""Conditional variational autoencoder: the quick generator that works from a few hundred samples on.

Kingma & Welling 2014; conditional: Sohn et al. 2015. What keeps its samples from washing out:
- the likelihood's variance is that of the residual itself, row by row (sigma-VAE, Rybkin et al. 2021, eq. 9), so that
  no row is drowned by a louder one and no hand-set weight decides how much detail is worth;
- what the decoder leaves over is drawn as well, and codes come from a density fitted to those of each class
  (generators/autoencoders/autoencoder.py, density.py).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field

from generators.autoencoders.autoencoder import Autoencoder
from generators.autoencoders.networks import CodeParams, VaeNetwork
from generators.autoencoders.objective import kl_nats, residual_nats
from generators.generator import Device
from generators.params import TrainedParams
from generators.trained import TrainSet
from training.device import compiled
from training.ema import Ema
from training.loop import Minibatch, Phase


class VaeParams(CodeParams):
    """Parameters of the conditional VAE."""

    beta: float = Field(1.0, ge=0, le=100, description="weight of the KL term after its warm-up")
    kl_warmup: float = Field(0.3, ge=0, le=1, description="share of the steps over which beta rises from 0")
    free_bits: float = Field(0.05, ge=0, le=10, description="nats of KL in each latent dimension that cost nothing")


class ConditionalVAE(Autoencoder):
    """cvae: see the module. `sample` draws the latent of each draw from its own seed."""

    name = "cvae"
    Params: ClassVar[type[TrainedParams]] = VaeParams
    params: VaeParams

    def _phases(self, network: VaeNetwork, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        p = self.params
        call: Any = compiled(network, device.compile)
        size = float(train.x[0].numel())

        def loss(batch: Minibatch) -> dict[str, torch.Tensor]:
            x, conditions = train.take(batch.rows)
            rebuilt, mean, logvar = call(x, conditions, batch.randn(len(x), p.latent))
            fit = residual_nats(x, rebuilt, self.spec)
            kl = kl_nats(mean, logvar)
            beta = p.beta * min(1.0, batch.progress / p.kl_warmup) if p.kl_warmup > 0 else p.beta
            total = fit + beta * kl.clamp(min=p.free_bits).sum()
            return {"loss": total / size, "kl": kl.sum(), "mse": (x - rebuilt).square().mean()}

        return [
            Phase("vae", network, loss, p.lr, weight_decay=p.weight_decay, clip=p.clip, ema=Ema(network, p.ema_std))
        ]
