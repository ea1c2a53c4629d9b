"""Near copies of texts by their words: how much of a text stands in a real one, and the longest span that both have.

Words are those of `corpora.near.text.normalise`: case, signs, spacing and Unicode forms do not count.

The distance of a text to a real one is 1 - the share of its distinct pairs of neighbouring words that the real text
holds. Pairs, because a word changed in eight leaves most of them, while lines that people wrote on their own share few.
Texts under `WHOLE` words have too few pairs and are compared word for word. People do say "thank you so much" twice:
what at least `COMMON` groups say word for word belongs to nobody, and is no copy.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from corpora.errors import UserError
from corpora.near.text import normalise

N = 5  # words of an n-gram, by default
PAIR = 2  # words
WHOLE = 5  # words; shorter texts are compared whole
COMMON = 2  # groups that say the same words
_OF_CLASS = 500  # real texts of each class that are measured against the others
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd: of a polynomial hash modulo 2^64


@dataclass(frozen=True, slots=True)
class Overlap:
    """containment: largest share of the text's n-grams that one real text holds, in [0, 1]; NaN: no words.

    row: that real text, -1 for none. longest: words of the longest span that the text shares with any one real text.
    """

    containment: float
    row: int
    longest: int


class WordIndex:
    """Real texts, ready to be asked how much of another text they hold. Memory: 16 bytes a word and length asked.

    Only hashes of words are kept (64 bits): no text can be read out of a saved index, though a word can be looked up.
    """

    def __init__(self, texts: Sequence[str], *, n: int = N) -> None:
        """Raises `UserError` for n < 1."""
        if n < 1:
            raise UserError(f"n is {n}; an n-gram has at least 1 word")
        self.n = n
        hashes = [word_hashes(text) for text in texts]
        lengths = np.array([len(words) for words in hashes], np.int64)
        self._build(np.concatenate([np.zeros(0, np.uint64), *hashes]), lengths)

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray], *, n: int = N) -> WordIndex:
        """From what `arrays` gave. Raises `UserError` for n < 1."""
        index = cls([], n=n)
        index._build(arrays["words"], arrays["lengths"])
        return index

    def arrays(self) -> dict[str, np.ndarray]:
        """words [N] uint64, hashes one text after the other; lengths [n] int64, words of each text."""
        return {"words": self._words, "lengths": self._lengths}

    def __len__(self) -> int:
        return len(self._lengths)

    def _build(self, words: np.ndarray, lengths: np.ndarray) -> None:
        self._words, self._lengths = words, lengths
        self._starts = np.r_[0, np.cumsum(self._lengths)][:-1]
        self._row = np.repeat(np.arange(len(lengths)), self._lengths)
        self._place = np.arange(len(self._row)) - np.repeat(self._starts, self._lengths)
        self._whole: dict[bytes, list[int]] = {}
        for row in range(len(lengths)):
            self._whole.setdefault(self.words_of(row).tobytes(), []).append(row)
        self._spans: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def words_of(self, row: int) -> np.ndarray:
        """[m] uint64 hashes of a real text's words."""
        words: np.ndarray = self._words[self._starts[row] : self._starts[row] + self._lengths[row]]
        return words

    def equal(self, hashes: np.ndarray) -> list[int]:
        """Rows of the real texts that have exactly these words."""
        return self._whole.get(hashes.tobytes(), [])

    def shared(self, hashes: np.ndarray) -> np.ndarray:
        """[m] uint64, m >= n -> [n_real] share of the text's distinct n-grams that each real text holds."""
        grams = np.unique(_rolled(hashes, self.n))
        rows = np.concatenate([np.unique(self._rows_with(gram, self.n)) for gram in grams])
        return np.bincount(rows, minlength=len(self)) / len(grams)

    def overlap(self, text: str, *, but: int = -1) -> Overlap:
        """`but`: a real row that does not count (the text itself). A text shorter than n words is contained only in a
        real text of exactly these words."""
        hashes = word_hashes(text)
        if not len(hashes):
            return Overlap(float("nan"), -1, 0)
        longest = self._longest(hashes, but)
        if len(hashes) < self.n:
            same = [row for row in self.equal(hashes) if row != but]
            return Overlap(float(bool(same)), same[0] if same else -1, longest)
        shared = self.shared(hashes) if len(self) else np.zeros(1)
        if but >= 0:
            shared[but] = 0.0
        best = int(shared.argmax())
        return Overlap(float(shared[best]), best if shared[best] else -1, longest)

    def _longest(self, hashes: np.ndarray, but: int) -> int:
        """A span of k words that two texts share has shared spans of k - 1: so halving finds the longest."""
        low, high = 0, len(hashes)
        while low < high:
            middle = (low + high + 1) // 2
            grams = np.unique(_rolled(hashes, middle))
            if any((self._rows_with(gram, middle) != but).any() for gram in grams):
                low = middle
            else:
                high = middle - 1
        return low

    def _rows_with(self, gram: np.uint64, n: int) -> np.ndarray:
        """Rows, with repeats, that hold a span of n words with this hash."""
        if n not in self._spans:
            inside = self._place <= self._lengths[self._row] - n  # spans end before their text does
            spans = _rolled(self._words, n)
            spans, rows = spans[inside[: len(spans)]], self._row[: len(spans)][inside[: len(spans)]]
            order = np.argsort(spans, kind="stable")
            self._spans[n] = (spans[order], rows[order])
        spans, rows = self._spans[n]
        return rows[np.searchsorted(spans, gram, "left") : np.searchsorted(spans, gram, "right")]


