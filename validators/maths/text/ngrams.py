"""How surprising texts are to a language model of other, real texts: interpolated Kneser-Ney n-grams.

Perplexity is per token of its model: numbers of different tokens, orders or training texts are never compared. Bits a
byte are comparable across tokens; both are given.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from corpora.errors import UserError
from validators.maths.text.words import tokens

Level = Literal["word", "byte"]
Token = str | int
START, END, UNKNOWN = "<s>", "</s>", "<unk>"
BYTES = 256
MAX_ORDER = 8
FALLBACK_DISCOUNT = 0.5  # where no n-gram occurs once, or none twice
LARGEST_BYTES = 200 << 20  # of train texts


@dataclass(frozen=True, slots=True)
class Surprise:
    """What a model says of each text: negative log likelihood in nats, over how many tokens, of which unknown.

    spelling: nats that it takes to spell the unknown words, at one of 256 values a byte; in no perplexity, but in the
    bits a byte, which would otherwise fall the less a model knows.
    """

    nats: np.ndarray  # [n] float64
    tokens: np.ndarray  # [n] int64, the end of the text among them
    unknown: np.ndarray  # [n] int64
    unknown_nats: np.ndarray  # [n] float64, of `nats`
    spelling: np.ndarray  # [n] float64
    bytes: np.ndarray  # [n] int64, UTF-8, and one for the end of the text

    def perplexity(self) -> float:
        """exp(nats / tokens) over all texts; NaN where there is no text."""
        return math.exp(self.nats.sum() / self.tokens.sum()) if self.tokens.sum() else math.nan

    def perplexity_of_known(self) -> float:
        """Unknown words left out, as KenLM's "excluding OOVs"."""
        n = int(self.tokens.sum() - self.unknown.sum())
        return math.exp((self.nats.sum() - self.unknown_nats.sum()) / n) if n else math.nan

    def bits_per_byte(self) -> float:
        """Of the texts' UTF-8, ends and the spelling of unknown words included: compares models of other tokens."""
        n = int(self.bytes.sum())
        return float(self.nats.sum() + self.spelling.sum()) / (n * math.log(2.0)) if n else math.nan

    def unknown_share(self) -> float:
        """Of words; ends of texts are no words."""
        n = int(self.tokens.sum()) - len(self.tokens)
        return float(self.unknown.sum() / n) if n > 0 else math.nan

    def interval(self, seed: int = 0, resamples: int = 1000) -> tuple[float, float]:
        """95 % bootstrap interval of the perplexity over texts; NaN for fewer than 2."""
        n = len(self.nats)
        if n < 2:
            return math.nan, math.nan
        rng = np.random.default_rng(seed)
        perplexities = []
        for _ in range(resamples):
            weight = np.bincount(rng.integers(0, n, n), minlength=n)
            perplexities.append((weight @ self.nats) / (weight @ self.tokens))
        low, high = np.exp(np.quantile(perplexities, [0.025, 0.975]))
        return float(low), float(high)


