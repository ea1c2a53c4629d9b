"""endpoint_rewrite: a language model behind an address says a real line of the class in other words, translates it
there and back, or translates it. The label is inherited from the source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import numpy as np

from corpora.errors import UserError
from corpora.schema import FROM
from generators.generator import Draw
from generators.language.endpoint.asking import AskingGenerator
from generators.language.endpoint.params import RewriteParams
from generators.language.endpoint.prompts import (
    Messages,
    paraphrase_messages,
    translate_messages,
)
from generators.language.lines import Asked
from training.seeds import derive_seed


class EndpointRewrite(AskingGenerator):
    """Paraphrase, back-translation or translation of a train line of the class that is asked for; what is promised of
    the same draw stands in `asking`. The source leaves the machine. A line that says what its source or another train
    line says is rejected."""

    name: ClassVar[str] = "endpoint_rewrite"
    Params: ClassVar[type[RewriteParams]] = RewriteParams
    params: RewriteParams
    takes: tuple[str, ...] = (FROM,)
    source_class: ClassVar[Literal["other", "same"]] = "same"

    def _asked(self, draws: Sequence[Draw], sources: np.ndarray | None) -> list[Asked]:
        asked = super()._asked(draws, sources)
        for draw, one in zip(draws, asked, strict=True):
            if one.source_class not in one.condition.shares:
                raise UserError(
                    f"generator {self.name} keeps the class: source {draw.sources[FROM]!r} is of "
                    f"{one.source_class!r}, asked for is {'+'.join(one.condition.shares)}"
                )
        return asked

    def pivot(self, seed: int) -> str:
        """The language that a draw's line goes through, or to."""
        names = self.params.pivot
        return names[derive_seed("pivot", seed) % len(names)]

    def _line(self, asked: Asked, seed: int, ask: Callable[[Messages, int], str]) -> str:
        p = self.params
        if p.task == "paraphrase":
            return ask(paraphrase_messages(p, self._emotion(asked), asked.source), seed)
        pivot = self.pivot(seed)
        there = ask(translate_messages(p.language, pivot, asked.source), seed)
        if p.task == "translate":
            return there
        return ask(translate_messages(pivot, p.language, there), seed)
