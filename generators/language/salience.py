"""Which words carry a class: salience of n-grams (Li et al. 2018, arXiv 1804.06437, section 3.1).

    s(u, v) = (count of u in class v + smoothing) / (count of u in another class + smoothing)

The paper has two classes of equal size; here counts are as if all classes had the lines of the mean class, and the
other class is the mean of all others, so that with two equal classes the number is the paper's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from generators.classical.substitutes import Token, tokens
from generators.params import GeneratorParams

SEPARATOR = " "  # of an n-gram's words, which hold none


class SalienceParams(GeneratorParams):
    """Parameters of what looks for words that carry a class."""

    ngram: int = Field(4, ge=1, le=8, description="words of the longest n-gram that may carry a class")
    smoothing: float = Field(1.0, gt=0, le=1000, description="added to each count before they are compared")
    salience: float = Field(
        3.0, ge=1, le=10_000, description="n-grams that are so many times as frequent in their class carry it"
    )
    most: float = Field(0.5, gt=0, le=1, description="share of a line's words that may be replaced, at most")


@dataclass(frozen=True, slots=True)
class Span:
    """Words start to stop - 1 of a line."""

    start: int
    stop: int


class Salience:
    """Of each class, its n-grams that are more frequent there than elsewhere."""

    def __init__(self, tables: Sequence[Mapping[str, float]]) -> None:
        self._tables = tuple(dict(table) for table in tables)
        self._longest = max([1, *(gram.count(SEPARATOR) + 1 for table in self._tables for gram in table)])

    @classmethod
    def of(cls, lines: Sequence[str], labels: Sequence[int], n_classes: int, params: SalienceParams) -> Salience:
        """lines and their classes, 0 to n_classes - 1, each of which has one. N-grams of several words that a class has
        once say nothing of it."""
        counts: list[Counter[str]] = [Counter() for _ in range(n_classes)]
        sizes = Counter(int(label) for label in labels)
        for line, label in zip(lines, labels, strict=True):
            keys = [token.key for token in tokens(line)]
            for n in range(1, params.ngram + 1):
                counts[int(label)].update(SEPARATOR.join(keys[i : i + n]) for i in range(len(keys) - n + 1))
        mean = len(lines) / n_classes
        scale = [mean / sizes[k] for k in range(n_classes)]
        tables: list[dict[str, float]] = []
        for k, own in enumerate(counts):
            table = {}
            for gram, count in own.items():
                if count < 2 and SEPARATOR in gram:
                    continue
                others = sum(counts[j][gram] * scale[j] for j in range(n_classes) if j != k) / max(1, n_classes - 1)
                value = (count * scale[k] + params.smoothing) / (others + params.smoothing)
                if value > 1.0:
                    table[gram] = round(value, 6)
            tables.append(table)
        return cls(tables)

    def value(self, words: str, label: int) -> float:
        """Salience of an n-gram, words parted by one blank, in a class; 1 where it is none of its."""
        return self._tables[label].get(words.casefold(), 1.0)

    def spans(self, row: Sequence[Token], label: int, params: SalienceParams) -> list[Span]:
        """Words of a line that carry its class, in their order; neighbours are one span. Most salient n-grams come
        first, and what overlaps them is left, but for the inside of one whose ends are marked. Where none reaches the
        threshold, the most salient one. Empty where the line has none of its class."""
        keys, table = [token.key for token in row], self._tables[label]
        ranked = [
            (-table[gram], n, i)
            for n in range(1, min(self._longest, len(keys)) + 1)
            for i in range(len(keys) - n + 1)
            if (gram := SEPARATOR.join(keys[i : i + n])) in table and all(token.word for token in row[i : i + n])
        ]
        ranked.sort()
        strong = [each for each in ranked if -each[0] >= params.salience] or ranked[:1]
        room, marked = max(1, int(params.most * len(keys))), set[int]()
        for _, n, i in strong:
            places = range(i, i + n)
            if marked.isdisjoint(places) and len(marked) + n <= room:
                marked.update(places)
        for _, n, i in strong:  # "in a rage": what stands between two such words goes with them
            if n > 2 and {i, i + n - 1} <= marked and len(marked | set(range(i, i + n))) <= room:
                marked.update(range(i, i + n))
        return joined(sorted(marked))

    def to_json(self) -> list[dict[str, float]]:
        """What `Salience(...)` takes."""
        return [dict(sorted(table.items())) for table in self._tables]


def joined(places: Sequence[int]) -> list[Span]:
    """Sorted places of words -> spans of neighbours.

    >>> joined([1, 2, 5])
    [Span(start=1, stop=3), Span(start=5, stop=6)]
    """
    spans: list[Span] = []
    for place in places:
        if spans and spans[-1].stop == place:
            spans[-1] = Span(spans[-1].start, place + 1)
        else:
            spans.append(Span(place, place + 1))
    return spans
