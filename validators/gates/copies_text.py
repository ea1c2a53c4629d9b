"""Copies among texts: how much of a text's pairs of words one real text holds, against what real texts hold of others.

    distance to a real text = 1 - share of the text's distinct pairs of neighbouring words that the real text holds

Pairs, because a word changed in eight leaves most of them, while lines that people wrote on their own share few.
Texts under `WHOLE` words have too few pairs and are compared word
for word. People do say "thank you so much" twice: what at least `COMMON` groups of train say word for word belongs to
nobody, and is no copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from validators.maths.text.copies import WordIndex, word_hashes

PAIR = 2  # words
WHOLE = 5  # words; shorter texts are compared whole
COMMON = 2  # groups that say the same words
_OF_CLASS = 500  # real texts of each class that are measured against the others


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
        found = self.distances(self._index.words_of(row), but=int(self._groups[row]))
        return float("nan") if found is None else float(found.min())

    def distances(self, words: np.ndarray, *, but: int = -1) -> np.ndarray | None:
        """[m] hashes of a text's words -> [n] distances in [0, 1] to the real texts; those of the group `but` are at
        infinity. None: no words. All 1 for what `COMMON` groups other than `but` say word for word."""
        if not len(words):
            return None
        found = np.ones(len(self._index))
        equal = [row for row in self._index.equal(words) if self._groups[row] != but]
        if not self._common(equal):
            if len(words) >= WHOLE:
                found -= self._index.shared(words)
            found[equal] = 0.0
        if but >= 0:
            found[self._groups == but] = np.inf
        return found

    def is_common(self, text: str) -> bool:
        """At least `COMMON` groups of train say exactly these words."""
        return self._common(self._index.equal(word_hashes(text)))

    def twins(self, rows: Sequence[int], limit: float) -> np.ndarray:
        """[n] bool: the real texts at `rows`, and those that are nearer than `limit` to one of them."""
        found = np.zeros(len(self._index), dtype=bool)
        for row in rows:
            near = self.distances(self._index.words_of(row))
            if near is not None:
                found |= near < limit
        found[list(rows)] = True
        return found

    def _common(self, rows: Sequence[int]) -> bool:
        return len({int(self._groups[row]) for row in rows}) >= COMMON


def near_texts(texts: Sequence[str], limit: float) -> list[tuple[int, int]]:
    """Pairs i < j of texts of which one is nearer than `limit` to the other; texts without words are no pair.

    Here every repeat counts, of common words too: one "thank you" in a set is enough.
    """
    index = WordIndex(texts, n=PAIR)
    found = set()
    for i in range(len(texts)):
        words = index.words_of(i)
        if not len(words):
            continue
        near = set(index.equal(words))
        if len(words) >= WHOLE:
            near |= set(np.flatnonzero(1.0 - index.shared(words) < limit).tolist())
        found |= {(min(i, j), max(i, j)) for j in near if j != i}
    return sorted(found)
