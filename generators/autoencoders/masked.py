"""Denoising and masked autoencoders: the code of a corrupted input has to rebuild the whole one.

Denoising: Vincent et al. 2008; masked: He et al. 2022 (MAE). The encoder sees no class, and a code is a point: what
codes a class has is learned after the fit, as a Gaussian or a mixture of them (`components`), from inputs that nothing
was done to. Sampling draws a code of the class from it and decodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field

from features.representation import Spec
from generators.autoencoders.autoencoder import Autoencoder
from generators.autoencoders.corruption import CorruptParams, corrupt, require_corruption
from generators.autoencoders.networks import VaeNetwork, Views
from generators.autoencoders.objective import rebuilt_nats
from generators.autoencoders.variational import autoencoder_phase
from generators.generator import Device
from generators.params import TrainedParams
from generators.trained import TrainSet
from training.device import compiled
from training.loop import Minibatch, Phase


class MaskedParams(CorruptParams):
    """Parameters of the denoising or masked autoencoder."""

    decoder_sees_class: bool = Field(
        True, description="the decoder is given the class; else it is in the density of the codes alone"
    )


class Masked(Autoencoder):
    """masked: see the module."""

    name = "masked"
    Params: ClassVar[type[TrainedParams]] = MaskedParams
    params: MaskedParams

    def __init__(self, spec: Spec, classes: Sequence[str], **params: Any) -> None:
        super().__init__(spec, classes, **params)
        require_corruption(self.name, self.params, spec)

    @property
    def views(self) -> Views:
        """The encoder sees nothing but the array."""
        return Views("nothing", "all" if self.params.decoder_sees_class else "given", points=True)

    def _phases(self, network: VaeNetwork, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        p, spec = self.params, self.spec
        call: Any = compiled(network, device.compile)
        size = float(train.x[0].numel())

        def loss(batch: Minibatch) -> dict[str, torch.Tensor]:
            x, conditions = train.take(batch.rows)
            seen, hidden = corrupt(x, batch, p, spec)
            rebuilt, code, _, length = call(seen, conditions, x.new_zeros(len(x), p.latent))
            judged = torch.where(hidden > 0, rebuilt, x) if p.hidden_only else rebuilt
            extra, terms = (0.0, {}) if network.heads is None else network.heads(code, conditions)
            fit = rebuilt_nats(x, judged, length, spec) / size
            return {"loss": fit + extra, "mse": (x - rebuilt).square().mean(), **terms}

        return [autoencoder_phase(network, p, loss)]
