"""Diffusion: diffusers' schedules, steered by emotion through classifier-free guidance.

Networks: diffusers' U-Net over images and arrays of many rows; a U-Net over time alone where patches span all rows
(signals, which have few); a perceptron over the columns of a vector.

Training: v-prediction (Salimans & Ho 2022) under the cosine schedule (Nichol & Dhariwal 2021); timesteps of a batch are
spread evenly, which takes most of the noise out of the loss (Kingma et al. 2021, appendix I.1). Conditions are dropped
at random so that the same network also knows the unconditional score (Ho & Salimans 2022). Sampling: DPM-Solver++ of
second order (Lu et al. 2022), an ODE solver: a sample is a function of its initial noise, hence of its draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import nn

from corpora.errors import ParamsError
from features.representation import Spec
from generators.condition import ConditionFields, Conditions
from generators.generator import Device
from generators.layers import Grid, TimeEmbedding, TimeUNet, groups
from generators.params import TrainedParams
from generators.trained import Network, TrainedGenerator, TrainSet
from generators.vectors import HIDDEN, Columns, VectorDenoiser
from training.device import compiled
from training.ema import Ema
from training.loop import Minibatch, Phase
from training.seeds import noise

FEW_ROWS = 8  # so many are channels of one position, by default
TRAIN_TIMESTEPS = 1000
SCHEDULE = "squaredcos_cap_v2"
SPREAD_FLOOR = 1e-3  # a band without anything in it must not be blown up


class DiffusionParams(TrainedParams):
    """Parameters of the diffusion generator."""

    width: int = Field(
        32,
        ge=4,
        le=512,
        description="channels at the finest level, the coarser ones have twice as many; of a vector: an eighth of the "
        "hidden units",
    )
    levels: int = Field(
        3, ge=2, le=6, description="resolutions of the U-Net, each half of the one before; of a vector: blocks"
    )
    layers: int = Field(1, ge=1, le=4, description="residual blocks at each level")
    attention: bool = Field(True, description="self-attention at the coarsest level")
    patch: tuple[int, int] | None = Field(
        None,
        description="rows and columns that become one position; default: 2 x 2 for images, 2 x 4 for rows, or all "
        "rows x 4 where there are no more than 8; vectors have none",
    )
    drop_condition: float = Field(0.15, ge=0, lt=1, description="share of training samples that lose their condition")
    guidance: float = Field(3.0, ge=0, le=20, description="classifier-free guidance; 1: none, 0: unconditional")
    guidance_rescale: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share by which guided predictions get the spread of unguided ones (Lin et al. 2023)",
    )
    sample_steps: int = Field(16, ge=1, le=1000, description="steps of DPM-Solver++")
    lr: float = Field(2e-3, gt=0, le=1, description="learning rate of Adam after the warm-up")
    decay: bool = Field(True, description="let the learning rate fall to zero along a cosine")

    @field_validator("patch")
    @classmethod
    def _positive(cls, patch: tuple[int, int] | None) -> tuple[int, int] | None:
        if patch is not None and min(patch) < 1:
            raise ValueError("both sides of a patch are at least 1")
        return patch


class Patches(nn.Module):
    """Space to depth, in frequencies: [B, C, H, W] <-> [B, C * ph * pw, H' / ph, W' / pw], padded (edge values) so
    that the U-Net can halve both sides `levels` - 1 times.

    The pixels of a patch become their cosine coefficients, each scaled to mean 0 and spread 1 over train. Noise of one
    level then hides fine detail no sooner than the coarse shape, and an error of the network in a fine band, where
    natural arrays have little, is as small as that band: without it, patches show as a grid (in the spirit of
    diffusion over wavelets, Guth et al. 2022). Of rows, which have units of their own, only time is transformed. A
    patch that spans all rows leaves a grid of height 1, which is halved in time alone.
    """

    mean: torch.Tensor  # [channels, 1, 1]
    std: torch.Tensor
    basis: torch.Tensor  # [ph * pw, ph * pw], orthonormal

    def __init__(self, spec: Spec, patch: tuple[int, int], levels: int) -> None:
        super().__init__()
        c, h, w = spec.grid
        self.spec, self.patch = spec, patch
        unit = [p * 2 ** (levels - 1) for p in patch]
        if spec.layout == "rows" and patch[0] >= h:
            unit[0] = patch[0]
        self.padded = (-(-h // unit[0]) * unit[0], -(-w // unit[1]) * unit[1])
        self.channels = c * patch[0] * patch[1]
        self.grid = (self.padded[0] // patch[0], self.padded[1] // patch[1])
        if self.padded[0] >= 2 * h or self.padded[1] >= 2 * w:
            raise ParamsError(
                f"patch {list(patch)} and levels {levels} make blocks of {unit[0]} x {unit[1]}, too coarse for "
                f"arrays of {h} x {w}; lower one of them"
            )
        rows = cosines(patch[0]) if spec.layout == "image" else torch.eye(patch[0])
        self.register_buffer("basis", torch.kron(rows, cosines(patch[1])))
        self.register_buffer("mean", torch.zeros(self.channels, 1, 1))
        self.register_buffer("std", torch.ones(self.channels, 1, 1))

    @torch.no_grad()
    def fit(self, x: torch.Tensor) -> None:
        """Mean and spread of each coefficient over x [N, C, H, W], normalised train arrays."""
        n, total, squares = 0, torch.zeros_like(self.mean).double(), torch.zeros_like(self.std).double()
        for part in x.split(512):
            folded = self._coefficients(part).double()
            n += folded[:, 0].numel()
            total += folded.sum(dim=(0, 2, 3))[:, None, None]
            squares += folded.square().sum(dim=(0, 2, 3))[:, None, None]
        self.mean.copy_(total / n)
        self.std.copy_((squares / n - (total / n) ** 2).clamp(min=SPREAD_FLOOR**2).sqrt())

    def _coefficients(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        x = F.pad(x, (0, self.padded[1] - w, 0, self.padded[0] - h), mode="replicate")
        x = x.reshape(b, c, self.grid[0], self.patch[0], self.grid[1], self.patch[1])
        x = x.permute(0, 1, 3, 5, 2, 4).reshape(b, c, -1, *self.grid)
        return torch.einsum("fp,bcpyx->bcfyx", self.basis, x).reshape(b, self.channels, *self.grid)

    def fold(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] -> [B, channels, *grid], standardised coefficients."""
        return (self._coefficients(x) - self.mean) / self.std

    def unfold(self, x: torch.Tensor) -> torch.Tensor:
        """[B, channels, *grid] standardised coefficients -> [B, C, H, W]."""
        c, h, w = self.spec.grid
        x = (x * self.std + self.mean).reshape(len(x), c, -1, *self.grid)
        x = torch.einsum("fp,bcfyx->bcpyx", self.basis, x)
        x = x.reshape(len(x), c, *self.patch, *self.grid).permute(0, 1, 4, 2, 5, 3)
        return x.reshape(len(x), c, *self.padded)[:, :, :h, :w]