class KneserNey:
    """Interpolated Kneser-Ney n-grams (Kneser & Ney 1995; Chen & Goodman 1999, section 2.7), one discount an order.

        p(w | c) = max(N(c w) - D, 0) / N(c .) + D N1+(c .) / N(c .) p(w | shorter c),   D = n1 / (n1 + 2 n2)

    N counts occurrences in the highest order and distinct left neighbours N1+(. c w) below it; n1, n2: how many n-grams
    have N = 1, 2. The lowest order is interpolated with the uniform distribution over the vocabulary: all words of
    train, the end of a text, and one token for all unknown words. Bytes know no unknown. A text begins with order - 1
    starts.

    Unknown words of train are not simulated: a word that train lacks gets the probability of one unseen word, so that
    gibberish is surprising. (With rare words taken for unknown ones it would be likely.)
    """

    def __init__(self, texts: Iterable[str], *, order: int = 3, level: Level = "word") -> None:
        """Raises `UserError`: order outside 1 to 8, unknown level, no text with a token, more than 200 MB."""
        if not 1 <= order <= MAX_ORDER:
            raise UserError(f"order is {order}; 1 to {MAX_ORDER} are possible")
        if level not in ("word", "byte"):
            raise UserError(f"level is {level!r}; known: byte, word")
        self.order, self.level = order, level
        top: Counter[tuple[Token, ...]] = Counter()
        read = 0
        for text in texts:
            read += len(text.encode("utf-8", "replace"))
            if read > LARGEST_BYTES:
                raise UserError(f"more than {LARGEST_BYTES >> 20} MB of text to fit a language model to")
            tokens = self.split(text)
            if tokens:
                padded = [START] * (order - 1) + tokens + [END]
                top.update(tuple(padded[i : i + order]) for i in range(len(tokens) + 1))
        if not top:
            raise UserError("no text with a word in it to fit a language model to")
        self._build(top)

    @classmethod
    def of_counts(cls, counts: Mapping[tuple[Token, ...], int], *, order: int, level: Level) -> KneserNey:
        """From `counts` of n-grams of the highest order, starts and ends among them: what a saved model keeps."""
        model = cls.__new__(cls)
        model.order, model.level = order, level
        model._build(Counter(counts))
        return model

    def _build(self, top: Counter[tuple[Token, ...]]) -> None:
        order, level, self.counts = self.order, self.level, top
        words = {gram[-1] for gram in top}
        self.vocabulary: frozenset[Token] = frozenset(range(BYTES)) | {END} if level == "byte" else frozenset(words)
        self.size = len(self.vocabulary) + (level == "word")  # the unknown word is one more
        self._counts: list[Counter[tuple[Token, ...]]] = [top]  # from the highest order to the lowest
        for _ in range(order - 1):
            # every n-gram of a higher order is one distinct left neighbour of its tail
            self._counts.insert(0, Counter(gram[1:] for gram in self._counts[0]))
        self.discounts = [_discount(counts) for counts in self._counts]
        self._totals: list[dict[tuple[Token, ...], int]] = []
        self._kinds: list[dict[tuple[Token, ...], int]] = []
        for counts in self._counts:
            totals: dict[tuple[Token, ...], int] = defaultdict(int)
            kinds: dict[tuple[Token, ...], int] = defaultdict(int)
            for gram, count in counts.items():
                totals[gram[:-1]] += count
                kinds[gram[:-1]] += 1
            self._totals.append(dict(totals))
            self._kinds.append(dict(kinds))

    def split(self, text: str) -> list[Token]:
        """Tokens 13a, case kept; or bytes of UTF-8."""
        return list(text.encode("utf-8", "replace")) if self.level == "byte" else list(tokens(text))

    def probability(self, token: Token, context: Sequence[Token]) -> float:
        """p(token | context) > 0; only the last order - 1 tokens count. Unknown tokens share that of `UNKNOWN`.

        Over the vocabulary and, with words, one unknown token, it sums to 1 in every context.
        """
        p = 1.0 / self.size
        for n, (counts, discount) in enumerate(zip(self._counts, self.discounts, strict=True)):
            tail = tuple(context[len(context) - n :])
            total = self._totals[n].get(tail)
            if total is None:  # then no longer context was seen either
                break
            seen = counts.get((*tail, token), 0)
            p = (max(seen - discount, 0.0) + discount * self._kinds[n][tail] * p) / total
        return p

    def surprise(self, texts: Sequence[str]) -> Surprise:
        """Each text on its own, with its start and end. A text without a token has 0 of everything."""
        columns: list[list[float]] = []
        for text in texts:
            tokens = self.split(text)
            nats = unknown_nats = spelling = 0.0
            unknown = 0
            context: list[Token] = [START] * (self.order - 1)
            for token in [*tokens, END] if tokens else []:
                known = token in self.vocabulary
                cost = -math.log(self.probability(token, context))
                nats += cost
                if not known:
                    unknown += 1
                    unknown_nats += cost
                    spelling += (len(str(token).encode("utf-8", "replace")) + 1) * math.log(BYTES)
                context = [*context, token if known else UNKNOWN][1:] if self.order > 1 else context
            size = len(text.encode("utf-8", "replace")) + 1 if tokens else 0
            columns.append([nats, len(tokens) + bool(tokens), unknown, unknown_nats, spelling, size])
        return surprise_of(columns)


def _discount(counts: Counter[tuple[Token, ...]]) -> float:
    """n1 / (n1 + 2 n2) (Ney, Essen & Kneser 1994)."""
    often = Counter(counts.values())
    return often[1] / (often[1] + 2 * often[2]) if often[1] and often[2] else FALLBACK_DISCOUNT


def surprise_of(columns: Sequence[Sequence[float]]) -> Surprise:
    """Rows of (nats, tokens, bytes, spelling, nats of unknown words, unknown words), one a text -> `Surprise`."""
    table = np.array(columns, dtype=np.float64).reshape(-1, 6)
    whole = table[:, [1, 2, 5]].astype(np.int64)
    return Surprise(table[:, 0], whole[:, 0], whole[:, 1], table[:, 3], table[:, 4], whole[:, 2])
