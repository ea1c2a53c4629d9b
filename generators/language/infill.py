"""Mask and infill (Wu et al. 2019, arXiv 1908.08039): words that carry a line's class are masked, and a masked language
model that knows the wanted class fills them. Padded (Malmi et al. 2020, arXiv 2010.01054): it also says how many pieces
stand there.

The model is a small transformer that looks both ways, learned from train lines from scratch; it learns to put back
words that carry the class and words at random. Masks are filled from left to right, each seen by those after it, and so
they are in training: of a line's masks, some of the first are filled already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from generators.classical.substitutes import tokens
from generators.condition import Conditions, encode_conditions
from generators.generator import Condition, Device
from generators.language.drawing import drawn
from generators.language.lines import Asked, TrainLines
from generators.language.network import LINES_AT_ONCE, LanguageParams, NetworkLines
from generators.language.pieces import MASK, PAD, Pieces
from generators.language.salience import Salience, SalienceParams, Span, joined
from generators.language.transformer import PieceTransformer, padded
from training.device import autocast, resolve_device
from training.loop import Losses, Minibatch


class InfillParams(LanguageParams, SalienceParams):
    """Parameters of `infill`."""

    padded: bool = Field(
        False, description="a masked run of words gets `slots` masks, and the model says which of them stay empty"
    )
    slots: int = Field(6, ge=1, le=64, description="masks of a run of words where `padded`; longer runs are not masked")
    style: float = Field(
        0.7, ge=0, le=1, description="share of training lines whose masked words carry the class, not random ones"
    )
    share: float = Field(0.2, gt=0, le=1, description="share of words masked at random in the others; at least one")


@dataclass(frozen=True, slots=True)
class Worded:
    """A line as words. pieces: of each word's letters, the signs before it with them; signs: of what follows it."""

    pieces: tuple[tuple[int, ...], ...]
    signs: tuple[tuple[int, ...], ...]
    spans: tuple[Span, ...]  # words that carry its class


@dataclass(frozen=True, slots=True)
class Masked:
    """ids: with MASK where something is to be filled; truth: what stands there (PAD: nothing), -100 elsewhere; runs:
    places of the masks of each run."""

    ids: list[int]
    truth: list[int]
    runs: list[list[int]]