def cosines(n: int) -> torch.Tensor:
    """Orthonormal basis of the DCT-II: [n frequencies, n places]."""
    k, at = torch.arange(n)[:, None].double(), torch.arange(n)[None, :].double()
    basis = torch.cos(math.pi / n * (at + 0.5) * k) * math.sqrt(2.0 / n)
    basis[0] /= math.sqrt(2.0)
    return basis.float()


def default_patch(spec: Spec) -> tuple[int, int]:
    """Rows and columns that become one position."""
    if spec.layout == "image":
        return 2, 2
    rows = spec.grid[1]
    return (rows if rows <= FEW_ROWS else 2), 4


class DiffusionNetwork(Network):
    """Predicts v from noisy patches (of a vector: columns), a timestep and a condition."""

    patches: Patches | Columns

    def forward(
        self, x: torch.Tensor, t: torch.Tensor, conditions: Conditions, drop: torch.Tensor | None = None
    ) -> torch.Tensor:
        """[B, channels, *grid] noisy patches, [B] timesteps -> predicted v of the same shape."""
        raise NotImplementedError


class SmallDenoiser(DiffusionNetwork):
    """A network of our own, steered by the sum of the embeddings of time and condition: over the columns of a vector,
    or over time where patches span all rows."""

    def __init__(
        self,
        spec: Spec,
        n_classes: int,
        fields: ConditionFields,
        params: DiffusionParams,
        patches: Patches | Columns,
    ) -> None:
        embedding = 4 * params.width
        super().__init__(spec, n_classes, fields, embedding)
        self.patches = patches
        self.time = TimeEmbedding(embedding)
        self.denoiser: VectorDenoiser | TimeUNet
        if isinstance(patches, Columns):
            depth = params.levels * params.layers
            self.denoiser = VectorDenoiser(patches.channels, HIDDEN * params.width, embedding, depth)
        else:
            widths = [params.width] + [2 * params.width] * (params.levels - 1)
            self.denoiser = TimeUNet(
                Grid(spec), patches.channels, widths, params.layers, embedding, attention=params.attention
            )

    def forward(
        self, x: torch.Tensor, t: torch.Tensor, conditions: Conditions, drop: torch.Tensor | None = None
    ) -> torch.Tensor:
        """As of `DiffusionNetwork`, float32. drop: [B] bool, rows whose condition is left out."""
        predicted: torch.Tensor = self.denoiser(x, self.time(t) + self.condition(conditions, drop))
        return predicted.float()


