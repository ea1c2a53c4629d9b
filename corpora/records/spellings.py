"""Texts of a corpus beside the words of its card: the same spelling, else the same word."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from corpora.errors import CorpusError
from corpora.labels import clean_label
from corpora.records.unknown import known_text


class Spellings:
    """Finds the key that a text means: as it stands; without blanks, quotes and marks around it; a number without its
    ".0"; and, where case is ignored, in any case. The first of these that fits a key is taken."""

    def __init__(self, meanings: Mapping[str, Any] | Iterable[str], where: str, *, ignore_case: bool = False) -> None:
        """Raises `CorpusError` where two keys are one word and mean two things. Keys that differ in case only are two
        words: where case is ignored, they match in their own case alone."""
        self._keys = dict(meanings) if isinstance(meanings, Mapping) else {key: key for key in meanings}
        self._clean = self._by(clean_label, where)
        self._whole = self._by(_number, where)
        self._folded = self._by(_folded, None) if ignore_case else {}

    def _by(self, step: Callable[[str], str], where: str | None) -> dict[str, str]:
        keys: dict[str, str] = {}
        unclear = set()
        for key, meaning in self._keys.items():
            other = keys.setdefault(step(key), key)
            if self._keys[other] != meaning:
                if where is not None:
                    raise CorpusError(f"{where}: {other!r} and {key!r} are one word, and it means two things")
                unclear.add(step(key))
        return {word: key for word, key in keys.items() if word not in unclear}

    def find(self, text: str) -> str | None:
        """The key, or None where no key is that word."""
        if text in self._keys:
            return text
        key = self._clean.get(clean_label(text)) or self._whole.get(_number(text))
        return key or self._folded.get(_folded(text))


def _number(text: str) -> str:
    return known_text(text, known=(text,)) or text


def _folded(text: str) -> str:
    return _number(text).casefold()
