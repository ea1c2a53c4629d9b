"""What the autoencoders share: the densities of codes and residuals after the fit, and how a sample is drawn from them.

What the decoder leaves over is drawn as well (rows and vectors, which have units of their own): noise with the spread
that the residual of each row and class has, and its correlation in time or between columns, else every sample is too
smooth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from corpora.errors import ParamsError
from features.representation import Spec
from generators.autoencoders.density import correlation_factor, residual_noise
from generators.autoencoders.heads import CodeHeads
from generators.autoencoders.networks import BOTH_SEE_ALL, VaeNetwork, VectorVae, Views, vae_network
from generators.autoencoders.params import CodeParams, HeadParams
from generators.condition import ConditionFields, Conditions
from generators.params import TrainedParams
from generators.trained import TrainedGenerator, TrainSet
from training.seeds import noise

ROWS_RESIDUAL, VECTOR_RESIDUAL = 0.6, 1.0  # shares of the residual that are drawn by default


class Autoencoder(TrainedGenerator):
    """Base of the generators that draw a code and decode it. Subclasses bring the losses (`_phases`)."""

    Params: ClassVar[type[TrainedParams]] = CodeParams
    params: CodeParams
    network: VaeNetwork | None

    @classmethod
    def require(cls, params: Mapping[str, Any], spec: Spec) -> None:
        """Raises `ParamsError` where padding is to be cut and there is none."""
        if params.get("padding") == "cut" and (spec.layout != "rows" or spec.mask_row is None):
            raise ParamsError(
                f"generator {cls.name}: padding cut needs rows with a mask row, which says where a sample ends; "
                f"{spec.name} has none. Leave padding at keep"
            )

    def __init__(self, spec: Spec, classes: Sequence[str], **params: Any) -> None:
        super().__init__(spec, classes, **params)
        self.require(self.params.model_dump(), spec)

    @property
    def views(self) -> Views:
        """What encoder and decoder see of the conditions."""
        return BOTH_SEE_ALL

    def _steering(self) -> ConditionFields:
        """What steers the network: what draws may ask for, and what else a generator adds."""
        return self.fields

    def _build(self) -> VaeNetwork:
        network = vae_network(self.spec, len(self.classes), self._steering(), self.params, self.views)
        if isinstance(self.params, HeadParams) and (self.params.headed or self.params.orthogonal):
            network.heads = CodeHeads(self.params, len(self.classes), len(self.fields.subjects))
        return network

    def _alike(self, network: VaeNetwork, train: TrainSet) -> np.ndarray | None:
        spans = network.spans_in(train.x)
        return None if spans is None else spans.cpu().numpy()[train.rows]

    @torch.no_grad()
    def _settle(self, train: TrainSet) -> None:
        network = self.network
        assert network is not None
        means, variances, squares, neighbours, valid = [], [], [], [], []
        together = network.together if isinstance(network, VectorVae) else 0
        products = torch.zeros(together, together, dtype=torch.float64, device=train.x.device)
        for start in range(0, len(train.rows), 256):
            x, conditions = train.take(train.rows[start : start + 256])
            mean, logvar = network.encode(x, network.read_under(conditions))
            means.append(mean.double())
            variances.append(logvar.double().exp())
            if self.spec.layout != "image":
                inside = network.normaliser.valid(x)[:, :, 0].double()  # [B, 1, W]
                rebuilt = network.decode(mean, network.write_under(conditions), network.spans_in(x))
                rest = (x - rebuilt).double() * inside[:, :, None]
                if together:
                    products += rest.flatten(1).T @ rest.flatten(1)
                squares.append(rest.square().sum(dim=3))
                neighbours.append((rest[..., 1:] * rest[..., :-1]).sum(dim=3))
                valid.append(inside.sum(dim=2))
        mean, variance = torch.cat(means), torch.cat(variances)
        labels = train.conditions["emotion"][torch.from_numpy(train.rows).to(mean.device)].argmax(dim=1)
        network.density.fit(mean, variance, labels)
        if self.spec.layout != "image":
            sums = (torch.cat(squares), torch.cat(neighbours), torch.cat(valid))
            spread, lag = residual_noise(*sums, labels, len(self.classes))
            drawn = torch.ones(self.spec.grid[1], device=spread.device)
            if self.spec.mask_row is not None:
                drawn[self.spec.mask_row] = 0.0
            if "voicing" in self.spec.rows:
                drawn[self.spec.rows.index("voicing")] = 0.0
            network.residual_std.copy_(spread * drawn)
            network.residual_lag.copy_(lag)
        if isinstance(network, VectorVae) and together:
            network.residual_factor.copy_(correlation_factor(products, len(train.rows)))

    def _generate(self, conditions: Conditions, seeds: Sequence[int], device: torch.device) -> torch.Tensor:
        network = self.network
        assert network is not None
        p, (c, h, w) = self.params, self.spec.grid
        residual = self._residual
        drawn = residual > 0
        n, cut = p.latent + drawn * c * h * w + (p.components > 1), p.padding == "cut"
        numbers = noise(seeds, (n + cut,), device)
        turns = 0.5 * (1.0 + torch.erf(numbers[:, n - 1 :] / math.sqrt(2.0)))  # uniform
        z = network.density.draw(
            conditions["emotion"], p.temperature * numbers[:, : p.latent], turns[:, 0] if p.components > 1 else None
        )
        embedding = network.write_under(conditions)
        x = network.decode(z, embedding, network.drawn_spans(z, embedding, turns[:, -1]))
        if drawn:
            x = x + residual * self._rest(numbers[:, p.latent : p.latent + c * h * w], conditions["emotion"])
        return x

    @property
    def _residual(self) -> float:
        """Share of the decoder's residual that is drawn."""
        if self.spec.layout == "image":
            return 0.0
        usual = VECTOR_RESIDUAL if self.spec.layout == "vector" else ROWS_RESIDUAL
        return usual if self.params.residual is None else self.params.residual

    def _rest(self, white: torch.Tensor, emotion: torch.Tensor) -> torch.Tensor:
        """White noise [B, C * H * W] and shares of classes [B, K] -> [B, C, H, W] as the decoder's residuals are."""
        network = self.network
        assert network is not None
        rough = network.coloured(white.reshape(-1, *self.spec.grid))
        return rough * torch.einsum("bk,kch->bch", emotion, network.residual_std)[..., None]