class UNetDenoiser(DiffusionNetwork):
    """diffusers' U-Net over patches, to whose time embedding the condition is added."""

    def __init__(
        self, spec: Spec, n_classes: int, fields: ConditionFields, params: DiffusionParams, patches: Patches
    ) -> None:
        super().__init__(spec, n_classes, fields, embedding=4 * params.width)
        from diffusers import UNet2DModel  # ten seconds: only where such a model is built

        self.patches = patches
        plain = params.levels - 1
        widths = [params.width] + [2 * params.width] * plain
        down, up = ("AttnDownBlock2D", "AttnUpBlock2D") if params.attention else ("DownBlock2D", "UpBlock2D")
        self.unet: Any = UNet2DModel(
            sample_size=self.patches.grid,
            in_channels=self.patches.channels,
            out_channels=self.patches.channels,
            block_out_channels=tuple(widths),
            layers_per_block=params.layers,
            down_block_types=("DownBlock2D",) * plain + (down,),
            up_block_types=(up,) + ("UpBlock2D",) * plain,
            norm_num_groups=groups(params.width),
            attention_head_dim=groups(params.width),
            add_attention=params.attention,
            class_embed_type="identity",
        )

    def forward(
        self, x: torch.Tensor, t: torch.Tensor, conditions: Conditions, drop: torch.Tensor | None = None
    ) -> torch.Tensor:
        """As of `SmallDenoiser`."""
        predicted: torch.Tensor = self.unet(x, t, class_labels=self.condition(conditions, drop)).sample
        return predicted.float()


class Diffusion(TrainedGenerator):
    """diffusion: see the module. All draws of a list go through the solver together, each from noise of its own."""

    name = "diffusion"
    Params: ClassVar[type[TrainedParams]] = DiffusionParams
    params: DiffusionParams
    network: DiffusionNetwork | None

    def _build(self) -> DiffusionNetwork:
        p = self.params
        shared = (self.spec, len(self.classes), self.fields, p)
        if self.spec.layout == "vector":
            return SmallDenoiser(*shared, Columns(self.spec))
        patches = Patches(self.spec, p.patch or default_patch(self.spec), p.levels)
        over_time = self.spec.layout == "rows" and patches.grid[0] == 1
        return SmallDenoiser(*shared, patches) if over_time else UNetDenoiser(*shared, patches)

    def _phases(self, network: DiffusionNetwork, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        from diffusers import DDPMScheduler

        p = self.params
        network.patches.fit(train.x[torch.from_numpy(train.rows).to(train.x.device)])
        # between "every band counts alike" (1), mostly noise in fine bands, and "as in the array" (spread squared)
        weights = network.patches.std.flatten() / network.patches.std.mean()
        call: Any = compiled(network, device.compile)
        schedule: Any = DDPMScheduler(
            num_train_timesteps=TRAIN_TIMESTEPS, beta_schedule=SCHEDULE, prediction_type="v_prediction"
        )

        def loss(batch: Minibatch) -> dict[str, torch.Tensor]:
            x, conditions = train.take(batch.rows)
            x = network.patches.fold(x)
            n = len(x)
            spread = (torch.arange(n, device=batch.device) + batch.rand(1)) / n
            t = (spread * TRAIN_TIMESTEPS).long().clamp(max=TRAIN_TIMESTEPS - 1)
            eps = batch.randn(*x.shape)
            drop = batch.rand(n) < p.drop_condition
            v = call(schedule.add_noise(x, eps, t), t, conditions, drop)
            error = (v - schedule.get_velocity(x, eps, t)).square().mean(dim=(0, 2, 3))
            return {"loss": (weights * error).mean(), "mse": error.mean()}

        ema = Ema(network, p.ema_std)
        return [Phase("diffusion", network, loss, p.lr, weight_decay=p.weight_decay, clip=p.clip, ema=ema)]

    def _generate(self, conditions: Conditions, seeds: Sequence[int], device: torch.device) -> torch.Tensor:
        from diffusers import DPMSolverMultistepScheduler

        network, p = self.network, self.params
        assert network is not None
        solver: Any = DPMSolverMultistepScheduler(
            num_train_timesteps=TRAIN_TIMESTEPS,
            beta_schedule=SCHEDULE,
            prediction_type="v_prediction",
            algorithm_type="dpmsolver++",
            solver_order=2,
            timestep_spacing="trailing",
            euler_at_final=p.sample_steps < 15,
        )
        solver.set_timesteps(p.sample_steps, device=device)
        x = noise(seeds, (network.patches.channels, *network.patches.grid), device)
        both = {name: torch.cat([values, values]) for name, values in conditions.items()}
        n = len(x)
        drop = torch.arange(2 * n, device=device) >= n
        for t in solver.timesteps:
            if p.guidance == 1.0:
                v = network(x, t.expand(n), conditions)
            else:
                asked, free = network(torch.cat([x, x]), t.expand(2 * n), both, drop).chunk(2)
                v = free + p.guidance * (asked - free)
                if p.guidance_rescale > 0:
                    ratio = asked.std(dim=(1, 2, 3), keepdim=True) / v.std(dim=(1, 2, 3), keepdim=True)
                    v = v * (1.0 + p.guidance_rescale * (ratio - 1.0))
            x = solver.step(v, t, x).prev_sample
        return network.patches.unfold(x)
