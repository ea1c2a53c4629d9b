"""Conditional GAN: sharp samples in one pass.

A game is a choice of parameters: the critic (projection, auxiliary classifier, K + 1 answers, autoencoder, two opposed
ones), the loss, how the class enters the generator, what the critic judges (samples or codes), and terms to add.
DiffAugment (Zhao et al. 2020) lets it live on a few hundred samples. The generator that samples is the averaged one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from corpora.errors import ParamsError, UserError
from generators.condition import Conditions, encode_conditions
from generators.fitting import initialised
from generators.gan.augment import Adaptive, adaptive_augment, diff_augment
from generators.gan.critics import AutoencoderCritic, Critic, CriticOptions, TwoCritics
from generators.gan.networks import GanNetwork
from generators.gan.params import ANSWERING, GanParams
from generators.gan.rules import BalanceRules, Losses, Rules, ScoreRules, Seen, TwoRules
from generators.gan.start import Start, rebuilding_loss
from generators.gan.terms import diversity_term, mixed
from generators.generator import Device, Draw, Progress
from generators.params import TrainedParams
from generators.trained import TrainedGenerator, TrainSet
from training.device import compiled, resolve_device
from training.ema import Ema
from training.loop import DivergedError, Minibatch, Phase
from training.seeds import derive_seed, noise


class Game:
    """One fit: the two players, what they see of the train data, and what each minimises in a step."""

    def __init__(
        self, network: GanNetwork, critic: nn.Module, rules: Rules, train: TrainSet, params: GanParams
    ) -> None:
        self.network, self.critic, self.rules, self.train, self.params = network, critic, rules, train, params
        self.draw: Any = network.draw
        self.labelled = torch.ones(len(train.x), dtype=torch.bool, device=train.x.device)

    def hide_labels(self, seed: int) -> None:
        """Leaves the share of each class' labels that the parameters say, at least one."""
        emotions = self.train.conditions["emotion"].argmax(dim=1).cpu().numpy()
        rng = np.random.default_rng(derive_seed(seed, "labelled"))
        for k in np.unique(emotions[self.train.rows]):
            own = rng.permutation(self.train.rows[emotions[self.train.rows] == k])
            hidden = own[int(np.ceil(self.params.labelled * len(own))) :]
            self.labelled[torch.from_numpy(hidden).to(self.labelled.device)] = False

    def critic_loss(self, batch: Minibatch) -> Losses:
        """What the critic minimises in this step."""
        start = getattr(self.critic, "start", None)
        if isinstance(start, Start) and start.running(batch):
            assert isinstance(self.critic, Critic)
            return rebuilding_loss(self.network, self.critic, self.train, batch)
        x, conditions, labelled = self._real(batch)
        with torch.no_grad():
            real = self.network.encode(x)
            drawn = self.draw(batch.randn(len(x), *self.network.latent_shape), conditions)
        return self.rules.critic(
            Seen(self._augmented(real, batch), conditions, labelled),
            Seen(self._augmented(drawn, batch), conditions, labelled),
            batch,
        )

    def generator_loss(self, batch: Minibatch) -> Losses:
        """What the generator minimises in this step; of space codes, encoder and decoder too."""
        p, network = self.params, self.network
        start = getattr(self.critic, "start", None)
        if isinstance(start, Start):
            assert isinstance(self.critic, Critic)
            if start.running(batch):
                return rebuilding_loss(network, self.critic, self.train, batch)
            start.end(network, self.critic, self.train)
        x, conditions, labelled = self._real(batch)
        eps = batch.randn(len(x), *network.latent_shape)
        drawn = self.draw(eps, conditions)
        real = network.encode(x)
        fake = Seen(self._augmented(drawn, batch), conditions, labelled)
        said = self.rules.generator(Seen(real.detach(), conditions, labelled), fake, batch)
        loss = said.pop("loss")
        if p.diversity > 0:
            other = batch.randn(*eps.shape)
            said["diversity"] = diversity_term(drawn, self.draw(other, conditions), eps, other)
            loss = loss + p.diversity * said["diversity"]
        if p.space == "codes":
            said["rebuilt"] = (x - network.rebuild(real)).square().mean()
            loss = loss + said["rebuilt"]
            if p.discriminator in ANSWERING:  # codes of real samples tell the class as well
                logits = self.critic(real, conditions).logits[:, : conditions["emotion"].shape[1]]
                said["codes_tell"] = F.cross_entropy(logits, conditions["emotion"])
                loss = loss + p.ac_weight * said["codes_tell"]
        return {"loss": loss, **said}

    def _real(self, batch: Minibatch) -> tuple[torch.Tensor, Conditions, torch.Tensor]:
        x, conditions = self.train.take(batch.rows)
        x, conditions = mixed(x, conditions, self.params.mixup, batch)
        return x, conditions, self.labelled[torch.from_numpy(batch.rows).to(x.device)]

    def _augmented(self, x: torch.Tensor, batch: Minibatch) -> torch.Tensor:
        adaptive = getattr(self.critic, "adaptive", None)
        if isinstance(adaptive, Adaptive):
            return adaptive_augment(x, batch, self.network.judged, adaptive.probability)
        return diff_augment(x, batch, self.network.judged) if self.params.augment else x


