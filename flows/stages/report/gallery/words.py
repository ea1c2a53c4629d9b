"""What changed in a text against the one that it started from, word by word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

_PART = re.compile(r"\s+|\w+|[^\w\s]")  # blanks, words and single signs: joined again they are the text


@dataclass(frozen=True, slots=True)
class Words:
    """Words that stand next to each other. change: "" in both texts; "gone": of the source alone; "new"."""

    text: str
    change: Literal["", "gone", "new"] = ""


def changed_words(source: str, text: str) -> tuple[Words, ...]:
    """The parts of both in order: without those that are gone they read `text`, without the new ones `source`.

    The longest matching runs of words are kept (Ratcliff and Obershelp, as difflib has them), never letters of a word.
    """
    before, after = _PART.findall(source), _PART.findall(text)
    parts: list[Words] = []
    for what, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if what == "equal":
            parts.append(Words("".join(before[a:b])))
            continue
        if a < b:
            parts.append(Words("".join(before[a:b]), "gone"))
        if c < d:
            parts.append(Words("".join(after[c:d]), "new"))
    return tuple(parts)


def share_changed(words: Sequence[Words]) -> float:
    """Share of the new text's letters that are new, in [0, 1]; 0 of an empty one."""
    new = sum(len(part.text) for part in words if part.change == "new")
    whole = sum(len(part.text) for part in words if part.change != "gone")
    return new / whole if whole else 0.0
