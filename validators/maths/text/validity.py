"""Is a text a possible line of this corpus? Length, repeats and letters, against what real lines are.

Texts come as the bytes of their UTF-8, uint8 [n]: what a payload is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from corpora.near.text import normalise
from validators.maths.text.ngrams import END, START, KneserNey, Token
from validators.maths.text.words import ngrams, text_of

_ORDER = 4  # bytes: three letters say the fourth
_PARTS = 2  # of real lines: each is judged by letters of the other part
_LONGEST = 400  # bytes of a text that are looked at for its language
_SPECIAL: dict[Token, int] = {START: 256, END: 257}
_WORDS = 8


class TextRules:
    """What real lines allow. arrays: bounds [4] (characters from, to; longest run; share of repeated pairs), language
    [1] bits a byte, grams [N, 4] and counts [N] of letters (a byte language model)."""

    def __init__(self, arrays: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> None:
        self._low, self._high, self._run, self._loop = map(float, arrays["bounds"])
        self._bits = float(arrays["language"][0])
        self._letters = options["language_letters"]
        self._model = _unpacked(arrays["grams"], arrays["counts"]) if len(arrays["grams"]) else None

    @staticmethod
    def learn(signals: Sequence[np.ndarray], options: Mapping[str, Any], seed: int) -> dict[str, np.ndarray]:
        """-> arrays. Lines that are no UTF-8 are left out; without any letters, no language is learned."""
        texts = [text for text in map(text_of, signals) if text is not None]
        lengths = np.array([len(text) for text in texts] or [0])
        low, high = np.quantile(lengths, [0.01, 0.99])
        run = max(options["run"], max(map(longest_run, texts), default=0))
        loop = max(options["loop_share"], max(map(loop_share, texts), default=0.0))
        bounds = [low * options["short_times"], high * options["long_times"], run, loop]
        rng = np.random.default_rng(seed)
        enough = [letters_of(text) for text in texts]
        enough = [text for text in enough if len(text) >= options["language_letters"]]
        some = [enough[i] for i in rng.permutation(len(enough))[: int(options["language_texts"])]]
        found = {
            "bounds": np.array(bounds, np.float64),
            "language": np.array([np.inf]),
            "grams": np.zeros((0, _ORDER), np.int16),
            "counts": np.zeros(0, np.int32),
        }
        if len(some) >= 2 * _PARTS:
            bits = []
            for part in range(_PARTS):
                other = KneserNey(_without(some, part), order=_ORDER, level="byte")
                bits += [_bits(other, text) for text in some[part::_PARTS]]
            found["language"] = np.quantile(bits, [1.0 - options["language_tail"]])
            model = KneserNey(some, order=_ORDER, level="byte")
            grams = sorted(model.counts, key=lambda gram: [_SPECIAL.get(t, t) for t in gram])
            found["grams"] = np.array([[_SPECIAL.get(t, t) for t in gram] for gram in grams], np.int16)
            found["counts"] = np.array([model.counts[gram] for gram in grams], np.int32)
        return found

    def reason(self, signal: np.ndarray) -> str | None:
        """uint8 [n] -> the first rule that it breaks: not-utf8, no-words, too-short, too-long, repeated-characters,
        repeated-words, other-language; None: possible."""
        text = text_of(signal)
        if text is None:
            return "not-utf8"
        if not normalise(text):
            return "no-words"
        if not self._low <= len(text) <= self._high:
            return "too-short" if len(text) < self._low else "too-long"
        if longest_run(text) > self._run:
            return "repeated-characters"
        if loop_share(text) > self._loop:
            return "repeated-words"
        letters = letters_of(text)
        if self._model is not None and len(letters) >= self._letters and _bits(self._model, letters) > self._bits:
            return "other-language"
        return None


def longest_run(text: str) -> int:
    """Equal characters in a row; blanks and digits do not count."""
    return max(
        (sum(1 for _ in run) for char, run in groupby(text) if not char.isspace() and not char.isdigit()), default=0
    )


def loop_share(text: str) -> float:
    """Share of pairs of words that came before in the text; 0 for fewer than 8 words."""
    words = normalise(text).split()
    pairs = ngrams(words, 2)
    return 1.0 - len(set(pairs)) / len(pairs) if len(words) >= _WORDS else 0.0


def letters_of(text: str) -> str:
    """Words without signs and digits, case folded."""
    return normalise("".join(c if c.isalpha() else " " for c in text))


def _bits(model: KneserNey, letters: str) -> float:
    """Bits a byte of what is looked at."""
    return model.surprise([letters[:_LONGEST]]).bits_per_byte()


def _without(texts: Sequence[str], part: int) -> list[str]:
    return [text for i, text in enumerate(texts) if i % _PARTS != part]


def _unpacked(grams: np.ndarray, counts: np.ndarray) -> KneserNey:
    name: dict[int, Token] = {number: token for token, number in _SPECIAL.items()}
    of = Counter(
        {tuple(name.get(t, t) for t in gram): n for gram, n in zip(grams.tolist(), counts.tolist(), strict=True)}
    )
    return KneserNey.of_counts(of, order=_ORDER, level="byte")