class ConditionalGAN(TrainedGenerator):
    """cgan: see the module. `codes` are the second space of a fit with `space: codes`."""

    name = "cgan"
    Params: ClassVar[type[TrainedParams]] = GanParams
    params: GanParams
    network: GanNetwork | None

    def _build(self) -> GanNetwork:
        if self.params.mixup > 0 and self.spec.mask_row is not None:
            raise ParamsError(
                f"mixup: arrays of {self.spec.name} have lengths of their own (a mask row), whose mean is none; "
                "leave mixup out or choose a representation of one length"
            )
        return GanNetwork(self.spec, len(self.classes), self.fields, self.params)

    def _critic(self, network: GanNetwork) -> nn.Module:
        p, judged, n_classes = self.params, network.judged, len(self.classes)
        options = CriticOptions("projection", p.width, p.has_spectral_norm(judged), p.dropout, p.recurrent)
        if p.discriminator == "two":
            return TwoCritics(judged, n_classes, self.fields, options)
        if p.discriminator == "autoencoder":
            return AutoencoderCritic(judged, n_classes, self.fields, replace(options, code=p.code))
        fitted = p.class_input == "fitted"
        code = p.latent if fitted else 0
        options = replace(options, kind=p.discriminator, code=code, embeds=p.triplet > 0)
        critic = Critic(judged, n_classes, self.fields, options)
        if p.augment == "ada":
            critic.add_module("adaptive", Adaptive())
        if fitted:
            critic.add_module("start", Start(p.start))
        return critic

    def _rules(self, network: GanNetwork, critic: nn.Module, device: Device) -> Rules:
        judge: Any = compiled(critic, device.compile)
        if isinstance(critic, Critic):
            return ScoreRules(judge, critic, self.params, network.judged)
        if isinstance(critic, AutoencoderCritic):
            return BalanceRules(judge, critic, self.params)
        return TwoRules(judge, self.params)

    def _phases(self, network: GanNetwork, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        p = self.params
        with initialised(seed):
            critic = self._critic(network).to(train.x.device)
        game = Game(network, critic, self._rules(network, critic, device), train, p)
        if device.compile:
            game.draw = torch.compile(network.draw)
        if p.labelled < 1:
            game.hide_labels(seed)
        betas = (0.0, 0.99)
        ema = Ema(network, p.ema_std)
        g = Phase("generator", network, game.generator_loss, p.lr, betas, p.weight_decay, p.clip, ema=ema)
        d = Phase(
            "critic",
            critic,
            game.critic_loss,
            p.lr_discriminator,
            betas,
            p.weight_decay,
            p.clip,
            repeats=p.steps_of_critic(network.judged),
        )
        return [g, d]

    def fit(self, data: Any, **options: Any) -> Iterator[Progress]:
        """See `TrainedGenerator.fit`. Raises `DivergedError` that says what steadies this game."""
        try:
            yield from super().fit(data, **options)
        except DivergedError as error:
            folder, every = options.get("checkpoints"), options.get("checkpoint_every", 500)
            kept = f" The last good state, of a step that {every} divides, is kept." if folder is not None else ""
            raise DivergedError(f"{error}. This game: {_steadier(self.params)}.{kept}") from error

    def _generate(self, conditions: Conditions, seeds: Sequence[int], device: torch.device) -> torch.Tensor:
        assert self.network is not None
        x: torch.Tensor = self.network(noise(seeds, self.network.latent_shape, device), conditions)
        return x

    @torch.inference_mode()
    def codes(self, draws: Sequence[Draw], *, device: Device) -> np.ndarray:
        """draws (n) -> [n, code] float32: the generator's codes, of which `sample` gives what their decoder makes.

        Raises `UserError` where the fit was not of space codes."""
        network = self._code_network()
        where = resolve_device(device.kind)
        network.to(where)
        asked = encode_conditions([d.condition for d in draws], self.classes, self.fields)
        conditions = {name: values.to(where) for name, values in asked.items()}
        z = noise([d.seed for d in draws], network.latent_shape, where)
        return network.draw(z, conditions).flatten(1).cpu().numpy()

    @torch.inference_mode()
    def encode(self, arrays: np.ndarray, *, device: Device) -> np.ndarray:
        """[n, *spec.shape] in the representation's units -> [n, code] float32: real samples in the second space.

        Raises `UserError` where the fit was not of space codes."""
        network = self._code_network()
        where = resolve_device(device.kind)
        network.to(where)
        x = torch.from_numpy(np.asarray(arrays, np.float32).reshape(len(arrays), *self.spec.grid)).to(where)
        return network.encode(network.normaliser(x)).flatten(1).cpu().numpy()

    def _code_network(self) -> GanNetwork:
        network = self._fitted()
        assert isinstance(network, GanNetwork)
        if self.params.space != "codes":
            raise UserError("this cgan has no codes: it was fitted with space samples; fit it with space: codes")
        return network


def _steadier(params: GanParams) -> str:
    """What to try after a game diverged, by what the parameters leave open."""
    if params.penalty_weight > 0:
        return "lower lr_discriminator, set critic_steps to 5, or clip to 1"
    if params.spectral is not True and params.discriminator != "autoencoder":
        return "set spectral to true, or lower lr_discriminator"
    return "lower lr and lr_discriminator, or set clip to 1"
