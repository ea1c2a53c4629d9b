"""Conditional GAN: sharp samples in one pass.

Discriminator: residual, spectrally normalised (Miyato et al. 2018), conditioned by projection (Miyato & Koyama 2018) or
with an auxiliary classifier (Odena et al. 2017). Loss: hinge, or Wasserstein with gradient penalty (Gulrajani et al.
2017). DiffAugment (Zhao et al. 2020) lets it live on a few hundred samples; for rows, only shifts in time, because
brightness and contrast of a cepstrum are its loudness and timbre; for vectors, hidden columns. The generator that
samples is the averaged one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from features.representation import Spec
from generators.condition import ConditionEncoder, ConditionFields, Conditions
from generators.gan.augment import diff_augment
from generators.generator import Device
from generators.layers import Grid, ResBlock, groups, level_widths
from generators.params import TrainedParams
from generators.trained import Network, TrainedGenerator, TrainSet
from generators.vectors import HIDDEN, CriticMlp, Mlp
from training.device import compiled
from training.ema import Ema
from training.loop import Minibatch, Phase
from training.seeds import noise

PENALTY = 10.0  # weight of WGAN-GP's penalty


class GanParams(TrainedParams):
    """Parameters of the conditional GAN."""

    width: int = Field(
        32,
        ge=4,
        le=512,
        description="channels at full resolution, coarser levels have up to four times; of a vector: an eighth of the "
        "hidden units",
    )
    latent: int = Field(64, ge=1, le=1024, description="dimensions of the latent")
    discriminator: Literal["projection", "ac"] = Field(
        "projection", description="how the class enters the discriminator"
    )
    loss: Literal["hinge", "wgan-gp"] = Field("hinge", description="adversarial loss")
    augment: bool = Field(True, description="DiffAugment on real and generated samples alike")
    critic_steps: int = Field(1, ge=1, le=10, description="steps of the discriminator for each one of the generator")
    ac_weight: float = Field(1.0, ge=0, le=100, description="weight of the auxiliary classifier's loss")
    lr: float = Field(4e-4, gt=0, le=1, description="learning rate of the generator after the warm-up")
    lr_discriminator: float = Field(4e-4, gt=0, le=1, description="learning rate of the discriminator")
    clip: float = Field(0.0, ge=0, description="largest norm of the gradient; 0: not clipped")


class GanNetwork(Network):
    """The generator: latent and condition -> array."""

    def forward(self, z: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[B, latent] -> [B, C, H, W] in normalised space."""
        raise NotImplementedError


