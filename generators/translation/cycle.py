"""cycle: translations that lead back to where they came from (CycleGAN, Zhu et al. 2017).

Each class, or each emotion of a corpus, is a domain; nothing is paired. A translation has to look like the domain that
is asked for (adversarial), the way back has to give the source again (cycle), and what is of the domain already has to
stay (identity). `networks: pairs` is the paper's form, two mappings and two critics for each pair of classes; `one`
tells one network where to go.

`corpora`: the domains are of several corpora (the prefix of a sample's id) and half of the translations keep their
label (Su & Lee 2021); with `attention` one mapping a source corpus, whose results count by how near that corpus is to
the target (Su & Lee 2023). `prosody: cwt`: F0 goes through a mapping of its own, as wavelet components.

`fisher`, `lda`: of a vector those columns alone are translated that carry the class (columns.py).

The mappings are functions: what the seed of a draw varies is how far the source is moved (`strength_range`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from corpora.errors import UserError
from corpora.schema import FROM
from features.representation import Spec
from generators.condition import ConditionFields, Conditions
from generators.fitting import initialised
from generators.gan.critics import Critic, CriticOptions
from generators.gan.losses import ADVERSARIAL, gradient_penalty
from generators.generator import Device
from generators.params import TrainedParams
from generators.trained import Starts, TrainedGenerator, TrainSet
from generators.translation.columns import chosen_columns
from generators.translation.mappings import ClassCritics, CycleNetwork
from generators.translation.params import PENALTY, CycleParams
from generators.translation.partners import Partners, players, stacked, varied
from training.device import compiled
from training.loop import Minibatch, Phase
from training.seeds import noise

KEPT = 0.5  # of translations between corpora: those that keep their label


class Cycle(TrainedGenerator):
    """cycle: see the module."""

    name = "cycle"
    Params: ClassVar[type[TrainedParams]] = CycleParams
    params: CycleParams
    network: CycleNetwork | None
    takes = (FROM,)

    @property
    def corpora(self) -> tuple[str, ...]:
        """Of the train samples, sorted."""
        return tuple(sorted({sample_id.partition("/")[0] for sample_id in self.source_emotions}))

    def _target(self) -> int:
        """Index of the corpus that is translated to. Raises `UserError` where it is not there."""
        if self.params.corpora == "together":
            return 0
        each = [sample_id.partition("/")[0] for sample_id in self.source_emotions]
        if len(self.corpora) < 2:
            raise UserError(
                f"corpora: {self.params.corpora} translates between corpora, and train has {self.corpora[0]!r} alone; "
                "leave corpora at together"
            )
        wanted = self.params.target_corpus or min(self.corpora, key=lambda c: (each.count(c), c))
        if wanted not in self.corpora:
            raise UserError(f"target_corpus {wanted!r} is none of the train corpora {', '.join(self.corpora)}")
        return self.corpora.index(wanted)

    def _inner_fields(self, *, judging: bool) -> ConditionFields:
        """What steers networks: beside what draws may ask for, the corpus; of mappings by corpora, also whose it is."""
        if self.params.corpora == "together":
            return self.fields
        twice = 2 if self.params.corpora == "attention" and not judging else 1
        return replace(self.fields, vector=("corpus", twice * len(self.corpora)))

    def _build(self) -> CycleNetwork:
        self._target()
        fields = self._inner_fields(judging=False)
        return CycleNetwork(self.spec, len(self.classes), fields, self.params, len(self.corpora))

    def _critic(self, spec: Spec) -> nn.Module:
        p = self.params
        kind: Literal["ac", "projection"] = "ac" if p.classifier_weight > 0 else "projection"
        options = CriticOptions(kind, p.width, spectral=p.loss != "wgan-gp")
        critic = ClassCritics if p.networks == "pairs" else Critic
        return critic(spec, len(self.classes), self._inner_fields(judging=True), options)

    def _phases(self, network: CycleNetwork, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        p, target = self.params, self._target()
        domains = _Domains(self, train, target)
        seen = torch.from_numpy(train.rows).to(train.x.device)
        if network.scales is not None:
            network.scales.fit(train.x[seen])
        if network.selected is not None:
            columns = train.x[seen].flatten(1).double().cpu().numpy()
            chosen = chosen_columns(columns, domains.partners.labels[train.rows], p.fisher, p.lda)
            network.selected.copy_(torch.from_numpy(chosen).float().reshape(network.selected.shape))
        if network.attention is not None:
            network.attention.fit(train.x, domains.partners.labels, domains.corpus, train.rows)
        with initialised(seed):
            critic = self._critic(network.inner).to(train.x.device)
        game = ADVERSARIAL[p.loss]
        move: Any = compiled(network, device.compile)
        judge: Any = compiled(critic, device.compile)

        def loss_d(batch: Minibatch) -> dict[str, torch.Tensor]:
            x, own, partners, asked = domains.take(batch)
            real = network.enter(train.take(partners)[0])
            with torch.no_grad():
                fake = move(network.enter(x), asked, own["emotion"], target)
            scores, logits = judge(torch.cat([real, fake]), stacked(asked, asked))[:2]
            on_real, on_fake = scores.chunk(2)
            loss = game.critic(on_real, on_fake)
            if p.loss == "wgan-gp":
                share = batch.rand(len(x))
                loss = loss + PENALTY * gradient_penalty(lambda at: critic(at, asked)[0], real, fake, share)
            if logits is not None:
                loss = loss + p.classifier_weight * F.cross_entropy(logits[: len(x)], asked["emotion"])
            return {"loss": loss, "gap": on_real.mean() - on_fake.mean()}

        def loss_g(batch: Minibatch) -> dict[str, torch.Tensor]:
            x, own, _, asked = domains.take(batch)
            x = network.enter(x)
            if p.identity_weight > 0:  # in one pass: small networks cost calls, not samples
                through = domains.claimed(own, batch)
                both = torch.cat([x, x]), stacked(asked, own), torch.cat([own["emotion"], through])
                fake, same = move(*both, target).chunk(2)
            else:
                fake = move(x, asked, own["emotion"], target)
            back = move(fake, own, asked["emotion"], target)
            verdict = judge(fake, asked)
            adversarial, cycle = game.generator(verdict[0]), (back - x).abs().mean()
            parts = {"adversarial": adversarial, "cycle": cycle}
            loss = adversarial + p.cycle_weight * cycle
            if p.identity_weight > 0:
                parts["identity"] = (same - x).abs().mean()
                loss = loss + p.identity_weight * parts["identity"]
            if verdict[1] is not None:
                parts["class"] = F.cross_entropy(verdict[1], asked["emotion"])
                loss = loss + p.classifier_weight * parts["class"]
            return {"loss": loss, **parts}

        return players(network, loss_g, critic, loss_d, p)

    def _convert(
        self, starts: Starts, conditions: Conditions, seeds: Sequence[int], device: torch.device
    ) -> torch.Tensor:
        network, target = self.network, self._target()
        assert network is not None
        asked = dict(conditions)
        if self.params.corpora != "together":
            places = torch.full((len(seeds),), target, device=device)
            asked["vector"] = F.one_hot(places, len(self.corpora)).float()
        y = network.leave(network(network.enter(starts.x), asked, starts.emotion, target), starts.x)
        return varied(starts.x, y, noise(seeds, (1,), device), self.params.strength_range)


class _Domains:
    """Which domain each sample of a batch is of, and which it is to be of."""

    def __init__(self, owner: Cycle, train: TrainSet, target: int) -> None:
        self.train, self.target = train, target
        self.apart = owner.params.corpora != "together"
        self.pairs = owner.params.networks == "pairs"
        self.partners = Partners(train, KEPT if self.apart else 0.0)
        names = list(owner.corpora)
        self.corpus = np.array([names.index(i.partition("/")[0]) for i in owner.source_emotions])
        if self.apart and not all((self.corpus[train.rows] == c).any() for c in range(len(names))):
            raise UserError("a corpus has no train sample outside the held-out part; drop the corpus or hold out less")
        self.vector = F.one_hot(torch.from_numpy(self.corpus), len(names)).float().to(train.x.device)
        self.of_corpus = [train.rows[self.corpus[train.rows] == c] for c in range(len(names))]

    def take(self, batch: Minibatch) -> tuple[torch.Tensor, Conditions, np.ndarray, Conditions]:
        """-> sources, the conditions they stand under, rows of partners, the conditions that are asked for."""
        if not self.apart:
            return self.partners.take(batch)
        x, own = self.train.take(batch.rows)
        sources = [c for c in range(len(self.of_corpus)) if c != self.target]
        pick = np.floor(batch.rand(len(batch.rows)).cpu().numpy() * len(sources)).astype(np.int64)
        here = self.corpus[batch.rows]
        goal = np.where(here == self.target, np.array(sources)[pick], self.target)
        partners = self.partners.draw(batch, [self.of_corpus[c] for c in goal])
        asked = self.partners.conditions(partners, own)
        place, partner = (torch.from_numpy(r).to(x.device) for r in (batch.rows, partners))
        return x, {**own, "vector": self.vector[place]}, partners, {**asked, "vector": self.vector[partner]}

    def claimed(self, own: Conditions, batch: Minibatch) -> torch.Tensor:
        """[b, K] the classes that samples are taken to be of where they are asked to be what they are: their own. Of
        pairs: any other, whose mapping to their class must leave them alone, as in CycleGAN's identity loss."""
        shares = own["emotion"]
        if not self.pairs:
            return shares
        k = shares.shape[1]
        turn = 1 + torch.floor(batch.rand(len(shares)) * (k - 1)).long()
        return F.one_hot((shares.argmax(dim=1) + turn) % k, k).to(shares.dtype)
