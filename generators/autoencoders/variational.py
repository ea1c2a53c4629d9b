"""How variational autoencoders are trained: one phase, or one more for critics that the decoder plays against.

The decoder is the generator of a GAN (VAE-GAN, Larsen et al. 2016): critics see real arrays, reconstructions and what
is decoded of N(0, 1). Two opposed critics (D2GAN, Nguyen et al. 2017) reward the KL divergence in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from features.representation import Spec
from generators.autoencoders.networks import VaeNetwork
from generators.autoencoders.objective import annealed, kl_nats, rebuilt_nats, steady_from
from generators.autoencoders.params import CriticParams, ElboParams
from generators.condition import ConditionFields, Conditions
from generators.gan.critics import Critic, CriticOptions, TwoCritics
from generators.gan.losses import ADVERSARIAL, d2gan_critic, d2gan_generator
from generators.generator import Device
from generators.held_out import HeldOut
from generators.normalise import on_grid
from generators.trained import TrainSet
from training.device import autocast, compiled
from training.ema import Ema
from training.loop import Minibatch, Phase
from training.seeds import noise

HELD_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Setting:
    """What the phases are of: the representation, its train split, and where it is computed."""

    spec: Spec
    train: TrainSet
    device: Device


def plain_phases(network: VaeNetwork, params: ElboParams, setting: Setting) -> list[Phase]:
    """One phase: likelihood and annealed KL, and what heads on the code say."""
    spec, train = setting.spec, setting.train
    call: Any = compiled(network, setting.device.compile)
    size = float(train.x[0].numel())

    def loss(batch: Minibatch) -> dict[str, torch.Tensor]:
        x, conditions = train.take(batch.rows)
        rebuilt, mean, logvar, length = call(x, conditions, batch.randn(len(x), params.latent))
        kl = kl_nats(mean, logvar)
        total = rebuilt_nats(x, rebuilt, length, spec) + annealed(params, batch.progress) * regularised(kl, params)
        extra, terms = (0.0, {}) if network.heads is None else network.heads(mean, conditions)
        return {"loss": total / size + extra, "kl": kl.sum(), "mse": (x - rebuilt).square().mean(), **terms}

    return [autoencoder_phase(network, params, loss)]


@torch.no_grad()
def negative_elbo(network: VaeNetwork, params: ElboParams, held: HeldOut, device: Device) -> float:
    """Nats a cell of held-out samples, without constants: the whole bound, KL at its full weight, whatever the loss of
    the step weighs it by."""
    where = next(network.parameters()).device
    spec = network.normaliser.spec
    conditions = {name: values.to(where) for name, values in held.conditions.items()}
    x = network.normaliser(torch.from_numpy(on_grid(held.arrays, spec)).to(where))
    eps = noise(held.seeds, (params.latent,), where)
    parts = []
    with autocast(where, device.dtype):
        for rows in torch.arange(len(x)).split(HELD_AT_ONCE):
            some = {name: values[rows] for name, values in conditions.items()}
            parts.append(network(x[rows], some, eps[rows]))
    rebuilt, mean, logvar = (torch.cat([part[i].float() for part in parts]) for i in range(3))
    unsaid = [len(part.x) * part.length for part in parts if part.length is not None]
    length = sum(unsaid[1:], unsaid[0]) / len(x) if unsaid else None
    nats = rebuilt_nats(x, rebuilt, length, spec) + params.beta * kl_nats(mean, logvar).sum()
    return float(nats) / x[0].numel()


def adversarial_phases(
    network: VaeNetwork, critic: Critic | TwoCritics, params: CriticParams, setting: Setting
) -> list[Phase]:
    """Two phases: the autoencoder against a critic (or two), and the critic."""
    spec, train = setting.spec, setting.train
    call: Any = compiled(network, setting.device.compile)
    judge: Any = compiled(critic, setting.device.compile)
    size = float(train.x[0].numel())

    def loss(batch: Minibatch) -> dict[str, torch.Tensor]:
        x, conditions = train.take(batch.rows)
        rebuilt, mean, logvar, length = call(x, conditions, batch.randn(len(x), params.latent))
        kl = kl_nats(mean, logvar)
        fit = params.reconstruction * rebuilt_nats(x, rebuilt, length, spec)
        fit = fit + annealed(params, batch.progress) * regularised(kl, params)
        fake, under = _with_drawn(network, rebuilt, conditions, batch, params)
        fooled = _generator_side(judge, fake, under, params)
        close = _distance(critic, x, rebuilt) if params.features > 0 else rebuilt.new_zeros(())
        total = fit / size + params.adversarial * fooled + params.features * close
        return {"loss": total, "kl": kl.sum(), "mse": (x - rebuilt).square().mean(), "fooled": fooled}

    def critic_loss(batch: Minibatch) -> dict[str, torch.Tensor]:
        x, conditions = train.take(batch.rows)
        with torch.no_grad():
            rebuilt = call(x, conditions, batch.randn(len(x), params.latent)).x
            fake, under = _with_drawn(network, rebuilt, conditions, batch, params)
        return {"loss": _critic_side(judge, (x, conditions), (fake, under), params)}

    # No momentum for the critic: it chases a decoder that moves.
    return [
        autoencoder_phase(network, params, loss),
        Phase("critic", critic, critic_loss, params.lr_critic, betas=(0.0, 0.99), clip=params.clip),
    ]


def make_critic(
    spec: Spec, n_classes: int, fields: ConditionFields, params: CriticParams, critics: Literal["one", "two"]
) -> Critic | TwoCritics:
    """Projection critics with spectral norm. Call it within `initialised`."""
    options = CriticOptions(kind="projection", width=params.width)
    return (Critic if critics == "one" else TwoCritics)(spec, n_classes, fields, options)


def autoencoder_phase(network: VaeNetwork, params: ElboParams | Any, loss: Any) -> Phase:
    """The phase that trains the network itself."""
    average = Ema(network, params.ema_std)
    steady = steady_from(params) if isinstance(params, ElboParams) else 0.0
    decay, clip = params.weight_decay, params.clip
    return Phase("vae", network, loss, params.lr, weight_decay=decay, clip=clip, ema=average, steady=steady)


def regularised(kl: torch.Tensor, params: ElboParams) -> torch.Tensor:
    """KL of each dimension [latent] in nats -> their sum, of which the free ones cost nothing that can be saved."""
    return kl.clamp(min=params.free_bits).sum()


def _with_drawn(
    network: VaeNetwork, rebuilt: torch.Tensor, conditions: Conditions, batch: Minibatch, params: CriticParams
) -> tuple[torch.Tensor, Conditions]:
    """Reconstructions [B, C, H, W], and as many halves of what is decoded of N(0, 1) under the same conditions."""
    half = {name: values[: (len(rebuilt) + 1) // 2] for name, values in conditions.items()}
    z = batch.randn(len(half["emotion"]), params.latent)
    embedding = network.write_under(half)
    spans = network.drawn_spans(z, embedding, batch.rand(len(z))) if params.padding == "cut" else None
    drawn = network.decode(z, embedding, spans)
    return torch.cat([rebuilt, drawn]), {name: torch.cat([conditions[name], half[name]]) for name in conditions}


def _generator_side(judge: Any, fake: torch.Tensor, under: Conditions, params: CriticParams) -> torch.Tensor:
    said = judge(fake, under)
    if hasattr(said, "second"):
        return d2gan_generator(said, params.second_critic)
    return ADVERSARIAL[params.loss].generator(said.score)


def _critic_side(
    judge: Any, real: tuple[torch.Tensor, Conditions], fake: tuple[torch.Tensor, Conditions], params: CriticParams
) -> torch.Tensor:
    of_real, of_fake = judge(*real), judge(*fake)
    if hasattr(of_real, "second"):
        return d2gan_critic(of_real, of_fake, params.first_critic, params.second_critic)
    return ADVERSARIAL[params.loss].critic(of_real.score, of_fake.score)


def _distance(critic: Critic | TwoCritics, x: torch.Tensor, rebuilt: torch.Tensor) -> torch.Tensor:
    """Mean squared distance in the features of the (first) critic. Larsen et al. 2016, eq. 7."""
    features = (critic.first if isinstance(critic, TwoCritics) else critic).features
    return (features(x) - features(rebuilt)).square().mean()
