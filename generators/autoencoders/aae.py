"""Adversarial autoencoder: in place of a KL term, a discriminator tells codes from draws of a prior.

Makhzani et al. 2015. With the prior `classes` each class has a Gaussian of its own in the space of codes and the
discriminator is given the class (their section 2.3): the decoder needs no class, the code holds it. With `normal` one
N(0, 1) serves all and the decoder is given the class (their section 2.4). The encoder never sees the class; a code is a
point.

`corpora: hidden` (ADDi, Latif et al. 2022): a second discriminator tells which corpus a code is of, and the encoder is
to leave it none the wiser; the decoder is told the corpus instead. Of `unlabelled_corpus` no class is looked at: its
samples teach the code and the decoder, and samples of all classes are drawn as if they were of it. `pretext`: first
steps without heads, in which nothing but rebuilding and both games are learned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator

from corpora.errors import UserError
from features.representation import Spec
from generators.autoencoders.autoencoder import Autoencoder
from generators.autoencoders.corruption import CorruptParams, corrupt, require_corruption
from generators.autoencoders.networks import VaeNetwork, Views
from generators.autoencoders.objective import rebuilt_nats
from generators.autoencoders.variational import autoencoder_phase
from generators.condition import ConditionFields, Conditions
from generators.fitting import initialised
from generators.gan.critics import Critic, CriticOptions
from generators.gan.losses import ADVERSARIAL
from generators.generator import Device, TrainData
from generators.params import TrainedParams
from generators.trained import TrainSet
from training.device import compiled
from training.loop import Minibatch, Phase
from training.seeds import derive_seed


class AaeParams(CorruptParams):
    """Parameters of the adversarial autoencoder."""

    prior: Literal["classes", "normal"] = Field(
        "classes", description="classes: a Gaussian for each class, known to the discriminator; normal: one N(0, 1)"
    )
    separation: float = Field(
        4.0, ge=0, le=100, description="of the prior `classes`: distance of neighbouring means, in standard deviations"
    )
    codes: Literal["fitted", "prior"] = Field(
        "fitted", description="what samples are drawn from: the density that a class' codes have, or the prior"
    )
    adversarial: float = Field(0.1, ge=0, le=100, description="weight of what the discriminator says of the codes")
    loss: Literal["logistic", "hinge", "least-squares"] = Field("logistic", description="of the discriminator")
    lr_critic: float = Field(2e-3, gt=0, le=1, description="learning rate of the discriminator")
    noise: float = Field(
        0.0, ge=0, le=5, description="standard deviation of the input's noise, in normalised units; 0: none (no DAE)"
    )
    corpora: Literal["together", "hidden"] = Field(
        "together", description="hidden: codes do not tell the corpus, a second discriminator sees to it"
    )
    hiding: float = Field(1.0, ge=0, le=100, description="of corpora hidden: weight of what the second one says")
    unlabelled_corpus: str | None = Field(
        None, description="of corpora hidden: the corpus whose labels are not looked at; samples are drawn as of it"
    )
    pretext: float = Field(
        0.0, ge=0, lt=1, description="share of the steps, the first, in which heads on the code learn nothing"
    )

    @model_validator(mode="after")
    def _hides(self) -> Self:
        if self.unlabelled_corpus is not None and (self.corpora != "hidden" or self.prior != "normal"):
            raise ValueError("unlabelled_corpus goes with `corpora: hidden` and `prior: normal`, which needs no class")
        if self.unlabelled_corpus is not None and self.class_balance > 0:
            raise ValueError("class_balance looks at the labels of all samples: with unlabelled_corpus, set it to 0")
        if self.pretext > 0 and not self.headed:
            raise ValueError("pretext is without heads, and there are none: set emotion_head, or leave pretext at 0")
        return self


class AdversarialAutoencoder(Autoencoder):
    """aae: see the module."""

    name = "aae"
    Params: ClassVar[type[TrainedParams]] = AaeParams
    params: AaeParams

    def __init__(self, spec: Spec, classes: Sequence[str], **params: Any) -> None:
        super().__init__(spec, classes, **params)
        self.known_corpora: tuple[str, ...] = ()  # of train, sorted; () where they are together
        require_corruption(self.name, self.params, spec)

    @property
    def views(self) -> Views:
        """The class is in the code (prior `classes`, or a corpus without labels, whose samples could tell it to no
        decoder), or told to the decoder."""
        in_code = self.params.prior == "classes" or self.params.unlabelled_corpus is not None
        return Views("nothing", "given" if in_code else "all", points=True)

    # -- corpora

    def _look(self, data: TrainData, rows: np.ndarray) -> None:
        if self.params.corpora == "together":
            return
        each = [sample_id.partition("/")[0] for sample_id in data.ids]
        self.known_corpora = tuple(sorted({each[i] for i in rows}))
        if len(self.known_corpora) < 2:
            raise UserError(
                f"corpora: hidden keeps the corpus out of codes, and train has {self.known_corpora[0]!r} alone; leave "
                "corpora at together"
            )
        target = self.params.unlabelled_corpus
        if target is not None and target not in self.known_corpora:
            raise UserError(f"unlabelled_corpus {target!r} is none of train's: {', '.join(self.known_corpora)}")
        labelled = {data.emotions[i] for i in rows if each[i] != target}
        for name in self.classes:
            if name not in labelled:
                raise UserError(
                    f"class {name!r} has train samples in {target!r} alone, whose labels are not looked at; drop the "
                    "class, or choose another unlabelled_corpus"
                )
        self._corpus_of = torch.tensor(
            [self.known_corpora.index(c) if c in self.known_corpora else -1 for c in each], dtype=torch.int64
        )

    def _config(self) -> dict[str, Any]:
        return {**super()._config(), **({"corpora": list(self.known_corpora)} if self.known_corpora else {})}

    def _recall(self, config: Mapping[str, Any]) -> None:
        self.known_corpora = tuple(config.get("corpora", ()))

    def _steering(self) -> ConditionFields:
        if not self.known_corpora:
            return self.fields
        return replace(self.fields, vector=("corpus", len(self.known_corpora)))

    def _of_corpora(self, train: TrainSet) -> None:
        """Tells train's conditions the corpus of each sample, and forgets the classes of the unlabelled one."""
        corpus, n = self._corpus_of.to(train.x.device), len(self.known_corpora)
        told = F.one_hot(corpus.clamp(min=0), n).float() * (corpus >= 0).float()[:, None]
        emotion = train.conditions["emotion"]
        if self.params.unlabelled_corpus is not None:
            hidden = corpus == self.known_corpora.index(self.params.unlabelled_corpus)
            emotion = emotion.masked_fill(hidden[:, None], 0.0)
        train.conditions = {**train.conditions, "emotion": emotion, "vector": told}

    def _generate(self, conditions: Conditions, seeds: Sequence[int], device: torch.device) -> torch.Tensor:
        if self.known_corpora:
            n, target = len(self.known_corpora), self.params.unlabelled_corpus
            told = torch.full((n,), 1.0 / n) if target is None else torch.eye(n)[self.known_corpora.index(target)]
            conditions = {**conditions, "vector": told.to(device).expand(len(seeds), n)}
        return super()._generate(conditions, seeds, device)

    # -- the fit

    def _means(self) -> torch.Tensor:
        """[K, latent] of the prior."""
        if self.params.prior == "normal":
            return torch.zeros(len(self.classes), self.params.latent)
        return prior_means(len(self.classes), self.params.latent, self.params.separation)

    def _phases(self, network: VaeNetwork, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        p, spec = self.params, self.spec
        with initialised(derive_seed(seed, "critic")):
            critic = code_critic(p, len(self.classes)).to(train.x.device)
            second = corpus_critic(p, len(self.known_corpora)).to(train.x.device) if self.known_corpora else None
        if second is not None:
            self._of_corpora(train)
        game, means = ADVERSARIAL[p.loss], self._means().to(train.x.device)
        call: Any = compiled(network, device.compile)
        size = float(train.x[0].numel())

        def loss(batch: Minibatch) -> dict[str, torch.Tensor]:
            x, conditions = train.take(batch.rows)
            seen, hidden = corrupt(x, batch, p, spec)
            rebuilt, code, _, length = call(seen, conditions, x.new_zeros(len(x), p.latent))
            judged = torch.where(hidden > 0, rebuilt, x) if p.hidden_only else rebuilt
            fooled = game.generator(critic(code, conditions).score)
            heads = None if batch.progress < p.pretext else network.heads
            extra, terms = (0.0, {}) if heads is None else heads(code, conditions)
            if second is not None:
                terms = {**terms, "hidden": even_loss(_logits(second, code, conditions))}
                extra = extra + p.hiding * terms["hidden"]
            total = rebuilt_nats(x, judged, length, spec) / size + p.adversarial * fooled + extra
            return {"loss": total, "mse": (x - rebuilt).square().mean(), "fooled": fooled, **terms}

        def critic_loss(batch: Minibatch) -> dict[str, torch.Tensor]:
            x, conditions = train.take(batch.rows)
            with torch.no_grad():
                seen, _ = corrupt(x, batch, p, spec)
                code, _ = network.encode(seen, network.read_under(conditions))
            drawn = conditions["emotion"] @ means + batch.randn(len(x), p.latent)
            of_prior, of_code = critic(drawn, conditions), critic(code, conditions)
            return {"loss": game.critic(of_prior.score, of_code.score)}

        def corpus_loss(batch: Minibatch) -> dict[str, torch.Tensor]:
            x, conditions = train.take(batch.rows)
            with torch.no_grad():
                seen, _ = corrupt(x, batch, p, spec)
                code, _ = network.encode(seen, network.read_under(conditions))
            assert second is not None
            said, truth = _logits(second, code, conditions), conditions["vector"]
            right = (said.argmax(dim=1) == truth.argmax(dim=1)).float().mean()
            return {"loss": F.cross_entropy(said, truth), "right": right}

        betas = (0.0, 0.99)
        phases = [
            autoencoder_phase(network, p, loss),
            Phase("critic", critic, critic_loss, p.lr_critic, betas=betas, clip=p.clip),
        ]
        if second is not None:
            phases.append(Phase("corpus", second, corpus_loss, p.lr_critic, betas=betas, clip=p.clip))
        return phases

    @torch.no_grad()
    def _settle(self, train: TrainSet) -> None:
        if self.params.unlabelled_corpus is not None:  # what has no class has no place in the density of a class
            known = train.conditions["emotion"].sum(dim=1).cpu().numpy() > 0
            train = TrainSet(train.x, train.conditions, train.rows[known[train.rows]])
        super()._settle(train)
        if self.params.codes == "prior" and self.network is not None:
            self.network.density.set(self._means())


def code_critic(p: AaeParams, n_classes: int) -> Critic:
    """Of codes [B, latent]; one of the prior `classes` is given the class."""
    options = CriticOptions(kind="projection" if p.prior == "classes" else "plain", width=max(8, p.width // 2))
    return Critic(Spec("codes", (p.latent,), layout="vector"), n_classes, ConditionFields(), options)


def corpus_critic(p: AaeParams, n_corpora: int) -> Critic:
    """Which corpus codes [B, latent] are of; no spectral norm, which would hold it back."""
    options = CriticOptions(kind="ac", width=max(8, p.width // 2), spectral=False)
    return Critic(Spec("codes", (p.latent,), layout="vector"), n_corpora, ConditionFields(), options)


def _logits(critic: Critic, code: torch.Tensor, conditions: Conditions) -> torch.Tensor:
    logits = critic(code, conditions).logits
    assert logits is not None
    return logits


def even_loss(logits: torch.Tensor) -> torch.Tensor:
    """[B, C] -> cross entropy of an even share of every corpus, less the least it can be: 0 of a critic that cannot
    say."""
    shares = F.log_softmax(logits, dim=1)
    return -shares.mean() - math.log(logits.shape[1])


def prior_means(n_classes: int, latent: int, separation: float) -> torch.Tensor:
    """[K, latent]: means of which neighbours are `separation` apart: on the axes where there are enough of them (then
    all are neighbours), else on a circle (two dimensions and more) or a line."""
    if latent >= n_classes:
        return torch.eye(n_classes, latent) * (separation / math.sqrt(2.0))
    means = torch.zeros(n_classes, latent)
    if latent == 1:
        means[:, 0] = separation * (torch.arange(n_classes) - (n_classes - 1) / 2)
        return means
    angles = 2.0 * math.pi * torch.arange(n_classes) / n_classes
    radius = separation / (2.0 * math.sin(math.pi / n_classes))
    means[:, 0], means[:, 1] = radius * torch.cos(angles), radius * torch.sin(angles)
    return means
