"""What generators that ask an endpoint share: from draws to requests, checks of the answers, lineage, the annotator.

What is promised: the prompt and the seed of a draw are functions of the draw, its source and the train split; the seed
is sent, and a server that honours it gives the same line again. Many do not. So what came back is kept by the hash of
the request (`cache`), and the same draw gives the same line for as long as the answer is kept, there or among the
samples of the work store. Where both are gone, or on a machine that has neither, the server is asked again and may say
something else under the same name; a release holds the lines themselves and does not change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from itertools import zip_longest
from typing import Any, ClassVar

import numpy as np
import torch

from corpora.errors import IntegrityError, PayloadError, UnknownNameError
from generators.fitting import FitOptions
from generators.generator import Device, Draw, Lineage, Progress
from generators.language.endpoint.annotator import NO_LABEL, Agreement, agreement, annotated, annotation_request
from generators.language.endpoint.answers import TEXT_SCHEMA, text_of
from generators.language.endpoint.cache import Request
from generators.language.endpoint.client import Client, chat_request, each
from generators.language.endpoint.meter import Cost
from generators.language.endpoint.params import AskingParams
from generators.language.endpoint.prompts import Messages, named_emotion
from generators.language.lines import Asked, LineGenerator, TrainLines, same_line
from training.seeds import derive_seed


@dataclass(frozen=True, slots=True)
class Written:
    """One line that an endpoint gave, or none. line: "" where it was rejected; label: the annotator's class, `NO_LABEL`
    where nobody was asked or no class came. cost: of all that was asked for it."""

    line: str
    lineage: Lineage
    label: str = NO_LABEL
    cost: Cost = field(default_factory=Cost)


class AskingGenerator(LineGenerator):
    """Base of the generators that ask an endpoint; see the module. Nothing is trained: `fit` keeps what prompts need.

    A generator brings `_line`.
    """

    Params: ClassVar[type[AskingParams]] = AskingParams
    params: AskingParams
    trains = False

    def _line(self, asked: Asked, seed: int, ask: Callable[[Messages, int], str]) -> str:
        """One attempt at a line. `ask`: messages and a seed -> the line of the answer. Raises `PayloadError` (reason)
        where there is none."""
        raise NotImplementedError

    def written(self, draws: Sequence[Draw], sources: np.ndarray | None = None) -> list[Written]:
        """A line each, or why there is none, with its lineage. What was asked before is not asked again.

        Raises `EndpointError`, `BudgetError`, `ParamsError` as `Client.ask` does; answers until then are kept.
        """
        self._require_fitted()
        return self._each(self._asked(draws, sources))

    def lineage(self, draws: Sequence[Draw], sources: np.ndarray | None = None) -> list[Lineage]:
        """Of each draw that was sampled: prompts, models, hashes of requests, the annotator's label, what all attempts
        at it cost, and the reason of a rejection. Never a key: neither prompts nor hashes hold one."""
        return [written.lineage for written in self.written(draws, sources)]

    def agreement(self, draws: Sequence[Draw], sources: np.ndarray | None = None) -> Agreement:
        """Of the annotator with what was asked for, over the draws of one class that gave a line for it to read, also
        those that were rejected for its label."""
        pairs = [
            (draw.condition.one_class, written.label)
            for draw, written in zip(draws, self.written(draws, sources), strict=True)
            if draw.condition.one_class is not None and (written.line or written.lineage.reason == "wrong-label")
        ]
        return agreement([str(given) for given, _ in pairs], [label for _, label in pairs])

    def _write(self, asked: Sequence[Asked], device: Device) -> list[str]:
        return [written.line for written in self._each(asked)]

    def _each(self, asked: Sequence[Asked]) -> list[Written]:
        with ExitStack() as stack:
            client = stack.enter_context(Client(self.params))
            annotator = self.params.annotator
            reader = None if annotator is None else stack.enter_context(Client(annotator))
            return each(lambda one: self._one(one, client, reader), asked, self.params.limits.concurrency)

    def _one(self, asked: Asked, client: Client, reader: Client | None) -> Written:
        """Attempts, until a line is accepted or all are used up."""
        written, cost, attempt = Written("", Lineage({})), Cost(), 0
        for attempt in range(self.params.attempts):
            seed = asked.seed if attempt == 0 else derive_seed("attempt", asked.seed, attempt)
            written = self._attempt(asked, seed, client, reader)
            cost += written.cost
            if written.line:
                break
        facts = {**written.lineage.facts, "attempts": attempt + 1, **asdict(cost)}
        return replace(written, lineage=replace(written.lineage, facts=facts), cost=cost)

    def _attempt(self, asked: Asked, seed: int, client: Client, reader: Client | None) -> Written:
        requests: list[Request] = []
        models: list[str] = []
        label, cost = NO_LABEL, Cost()

        def ask(messages: Messages, seed: int) -> str:
            nonlocal cost
            p = self.params
            request = chat_request(
                p, messages, TEXT_SCHEMA, seed=seed, temperature=p.temperature, max_tokens=p.max_tokens
            )
            requests.append(request)
            reply = client.ask(request)
            models.append(reply.model)
            cost += client.cost(request, reply)
            return text_of(reply, self.spec.shape[0])

        def lineage(error: PayloadError | None = None) -> Lineage:
            facts: dict[str, Any] = {
                "url": self.params.url,
                "model": self.params.model,
                "answered_by": models,
                "requests": [request.hash for request in requests],
                "prompts": [request.body["messages"] for request in requests],
            }
            if reader is not None and requests:
                facts["annotator"] = {"model": reader.server.model, "label": label}
            reason, detail = ("", "") if error is None else (error.reason, error.detail)
            return Lineage(facts, reason, detail)

        try:
            line = self._line(asked, seed, ask)
            if same_line(line) in self.known or same_line(line) == same_line(asked.source):
                raise PayloadError("copy", "it says what a train line says, case and signs aside")
            if reader is not None:
                label, of_reader = self._label(reader, line)
                cost += of_reader
                self._require_label(asked, label)
        except PayloadError as error:
            return Written("", lineage(error), label, cost)
        return Written(line, lineage(), label, cost)

    def _label(self, reader: Client, line: str) -> tuple[str, Cost]:
        annotator = self.params.annotator
        assert annotator is not None
        return annotated(reader, annotation_request(annotator, self.params, self.classes, line), self.classes)

    def _require_label(self, asked: Asked, label: str) -> None:
        annotator = self.params.annotator
        assert annotator is not None
        if annotator.on_disagreement == "reject" and label not in asked.condition.shares:
            wanted = "+".join(asked.condition.shares)
            raise PayloadError("wrong-label", f"asked for {wanted}, the annotator says {label or 'nothing'}")

    def _emotion(self, asked: Asked) -> str:
        return named_emotion(asked.condition.shares, self.params.describe)

    # -- what prompts need of train

    def _learn(self, train: TrainLines, options: FitOptions) -> Iterator[Progress]:
        self._require_described()
        losses: dict[str, float] = {"lines": float(len(train.rows))}
        annotator = self.params.annotator
        if annotator is not None and annotator.check_train > 0:
            measured = self._check_annotator(train, options.seed)
            losses |= {"annotator_agreement": measured.share, "annotator_lines": float(measured.n)}
            if math.isfinite(measured.kappa):
                losses["annotator_kappa"] = measured.kappa
        yield Progress(1, 1, losses, 0.0)

    def _require_described(self) -> None:
        for name in self.params.describe:
            if name not in self.classes:
                raise UnknownNameError.of(f"class in describe of generator {self.name}", name, self.classes)

    def _check_annotator(self, train: TrainLines, seed: int) -> Agreement:
        """Over lines of train, of all classes as evenly as there are such."""
        annotator = self.params.annotator
        assert annotator is not None
        rng = np.random.default_rng(derive_seed("annotator", seed))
        of_class = [rng.permutation(train.rows[train.labels[train.rows] == k]) for k in range(len(self.classes))]
        turns = [row for turn in zip_longest(*of_class) for row in turn if row is not None]
        chosen = turns[: annotator.check_train]
        with Client(annotator) as reader:
            labels = each(lambda row: self._label(reader, train.lines[row])[0], chosen, annotator.limits.concurrency)
        return agreement([self.classes[int(train.labels[row])] for row in chosen], labels)

    def _tensors(self) -> Mapping[str, torch.Tensor]:
        return {}

    def _restore(self, tensors: Mapping[str, torch.Tensor], learned: Mapping[str, Any], device: Device) -> None:
        if tensors:
            raise IntegrityError(f"a model of {self.name} holds {', '.join(sorted(tensors))}, which it cannot have")
