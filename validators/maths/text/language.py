"""Is a text of the language of these real ones, and does it hold words of a list? Checks by counting, no model."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from corpora.codecs import decode_text
from corpora.errors import PayloadError, UserError
from corpora.near.text import normalise

LONGEST = 5  # characters of an n-gram
RANKS = 400  # of a profile
MIN_LETTERS = 12  # fewer say too little of a language
MAX_LIST_BYTES = 4 << 20


class LanguageProfile:
    """The most frequent character n-grams (1 to 5) of real texts, in order (Cavnar & Trenkle 1994, SDAIR).

    Their profile has 300 ranks; 400 here, for profiles are of one corpus and its language, not of a subject. Letters
    only, case folded (NFKC), each word between blanks. Equal counts are ordered by the n-gram, so a profile depends on
    counts alone.
    """

    def __init__(self, grams: Sequence[str]) -> None:
        """`grams`: most frequent first."""
        self.grams = tuple(grams)
        self._rank = {gram: rank for rank, gram in enumerate(self.grams)}

    @classmethod
    def of(cls, texts: Iterable[str]) -> LanguageProfile:
        """Raises `UserError` where no text has a letter."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(character_ngrams(text))
        if not counts:
            raise UserError("no text with a letter in it to learn a language from")
        return cls(_ranked(counts))

    def score(self, text: str) -> float:
        """1 - out-of-place measure / its largest value, in [0, 1]; 1: the same n-grams in the same order.

        The out-of-place measure sums, over the text's own profile, how far each n-gram stands from its rank here, or
        as many ranks as this profile has where it is missing. Short texts score low whatever their language: compare
        with what real texts of the corpus score. NaN for fewer than 12 letters.
        """
        if sum(map(str.isalpha, text)) < MIN_LETTERS:
            return math.nan
        own = _ranked(Counter(character_ngrams(text)))
        most = len(self.grams)
        far = sum(
            min(abs(rank - self._rank[gram]), most) if gram in self._rank else most for rank, gram in enumerate(own)
        )
        return 1.0 - far / (most * len(own))

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """[n] float64, NaN as in `score`."""
        return np.array([self.score(text) for text in texts], dtype=np.float64)


def character_ngrams(text: str) -> list[str]:
    """Of each word between blanks, 1 to 5 characters; a blank alone is none."""
    grams = []
    for word in normalise("".join(c if c.isalpha() else " " for c in text)).split():
        padded = f" {word} "
        for n in range(1, LONGEST + 1):
            grams += [padded[i : i + n] for i in range(len(padded) - n + 1)]
    return [gram for gram in grams if gram != " "]


def _ranked(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda gram: (-counts[gram], gram))[:RANKS]


def read_word_list(path: Path) -> frozenset[str]:
    """UTF-8, a word or phrase a line, # begins a comment -> normalised entries. Raises `UserError`.

    None is shipped: what may not be said differs by use, place and year.
    """
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise UserError(f"{path} has more than {MAX_LIST_BYTES >> 20} MB; a word list is smaller")
        lines = decode_text(path.read_bytes()).splitlines()
    except (OSError, PayloadError) as error:
        raise UserError(f"{path} cannot be read as a word list: {error}") from error
    listed = frozenset(normalise(line.partition("#")[0]) for line in lines) - {""}
    if not listed:
        raise UserError(f"{path} lists no word")
    return listed


def listed_words(text: str, words: frozenset[str]) -> list[str]:
    """Entries of `words` (normalised) that the text holds as whole words, in order of the text, repeats included.

    Case, signs and Unicode forms do not count; other forms of a word do (an entry "fool" is not in "fools"), and texts
    without blanks between words are one word.
    """
    longest = max((entry.count(" ") + 1 for entry in words), default=0)
    parts = normalise(text).split()
    lengths = ((i, n) for i in range(len(parts)) for n in range(1, min(longest, len(parts) - i) + 1))
    spans = (" ".join(parts[i : i + n]) for i, n in lengths)
    return [span for span in spans if span in words]