class Infill(NetworkLines):
    """Lines of another class whose words that carry it are masked and filled in by a masked model of the class that is
    asked for (learned from train alone)."""

    name = "infill"
    Params: ClassVar[type[InfillParams]] = InfillParams
    params: InfillParams
    takes = ("from",)
    salience: Salience

    def _prepare(self, train: TrainLines) -> None:
        labels = [int(k) for k in train.labels[train.rows]]
        self.salience = Salience.of(train.seen, labels, len(self.classes), self.params)

    def _places(self, ids: Sequence[Sequence[int]]) -> int:
        longest = max(len(row) for row in ids)
        return longest * (self.params.slots if self.params.padded else 1)

    # -- lines and masks

    def _worded(self, line: str, label: int) -> Worded:
        row, known = tokens(line), self._known_pieces()
        pieces, signs = [], []
        whole = known.ids([token.text for token in row])
        cores = known.ids([token.before + token.word for token in row])
        for all_of_it, core in zip(whole, cores, strict=True):
            apart = all_of_it[: len(core)] == core  # else a piece goes over the end of the word: both are masked
            pieces.append(tuple(core if apart else all_of_it))
            signs.append(tuple(all_of_it[len(core) :] if apart else ()))
        return Worded(tuple(pieces), tuple(signs), tuple(self.salience.spans(row, label, self.params)))

    def _masked(self, line: Worded, spans: Sequence[Span]) -> Masked:
        starts, out = {span.start: span for span in spans}, Masked([], [], [])
        place = 0
        while place < len(line.pieces):
            span = starts.get(place)
            if span is None:
                self._show(out, line.pieces[place])
            else:
                place = span.stop - 1
                self._hide(out, _inside(line, span))
            self._show(out, line.signs[place])
            place += 1
        return out

    @staticmethod
    def _show(out: Masked, pieces: Sequence[int]) -> None:
        out.ids.extend(pieces)
        out.truth.extend([-100] * len(pieces))

    def _hide(self, out: Masked, pieces: Sequence[int]) -> None:
        wide = self.params.slots if self.params.padded else len(pieces)
        out.runs.append(list(range(len(out.ids), len(out.ids) + wide)))
        out.ids.extend([MASK] * wide)
        out.truth.extend([*pieces, *[PAD] * (wide - len(pieces))])

    def _fits(self, line: Worded, span: Span) -> bool:
        return not self.params.padded or len(_inside(line, span)) <= self.params.slots

    def _chosen(self, line: Worded, rng: np.random.Generator) -> list[Span]:
        """Words to mask in training; at least one where any fits."""
        fitting = [span for span in line.spans if self._fits(line, span)]
        if fitting and rng.random() < self.params.style:
            return fitting
        n = max(1, round(self.params.share * len(line.pieces)))
        some = joined(sorted(rng.permutation(len(line.pieces))[:n].tolist()))
        return [span for span in some if self._fits(line, span)]

    # -- learning

    def _loss(self, network: PieceTransformer, train: TrainLines, where: torch.device) -> Callable[[Minibatch], Losses]:
        worded = {int(i): self._worded(train.lines[i], int(train.labels[i])) for i in train.rows}

        def loss(batch: Minibatch) -> Losses:
            rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=batch.rng)))
            masked = [_begun(self._masked(worded[int(i)], self._chosen(worded[int(i)], rng)), rng) for i in batch.rows]
            conditions = {k: v[torch.from_numpy(batch.rows)].to(where) for k, v in train.conditions.items()}
            return {"loss": self._cross_entropy(network, masked, conditions, where)}

        return loss

    def _cross_entropy(
        self, network: PieceTransformer, masked: Sequence[Masked], conditions: Conditions, where: torch.device
    ) -> torch.Tensor:
        ids, real = _batch(masked, where)
        truth = padded([each.truth for each in masked], -100).to(where)
        logits = network.both_ways(ids, conditions, real)[truth != -100]
        # a batch without a mask teaches nothing, and its loss is no NaN
        return F.cross_entropy(logits.float(), truth[truth != -100], reduction="sum") / max(1, len(logits))

    def _nats(self, lines: Sequence[str], emotion: str, device: Device) -> float:
        where, network = resolve_device(device.kind), self._network()
        total, n = 0.0, 0
        label = self.classes.index(emotion)
        for start in range(0, len(lines), LINES_AT_ONCE):
            worded = [self._worded(line, label) for line in lines[start : start + LINES_AT_ONCE]]
            masked = [
                self._masked(each, [span for span in each.spans or (Span(0, 1),) if self._fits(each, span)])
                for each in worded
                if each.pieces
            ]
            masked = [each for each in masked if each.runs and len(each.ids) <= network.size.places]
            if not masked:
                continue
            conditions = encode_conditions([Condition(emotion)] * len(masked), self.classes, self.fields)
            with torch.inference_mode(), autocast(where, device.dtype):
                nats = self._cross_entropy(network, masked, {k: v.to(where) for k, v in conditions.items()}, where)
            pieces = sum(len(run) for each in masked for run in each.runs)
            total, n = total + float(nats) * pieces, n + pieces
        return total / max(1, n)

    # -- converting

    def _attempt(self, asked: Sequence[Asked], conditions: Conditions, chance: torch.Tensor) -> list[str]:
        network, where = self._network(), next(self._network().parameters()).device
        masked = [self._asked_masks(each) for each in asked]
        rows = [i for i, each in enumerate(masked) if each is not None and len(each.ids) <= network.size.places]
        if not rows:
            return [""] * len(asked)
        open_rows = [each for each in (masked[i] for i in rows) if each is not None]
        some = {name: values[rows] for name, values in conditions.items()}
        ids, real = _batch(open_rows, where)
        places = [[place for run in each.runs for place in run] for each in open_rows]
        firsts = [{run[0] for run in each.runs} for each in open_rows]
        rooms = [{place: run[-1] for run in each.runs for place in run} for each in open_rows]
        used = [0] * len(open_rows)
        while any(k < len(own) for k, own in zip(used, places, strict=True)):
            logits = network.both_ways(ids, some, real)
            at = torch.tensor([own[min(k, len(own) - 1)] for k, own in zip(used, places, strict=True)], device=where)
            here = logits[torch.arange(len(at), device=where), at].float()
            here[:, PAD + 1 : Pieces.first] = -torch.inf
            for row, (k, own) in enumerate(zip(used, places, strict=True)):
                if not self.params.padded or (k < len(own) and own[k] in firsts[row]):
                    here[row, PAD] = -torch.inf  # something stands in each run
            numbers = torch.stack([chance[i, min(k, chance.shape[1] - 1)] for i, k in zip(rows, used, strict=True)])
            pieces = drawn(here, numbers, self.params.temperature, self.params.top_p).tolist()
            for row, piece in enumerate(pieces):
                if used[row] == len(places[row]):
                    continue
                place = places[row][used[row]]
                last = rooms[row][place] if piece == PAD else place  # after an empty one, the run is empty to its end
                ids[row, place : last + 1] = piece
                used[row] += last + 1 - place
        lines = [""] * len(asked)
        for row, i in enumerate(rows):
            lines[i] = self._known_pieces().line(ids[row][real[row]].tolist())
        return lines

    def _asked_masks(self, asked: Asked) -> Masked | None:
        """The source with masks where words carry its class; of a line that nothing gives away, in place of one word,
        which the draw chooses. None: no word of it can be masked."""
        line = self._worded(asked.source, self.classes.index(asked.source_class))
        spans = [span for span in line.spans if self._fits(line, span)]
        if not spans:
            words = [Span(i, i + 1) for i in range(len(line.pieces))]
            chosen = np.random.default_rng([asked.seed, 1]).permutation(len(words))
            spans = [words[i] for i in chosen if self._fits(line, words[i])][:1]
        return self._masked(line, spans) if spans else None

    # -- state

    def _learned(self) -> dict[str, Any]:
        return {**super()._learned(), "salience": self.salience.to_json()}

    def _restore(self, tensors: Mapping[str, torch.Tensor], learned: Mapping[str, Any], device: Device) -> None:
        super()._restore(tensors, learned, device)
        self.salience = Salience(learned["salience"])


def _begun(masked: Masked, rng: np.random.Generator) -> Masked:
    """The first few masks filled with the truth: none to all but one, each number as likely."""
    places = [place for run in masked.runs for place in run]
    if len(places) > 1:
        for place in places[: int(rng.integers(len(places)))]:
            masked.ids[place], masked.truth[place] = masked.truth[place], -100
    return masked


def _inside(line: Worded, span: Span) -> list[int]:
    """Pieces of a run of words; the signs after its last word are not of it."""
    out: list[int] = []
    for place in range(span.start, span.stop):
        out += line.pieces[place]
        if place + 1 < span.stop:
            out += line.signs[place]
    return out


def _batch(masked: Sequence[Masked], where: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """-> ids [n, t]; which places are of the line [n, t] bool."""
    sizes = torch.tensor([len(each.ids) for each in masked])
    ids = padded([each.ids for each in masked], PAD)
    return ids.to(where), (torch.arange(ids.shape[1])[None] < sizes[:, None]).to(where)
