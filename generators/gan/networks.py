"""The generator's side: from noise and condition to what the critic judges, and to samples.

The class enters in one of four ways (`class_input`): as an embedding that steers every level; as a one-hot vector
beside the latent and nowhere else; through the latent alone, which comes from one Gaussian for each class (mixture:
Sahu et al. 2018 and 2022), fixed or fitted to an encoder's codes (BAGAN, Mariani et al. 2018). A soft label mixes the
classes' latents. What else is asked for is always an embedding.
"""

from __future__ import annotations

import torch
from torch import nn

from corpora.errors import ParamsError
from features.representation import Spec
from generators.condition import ConditionFields, Conditions, without_emotion
from generators.gan.critics import CriticOptions, make_features
from generators.gan.decoders import make_decoder
from generators.gan.params import GanParams
from generators.trained import Network

APART = 3.0  # standard deviations from the origin of the fixed mixture's means, each on an axis of its own


def code_spec(size: int) -> Spec:
    """Of the codes that a critic judges: a vector of `size` columns without bounds."""
    return Spec("codes", (size,), layout="vector")


class GanNetwork(Network):
    """Noise and condition -> arrays. `latent_shape`: of the noise for one draw; `judged`: Spec of what critics see."""

    class_mean: torch.Tensor  # [K, latent]
    class_factor: torch.Tensor  # [K, latent, latent], Cholesky factors

    def __init__(self, spec: Spec, n_classes: int, fields: ConditionFields, params: GanParams) -> None:
        embedding = 4 * params.width
        super().__init__(spec, n_classes, fields, embedding)
        if params.recurrent and spec.layout != "rows":
            raise ParamsError(f"recurrent: {spec.name} has layout {spec.layout}; only rows have a time, leave it out")
        self.class_input = params.class_input
        self.latent_shape = (spec.grid[2], params.latent) if params.recurrent else (params.latent,)
        joint = params.latent + embedding + (n_classes if params.class_input == "one-hot" else 0)
        self.judged = code_spec(params.code) if params.space == "codes" else spec
        self.decoder = make_decoder(self.judged, joint, embedding, params.width, recurrent=params.recurrent)
        self.rebuilder: nn.Module | None = None
        if params.space == "codes":
            self.features = make_features(spec, CriticOptions(width=params.width, spectral=False))
            self.to_code = nn.Linear(self.features.flat, params.code)
            self.rebuilder = make_decoder(spec, params.code, embedding, params.width)
        if params.class_input in ("mixture", "fitted"):
            self.register_buffer("class_mean", torch.zeros(n_classes, params.latent))
            self.register_buffer("class_factor", torch.eye(params.latent).repeat(n_classes, 1, 1))
        if params.class_input == "mixture":
            if params.latent < n_classes:
                raise ParamsError(
                    f"class_input mixture: latent is {params.latent}, fewer than the {n_classes} classes, each of "
                    f"which has an axis of its own; set latent to {n_classes} or more"
                )
            self.class_mean[:, :n_classes] = APART * torch.eye(n_classes)

    def latents(self, noise: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[B, *latent_shape] standard normal -> the latents: of mixtures mean + factor noise of the class (of a soft
        label the weighted mean of its classes' latents), else the noise itself."""
        if self.class_input not in ("mixture", "fitted"):
            return noise
        weights = conditions["emotion"]
        factor = torch.einsum("bk,kij->bij", weights, self.class_factor)
        mean = weights @ self.class_mean
        if noise.dim() == 3:
            return mean[:, None] + torch.einsum("bij,btj->bti", factor, noise)
        return mean + torch.einsum("bij,bj->bi", factor, noise)

    def draw(self, noise: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[B, *latent_shape] -> what the critic judges: arrays [B, C, H, W], or codes [B, 1, code, 1]."""
        return self.decode(self.latents(noise, conditions), conditions)

    def decode(self, z: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """As `draw`, of latents."""
        embedding = self.condition(conditions if self.class_input == "embedding" else without_emotion(conditions))
        extra = torch.cat([conditions["emotion"], embedding], dim=1) if self.class_input == "one-hot" else embedding
        if z.dim() == 3:
            extra = extra[:, None].expand(-1, z.shape[1], -1)
        out: torch.Tensor = self.decoder(torch.cat([z, extra], dim=-1), embedding)
        return out

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Space codes: arrays [B, C, H, W] -> codes [B, 1, code, 1]; else the arrays themselves."""
        if self.rebuilder is None:
            return x
        codes: torch.Tensor = self.to_code(self.features.maps(x).flatten(1)).float()
        return codes[:, None, :, None]

    def rebuild(self, judged: torch.Tensor) -> torch.Tensor:
        """What the critic judges -> arrays [B, C, H, W]: decoded where it is codes. No class tells the decoder."""
        if self.rebuilder is None:
            return judged
        codes = judged.flatten(1)
        nothing = codes.new_zeros(len(codes), self.condition.null.numel())
        out: torch.Tensor = self.rebuilder(codes, nothing)
        return out

    def forward(self, noise: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[B, *latent_shape] -> arrays [B, C, H, W] in normalised space."""
        return self.rebuild(self.draw(noise, conditions))