def word_hashes(text: str) -> np.ndarray:
    """[m] uint64, a hash for each word of the normalised text."""
    return _hashes(normalise(text).split())


def _hashes(words: Sequence[str]) -> np.ndarray:
    """[n] uint64, the same for the same word everywhere."""
    values = [
        (zlib.crc32(b) << 32) | zlib.adler32(b[::-1]) for b in (word.encode("utf-8", "replace") for word in words)
    ]
    mixed = np.array(values, dtype=np.uint64) * _BASE
    return mixed ^ (mixed >> np.uint64(29))


def _rolled(hashes: np.ndarray, n: int) -> np.ndarray:
    """[m] -> [m - n + 1] uint64 polynomial hashes of n words each; empty where m < n."""
    if len(hashes) < n:
        return np.zeros(0, np.uint64)
    rolled = np.zeros(len(hashes) - n + 1, np.uint64)
    for i in range(n):
        rolled = rolled * _BASE + hashes[i : i + len(rolled)]
    return rolled


class TextCopies:
    """arrays: words, lengths (`WordIndex.arrays`), groups [n] int64 of the real texts."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._index = WordIndex.of_arrays(arrays, n=PAIR)
        self._groups = arrays["groups"]

    @staticmethod
    def learn(texts: Sequence[str], groups: Sequence[str]) -> dict[str, np.ndarray]:
        """Real texts and whose they are -> arrays."""
        of_group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
        return {**WordIndex(texts, n=PAIR).arrays(), "groups": of_group.astype(np.int64)}

    def real(self, emotions: Sequence[str], seed: int) -> tuple[np.ndarray, np.ndarray]:
        """-> rows, up to 500 a class, and each one's distance to the nearest text of another group; NaN: no words."""
        labels = np.asarray(emotions, dtype=str)
        rng = np.random.default_rng(seed)
        members = (rng.permutation(np.flatnonzero(labels == name))[:_OF_CLASS] for name in np.unique(labels))
        rows = np.sort(np.concatenate(list(members)))
        return rows, np.array([self._of_real(int(row)) for row in rows])

    def _of_real(self, row: int) -> float:
        distances = self.distances(self._index.words_of(row), but=int(self._groups[row]))
        return float("nan") if distances is None else float(distances.min())

    def distances(self, words: np.ndarray, *, but: int = -1) -> np.ndarray | None:
        """[m] hashes of a text's words -> [n] distances in [0, 1] to the real texts; those of the group `but` are at
        infinity. None: no words. All 1 for what `COMMON` groups other than `but` say word for word."""
        if not len(words):
            return None
        distances = np.ones(len(self._index))
        equal = [row for row in self._index.equal(words) if self._groups[row] != but]
        if not self._common(equal):
            if len(words) >= WHOLE:
                distances -= self._index.shared(words)
            distances[equal] = 0.0
        if but >= 0:
            distances[self._groups == but] = np.inf
        return distances

    def is_common(self, text: str) -> bool:
        """At least `COMMON` groups of train say exactly these words."""
        return self._common(self._index.equal(word_hashes(text)))

    def twins(self, rows: Sequence[int], limit: float) -> np.ndarray:
        """[n] bool: the real texts at `rows`, and those that are nearer than `limit` to one of them."""
        is_twin = np.zeros(len(self._index), dtype=bool)
        for row in rows:
            near = self.distances(self._index.words_of(row))
            if near is not None:
                is_twin |= near < limit
        is_twin[list(rows)] = True
        return is_twin

    def _common(self, rows: Sequence[int]) -> bool:
        return len({int(self._groups[row]) for row in rows}) >= COMMON


def near_texts(texts: Sequence[str], limit: float) -> list[tuple[int, int]]:
    """Pairs i < j of texts of which one is nearer than `limit` to the other; texts without words are no pair.

    Here every repeat counts, of common words too: one "thank you" in a set is enough.
    """
    index = WordIndex(texts, n=PAIR)
    pairs = set()
    for i in range(len(texts)):
        words = index.words_of(i)
        if not len(words):
            continue
        near = set(index.equal(words))
        if len(words) >= WHOLE:
            near |= set(np.flatnonzero(1.0 - index.shared(words) < limit).tolist())
        pairs |= {(min(i, j), max(i, j)) for j in near if j != i}
    return sorted(pairs)
