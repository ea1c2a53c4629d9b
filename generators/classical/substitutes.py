"""Which words fit at a place of a text, by counts of the train texts alone.

No thesaurus and no language model is asked, so this works in every language that parts its words, offline. A place has
a word to its left l and to its right r (or an end of the text). Candidates come from the longest context that was seen,
as in back-off models (Katz 1987, IEEE Trans. ASSP 35:400-401):

1. words w seen exactly between l and r, weight c(l, w, r);
2. else words seen after l somewhere and before r somewhere else, weight c(l, w) c(w, r) / c(w), which is in proportion
   to P(w | l) P(r | w);
3. else none. Backing off to all words of the corpus (Xie et al. 2017, Data noising as smoothing, ICLR) would put in
   words that fit nowhere.

Words of one context are often opposites ("I am so happy" and "I am so sad"): fit on texts of one class alone where a
label must hold, for which Kobayashi 2018 (Contextual augmentation, NAACL) conditions on the label.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from corpora.errors import UserError

START, END = 0, 1  # numbers of the two ends of a text; their keys hold no word, so neither is ever a candidate
_PARTS = re.compile(r"(\W*)(.*?)(\W*)", re.DOTALL)
_MASK = re.compile(r"\[[A-Z][A-Z_]*\]\W*")  # as prepared texts have them: [NAME], [URL]


@dataclass(frozen=True, slots=True)
class Token:
    """What stands between white space: a word with the signs before and after it. word: "" where there are only signs,
    or a mask ("[NAME]"), which stands in `before` then."""

    before: str
    word: str
    after: str

    @classmethod
    def of(cls, text: str) -> Token:
        """text: without white space.

        >>> Token.of('"Oh,'), Token.of("[NAME]!").word, Token.of("don't").word
        (Token(before='"', word='Oh', after=','), '', "don't")
        """
        match = _PARTS.fullmatch(text)
        if match is None or _MASK.fullmatch(text) or not match[2]:
            return cls(text, "", "")
        return cls(match[1], match[2], match[3])

    @property
    def text(self) -> str:
        """As it stands in the text."""
        return self.before + self.word + self.after

    @property
    def key(self) -> str:
        """What is counted: the word without case, or the signs."""
        return self.word.casefold() or self.before

    def with_word(self, word: str) -> Token:
        """Another word between the same signs; all capitals where the word before was, beyond one letter."""
        return Token(self.before, word.upper() if len(self.word) > 1 and self.word.isupper() else word, self.after)


def tokens(text: str) -> list[Token]:
    """Of what white space parts."""
    return [Token.of(part) for part in text.split()]


class Contexts:
    """Counts of all pairs and triples of neighbours of train texts; see the module."""

    def __init__(self, texts: Iterable[str], *, min_count: int = 2) -> None:
        """min_count: a word that is seen less often is a context, and never a candidate. Raises `UserError` for no
        text."""
        forms: dict[str, Counter[str]] = {}
        rows = [tokens(text) for text in texts]
        # the two ends come first, and no token is either; by name, so that the order of the texts does not count
        keys = ["", "\n", *sorted({token.key for row in rows for token in row})]
        number = {key: i for i, key in enumerate(keys)}
        lines = []
        for row in rows:
            for place, token in enumerate(row):
                if token.word and not starts_sentence(row, place):  # a first word's capital says nothing of the word
                    forms.setdefault(token.key, Counter())[token.word] += 1
            lines.append([START, *(number[token.key] for token in row), END])
        if not lines:
            raise UserError("substitutes of words are counted in train texts, and there is none: fit it on some")
        self._number, size = number, len(number)
        # usual form of each; of equally frequent ones the first by name
        self._form = [max(sorted(forms[key]), key=forms[key].__getitem__) if key in forms else key for key in number]
        left = np.concatenate([line[:-1] for line in lines]).astype(np.int64)
        right = np.concatenate([line[1:] for line in lines]).astype(np.int64)
        self._count = np.bincount(left, minlength=size)
        self._candidate = (self._count >= min_count) & np.array([Token.of(key).word != "" for key in number])
        inner = np.concatenate([np.array(line, np.int64)[1:-1] for line in lines])
        before = np.concatenate([np.array(line, np.int64)[:-2] for line in lines])
        behind = np.concatenate([np.array(line, np.int64)[2:] for line in lines])
        self._between = _Index(before * size + behind, inner, self._candidate)
        self._after = _Index(left, right, self._candidate)
        self._before = _Index(right, left, self._candidate)
        self._size = size

    def candidates(self, left: str | None, word: str, right: str | None) -> tuple[np.ndarray, np.ndarray]:
        """Keys of a place; None: an end of the text. -> numbers of words that fit there, other than `word`, [n] int64
        ascending, and their weights [n] float64; n = 0 where none is known."""
        a = START if left is None else self._number.get(left, -1)
        b = END if right is None else self._number.get(right, -1)
        own = self._number.get(word, -1)
        none = np.zeros(0, np.int64), np.zeros(0)
        if a < 0 or b < 0:
            return none
        words, counts = self._between.of(a * self._size + b)
        if not (words != own).any():
            after, n_after = self._after.of(a)
            before, n_before = self._before.of(b)
            words, i, j = np.intersect1d(after, before, assume_unique=True, return_indices=True)
            counts = n_after[i] * n_before[j] / self._count[words]
        other = words != own
        return words[other], counts[other].astype(np.float64)

    def drawn(self, row: Sequence[Token], place: int, rng: np.random.Generator) -> str | None:
        """A word that fits in place of that token of the text, by weight, in its usual form; None where none does, or
        the token is no word."""
        if not row[place].word:
            return None
        left = row[place - 1].key if place else None
        right = row[place + 1].key if place + 1 < len(row) else None
        words, weights = self.candidates(left, row[place].key, right)
        if not len(words):
            return None
        form = self._form[int(rng.choice(words, p=weights / weights.sum()))]
        return form[:1].upper() + form[1:] if starts_sentence(row, place) and row[place].word[0].isupper() else form


def starts_sentence(row: Sequence[Token], place: int) -> bool:
    """Whether the token is the first, or the one before ends a sentence."""
    return place == 0 or any(sign in row[place - 1].text[-2:] for sign in ".!?")


class _Index:
    """Counts of (key, value) pairs whose value is a candidate, by key."""

    def __init__(self, keys: np.ndarray, values: np.ndarray, candidate: np.ndarray) -> None:
        kept = candidate[values]
        pairs, self.counts = np.unique(np.stack([keys[kept], values[kept]], axis=1), axis=0, return_counts=True)
        self.keys, self.values = pairs[:, 0], pairs[:, 1]

    def of(self, key: int) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.searchsorted(self.keys, [key, key + 1])
        return self.values[low:high], self.counts[low:high]
