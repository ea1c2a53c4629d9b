"""stargan: one translator between all classes (StarGAN, Choi et al. 2018; v2, Choi et al. 2020).

The critic tells real from translated and hears the class (auxiliary domain classifier); the way back under the source's
class must give the source again. Options: a style code from a mapping network or of another sample instead of the bare
class (v2: `style`), squeeze and excitation (Han et al. 2023), an attention map that blends the new content into the
source (GANimation, Pumarola et al. 2018), a skip from input to output (US-GAN 2024), an untraceable source class (UGAN,
Zhu et al. 2019).

With a style the seed of a draw is its code; without one it varies how far the source is moved (`strength_range`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from corpora.schema import FROM
from features.representation import Spec
from generators.condition import ConditionFields, Conditions
from generators.fitting import initialised
from generators.gan.critics import Critic, CriticOptions, make_features
from generators.gan.losses import ADVERSARIAL, gradient_penalty
from generators.generator import Device
from generators.params import TrainedParams
from generators.trained import Network, Starts, TrainedGenerator, TrainSet
from generators.translation.networks import Translated, Translator, TranslatorOptions
from generators.translation.params import PENALTY, StarganParams
from generators.translation.partners import Partners, players, stacked, varied
from training.device import compiled
from training.loop import Minibatch, Phase
from training.seeds import noise


class StarNetwork(Network):
    """The translator, and of v2 the mapping network and the style encoder."""

    def __init__(self, spec: Spec, n_classes: int, fields: ConditionFields, params: StarganParams) -> None:
        embedding = 4 * params.width
        super().__init__(spec, n_classes, fields, embedding)
        options = TranslatorOptions(
            params.width, params.blocks, skip=params.skip, blend=params.blend, squeeze=params.squeeze
        )
        self.translator = Translator(spec, embedding, options)
        self.style = params.style
        if params.style:
            self.mapping = nn.Sequential(
                nn.Linear(params.style + embedding, embedding), nn.SiLU(), nn.Linear(embedding, params.style)
            )
            self.features = make_features(spec, CriticOptions(width=params.width, spectral=False))
            self.encoder = nn.Linear(self.features.size + embedding, params.style)
            self.spread = nn.Linear(params.style, embedding)

    def mapped(self, latent: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """Latent [B, style] -> the style code [B, style] that it stands for under these conditions. A change of the
        latent, so that codes of one class do not begin as one code."""
        change: torch.Tensor = self.mapping(torch.cat([latent, self.condition(conditions)], dim=1))
        return latent + change

    def encoded(self, x: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[B, C, H, W] of what the conditions say -> its style code [B, style]."""
        out: torch.Tensor = self.encoder(torch.cat([self.features(x), self.condition(conditions)], dim=1))
        return out

    def forward(self, x: torch.Tensor, conditions: Conditions, code: torch.Tensor | None) -> Translated:
        """x [B, C, H, W], what is asked for, and its style code [B, style] (None without styles)."""
        embedding = self.condition(conditions)
        if code is not None:
            embedding = embedding + self.spread(code)
        out: Translated = self.translator(x, embedding)
        return out


class Heard(NamedTuple):
    """Realness [B]; logits [B, K] of the class, and of the class before translation, where the critic is asked."""

    score: torch.Tensor
    logits: torch.Tensor | None
    traced: torch.Tensor | None


class StarCritic(nn.Module):
    """Realness and class of an array; of UGAN also the class that a translation came from."""

    def __init__(self, spec: Spec, n_classes: int, fields: ConditionFields, params: StarganParams) -> None:
        super().__init__()
        kind: Literal["ac", "projection"] = "ac" if params.classifier_weight > 0 else "projection"
        options = CriticOptions(kind, params.width, spectral=params.loss != "wgan-gp")
        self.critic = Critic(spec, n_classes, fields, options)
        size = self.critic.features.size
        self.trace = nn.Linear(size, n_classes) if params.untraceable_weight > 0 else None

    def forward(self, x: torch.Tensor, conditions: Conditions) -> Heard:
        """[B, C, H, W] and what it is to be."""
        verdict = self.critic(x, conditions)
        traced = None if self.trace is None else self.trace(verdict.features).float()
        return Heard(verdict.score, verdict.logits, traced)


