"""A small causal language model, learned from train lines from scratch: pieces, one transformer, control tokens.

What is asked for is the token before a line (Keskar et al. 2019, arXiv 1909.05858): emotions, mixed where they are,
ratings, subject. A line that is one of train, that breaks off or that is no UTF-8 is drawn again from the same draw's
random numbers.

`writers: each` is SentiGAN (Wang & Wan 2018): a network for each class, and in the last `adversarial` share of the
steps a critic of all classes, whose penalties the writers pay (experts.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from generators.condition import Conditions, encode_conditions
from generators.fitting import initialised
from generators.generator import Condition, Device
from generators.language.drawing import block, drawn, penalise
from generators.language.experts import Experts, LineCritic, critic_loss, penalty_loss, written
from generators.language.lines import Asked, TrainLines
from generators.language.network import LINES_AT_ONCE, LanguageParams, NetworkLines
from generators.language.pieces import END, PAD, Pieces
from generators.language.transformer import PieceTransformer, padded
from training.device import autocast, resolve_device
from training.loop import Losses, Minibatch, Phase
from training.seeds import derive_seed


class SmallLmParams(LanguageParams):
    """Parameters of `small_lm`."""

    repetition_penalty: float = Field(
        1.0, ge=1, le=10, description="pieces that a line has already become less likely; 1: as they are"
    )
    no_repeat: int = Field(4, ge=0, le=100, description="no run of so many pieces twice in a line; 0: allowed")
    writers: Literal["one", "each"] = Field(
        "one", description="one: a network for all classes; each: one for each class, and soft labels mix what they say"
    )
    adversarial: float = Field(
        0.0, ge=0, lt=1, description="share of the steps, the last, in which writers pay penalties of a critic of lines"
    )
    penalty: float = Field(1.0, ge=0, le=1000, description="of `adversarial`: weight of the penalties")
    lr_critic: float = Field(2e-3, gt=0, le=1, description="of `adversarial`: learning rate of the critic")


class SmallLm(NetworkLines):
    """A small causal transformer, learned from train alone: pieces of words one after the other, from a control token
    of the emotion."""

    name = "small_lm"
    Params: ClassVar[type[SmallLmParams]] = SmallLmParams
    params: SmallLmParams
    _critic: LineCritic | None = None  # while it is fitted

    def _places(self, ids: Sequence[Sequence[int]]) -> int:
        return max(len(row) for row in ids) + 1

    def _loss(self, network: Any, train: TrainLines, where: torch.device) -> Callable[[Minibatch], Losses]:
        take = self._taker(train, where)
        first = 1.0 - self.params.adversarial

        def loss(batch: Minibatch) -> Losses:
            some, conditions = take(batch)
            logits = network.causal(some[:, :-1], conditions)
            nats = F.cross_entropy(logits.float().flatten(0, 1), some.flatten(), ignore_index=PAD)
            if self._critic is None or batch.progress < first:
                return {"loss": nats}
            lines = written(network, conditions, batch.rand(len(some), network.size.places).double())
            objective, penalty = penalty_loss(network, self._critic, conditions, lines)
            total = nats + self.params.penalty * objective
            return {"loss": total, "nats": nats, "objective": objective, "penalty": penalty}

        return loss

    def _rivals(self, network: Any, train: TrainLines, where: torch.device, seed: int) -> list[Phase]:
        p = self.params
        self._critic = None
        if p.adversarial == 0:
            return []
        with initialised(derive_seed(seed, "critic", self.name)):
            critic = LineCritic(network.size.pieces, len(self.classes), p.width).to(where)
        take = self._taker(train, where)

        def loss(batch: Minibatch) -> Losses:
            some, conditions = take(batch)
            lines = written(network, conditions, batch.rand(len(some), network.size.places).double())
            return {"loss": critic_loss(critic, some, conditions["emotion"].argmax(dim=1), lines)}

        self._critic = critic
        return [Phase("critic", critic, loss, p.lr_critic, clip=p.clip, span=(1.0 - p.adversarial, 1.0))]

    def _taker(self, train: TrainLines, where: torch.device) -> Callable[[Minibatch], tuple[torch.Tensor, Conditions]]:
        """Lines of a batch [b, t], each with END and PAD behind it, and the conditions that they stand under."""
        ids = padded([[*ids, END] for ids in self._known_pieces().ids(train.seen)], PAD)
        place = {int(row): i for i, row in enumerate(train.rows)}

        def take(batch: Minibatch) -> tuple[torch.Tensor, Conditions]:
            some = ids[[place[int(row)] for row in batch.rows]]
            some = some[:, : int((some != PAD).sum(1).max())].to(where)
            conditions = {k: v[torch.from_numpy(batch.rows)].to(where) for k, v in train.conditions.items()}
            return some, conditions

        return take

    def _build(self, places: int) -> PieceTransformer | Experts:
        if self.params.writers == "one":
            return super()._build(places)
        return Experts(self._size(places), len(self.classes), self.fields)

    def _nats(self, lines: Sequence[str], emotion: str, device: Device) -> float:
        where, network = resolve_device(device.kind), self._network()
        total = pieces = 0.0
        for start in range(0, len(lines), LINES_AT_ONCE):
            part = self._known_pieces().ids(lines[start : start + LINES_AT_ONCE])
            ids = padded([[*row, END][: network.size.places] for row in part], PAD).to(where)
            conditions = encode_conditions([Condition(emotion)] * len(part), self.classes, self.fields)
            with torch.inference_mode(), autocast(where, device.dtype):
                logits = network.causal(ids[:, :-1], {k: v.to(where) for k, v in conditions.items()})
            nats = F.cross_entropy(logits.float().flatten(0, 1), ids.flatten(), ignore_index=PAD, reduction="sum")
            total += float(nats)
            pieces += int((ids != PAD).sum())
        return total / pieces

    def _attempt(self, asked: Sequence[Asked], conditions: Conditions, chance: torch.Tensor) -> list[str]:
        rows = self._draw(conditions, chance)
        return ["" if row is None else self._known_pieces().line(row) for row in rows]

    def _draw(self, conditions: Conditions, chance: torch.Tensor) -> list[list[int] | None]:
        """chance: [n, places] -> pieces of each line; None: it did not end within the places."""
        p, network = self.params, self._network()
        rows: list[list[int]] = [[] for _ in range(len(chance))]
        done = [False] * len(rows)
        logits, cache = network.begin(conditions)
        for place in range(network.size.places):
            logits = block(penalise(logits.float(), rows, p.repetition_penalty), rows, p.no_repeat)
            logits[:, : Pieces.first] = torch.where(
                torch.arange(Pieces.first, device=logits.device) == END, logits[:, : Pieces.first], -torch.inf
            )
            if place == 0:
                logits[:, END] = -torch.inf  # a line has something in it
            ids = drawn(logits, chance[:, place], p.temperature, p.top_p)
            for i, piece in enumerate(ids.tolist()):
                if not done[i]:
                    done[i] = piece == END
                    if not done[i]:
                        rows[i].append(piece)
            if all(done) or place + 1 == network.size.places:
                break
            logits, cache = network.go_on(ids, conditions, cache, place)
        return [row if ended else None for row, ended in zip(rows, done, strict=True)]
