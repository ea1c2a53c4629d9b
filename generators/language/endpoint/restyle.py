"""endpoint_restyle: a language model behind an address rewrites a real line of another class."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from corpora.schema import FROM
from generators.language.endpoint.asking import AskingGenerator
from generators.language.endpoint.params import RestyleParams
from generators.language.endpoint.prompts import Messages, restyle_messages
from generators.language.lines import Asked


class EndpointRestyle(AskingGenerator):
    """A train line of another class, rewritten to express the one that is asked for; what is promised of the same draw
    stands in `asking`. The source leaves the machine."""

    name: ClassVar[str] = "endpoint_restyle"
    Params: ClassVar[type[RestyleParams]] = RestyleParams
    params: RestyleParams
    takes: tuple[str, ...] = (FROM,)

    def _line(self, asked: Asked, seed: int, ask: Callable[[Messages, int], str]) -> str:
        messages = restyle_messages(self.params, self._emotion(asked), asked.source, augmented=self.params.augmented)
        return ask(messages, seed)