class StarGAN(TrainedGenerator):
    """stargan: see the module."""

    name = "stargan"
    Params: ClassVar[type[TrainedParams]] = StarganParams
    params: StarganParams
    network: StarNetwork | None
    takes = (FROM,)

    def _build(self) -> StarNetwork:
        return StarNetwork(self.spec, len(self.classes), self.fields, self.params)

    def _phases(self, network: StarNetwork, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        p = self.params
        partners = Partners(train)
        with initialised(seed):
            critic = StarCritic(self.spec, len(self.classes), self.fields, p).to(train.x.device)
        game = ADVERSARIAL[p.loss]
        move: Any = compiled(network, device.compile)
        judge: Any = compiled(critic, device.compile)

        def loss_d(batch: Minibatch) -> dict[str, torch.Tensor]:
            x, own, rows, asked = partners.take(batch)
            real = train.take(rows)[0]
            with torch.no_grad():
                code = network.mapped(batch.randn(len(x), p.style), asked) if p.style else None
                fake = move(x, asked, code).y
            scores, logits, traced = judge(torch.cat([real, fake]), stacked(asked, asked))
            on_real, on_fake = scores.chunk(2)
            loss = game.critic(on_real, on_fake)
            parts = {"gap": on_real.mean() - on_fake.mean()}
            if logits is not None:
                parts["class"] = F.cross_entropy(logits[: len(x)], asked["emotion"])
                loss = loss + p.classifier_weight * parts["class"]
            if p.loss == "wgan-gp":
                share = batch.rand(len(x))
                loss = loss + PENALTY * gradient_penalty(lambda at: critic(at, asked)[0], real, fake, share)
            if traced is not None:
                # of a real sample: the class that it is of; of a translation: the one that it came from
                parts["trace"] = F.cross_entropy(traced, torch.cat([asked["emotion"], own["emotion"]]))
                loss = loss + p.untraceable_weight * parts["trace"]
            return {"loss": loss, **parts}

        def loss_g(batch: Minibatch) -> dict[str, torch.Tensor]:
            x, own, _, asked = partners.take(batch)
            code = here = None
            if p.style:
                code = network.mapped(batch.randn(len(x), p.style), asked)
                here = network.encoded(x, own)
            fake = move(x, asked, code)
            back = move(fake.y, own, here)
            score, logits, traced = judge(fake.y, asked)
            parts = {"adversarial": game.generator(score), "cycle": (back.y - x).abs().mean()}
            loss = parts["adversarial"] + p.cycle_weight * parts["cycle"]
            if logits is not None:
                parts["class"] = F.cross_entropy(logits, asked["emotion"])
                loss = loss + p.classifier_weight * parts["class"]
            if p.identity_weight > 0:
                parts["identity"] = (move(x, own, here).y - x).abs().mean()
                loss = loss + p.identity_weight * parts["identity"]
            if traced is not None:
                parts["trace"] = F.cross_entropy(traced, asked["emotion"])
                loss = loss + p.untraceable_weight * parts["trace"]
            if code is not None:
                other = network.mapped(batch.randn(len(x), p.style), asked)
                parts["style"] = (network.encoded(fake.y, asked) - code.detach()).abs().mean()
                parts["diversity"] = (move(x, asked, other).y.detach() - fake.y).abs().mean()
                loss = loss + p.style_weight * parts["style"] - p.diversity_weight * parts["diversity"]
            if fake.attention is not None:
                # an attention that is 1 everywhere would make the blend nothing (GANimation, eq. 3)
                parts["attention"] = fake.attention.mean()
                loss = loss + p.attention_weight * parts["attention"]
                if p.context_weight > 0:
                    outside = 1 - fake.attention.detach()
                    parts["context"] = (outside * (fake.y - x).abs()).mean()
                    loss = loss + p.context_weight * parts["context"]
            return {"loss": loss, **parts}

        return players(network, loss_g, critic, loss_d, p)

    def _convert(
        self, starts: Starts, conditions: Conditions, seeds: Sequence[int], device: torch.device
    ) -> torch.Tensor:
        network, p = self.network, self.params
        assert network is not None
        if p.style:
            y: torch.Tensor = network(
                starts.x, conditions, network.mapped(noise(seeds, (p.style,), device), conditions)
            ).y
            return y
        y = network(starts.x, conditions, None).y
        return varied(starts.x, y, noise(seeds, (1,), device), p.strength_range)
