"""A small causal language model, learned from train lines from scratch: pieces, one transformer, control tokens.

What is asked for is the token before a line (Keskar et al. 2019, arXiv 1909.05858): emotions, mixed where they are,
ratings, subject. A line that is one of train, that breaks off or that is no UTF-8 is drawn again from the same draw's
random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field

from generators.condition import Conditions, encode_conditions
from generators.generator import Condition, Device
from generators.language.drawing import block, drawn, penalise
from generators.language.lines import Asked, TrainLines
from generators.language.network import LINES_AT_ONCE, LanguageParams, NetworkLines
from generators.language.pieces import END, PAD, Pieces
from generators.language.transformer import PieceTransformer, padded
from training.device import autocast, resolve_device
from training.loop import Losses, Minibatch


class SmallLmParams(LanguageParams):
    """Parameters of `small_lm`."""

    repetition_penalty: float = Field(
        1.0, ge=1, le=10, description="pieces that a line has already become less likely; 1: as they are"
    )
    no_repeat: int = Field(4, ge=0, le=100, description="no run of so many pieces twice in a line; 0: allowed")


class SmallLm(NetworkLines):
    """A small causal transformer, learned from train alone: pieces of words one after the other, from a control token
    of the emotion."""

    name = "small_lm"
    Params: ClassVar[type[SmallLmParams]] = SmallLmParams
    params: SmallLmParams

    def _places(self, ids: Sequence[Sequence[int]]) -> int:
        return max(len(row) for row in ids) + 1

    def _loss(self, network: PieceTransformer, train: TrainLines, where: torch.device) -> Callable[[Minibatch], Losses]:
        rows = [[*ids, END] for ids in self._known_pieces().ids(train.seen)]
        ids = padded(rows, PAD)
        place = {int(row): i for i, row in enumerate(train.rows)}

        def loss(batch: Minibatch) -> Losses:
            some = ids[[place[int(row)] for row in batch.rows]]
            some = some[:, : int((some != PAD).sum(1).max())].to(where)
            conditions = {k: v[torch.from_numpy(batch.rows)].to(where) for k, v in train.conditions.items()}
            logits = network.causal(some[:, :-1], conditions)
            return {"loss": F.cross_entropy(logits.float().flatten(0, 1), some.flatten(), ignore_index=PAD)}

        return loss

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
