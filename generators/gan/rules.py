"""The rules of a game: what critic and generator minimise, for each kind of critic.

`Seen` is what the critic gets to see (augmented where the game augments). Losses are dicts of scalars, of which "loss"
is minimised and the rest is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F

from features.representation import Spec
from generators.condition import Conditions
from generators.gan import losses, terms
from generators.gan.augment import Adaptive
from generators.gan.critics import AutoencoderCritic, Critic, Verdict
from generators.gan.params import GanParams
from training import ddp
from training.loop import Minibatch

Losses = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Seen:
    """Arrays [B, C, H, W] and the conditions that they stand under. `labelled`: [B] bool, of real ones."""

    x: torch.Tensor
    conditions: Conditions
    labelled: torch.Tensor


class Rules(Protocol):
    """What a kind of critic brings."""

    def critic(self, real: Seen, fake: Seen, batch: Minibatch) -> Losses:
        """What the critic minimises; `fake.x` carries no gradient."""
        ...

    def generator(self, real: Seen, fake: Seen, batch: Minibatch) -> Losses:
        """What the generator minimises; gradients go through `fake.x`."""
        ...


class ScoreRules:
    """Critics of one score: projection, ac and k+1, and the terms that need their features, classes or slopes.

    `judge`: the critic as it is called, compiled where asked for; `module`: the critic itself; `judged`: Spec of what
    it sees."""

    def __init__(self, judge: Any, module: Critic, params: GanParams, judged: Spec) -> None:
        self.judge, self.module, self.params = judge, module, params
        self.r1 = params.r1_weight(judged)
        self.game = losses.ADVERSARIAL[params.game]
        self.answers = params.discriminator == "k+1"

    def critic(self, real: Seen, fake: Seen, batch: Minibatch) -> Losses:
        """See `Rules`."""
        p = self.params
        on_real: Verdict = self.judge(real.x, real.conditions)
        on_fake: Verdict = self.judge(fake.x, fake.conditions)
        loss = self._adversarial(real, on_real, on_fake) + self._penalties(real, fake, batch)
        if p.consistency > 0:
            loss = loss + p.consistency * terms.consistency_term(on_real, self.judge(real.x, real.conditions))
        if p.smoothness > 0:

            def logits_of(x: torch.Tensor) -> torch.Tensor:
                logits = self.module(x, real.conditions).logits
                assert logits is not None
                return logits

            loss = loss + p.smoothness * terms.smoothness_term(logits_of, real.x, p.smoothness_radius, batch)
        if p.triplet > 0:
            placed = self.module.embed(on_real.features)
            labels = real.conditions["emotion"].argmax(dim=1)
            loss = loss + p.triplet * terms.triplet_term(placed, placed, labels, p.triplet_margin, batch)
        adaptive = getattr(self.module, "adaptive", None)
        said = {"loss": loss, "gap": on_real.score.mean() - on_fake.score.mean()}
        if isinstance(adaptive, Adaptive):
            adaptive.adapt(on_real.score, 0.0 if self.answers else (self.game.middle or 0.0))
            said["augmented"] = adaptive.probability.clone()
        return said

    def _adversarial(self, real: Seen, on_real: Verdict, on_fake: Verdict) -> torch.Tensor:
        if not self.answers:
            loss = self.game.critic(on_real.score, on_fake.score)
            return loss + self._classes(on_real, real.conditions)
        assert on_real.logits is not None and on_fake.logits is not None
        known = real.labelled
        # means over the whole batch, so that a batch of few labels counts for few
        share = known.float().mean()
        return (
            share * losses.kplus1_real(on_real.logits[known], real.conditions["emotion"][known])
            + (1 - share) * losses.kplus1_unlabelled(on_real.logits[~known])
            + losses.kplus1_fake(on_fake.logits)
        )

    def _classes(self, verdict: Verdict, conditions: Conditions) -> torch.Tensor:
        if verdict.logits is None:
            return torch.zeros((), device=verdict.score.device)
        return self.params.ac_weight * F.cross_entropy(verdict.logits, conditions["emotion"])

    def _penalties(self, real: Seen, fake: Seen, batch: Minibatch) -> torch.Tensor:
        p = self.params

        def score(x: torch.Tensor) -> torch.Tensor:
            said: Verdict = self.module(x, real.conditions)
            return said.score

        total = torch.zeros((), device=real.x.device)
        if p.penalty_weight > 0:
            penalty = losses.gradient_penalty if p.game == "wgan-gp" else losses.divergence_penalty
            total = total + p.penalty_weight * penalty(score, real.x, fake.x, batch.rand(len(real.x)))
        if self.r1 > 0:
            total = total + self.r1 * losses.r1_penalty(score, real.x)
        return total

    def generator(self, real: Seen, fake: Seen, batch: Minibatch) -> Losses:
        """See `Rules`."""
        p = self.params
        verdict: Verdict = self.judge(fake.x, fake.conditions)
        asked = fake.conditions["emotion"]
        if self.answers:
            assert verdict.logits is not None
            loss = losses.kplus1_generator(verdict.logits, asked)
        else:
            loss = self._classes(verdict, fake.conditions) + self.game.generator(verdict.score)
        said: Losses = {}
        if p.triplet > 0:
            with torch.no_grad():
                placed = self.module.embed(self.judge(real.x, real.conditions).features)
            drawn = self.module.embed(verdict.features)
            said["triplet"] = terms.triplet_term(drawn, placed, asked.argmax(dim=1), p.triplet_margin, batch)
            loss = loss + p.triplet * said["triplet"]
        if p.boundary > 0:
            assert verdict.logits is not None
            said["boundary"] = terms.boundary_term(verdict.logits[:, : asked.shape[1]], asked)
            loss = loss + p.boundary * said["boundary"]
        return {"loss": loss, **said}


class TwoRules:
    """D2GAN: two critics with opposed tastes."""

    def __init__(self, judge: Any, params: GanParams) -> None:
        self.judge, self.params = judge, params

    def critic(self, real: Seen, fake: Seen, batch: Minibatch) -> Losses:
        """See `Rules`."""
        p = self.params
        on_real: losses.TwoScores = self.judge(real.x, real.conditions)
        on_fake: losses.TwoScores = self.judge(fake.x, fake.conditions)
        loss = losses.d2gan_critic(on_real, on_fake, p.real_weight, p.fake_weight)
        gap = (on_real.first - on_fake.first).mean()
        return {"loss": loss, "gap": gap, "second_gap": (on_fake.second - on_real.second).mean()}

    def generator(self, real: Seen, fake: Seen, batch: Minibatch) -> Losses:
        """See `Rules`."""
        return {"loss": losses.d2gan_generator(self.judge(fake.x, fake.conditions), self.params.fake_weight)}


class BalanceRules:
    """BEGAN: the critic rebuilds real arrays well and generated ones badly, as far as the balance k_t allows."""

    def __init__(self, judge: Any, module: AutoencoderCritic, params: GanParams) -> None:
        self.judge, self.module, self.params = judge, module, params

    def critic(self, real: Seen, fake: Seen, batch: Minibatch) -> Losses:
        """See `Rules`. Moves k_t, which stands with the critic's weights."""
        p = self.params
        real_error, fake_error = self.judge(real.x, real.conditions), self.judge(fake.x, fake.conditions)
        k = self.module.balance.clone()
        loss = losses.began_critic(real_error, fake_error, k)
        with torch.no_grad():
            means = ddp.average(torch.stack([real_error.mean(), fake_error.mean()]))
            self.module.balance.copy_(losses.began_balance(k, means[0], means[1], p.balance, p.balance_rate))
        measure = losses.began_measure(real_error, fake_error, p.balance)
        return {"loss": loss, "gap": (fake_error.mean() - real_error.mean()), "measure": measure, "balance": k}

    def generator(self, real: Seen, fake: Seen, batch: Minibatch) -> Losses:
        """See `Rules`: L(G). Berthelot et al. 2017, section 3.4."""
        return {"loss": self.judge(fake.x, fake.conditions).mean()}
