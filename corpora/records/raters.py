"""Entries of the column `ratings`, as readers of corpora with several raters write them, and how far raters agree.

A rater's number stays on the corpus' own scale. A rater's word becomes an entry of scheme "category:<word>", value 1.
The consensus that a corpus publishes is the label; votes do not overrule it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

CATEGORY = "category:"


def rating(scheme: str, rater: str, value: float) -> dict[str, object]:
    """One number by one person."""
    return {"scheme": scheme, "rater": rater, "value": float(value)}


def vote(word: str, rater: str) -> dict[str, object]:
    """One word by one person."""
    return rating(CATEGORY + word, rater, 1.0)


def agreement(votes: Mapping[str, Iterable[str]], consensus: Collection[str]) -> float | None:
    """{rater: words} -> share of raters who gave a word of the consensus, in [0, 1].

    None where nobody voted or there is no consensus.
    """
    if not votes or not consensus:
        return None
    return sum(any(word in consensus for word in words) for words in votes.values()) / len(votes)
