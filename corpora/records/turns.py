"""Which items of a corpus are read in this process: one part of several, without those that are done already.

`read_items` asks the turn before it opens an item, so every reader that goes through it can be shared out over
processes and resumed after a crash, and knows nothing of either. Items are numbered in the reader's fixed order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpora.errors import EmoforgeError


class CorpusChangedError(EmoforgeError):
    """The corpus is not what it was when the finished part was read; the caller begins anew."""


@dataclass(frozen=True, slots=True)
class Done:
    """One finished item: its name and state then, and the id of the sample that it became (None: a reject)."""

    name: str
    state: str
    sample_id: str | None


@dataclass
class Turn:
    """Part `part` of `parts`: items whose number leaves that remainder; those in `done` are passed over unread."""

    part: int = 0
    parts: int = 1
    done: Mapping[int, Done] = field(default_factory=dict)
    asked: bool = False  # a reader that never asks cannot be shared out
    number: int = -1  # of the item in hand
    name: str = ""
    state: str = ""

    def begin(self, name: str, item: Any) -> Done | bool:
        """The next item: True to read it, False if it is another part's, or what became of it when it was read before.

        Raises `CorpusChangedError` if a finished item has another name, size or time than it had.
        """
        self.asked = True
        self.number += 1
        if self.number % self.parts != self.part:
            return False
        self.name, self.state = name, state_of(item)
        before = self.done.get(self.number)
        if before is None:
            return True
        if (before.name, before.state) != (self.name, self.state):
            raise CorpusChangedError(f"{self.name} has changed since it was read ({before.name}, {before.state})")
        return before


def state_of(item: Any) -> str:
    """Size and time of a file, as long as they are the same its content is taken for the same; "" for other items."""
    if not isinstance(item, Path):
        return ""
    try:
        stat = item.stat()
    except OSError:
        return "unreadable"
    return f"{stat.st_size}/{stat.st_mtime_ns}"


_TURN: ContextVar[Turn | None] = ContextVar("turn", default=None)


def current_turn() -> Turn | None:
    """The turn that `reading` has set for this context; None outside of one."""
    return _TURN.get()


@contextmanager
def reading(turn: Turn) -> Iterator[Turn]:
    """Readers that are iterated inside take their items from `turn`."""
    token = _TURN.set(turn)
    try:
        yield turn
    finally:
        _TURN.reset(token)
