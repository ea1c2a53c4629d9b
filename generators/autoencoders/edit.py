"""Edits of real samples through a conditional VAE: swap of the class, and noise around a source's code.

- swap: the source is encoded under its own class and decoded under the class that is asked for. Encoder and decoder
  both know the class, so the code has no need to hold it: what it holds (who it is, what is said) is kept.
- latent noise (Li et al. 2023): noise in the code of a source of the class that is asked for (`source: same`) gives
  variants of it, for the tail of a long-tailed corpus. Noise 0 is the reconstruction.

What the decoder leaves over of the source is its own and is added again, as far as `keep` says: with noise 0 and its
own class a source comes back as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator

from generators.autoencoders.autoencoder import Autoencoder
from generators.autoencoders.networks import VaeNetwork, Views
from generators.autoencoders.params import CriticParams
from generators.autoencoders.variational import Setting, adversarial_phases, make_critic, negative_elbo, plain_phases
from generators.condition import Conditions
from generators.fitting import initialised
from generators.generator import Device, SourceClass, TrainData
from generators.held_out import held_out
from generators.params import TrainedParams
from generators.trained import Starts, TrainSet
from training.loop import Phase
from training.seeds import derive_seed, noise


class EditParams(CriticParams):
    """Parameters of the edits."""

    source: Literal["other", "same"] = Field(
        "other",
        description="sources are of another class, which is swapped; or of the same, of which variants are drawn",
    )
    latent_noise: float = Field(
        0.5, ge=0, le=5, description="noise in the code, as a share of the spread that codes of the class have"
    )
    keep: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of what the decoder leaves over of the source that is added again; default: 1 for rows and "
        "vectors, 0 for images, where a ghost of the old expression would stay",
    )
    critics: Literal["none", "one", "two"] = Field("none", description="critics of the decoder, as vae_gan has them")

    @model_validator(mode="after")
    def _critics_make_sense(self) -> Self:
        unused = {"none": ("loss", "adversarial", "features"), "two": ("loss",), "one": ()}[self.critics]
        for name in unused:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is not used with critics: {self.critics}; leave it out, or critics: one")
        return self


class VaeEdit(Autoencoder):
    """vae_edit: see the module. Sources are train samples; choose them with `choose_sources`."""

    name = "vae_edit"
    Params: ClassVar[type[TrainedParams]] = EditParams
    params: EditParams
    takes: tuple[str, ...] = ("from",)

    @classmethod
    def source_class(cls, params: Mapping[str, Any]) -> SourceClass:
        """Of which class the sources are."""
        return "same" if params.get("source") == "same" else "other"

    @classmethod
    def needs_all_steps(cls, params: Mapping[str, Any]) -> str:
        """Why no held-out loss ends its fit; "" where one may."""
        critics = params.get("critics", "none")
        return "" if critics == "none" else "a decoder that plays against critics has no held-out loss"

    def held_out_loss(self, data: TrainData, device: Device) -> float:
        """As of cvae; of a decoder without critics."""
        assert self.network is not None
        return negative_elbo(self.network, self.params, held_out(data, self.fields), device)

    @property
    def views(self) -> Views:
        """Of a source only the class is known where it is encoded."""
        return Views(encoder="emotion")

    def _phases(self, network: VaeNetwork, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        setting = Setting(self.spec, train, device)
        if self.params.critics == "none":
            return plain_phases(network, self.params, setting)
        with initialised(derive_seed(seed, "critic")):
            critic = make_critic(self.spec, len(self.classes), self.fields, self.params, self.params.critics)
        return adversarial_phases(network, critic.to(train.x.device), self.params, setting)

    def _convert(
        self, starts: Starts, conditions: Conditions, seeds: Sequence[int], device: torch.device
    ) -> torch.Tensor:
        network = self.network
        assert network is not None
        own = {**conditions, "emotion": starts.emotion}
        code, _ = network.encode(starts.x, network.read_under(own))
        eps = noise(seeds, (self.params.latent,), device)
        moved = code + self.params.latent_noise * network.density.around(conditions["emotion"], eps)
        spans = network.spans_in(starts.x)  # who is moved keeps its length
        x = network.decode(moved, network.write_under(conditions), spans)
        usual = 0.0 if self.spec.layout == "image" else 1.0
        keep = usual if self.params.keep is None else self.params.keep
        if keep == 0.0:
            return x
        return x + keep * (starts.x - network.decode(code, network.write_under(own), spans))