class GridGan(GanNetwork):
    """Convolutions to images and rows."""

    def __init__(self, spec: Spec, n_classes: int, fields: ConditionFields, params: GanParams) -> None:
        embedding = 4 * params.width
        super().__init__(spec, n_classes, fields, embedding)
        self.grid = grid = Grid(spec)
        widths = level_widths(params.width, grid.levels)
        self.mix = nn.Linear(params.latent + embedding, embedding)
        self.start = nn.Linear(params.latent + embedding, widths[-1] * grid.seed[0] * grid.seed[1])
        self.blocks = nn.ModuleList(
            ResBlock(grid, widths[i + 1], widths[i], embedding) for i in reversed(range(grid.levels))
        )
        self.norm = nn.GroupNorm(groups(widths[0]), widths[0])
        self.out = grid.conv(widths[0], grid.channels)

    def forward(self, z: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """As of `GanNetwork`, float32: in [-1, 1] where the Spec has bounds; 0 where its mask row is -1."""
        joint = torch.cat([z, self.condition(conditions)], dim=1)
        style = self.mix(joint)  # the latent steers every level, not only the coarsest
        h = self.start(joint).reshape(len(z), -1, *self.grid.seed)
        for block in self.blocks:
            h = block(self.grid.up(h), style)
        x = self.grid.unfold(self.out(F.silu(self.norm(h)))).float()
        spec = self.grid.spec
        if spec.bounds is not None:
            return torch.tanh(x)
        if spec.mask_row is None:
            return x
        # what real arrays are: mask within +-1, nothing in the padding (a soft gate keeps the gradient)
        row = spec.mask_row
        mask = torch.tanh(x[:, :, row : row + 1, :])
        gate = torch.sigmoid(6.0 * mask[:, :1])
        return torch.cat([x[:, :, :row] * gate, mask, x[:, :, row + 1 :] * gate], dim=2)


class VectorGan(GanNetwork):
    """A perceptron to the columns of a vector."""

    def __init__(self, spec: Spec, n_classes: int, fields: ConditionFields, params: GanParams) -> None:
        embedding = 4 * params.width
        super().__init__(spec, n_classes, fields, embedding)
        self.bounded = spec.bounds is not None
        self.mlp = Mlp(params.latent + embedding, spec.shape[0], HIDDEN * params.width, embedding)

    def forward(self, z: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """z [B, latent] -> [B, 1, D, 1] float32; in [-1, 1] where the Spec has bounds."""
        embedding = self.condition(conditions)
        x: torch.Tensor = self.mlp(torch.cat([z, embedding], dim=1), embedding).float()
        return (torch.tanh(x) if self.bounded else x)[:, None, :, None]


class _CriticBlock(nn.Module):
    def __init__(self, grid: Grid, inputs: int, outputs: int, wrap: Any) -> None:
        super().__init__()
        self.grid = grid
        self.conv1 = wrap(grid.conv(inputs, outputs))
        self.conv2 = wrap(grid.conv(outputs, outputs))
        self.shortcut = wrap(nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.conv2(F.leaky_relu(self.conv1(F.leaky_relu(x, 0.2)), 0.2))
        return self.grid.down(h) + self.shortcut(self.grid.down(x))


class _GridFeatures(nn.Module):
    """[B, C, H, W] -> [B, size]: residual blocks, then the mean over places."""

    def __init__(self, spec: Spec, width: int, wrap: Any) -> None:
        super().__init__()
        self.grid = grid = Grid(spec)
        widths = level_widths(width, grid.levels)
        self.size = widths[-1]
        self.into = wrap(grid.conv(grid.channels, widths[0]))
        self.blocks = nn.ModuleList(_CriticBlock(grid, widths[i], widths[i + 1], wrap) for i in range(grid.levels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.into(self.grid.fold(x))
        for block in self.blocks:
            h = block(h)
        return F.leaky_relu(h, 0.2).mean(dim=(2, 3))


class Critic(nn.Module):
    """The discriminator. Spectral norm for the hinge loss; WGAN-GP has its penalty instead."""

    def __init__(self, spec: Spec, n_classes: int, fields: ConditionFields, params: GanParams) -> None:
        super().__init__()
        wrap: Any = spectral_norm if params.loss == "hinge" else (lambda layer: layer)
        if spec.layout == "vector":
            size = HIDDEN * params.width
            self.features: nn.Module = CriticMlp(spec.shape[0], size, wrap)
        else:
            self.features = _GridFeatures(spec, params.width, wrap)
            size = self.features.size
        self.score = wrap(nn.Linear(size, 1))
        self.condition = ConditionEncoder(n_classes, fields, size)
        self.classify = nn.Linear(size, n_classes) if params.discriminator == "ac" else None
        self.is_vector = spec.layout == "vector"

    def forward(self, x: torch.Tensor, conditions: Conditions) -> tuple[torch.Tensor, torch.Tensor | None]:
        """[B, C, H, W] -> realness [B], class logits [B, K] (auxiliary classifier) or None (projection)."""
        h: torch.Tensor = self.features(x.flatten(1) if self.is_vector else x)
        score = self.score(h)[:, 0]
        if self.classify is not None:
            return score.float(), self.classify(h).float()
        projection = (self.condition(conditions) * h).sum(dim=1) / h.shape[1] ** 0.5
        return (score + projection).float(), None


class ConditionalGAN(TrainedGenerator):
    """cgan: see the module."""

    name = "cgan"
    Params: ClassVar[type[TrainedParams]] = GanParams
    params: GanParams
    network: GanNetwork | None

    def _build(self) -> GanNetwork:
        kind = VectorGan if self.spec.layout == "vector" else GridGan
        return kind(self.spec, len(self.classes), self.fields, self.params)

    def _phases(self, network: GanNetwork, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        p = self.params
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed % 2**63)
            critic = Critic(self.spec, len(self.classes), self.fields, p).to(train.x.device)
        draw: Any = compiled(network, device.compile)
        judge: Any = compiled(critic, device.compile)

        def seen(x: torch.Tensor, batch: Minibatch) -> torch.Tensor:
            return diff_augment(x, batch, self.spec) if p.augment else x

        def classes(logits: torch.Tensor | None, conditions: Conditions) -> torch.Tensor:
            if logits is None:
                return torch.zeros((), device=train.x.device)
            return p.ac_weight * F.cross_entropy(logits, conditions["emotion"])

        def loss_d(batch: Minibatch) -> dict[str, torch.Tensor]:
            x, conditions = train.take(batch.rows)
            with torch.no_grad():
                drawn = draw(batch.randn(len(x), p.latent), conditions)
            real_x, fake_x = seen(x, batch), seen(drawn, batch)
            real, logits = judge(real_x, conditions)
            fake, _ = judge(fake_x, conditions)
            if p.loss == "hinge":
                adversarial = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
            else:
                adversarial = fake.mean() - real.mean() + PENALTY * _penalty(critic, real_x, fake_x, conditions, batch)
            return {"loss": adversarial + classes(logits, conditions), "gap": real.mean() - fake.mean()}

        def loss_g(batch: Minibatch) -> dict[str, torch.Tensor]:
            _, conditions = train.take(batch.rows)
            drawn = draw(batch.randn(len(batch.rows), p.latent), conditions)
            fake, logits = judge(seen(drawn, batch), conditions)
            return {"loss": classes(logits, conditions) - fake.mean()}

        betas = (0.0, 0.99)
        ema = Ema(network, p.ema_std)
        g = Phase("generator", network, loss_g, p.lr, betas, p.weight_decay, p.clip, ema=ema)
        d = Phase("critic", critic, loss_d, p.lr_discriminator, betas, p.weight_decay, p.clip, repeats=p.critic_steps)
        return [g, d]

    def _generate(self, conditions: Conditions, seeds: Sequence[int], device: torch.device) -> torch.Tensor:
        assert self.network is not None
        return self.network(noise(seeds, (self.params.latent,), device), conditions)


def _penalty(
    critic: Critic, real: torch.Tensor, drawn: torch.Tensor, conditions: Conditions, batch: Minibatch
) -> torch.Tensor:
    """Squared distance from 1 of the critic's slope between real and generated samples. Gulrajani et al. 2017, eq.
    3."""
    share = batch.rand(len(real), 1, 1, 1)
    between = (share * real + (1 - share) * drawn).requires_grad_(True)
    score, _ = critic(between, conditions)
    (slope,) = torch.autograd.grad(score.sum(), between, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1.0).square().mean()
