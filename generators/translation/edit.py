"""edit: a real sample, changed where it has to be, never built from noise alone.

`mode: edit`, after ESC-GAN (Zhang et al. 2024): a reference is edited into the class that is asked for. Two edits of
one reference are to differ (diversity-aware loss), and edits are to stay near the classifier's decision boundary
(boundary-aware loss), where a classifier trained with them learns most.

`mode: complete`, after GANSER (Zhang et al. 2022): a known share of the source is hidden, the network fills it in under
the class that is asked for, a critic judges the whole. What was not hidden comes back bit for bit, so the result is of
both classes: its label is soft, the share of what was filled in for the class that is asked for and the rest for the
source's (`soft_label`). The classifier's target for it in training is that label, and so it is in a release and in a
study. A draw that asks for such a mixture with the source's class gets that share of `rate` hidden. A rate that leaves
most of a source as it is cannot fill a class, so a run may not have it (`require`).

`mode: perturb`, after STAA-Net (Chang et al. 2024): see perturb.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from corpora.errors import ParamsError
from corpora.schema import FROM
from features.representation import Spec
from generators.condition import ConditionFields, Conditions, emotion_weights
from generators.fitting import initialised
from generators.gan.critics import Critic, CriticOptions
from generators.gan.losses import ADVERSARIAL, gradient_penalty
from generators.generator import Device, Draw, SourceClass
from generators.normalise import on_grid
from generators.params import TrainedParams, parse_params
from generators.trained import Network, Starts, TrainedGenerator, TrainSet
from generators.translation.masks import cell_grid, hidden, hidden_of
from generators.translation.networks import Translator, TranslatorOptions
from generators.translation.params import PENALTY, EditParams
from generators.translation.partners import Partners, players, stacked
from generators.translation.perturb import Perturber, attack_phases
from training.device import compiled
from training.loop import Minibatch, Phase
from training.seeds import derive_seed, noise

GAP_FLOOR = 1e-3  # of two latents


class EditNetwork(Network):
    """A translator that a latent varies; of `complete`, what is hidden enters as 0 and is all that leaves changed."""

    def __init__(self, spec: Spec, n_classes: int, fields: ConditionFields, params: EditParams) -> None:
        embedding = 4 * params.width
        super().__init__(spec, n_classes, fields, embedding)
        completes = params.mode == "complete"
        # what is hidden is built anew from what is not, so there is nothing to be added to
        options = TranslatorOptions(params.width, params.blocks, skip=not completes)
        self.translator = Translator(spec, embedding, options)
        self.vary = torch.nn.Linear(params.latent, embedding)

    def forward(
        self, x: torch.Tensor, conditions: Conditions, latent: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """x [B, C, H, W], latent [B, latent], mask [B, 1, H, W] bool (True: hidden) or None -> [B, C, H, W]."""
        embedding = self.condition(conditions) + self.vary(latent)
        if mask is None:
            edited: torch.Tensor = self.translator(x, embedding).y
            return edited
        filled: torch.Tensor = self.translator(x.masked_fill(mask, 0.0), embedding).y
        return torch.where(mask, filled, x)


def diversity_loss(first: torch.Tensor, second: torch.Tensor, gap: torch.Tensor) -> torch.Tensor:
    """Two edits [B, ...] of one reference by latents that lie `gap` [B] apart -> minus how much of the gap is seen in
    them, at most 1 each: more than that would be difference for its own sake."""
    seen = (first - second).abs().flatten(1).mean(dim=1) / gap.clamp(min=GAP_FLOOR)
    return -seen.clamp(max=1.0).mean()


def boundary_loss(logits: torch.Tensor, asked: torch.Tensor, margin: float) -> torch.Tensor:
    """Logits [B, K] of edits and what was asked for [B, K] -> squared excess over `margin` of the logit of the class
    over the highest other: a sample on the right side of the boundary, and near it, costs nothing."""
    return F.relu(class_margin(logits, asked) - margin).square().mean()


def class_margin(logits: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """[B, K] and [B, K] shares -> [B] logit of the class that is asked for most, less the highest other."""
    own = F.one_hot(asked.argmax(dim=1), asked.shape[1]).bool()
    return logits[own] - logits.masked_fill(own, -torch.inf).amax(dim=1)


class Edit(TrainedGenerator):
    """edit: see the module."""

    name = "edit"
    Params: ClassVar[type[TrainedParams]] = EditParams
    params: EditParams
    network: EditNetwork | Perturber | None
    takes = (FROM,)

    @classmethod
    def require(cls, params: Mapping[str, Any], spec: Spec) -> None:
        """Raises `ParamsError` where completions would be more of their source's class than of any that is asked
        for."""
        own = parse_params(EditParams, params, cls.name)
        cells = math.prod(cell_grid(spec))
        filled = round(own.rate * cells) / cells
        if own.mode == "complete" and filled <= 0.5:
            raise ParamsError(
                f"generator edit: rate {own.rate:g} hides {filled:.2f} of a {spec.name} array of {cells} cells, so a "
                "completion is no more of the class that is asked for than of its source's; raise rate until more than "
                "half is hidden, or take mode: edit"
            )

    @classmethod
    def source_class(cls, params: Mapping[str, Any]) -> SourceClass:
        """A perturbation is of a sample of the class itself."""
        return "same" if params.get("mode") == "perturb" else "other"

    def _build(self) -> EditNetwork | Perturber:
        if self.params.mode == "perturb":
            return Perturber(self.spec, len(self.classes), self.fields, self.params)
        return EditNetwork(self.spec, len(self.classes), self.fields, self.params)

    def _phases(self, network: Any, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        p = self.params
        if isinstance(network, Perturber):
            with initialised(seed):
                options = CriticOptions("ac", p.width, spectral=False)
                victim = Critic(self.spec, len(self.classes), ConditionFields(), options).to(train.x.device)
            return attack_phases(network, victim, train, p)
        partners = Partners(train)
        kind: Any = "ac" if p.classifier_weight > 0 else "projection"
        with initialised(seed):
            options = CriticOptions(kind, p.width, spectral=p.loss != "wgan-gp")
            critic = Critic(self.spec, len(self.classes), self.fields, options).to(train.x.device)
        game = ADVERSARIAL[p.loss]
        move: Any = compiled(network, device.compile)
        judge: Any = compiled(critic, device.compile)
        cells = int(np.prod(cell_grid(self.spec)))

        def task(batch: Minibatch, own: Conditions, asked: Conditions) -> tuple[torch.Tensor | None, Conditions]:
            """The mask, and the label that the result bears."""
            if p.mode == "edit":
                return None, asked
            n = len(batch.rows)
            rates = p.lowest_rate + (p.rate - p.lowest_rate) * batch.rand(n)
            mask = hidden(batch.rand(n, cells), rates, self.spec)
            share = share_filled(mask, self.spec)[:, None]
            return mask, {**asked, "emotion": share * asked["emotion"] + (1 - share) * own["emotion"]}

        def loss_d(batch: Minibatch) -> dict[str, torch.Tensor]:
            x, own, rows, asked = partners.take(batch)
            mask, label = task(batch, own, asked)
            real = train.take(rows)[0]
            with torch.no_grad():
                fake = move(x, asked, batch.randn(len(x), p.latent), mask)
            verdict = judge(torch.cat([real, fake]), stacked(asked, label))
            on_real, on_fake = verdict.score.chunk(2)
            loss = game.critic(on_real, on_fake)
            parts = {"gap": on_real.mean() - on_fake.mean()}
            if verdict.logits is not None:
                parts["class"] = F.cross_entropy(verdict.logits[: len(x)], asked["emotion"])
                loss = loss + p.classifier_weight * parts["class"]
            if p.loss == "wgan-gp":
                share = batch.rand(len(x))
                loss = loss + PENALTY * gradient_penalty(lambda at: critic(at, asked).score, real, fake, share)
            return {"loss": loss, **parts}

        def loss_g(batch: Minibatch) -> dict[str, torch.Tensor]:
            x, own, _, asked = partners.take(batch)
            mask, label = task(batch, own, asked)
            latents = batch.randn(2, len(x), p.latent)
            fake = move(x, asked, latents[0], mask)
            verdict = judge(fake, label)
            parts = {"adversarial": game.generator(verdict.score), "distance": (fake - x).abs().mean()}
            loss = parts["adversarial"] + p.reference_weight * parts["distance"]
            if verdict.logits is not None:
                parts["class"] = F.cross_entropy(verdict.logits, label["emotion"])
                loss = loss + p.classifier_weight * parts["class"]
                if p.boundary_weight > 0:
                    parts["boundary"] = boundary_loss(verdict.logits, asked["emotion"], p.boundary_margin)
                    loss = loss + p.boundary_weight * parts["boundary"]
            if p.diversity_weight > 0:
                gap = (latents[0] - latents[1]).abs().mean(dim=1)
                parts["diversity"] = diversity_loss(fake, move(x, asked, latents[1], mask), gap)
                loss = loss + p.diversity_weight * parts["diversity"]
            if mask is not None and p.rebuild_weight > 0:
                # asked to fill in under its own class, the network knows what was there
                again = move(x, own, latents[0], mask)
                parts["rebuild"] = (again - x).abs().mean() / mask.float().mean().clamp(min=GAP_FLOOR)
                loss = loss + p.rebuild_weight * parts["rebuild"]
            return {"loss": loss, **parts}

        return players(network, loss_g, critic, loss_d, p)

    def _convert(
        self, starts: Starts, conditions: Conditions, seeds: Sequence[int], device: torch.device
    ) -> torch.Tensor:
        network, p = self.network, self.params
        assert network is not None
        latent = noise(seeds, (p.latent,), device)
        if isinstance(network, Perturber):
            return network(starts.x, conditions, latent).y
        if p.mode == "edit":
            return network(starts.x, conditions, latent, None)
        own = (conditions["emotion"] * starts.emotion).sum(dim=1)
        mask, other = self._mask(seeds, own.cpu()).to(device), 1 - own
        moved = conditions["emotion"] * (1 - starts.emotion)
        target = torch.where(other[:, None] > 0, moved / other.clamp(min=1e-12)[:, None], starts.emotion)
        return network(starts.x, {**conditions, "emotion": target}, latent, mask)

    def sample(self, draws: Sequence[Draw], sources: np.ndarray | None = None, *, device: Device) -> np.ndarray:
        """See `TrainedGenerator.sample`. Of completions, what was not hidden is the source's, bit for bit."""
        edited = super().sample(draws, sources, device=device)
        if self.params.mode != "complete" or not len(draws):
            return edited
        assert sources is not None
        mask = np.broadcast_to(self._hidden(draws).numpy(), (len(draws), *self.spec.grid))
        whole = np.where(mask, on_grid(edited, self.spec), on_grid(np.asarray(sources, np.float32), self.spec))
        return np.asarray(whole.reshape(edited.shape), np.float32)

    def _hidden(self, draws: Sequence[Draw]) -> torch.Tensor:
        """[n, 1, H, W] bool on the CPU: what completions fill in."""
        own = [self.classes.index(self.source_emotions[draw.sources[FROM]]) for draw in draws]
        shares = [emotion_weights(d.condition.emotion, self.classes)[k] for d, k in zip(draws, own, strict=True)]
        return self._mask([d.seed for d in draws], torch.tensor(np.array(shares, np.float32)))

    def _mask(self, seeds: Sequence[int], own: torch.Tensor) -> torch.Tensor:
        """own [n] float32: share of the class of the source in what is asked for, which needs no cell hidden. The seeds
        are not those of the latents, whose first numbers would say what is hidden."""
        return hidden_of([derive_seed(seed, "mask") for seed in seeds], self.params.rate * (1 - own), self.spec)

    def soft_label(self, draw: Draw) -> dict[str, float]:
        """Class -> share that the sample of a draw is of: what is asked for, and of a completion the source's class as
        far as the source was not hidden."""
        asked = dict(draw.condition.shares)
        if self.params.mode != "complete":
            return asked
        own = self.source_emotions[draw.sources[FROM]]
        kept = 1.0 - float(share_filled(self._hidden([draw]), self.spec)[0])
        others = {name: share for name, share in asked.items() if name != own}
        whole = sum(others.values())
        label = {name: (1.0 - kept) * share / whole for name, share in others.items()}
        return {**label, own: kept} if kept > 0 else label


def share_filled(mask: torch.Tensor, spec: Spec) -> torch.Tensor:
    """[B, 1, H, W] bool -> [B] share of an array that is hidden; the mask row does not count."""
    rows = mask.shape[2] - (spec.mask_row is not None)
    return mask.float().sum(dim=(1, 2, 3)) / (rows * mask.shape[3])
