"""finetuned_diffusion: a pretrained diffusers pipeline, fine-tuned to images of each class, by LoRA or whole.

A pipeline with a text encoder is asked in words: one prompt a class, of which a mixture is the weighted mean of what
the encoder makes of them. A pipeline without a condition gets one: a vector for each class, added to the embedding of
the noise level (as in class-conditional DDPM, Nichol & Dhariwal 2021), zero at the start, so that the first step is the
pretrained model. Noise is predicted as the pipeline's own schedule says, guidance is classifier-free (Ho & Salimans
2022), and DDIM goes from a draw's noise to its image without further chance (Song 2021).

A model that is saved holds the trained weights, the place of its base and the base's hash; with LoRA a small part of
all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import nn

from corpora.errors import IntegrityError, ParamsError, UnknownNameError
from features.representation import Spec
from generators.condition import ConditionFields, Conditions
from generators.generator import Device
from generators.params import TrainedParams
from generators.pipelines.pipeline import BATCH, FROM_PATH, Pipeline, load_pipeline
from generators.trained import Network, TrainedGenerator, TrainSet
from generators.tuning import LoraParams, Trainable, tune
from training.checkpoint import load_tensors
from training.device import compiled
from training.loop import Losses, Minibatch, Phase
from training.seeds import noise

GAIN = 10.0  # of class vectors
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


class FinetunedParams(TrainedParams, LoraParams):
    """Of `finetuned_diffusion`."""

    model: str = Field(description="path:FOLDER of a pipeline of diffusers: DDPMPipeline or StableDiffusionPipeline")
    targets: Literal["attention", "all"] = Field(
        "attention",
        description="layers of the U-Net that LoRA changes: of attention, or all linear and convolutional ones",
    )
    prompt: str = Field(
        "a photograph of a face, {emotion}",
        max_length=500,
        description="words for a class, where the pipeline reads words",
    )
    words: dict[str, str] = Field(
        default_factory=dict,
        description="class -> what stands for {emotion}; the class' own name where it is not there",
    )
    lr: float = Field(1e-4, gt=0, le=1, description="learning rate of Adam after the warm-up")
    batch_size: int = Field(8, ge=1, le=65536, description="samples in a training step, over all workers")
    drop_condition: float = Field(
        0.1, ge=0, lt=1, description="share of samples that are learned without a condition, which guidance needs"
    )
    guidance: float = Field(3.0, ge=0, le=50, description="classifier-free guidance; 1: the condition alone")
    sample_steps: int = Field(25, ge=1, le=1000, description="steps of DDIM from noise to image")

    @field_validator("model")
    @classmethod
    def _a_path(cls, place: str) -> str:
        if not place.startswith(FROM_PATH) or place == FROM_PATH:
            raise ValueError("write path:FOLDER; save a pipeline of a hub there first (save_pretrained)")
        return place

    @model_validator(mode="after")
    def _what_it_can(self) -> Self:
        if self.prompt.count("{emotion}") != 1:
            raise ValueError("prompt must hold {emotion} once: nothing else says the class")
        if self.honours or self.use_intensity:
            raise ValueError("prompts and class vectors say the class alone: leave out honours and use_intensity")
        if self.ema_std != TrainedParams.model_fields["ema_std"].default:
            raise ValueError("no average of the weights is kept while fine-tuning: leave out ema_std")
        if self.guidance != 1.0 and self.drop_condition == 0.0:
            raise ValueError(
                "guidance needs a model that has seen samples without a condition: set drop_condition, or guidance: 1"
            )
        return self


class ClassVectors(nn.Module):
    """shares [n, K] -> [n, D], zero before the first step. The vectors stand in units of `GAIN`: they begin at nothing
    while all else is trained, and would be long behind at the same learning rate."""

    def __init__(self, n_classes: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_classes, width))

    def forward(self, shares: torch.Tensor) -> torch.Tensor:
        """Mean of the classes' vectors, weighted by shares."""
        return GAIN * (shares @ self.weight)


class FinetunedNetwork(Network):
    """The pipeline as one network whose parameters are those that are trained. The others move and switch with it, and
    are neither kept nor saved."""

    def __init__(self, spec: Spec, classes: Sequence[str], params: FinetunedParams) -> None:
        super().__init__(spec, len(classes), ConditionFields(), 1)
        self.condition.requires_grad_(False)
        pipeline = load_pipeline(params.model)
        channels = pipeline.unet.config.in_channels if pipeline.vae is None else pipeline.vae.config.in_channels
        if spec.shape[0] not in (1, channels):
            raise ParamsError(f"{params.model} models images of {channels} channels, {spec.name} has {spec.shape[0]}")
        try:
            named = tune(pipeline.unet, params, _targets(pipeline.unet, params.targets))
        except ValueError:
            raise ParamsError(f"{params.model} has no layers of {params.targets} for LoRA; set targets: all") from None
        self.contexts: torch.Tensor | None = None  # [K + 1, L, D], the last one of no words
        if pipeline.text_encoder is None:
            classed = ClassVectors(len(classes), pipeline.unet.time_embedding.linear_2.out_features)
            pipeline.unet.class_embedding = classed  # the U-Net adds it to the embedding of the noise level
            named |= dict(classed.named_parameters(prefix="class_embedding"))
        else:
            words = [params.prompt.replace("{emotion}", params.words.get(name, name)) for name in classes]
            self.contexts = pipeline.encode_prompts([*words, ""])
        self.trainable = Trainable(named)
        self._hidden = [pipeline]  # in a list: no submodule

    @property
    def pipeline(self) -> Pipeline:
        """What it is made of."""
        return self._hidden[0]

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        for module in self.pipeline.modules():
            module._apply(fn)
        if self.contexts is not None:
            self.contexts = fn(self.contexts)
        return self

    def train(self, mode: bool = True) -> Self:
        """As of any module; the U-Net goes with it."""
        super().train(mode)
        self.pipeline.unet.train(mode)
        return self

    def predict(self, z: torch.Tensor, t: torch.Tensor, shares: torch.Tensor, unet: Any = None) -> torch.Tensor:
        """z [n, *pipeline.shape], t [n] noise levels, shares [n, K]; shares of 0 throughout: without a condition."""
        unet = self.pipeline.unet if unet is None else unet
        if self.contexts is None:
            out: torch.Tensor = unet(z, t, class_labels=shares).sample
            return out
        nothing = (shares.sum(dim=1, keepdim=True) == 0).to(shares.dtype)
        context = torch.einsum("nk,kld->nld", torch.cat([shares, nothing], dim=1), self.contexts)
        out = unet(z, t, encoder_hidden_states=context).sample
        return out


