"""Delete, retrieve, generate (Li et al. 2018, arXiv 1804.06437): words that carry a line's class give way to those of a
line of the wanted class with like content. No network: the paper's template variant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from corpora.errors import IntegrityError
from generators.classical.substitutes import Token, starts_sentence, tokens
from generators.condition import emotion_weights
from generators.fitting import FitOptions
from generators.generator import Device, Progress
from generators.language.lines import Asked, LineGenerator, TrainLines, arrays_of, lines_of
from generators.language.salience import Salience, SalienceParams, Span

SIMILAR_DIGITS = 9  # similarities that differ by rounding alone are equal


class DeleteRetrieveParams(SalienceParams):
    """Parameters of `delete_retrieve`."""

    nearest: int = Field(
        5, ge=1, le=1000, description="lines of the wanted class with the likest content, of which a draw takes one"
    )
    redraws: int = Field(8, ge=0, le=1000, description="how often a line that copies one of train is drawn again")


class DeleteRetrieve(LineGenerator):
    """Lines of another class: content words stay, words that carry the class are replaced by those of the nearest line
    of the class that is asked for."""

    name = "delete_retrieve"
    Params: ClassVar[type[DeleteRetrieveParams]] = DeleteRetrieveParams
    params: DeleteRetrieveParams
    takes = ("from",)
    trains = False

    def _learn(self, train: TrainLines, options: FitOptions) -> Iterator[Progress]:
        self._index(train.seen, [int(k) for k in train.labels[train.rows]])
        yield Progress(1, 1, {}, 0.0)

    def _index(self, lines: Sequence[str], labels: Sequence[int]) -> None:
        """Marks what carries the class in each line, and prepares the search for like content."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._lines, self._labels = list(lines), np.asarray(labels, np.int64)
        self._salience = Salience.of(lines, labels, len(self.classes), self.params)
        self._rows = [tokens(line) for line in lines]
        self._spans = [
            self._salience.spans(row, int(k), self.params) for row, k in zip(self._rows, self._labels, strict=True)
        ]
        content = [_content(row, spans) for row, spans in zip(self._rows, self._spans, strict=True)]
        self._vectors = TfidfVectorizer(analyzer=_split)
        try:
            matrix = self._vectors.fit_transform(content)
        except ValueError:  # no line has a word beside those that carry its class
            self._vectors = TfidfVectorizer(analyzer=_anything)
            matrix = self._vectors.fit_transform(content)
        usable = np.array([bool(spans) for spans in self._spans], bool)
        self._of_class = [np.flatnonzero((self._labels == k) & usable) for k in range(len(self.classes))]
        self._matrices = [matrix[rows] for rows in self._of_class]

    def _write(self, asked: Sequence[Asked], device: Device) -> list[str]:
        return [self._converted(each) for each in asked]

    def _converted(self, asked: Asked) -> str:
        """Tries again, with the next numbers of the same draw and one more line to choose from, what is a line of train
        or the source itself."""
        rng = np.random.default_rng(asked.seed)
        row = tokens(asked.source)
        own = self.classes.index(asked.source_class)
        spans = self._salience.spans(row, own, self.params)
        shares = emotion_weights(asked.condition.emotion, self.classes).astype(np.float64)
        slots = spans or [Span(len(row), len(row))]  # a line that nothing gives away gets words at its end
        order: dict[int, np.ndarray] = {}
        for attempt in range(self.params.redraws + 1):
            wanted = [int(k) for k in rng.choice(len(shares), size=len(slots), p=shares / shares.sum())]
            taken: dict[int, list[list[Token]]] = {}
            for k in sorted(set(wanted) - ({own} if spans else set())):
                if k not in order:
                    order[k] = self._nearest(_content(row, spans), k)
                if len(order[k]):
                    chosen = order[k][int(rng.integers(min(self.params.nearest + attempt, len(order[k]))))]
                    taken[k] = [self._rows[chosen][span.start : span.stop] for span in self._spans[chosen]]
            line = _filled(row, slots, wanted, taken)
            if self._is_new(line, asked.source):
                return line
        return ""

    def _nearest(self, content: str, label: int) -> np.ndarray:
        """Rows of train of a class, those with the likest content first (cosine of TF-IDF); of equal ones in order."""
        like = (self._matrices[label] @ self._vectors.transform([content]).T).toarray()[:, 0]
        return self._of_class[label][np.argsort(-np.round(like, SIMILAR_DIGITS), kind="stable")]

    # -- state

    def _tensors(self) -> Mapping[str, torch.Tensor]:
        lines = torch.from_numpy(arrays_of(self._lines, self.spec).astype(np.uint8))
        return {"lines": lines, "labels": torch.from_numpy(self._labels)}

    def _learned(self) -> dict[str, Any]:
        return {}

    def _restore(self, tensors: Mapping[str, torch.Tensor], learned: Mapping[str, Any], device: Device) -> None:
        if set(tensors) != {"lines", "labels"} or len(tensors["lines"]) != len(tensors["labels"]):
            raise IntegrityError(f"a model of {self.name} holds lines and their labels, this one {sorted(tensors)}")
        self._index(lines_of(tensors["lines"].numpy()), tensors["labels"].tolist())


def _filled(
    row: Sequence[Token], slots: Sequence[Span], wanted: Sequence[int], taken: Mapping[int, list[list[Token]]]
) -> str:
    """A line with words of others in its slots. wanted: class of each slot; taken: class -> words of a line of it, one
    run after the other. A class without words is the source's own: a mixture that holds it keeps what is there."""
    out: list[Token] = []
    end = 0
    left = {k: list(runs) for k, runs in taken.items()}
    for slot, k in zip(slots, wanted, strict=True):
        out += row[end : slot.start]
        end = slot.stop
        if k not in left:
            out += row[slot.start : slot.stop]
        elif left[k]:
            out += _put(row, slot, left[k].pop(0))
        elif out:  # the other line has fewer: the words go, the signs after them stay
            out[-1] = Token(out[-1].before, out[-1].word, out[-1].after + row[slot.stop - 1].after)
    return " ".join(token.text for token in [*out, *row[end:]])


def _content(row: Sequence[Token], spans: Sequence[Span]) -> str:
    out = {place for span in spans for place in range(span.start, span.stop)}
    return " ".join(token.key for i, token in enumerate(row) if i not in out and token.word)


def _split(text: str) -> list[str]:
    return text.split()


def _anything(text: str) -> list[str]:
    return [""]


def _put(row: Sequence[Token], slot: Span, words: Sequence[Token]) -> list[Token]:
    """Words of another line in a slot of this one: the signs around them are this line's, and a capital at a start."""
    texts = [[token.before, token.word, token.after] for token in words]
    old = row[slot.start : slot.stop]
    texts[0][0] = old[0].before if old else ""
    texts[-1][2] = old[-1].after if old else ""
    if slot.start < len(row) and starts_sentence(list(row), slot.start):
        texts[0][1] = texts[0][1][:1].upper() + texts[0][1][1:]
    elif texts[0][1][1:].islower():
        texts[0][1] = texts[0][1].lower()
    return [Token(*parts) for parts in texts]
