"""Texts: words replaced by ones that fit there, and EDA's four operations. UTF-8 in and out.

Words are what white space parts; the signs around a replaced word stay. Runs of white space become one space in what is
changed. Masks ("[NAME]") are moved and deleted like words and never replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from corpora.codecs import decode_text, encode_text
from corpora.errors import PayloadError, UserError
from corpora.schema import Payload, Signal
from generators.classical.method import MethodParams, require_codec
from generators.classical.substitutes import Contexts, Token, tokens

Operation = Literal["replace", "insert", "swap", "delete"]


def _text_of(payload: Payload) -> str:
    require_codec(payload, "txt")
    return decode_text(payload.data)


def _with_tokens(payload: Payload, row: Sequence[Token]) -> Payload:
    text = " ".join(token.text for token in row)
    signals = tuple(Signal(each.name, each.unit, each.rate_hz, (len(text),)) for each in payload.signals)
    return Payload(encode_text(text), payload.codec, signals, payload.duration_s)


def number_of(share: float, words: int) -> int:
    """Words that a share > 0 means: at least one (Wei & Zou 2019: max(1, alpha l))."""
    return max(1, round(share * words))


def replaced(row: Sequence[Token], n: int, contexts: Contexts, rng: np.random.Generator) -> list[Token]:
    """Up to n words replaced by ones that fit there, at random places; fewer where fewer have a candidate."""
    result = list(row)
    for place in rng.permutation(len(row)):
        if n == 0:
            break
        word = contexts.drawn(result, int(place), rng)
        if word is not None:
            result[place] = result[place].with_word(word)
            n -= 1
    return result


class Counting:
    """A method that counts the words of train texts first, whose result varies."""

    varies: ClassVar[bool] = True
    learns: ClassVar[bool] = True


class SubstituteParams(MethodParams):
    """Parameters of substitution."""

    share: float = Field(0.15, ge=0, le=1, description="words that are replaced, as a share of all; at least one")
    min_count: int = Field(2, ge=1, description="how often train must have a word that is put in")


class Substitute(Counting):
    """Some words replaced by ones that the counts of the train texts say fit there: `Contexts`."""

    Params: ClassVar = SubstituteParams

    def __init__(self, params: SubstituteParams | None = None) -> None:
        self.params = params or SubstituteParams()
        self.contexts: Contexts | None = None

    def fit(self, payloads: Iterable[Payload]) -> Self:
        """Counts the words of train texts; of one class alone where the label must hold. Raises `UserError` for no
        text, `PayloadError` for what is none."""
        self.contexts = Contexts((_text_of(payload) for payload in payloads), min_count=self.params.min_count)
        return self

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """As many words. Raises `PayloadError`: no-substitute (train knows no other word for any place of it), or what
        the decoder says; `UserError` before `fit`."""
        row = tokens(_text_of(payload))
        if self.params.share == 0:
            return payload
        result = replaced(row, number_of(self.params.share, len(row)), _fitted(self.contexts, "substitute"), rng)
        if result == row:
            raise PayloadError("no-substitute", f"train knows no other word for any of the {len(row)} places")
        return _with_tokens(payload, result)


def _fitted(contexts: Contexts | None, method: str) -> Contexts:
    if contexts is None:
        raise UserError(f"text method {method} counts words of the train texts first: call fit(payloads)")
    return contexts


class EdaParams(MethodParams):
    """Parameters of EDA."""

    alpha: float = Field(0.1, ge=0, le=1, description="words that an operation changes, as a share of all; at least 1")
    operations: tuple[Operation, ...] = Field(
        ("replace", "insert", "swap", "delete"), min_length=1, description="those of which one is drawn for each text"
    )
    min_count: int = Field(2, ge=1, description="how often train must have a word that is put in")


class Eda(Counting):
    """Easy data augmentation (Wei & Zou 2019, EMNLP-IJCNLP): one of four operations on a text of l words, each on
    n = max(1, alpha l) of them: words replaced, words inserted, pairs swapped, words deleted (each with probability
    alpha).

    What differs: the paper takes synonyms from WordNet and spares stop words; here `Contexts` gives words that fit
    there, in any language. An operation that can change nothing gives way to another, so a copy never comes back: of a
    deletion that hits no word, one word at random is deleted. At least one word is left.
    """

    Params: ClassVar = EdaParams

    def __init__(self, params: EdaParams | None = None) -> None:
        self.params = params or EdaParams()
        self.contexts: Contexts | None = None

    def fit(self, payloads: Iterable[Payload]) -> Self:
        """As `Substitute.fit`."""
        self.contexts = Contexts((_text_of(payload) for payload in payloads), min_count=self.params.min_count)
        return self

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """Raises `PayloadError`: unchanged (no operation can change it: one word that train knows no other for), or
        what the decoder says; `UserError` before `fit` where words are replaced or inserted."""
        row = tokens(_text_of(payload))
        if self.params.alpha == 0:
            return payload
        operations: dict[str, Callable[[list[Token], np.random.Generator], list[Token]]] = {
            "replace": self._replace,
            "insert": self._insert,
            "swap": self._swap,
            "delete": self._delete,
        }
        for i in rng.permutation(len(self.params.operations)):
            result = operations[self.params.operations[i]](row, rng)
            if result != row:
                return _with_tokens(payload, result)
        raise PayloadError("unchanged", f"none of {', '.join(self.params.operations)} can change its {len(row)} words")

    def _replace(self, row: list[Token], rng: np.random.Generator) -> list[Token]:
        return replaced(row, number_of(self.params.alpha, len(row)), _fitted(self.contexts, "eda"), rng)

    def _insert(self, row: list[Token], rng: np.random.Generator) -> list[Token]:
        """Words that would fit in place of random ones, put in at random places."""
        contexts, result, n = _fitted(self.contexts, "eda"), list(row), number_of(self.params.alpha, len(row))
        for place in rng.permutation(len(row)):
            if n == 0:
                break
            word = contexts.drawn(row, int(place), rng)
            if word is not None:
                result.insert(int(rng.integers(len(result) + 1)), Token("", word, ""))
                n -= 1
        return result

    def _swap(self, row: list[Token], rng: np.random.Generator) -> list[Token]:
        result = list(row)
        if len(row) > 1:
            for _ in range(number_of(self.params.alpha, len(row))):
                a, b = rng.choice(len(row), size=2, replace=False)
                result[a], result[b] = result[b], result[a]
        return result

    def _delete(self, row: list[Token], rng: np.random.Generator) -> list[Token]:
        if len(row) == 1:
            return row
        kept = rng.random(len(row)) >= self.params.alpha
        one = int(rng.integers(len(row)))
        if kept.all():
            kept[one] = False
        if not kept.any():
            kept[one] = True
        return [token for token, stays in zip(row, kept, strict=True) if stays]
