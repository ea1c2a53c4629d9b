"""Which real sample a conversion starts from. Pure and fixed: draw k of a class has the same source for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from corpora.errors import UserError
from generators.generator import SourceClass


@dataclass(frozen=True, slots=True)
class SourceTable:
    """The train split's ids, classes and subjects (None: the corpus knows none); row i of each is one sample.

    source_class: whether samples of another class than is asked for may serve, or those of the same. turns: how often
    each serves before all begin again, 0 for never; (): each once.
    """

    ids: tuple[str, ...]
    emotions: tuple[str, ...]
    subjects: tuple[str | None, ...]
    source_class: SourceClass = "other"
    turns: tuple[int, ...] = ()

    def serves(self, emotion: str, classes: tuple[str, ...]) -> bool:
        """Whether a sample of `emotion` may be a source where these classes are asked for."""
        return (emotion in classes) == (self.source_class == "same")

    def without(self, emotions: Collection[str]) -> SourceTable:
        """Samples of other classes than these."""
        if not emotions:
            return self
        kept = [i for i, emotion in enumerate(self.emotions) if emotion not in emotions]
        return replace(
            self,
            ids=tuple(self.ids[i] for i in kept),
            emotions=tuple(self.emotions[i] for i in kept),
            subjects=tuple(self.subjects[i] for i in kept),
            turns=tuple(self.turns[i] for i in kept) if self.turns else (),
        )

    def with_turns(self, turns: Mapping[str, int]) -> SourceTable:
        """The same with turns by id, 1 for what is not in it; nothing in it: each once."""
        return replace(self, turns=tuple(turns.get(i, 1) for i in self.ids)) if turns else self

    def serving(self, classes: tuple[str, ...]) -> list[tuple[str, str | None, int]]:
        """(id, subject, turns) of the samples that draws of a class, or of a mixture of classes, may start from."""
        turns = self.turns or (1,) * len(self.ids)
        rows = zip(self.ids, self.emotions, self.subjects, turns, strict=True)
        return [(i, subject, n) for i, emotion, subject, n in rows if n > 0 and self.serves(emotion, classes)]


Classes = str | tuple[str, ...]  # one class, or those of a mixture


def count_sources(table: SourceTable, classes: tuple[str, ...]) -> int:
    """Samples that a class, or a mixture of classes, may be drawn from."""
    return len(table.serving(classes))


def source_order(table: SourceTable, wanted: Classes, seed: int) -> list[dict[str, str]]:
    """Every possible source for a class (of a mixture: its classes) once, or as many times as it has turns: first of
    subjects who also have samples of it (their way of showing it is known), then of the others, each part in an order
    of its own that `seed` fixes.

    A source is a train sample of another class, or of the same, as the table says. Raises `UserError` where there is
    none.
    """
    classes = (wanted,) if isinstance(wanted, str) else wanted
    name = "+".join(classes)
    known = {s for s, e in zip(table.subjects, table.emotions, strict=True) if e in classes}
    serving = table.serving(classes)
    if not serving:
        if table.source_class == "same":
            raise UserError(f"no source for variants of {name!r}: train has no sample of it")
        raise UserError(f"no source for a conversion to {name!r}: train has no sample of another class")

    def place(sample_id: str) -> str:
        return hashlib.sha256(f"{seed}:{name}:{sample_id}".encode()).hexdigest()

    # Order by hash, not by a shuffle: a sample that joins or leaves the corpus moves no other one's place.
    serving.sort(key=lambda row: (row[1] not in known, place(row[0])))
    most = max(turns for _, _, turns in serving)
    # Turns are spread evenly over the rounds, and every sample that serves at all does so in the first.
    return [
        {"from": i}
        for r in range(most)
        for i, _, turns in serving
        if -(-(r + 1) * turns // most) > -(-r * turns // most)
    ]


_cached_order = lru_cache(maxsize=64)(source_order)


def choose_sources(indices: Sequence[int], table: SourceTable, wanted: Classes, seed: int) -> list[dict[str, str]]:
    """Indices of draws of a class (or of the classes of a mixture) -> sources of each by role. Each source serves once
    before any serves twice, or as often as it has turns."""
    order = _cached_order(table, wanted, seed)
    return [order[index % len(order)] for index in indices]