class FinetunedDiffusion(TrainedGenerator):
    """See the module. Images alone: arrays within [-1, 1], resized to what the pipeline wants and back."""

    name: ClassVar[str] = "finetuned_diffusion"
    learns_given: ClassVar[bool] = False  # its pipeline is steered by the class alone
    Params: ClassVar[type[FinetunedParams]] = FinetunedParams
    params: FinetunedParams
    layouts: frozenset[str] = frozenset({"image"})
    needs_base: ClassVar[bool] = True  # it is nothing without the pipeline that params name

    def __init__(self, spec: Spec, classes: Sequence[str], **params: Any) -> None:
        super().__init__(spec, classes, **params)
        if spec.bounds != (-1.0, 1.0):
            raise ParamsError(f"generator {self.name} models images in [-1, 1]; {spec.name} has bounds {spec.bounds}")
        for name in self.params.words:
            if name not in self.classes:
                raise UnknownNameError.of(f"class in words of generator {self.name}", name, self.classes)
        self._base = ""

    def _build(self) -> Network:
        network = FinetunedNetwork(self.spec, self.classes, self.params)
        self._base = network.pipeline.identity
        return network

    def _phases(self, network: Any, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        from diffusers import DDPMScheduler

        p, pipeline = self.params, network.pipeline
        schedule = DDPMScheduler.from_config(pipeline.scheduler)
        levels = int(schedule.config.num_train_timesteps)
        kind = str(schedule.config.prediction_type)
        with torch.no_grad():
            targets = torch.cat([pipeline.from_images(part) for part in train.x.split(BATCH)])
        unet = compiled(pipeline.unet, device.compile)

        def loss(batch: Minibatch) -> Losses:
            network.train()
            n = len(batch.rows)
            _, conditions = train.take(batch.rows)
            clean = targets[torch.from_numpy(batch.rows).to(targets.device)]
            kept = (batch.rand(n, 1) >= p.drop_condition).to(clean.dtype)
            t = (batch.rand(n) * levels).long().clamp(max=levels - 1)
            eps = batch.randn(*clean.shape)
            noisy = schedule.add_noise(clean, eps, t)
            wanted = {"epsilon": lambda: eps, "sample": lambda: clean}.get(
                kind, lambda: schedule.get_velocity(clean, eps, t)
            )()
            said = network.predict(noisy, t, conditions["emotion"].to(clean.dtype) * kept, unet)
            return {"loss": nn.functional.mse_loss(said.float(), wanted.float())}

        return [
            Phase("unet", network, loss, p.lr, weight_decay=p.weight_decay, clip=p.clip),
        ]

    def _generate(self, conditions: Conditions, seeds: Sequence[int], device: torch.device) -> torch.Tensor:
        from diffusers import DDIMScheduler

        network = self._fitted()
        assert isinstance(network, FinetunedNetwork)
        p, pipeline = self.params, network.pipeline
        network.eval()
        schedule = DDIMScheduler.from_config(pipeline.scheduler)
        schedule.set_timesteps(p.sample_steps)
        shares = conditions["emotion"].float()
        parts = []
        for start in range(0, len(seeds), BATCH):
            rows = slice(start, start + BATCH)
            asked = shares[rows]
            z = noise(seeds[rows], pipeline.shape, device) * float(schedule.init_noise_sigma)
            for t in schedule.timesteps:
                level = t.to(device).expand(len(z))
                said = network.predict(z, level, asked)
                if p.guidance != 1.0:
                    without = network.predict(z, level, torch.zeros_like(asked))
                    said = without + p.guidance * (said - without)
                z = schedule.step(said.float(), t, z, eta=0.0).prev_sample
            parts.append(pipeline.to_images(z, self.spec.grid))
        return torch.cat(parts)

    @classmethod
    def load(cls, folder: Path, *, device: Device) -> Self:
        """Raises `IntegrityError` where the folder does not hold a model of this generator, or its base is another than
        it was fitted on; `ParamsError` where the base is gone."""
        model = super().load(folder, device=device)
        wanted = load_tensors(folder)[1].get("base")
        if wanted != model._base:
            raise IntegrityError(
                f"{model.params.model} holds {model._base}, this model was fitted on {wanted}; put the base back, or "
                "fit it again"
            )
        return model

    def _config(self) -> dict[str, Any]:
        return {**super()._config(), "base": self._base}


def _targets(unet: nn.Module, targets: str) -> list[str]:
    if targets == "attention":
        return list(ATTENTION)
    return [name for name, module in unet.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
