"""Denoising networks steered by emotion: diffusion, and diffusion_edit, which starts from a real sample.

Everything is a parameter: the network, what it predicts and at which noise, the space it runs in, what guides it, the
sampler and its steps (generators/diffusion/params.py). By default: v-prediction (Salimans & Ho 2022) under the cosine
schedule (Nichol & Dhariwal 2021), classifier-free guidance (Ho & Salimans 2022) in the middle of the noise levels
(Kynkäänniemi et al. 2024), and UniPC (Zhao et al. 2023), an ODE solver: a sample is a function of its initial noise,
hence of its draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch

from corpora.errors import ParamsError
from features.representation import Spec
from generators.autoencoders.networks import CodeParams
from generators.condition import ConditionFields, Conditions, encode_conditions
from generators.diffusion.guidance import Estimator, Gradient, Pull, mixture_of, towards_neutral
from generators.diffusion.latent import OwnLatent, PretrainedLatent
from generators.diffusion.networks import NoisyClassifier, Steered, build_denoiser
from generators.diffusion.params import DiffusionParams, EditParams
from generators.diffusion.patches import Columns, Patches, default_patch
from generators.diffusion.precondition import Precondition, Spacing, student_levels
from generators.diffusion.samplers import SAMPLERS, RowNoise, consistency, inverted
from generators.diffusion.space import Space
from generators.diffusion.training import (
    Clean,
    autoencoder_loss,
    classifier_loss,
    denoising_loss,
    held_out_error,
    with_student,
)
from generators.generator import Device, Draw, TrainData
from generators.held_out import held_out
from generators.normalise import CHUNK, on_grid
from generators.params import TrainedParams
from generators.trained import FORMAT, Normalised, Starts, TrainedGenerator, TrainSet
from training.device import autocast, compiled
from training.ema import Ema
from training.loop import Minibatch, Phase
from training.posthoc import PostHocEma


class DiffusionNetwork(Normalised):
    """All that samples: the space, the denoiser, and what guides it. reach: [channels, 1, 1] largest size of train
    arrays in the space."""

    reach: torch.Tensor

    def __init__(self, spec: Spec, n_classes: int, fields: ConditionFields, params: DiffusionParams) -> None:
        super().__init__(spec)
        p = params
        self.space: Space = space_of(spec, n_classes, fields, p)
        channels, grid = self.space.channels, self.space.grid
        self.register_buffer("reach", torch.full((channels, 1, 1), torch.inf))

        def steered(params: DiffusionParams) -> Steered:
            return Steered(build_denoiser(spec, channels, grid, params), n_classes, fields, 4 * params.width)

        self.core = steered(p)
        self.weak: Steered | None = None
        if p.guide == "auto":
            self.weak = steered(p.model_copy(update={"width": max(4, p.width // 2), "layers": 1}))
        self.classifier: NoisyClassifier | None = None
        if p.guide == "classifier":
            self.classifier = NoisyClassifier(channels, grid, n_classes, p.width)

    def fold(self, x: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[b, C, H, W] normalised -> [b, channels, *grid] of spread 1."""
        return self.space.fold(x, conditions)

    def unfold(self, z: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """The way back."""
        return self.space.unfold(z, conditions)

    @torch.no_grad()
    def settle(self, x: torch.Tensor, conditions: Conditions) -> None:
        """Statistics of the space over train arrays x."""
        self.space.fit(x, conditions)
        parts = (slice(start, start + CHUNK) for start in range(0, len(x), CHUNK))
        sizes = [self.fold(x[p], {k: v[p] for k, v in conditions.items()}).abs().amax(dim=(0, 2, 3)) for p in parts]
        self.reach.copy_(torch.stack(sizes).amax(dim=0)[:, None, None])


def space_of(spec: Spec, n_classes: int, fields: ConditionFields, params: DiffusionParams) -> Space:
    """What the denoiser sees. Raises `ParamsError` for patches, or an autoencoder, that do not fit."""
    if params.space == "latent":
        if params.autoencoder is not None:
            return PretrainedLatent(spec, params.autoencoder)
        return OwnLatent(spec, n_classes, fields, latent_params(params))
    if spec.layout == "vector":
        return Columns(spec)
    levels = 1 if params.network in ("dit", "axial") else params.levels
    return Patches(spec, params.patch or default_patch(spec, params.network), levels)


def latent_params(params: DiffusionParams) -> CodeParams:
    """Of our own VAE."""
    return CodeParams(width=params.width, latent=params.latent)


class Diffusion(TrainedGenerator):
    """diffusion: see the module. All draws of a list go through the sampler together, each from noise of its own."""

    name = "diffusion"
    Params: ClassVar[type[TrainedParams]] = DiffusionParams
    format: ClassVar[int] = FORMAT + 1
    params: DiffusionParams
    network: DiffusionNetwork | None

    def __init__(self, spec: Spec, classes: Sequence[str], **params: Any) -> None:
        super().__init__(spec, classes, **params)
        p = self.params
        if p.intensity_by == "neutral" and p.neutral not in self.classes:
            raise ParamsError(
                f"intensity_by neutral mixes with the class {p.neutral!r}, which is none of {', '.join(self.classes)}; "
                "set neutral to the class that stands for no emotion"
            )
        self._averages: PostHocEma | None = None  # while it is fitted

    @classmethod
    def can_honour(cls, params: Mapping[str, Any]) -> frozenset[str]:
        """As of `TrainedGenerator`, and intensity where it is a mixture with neutral."""
        mixed = ("intensity",) if params.get("intensity_by") == "neutral" else ()
        return super().can_honour(params) | frozenset(mixed)

    def _asked(self) -> ConditionFields:
        if self.params.intensity_by == "neutral":
            return replace(self.fields, rated=("intensity", *self.fields.rated))
        return self.fields

    def _build(self) -> DiffusionNetwork:
        return DiffusionNetwork(self.spec, len(self.classes), self.fields, self.params)

    # -- the fit

    def _phases(self, network: DiffusionNetwork, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        p, precondition = self.params, Precondition(self.params.prediction)
        vae = network.space.autoencoder
        start = p.latent_share if vae is not None else 0.0

        def phase(name: str, module: Any, loss: Any, span: tuple[float, float], ema: Ema | None = None) -> Phase:
            ema = ema or Ema(module, p.ema_std)
            return Phase(name, module, loss, p.lr, weight_decay=p.weight_decay, clip=p.clip, ema=ema, span=span)

        core, call = network.core, compiled(network.core, device.compile)
        autoencoder = None
        if vae is not None:
            vae_loss = autoencoder_loss(vae, lambda batch: train.take(batch.rows), p)
            autoencoder = phase("autoencoder", vae, vae_loss, (0.0, start))
            assert autoencoder.ema is not None
            network.space.take_autoencoder(autoencoder.ema.module)
        take = self._taker(network, train)
        # between "every band counts alike" (1), mostly noise in fine bands, and "as in the array" (spread squared)
        bands = network.space.bands()
        loss = denoising_loss(core, call, take, p, bands)
        if p.student_steps:
            loss = with_student(loss, core, call, take, p)
        self._averages = PostHocEma(core, p.ema_std) if p.ema_widths else None
        phases = [phase("diffusion", core, loss, (start, 1.0), self._averages)]
        if network.weak is not None:
            weak_loss = denoising_loss(network.weak, network.weak, take, p, bands)
            phases.append(phase("weak", network.weak, weak_loss, (start, start + p.guide_share * (1.0 - start))))
        if network.classifier is not None:
            label_loss = classifier_loss(network.classifier, take, precondition)
            phases.append(phase("classifier", network.classifier, label_loss, (start, 1.0)))
        return phases if autoencoder is None else [*phases, autoencoder]

    def _taker(
        self, network: DiffusionNetwork, train: TrainSet
    ) -> Callable[[Minibatch], tuple[torch.Tensor, Conditions]]:
        """Batches in the space of the denoiser. What is kept (`Space.keeps`) is worked out of all of train once, at
        the first step that needs it: from then on nothing moves the autoencoder."""
        whole: list[torch.Tensor] = []
        keeps = network.space.keeps
        if not keeps:
            network.settle(*train.take(train.rows))

        def take(batch: Minibatch) -> tuple[torch.Tensor, Conditions]:
            x, conditions = train.take(batch.rows)
            if not keeps:
                return network.fold(x, conditions), conditions
            if not whole:
                with torch.no_grad():
                    network.settle(*train.take(train.rows))
                    whole.append(network.fold(train.x, train.conditions))
            return whole[0][torch.from_numpy(batch.rows).to(train.x.device)], conditions

        return take

    def _result(self, network: DiffusionNetwork, phases: Sequence[Phase]) -> DiffusionNetwork:
        """The network with the averages in place of what is trained: one module holds all weights that sample."""
        averages: dict[str, Any] = {phase.name: phase.ema.module for phase in phases if phase.ema is not None}
        result = self._shell(network)
        result.core = averages["diffusion"]
        result.weak, result.classifier = averages.get("weak"), averages.get("classifier")
        return result

    @staticmethod
    def _shell(network: DiffusionNetwork) -> DiffusionNetwork:
        """A second network around the same space."""
        shell = DiffusionNetwork.__new__(DiffusionNetwork)
        torch.nn.Module.__init__(shell)
        shell.normaliser, shell.space = network.normaliser, network.space
        shell.register_buffer("reach", network.reach)
        return shell

    @torch.no_grad()
    def _settle(self, train: TrainSet) -> None:
        network = self.network
        assert network is not None
        if network.space.autoencoder is not None:  # the weights that sample may be those of another step
            network.settle(*train.take(train.rows))

    def _choose(self, score: Callable[[], float]) -> None:
        network, averages = self.network, self._averages
        if network is None or averages is None:
            return
        weights = {name: tensor.clone() for name, tensor in network.core.state_dict().items()}
        best = score()
        for width in self.params.ema_widths:
            network.core.load_state_dict(averages.of_width(width).state_dict())
            reached = score()
            if reached < best:
                best, weights = reached, {name: t.clone() for name, t in network.core.state_dict().items()}
        network.core.load_state_dict(weights)

    @classmethod
    def needs_all_steps(cls, params: Mapping[str, Any]) -> str:
        """Why no held-out loss ends its fit; "" where one may."""
        return "the student of a diffusion is tuned in the last of its steps" if params.get("student_steps") else ""

    def held_out_loss(self, data: TrainData, device: Device) -> float:
        """Denoising error of held-out samples, in spreads of train squared. Raises `UserError` where none is held
        out."""
        network = self.network
        assert network is not None
        held, where = held_out(data, self.fields), network.reach.device
        conditions = {name: values.to(where) for name, values in held.conditions.items()}
        with torch.no_grad(), autocast(where, device.dtype):
            x = network.normaliser(torch.from_numpy(on_grid(held.arrays, self.spec)).to(where))
            clean = Clean(network.fold(x, conditions), conditions, held.seeds)
            return held_out_error(
                network.core, Precondition(self.params.prediction), self.params, clean, network.space.bands()
            )

    # -- sampling

    def _dialled(self, conditions: Conditions) -> Conditions:
        """Intensity as a mixture with neutral, where it is one."""
        p = self.params
        if p.intensity_by != "neutral":
            return conditions
        asked = {name: values for name, values in conditions.items() if name != "intensity"}
        mixed = towards_neutral(conditions["emotion"], conditions["intensity"][:, 0], self.classes.index(p.neutral))
        return asked | {"emotion": mixed}

    def _estimator(self, conditions: Conditions, *, guided: bool = True) -> Estimator:
        """What the sampler asks, for one batch: embeddings are worked out here, not at each step."""
        network, p = self.network, self.params
        assert network is not None
        core, emotion = network.core, conditions["emotion"]
        everything = torch.ones(len(emotion), dtype=torch.bool, device=emotion.device)
        free = core.condition(conditions, everything)
        estimator = Estimator(
            Precondition(p.prediction),
            core.predict,
            free if p.guide == "classifier" else core.condition(conditions),
            learned_variance=p.learned_variance,
            reach=network.reach if p.prediction == "epsilon" else None,
        )
        if p.soft_labels == "noise":

            def embed(rows: torch.Tensor, pure: torch.Tensor) -> torch.Tensor:
                return core.condition({name: values[rows] for name, values in conditions.items()} | {"emotion": pure})

            estimator = replace(estimator, mixture=mixture_of(emotion, embed), mix_interval=p.mix_interval)
        if not guided:
            return estimator
        if network.classifier is not None:
            return replace(estimator, gradient=Gradient(network.classifier, emotion, p.guidance, p.guidance_interval))
        if network.weak is not None:
            weak = network.weak
            pull = Pull(weak.predict, weak.condition(conditions), p.guidance, p.guidance_interval, p.guidance_rescale)
            return replace(estimator, pull=pull)
        if p.guide == "free":
            pull = Pull(core.predict, free, p.guidance, p.guidance_interval, p.guidance_rescale, shared=True)
            return replace(estimator, pull=pull)
        return estimator

    def _finished(self, z: torch.Tensor, conditions: Conditions, fresh: RowNoise) -> torch.Tensor:
        network, p = self.network, self.params
        assert network is not None
        if p.extra_noise > 0:
            z = z + p.extra_noise * fresh()
        return network.unfold(z, conditions)

    def _generate(self, conditions: Conditions, seeds: Sequence[int], device: torch.device) -> torch.Tensor:
        network, p = self.network, self.params
        assert network is not None
        conditions = self._dialled(conditions)
        fresh = RowNoise(seeds, (network.space.channels, *network.space.grid), device)
        sampler = SAMPLERS[p.sampler]
        sigmas = Precondition(p.prediction).grid(p.sample_steps, p.spacing_over(self.spec))
        if p.student_steps:
            sampler, sigmas = consistency, student_levels(p.prediction, p.student_steps)
        x = (1.0 + sigmas[0] ** 2) ** 0.5 * fresh()
        return self._finished(sampler(self._estimator(conditions), x, sigmas, fresh), conditions, fresh)


class DiffusionEdit(Diffusion):
    """diffusion_edit: a real sample of another class under noise, denoised under the class that is asked for (SDEdit,
    Meng et al. 2022), or run backwards under its own class and forwards under the other (DDIM inversion). Strength 0 is
    the source."""

    name = "diffusion_edit"
    Params: ClassVar[type[TrainedParams]] = EditParams
    takes: tuple[str, ...] = ("from",)
    params: EditParams

    def sample(self, draws: Sequence[Draw], sources: np.ndarray | None = None, *, device: Device) -> np.ndarray:
        """As of `TrainedGenerator`; strength 0 gives the sources back, bit for bit."""
        if self.params.strength > 0 or sources is None:
            return super().sample(draws, sources, device=device)
        self._starts(draws, sources)
        encode_conditions([d.condition for d in draws], self.classes, self._asked())
        return np.array(sources, np.float32)

    def _convert(
        self, starts: Starts, conditions: Conditions, seeds: Sequence[int], device: torch.device
    ) -> torch.Tensor:
        network, p = self.network, self.params
        assert network is not None
        conditions = self._dialled(conditions)
        fresh = RowNoise(seeds, (network.space.channels, *network.space.grid), device)
        own = conditions | {"emotion": starts.emotion}
        x = network.fold(starts.x, own)
        # the way up begins where noise hides nothing
        spacing: Spacing = "karras" if p.edit == "inversion" or p.spacing == "karras" else "trailing"
        sigmas = Precondition(p.prediction).grid(p.sample_steps, spacing, p.strength)
        if p.edit == "inversion":
            x = inverted(self._estimator(own, guided=False), x, sigmas)
        else:
            x = x + sigmas[0] * fresh()
        return self._finished(SAMPLERS[p.sampler](self._estimator(conditions), x, sigmas, fresh), conditions, fresh)
