"""Labels that no reader and no card knows: how many samples each would have been, the nearest known one, and when a
corpus may not be ingested for them.

A sample with such a label is a reject. Few of them are slips of the pen; a label of its own, or half of a class in
another spelling, is a class that would be missing without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from corpora.errors import CorpusError
from corpora.schema import CorpusCard, Reject

OnUnknownLabel = Literal["stop", "reject"]
MANY = 5  # rejects that make an unknown text a label of its own ...
SHARE = 0.01  # ... or, from two on, this share of all that was read
HALF = 0.5  # of a class, lost to another spelling of it
LISTED = 50  # in card.json


@dataclass(frozen=True, slots=True)
class UnknownLabel:
    """A text that stood where a label was expected, how often, and the known label that it may be a spelling of."""

    label: str
    count: int
    nearest: str | None

    def as_dict(self) -> dict[str, str | int | None]:
        """As it stands in card.json."""
        return {"label": self.label, "count": self.count, "nearest": self.nearest}

    @property
    def text(self) -> str:
        """ "'DISGUST' 195 (nearest: 'disgust')" """
        return f"{self.label!r} {self.count}" + (f" (nearest: {self.nearest!r})" if self.nearest else "")


def unknown_labels(rejects: Iterable[Reject]) -> list[UnknownLabel]:
    """Most frequent first, then by name."""
    counts = Counter((reject.label, reject.nearest) for reject in rejects if reject.label is not None)
    labels = [UnknownLabel(str(label), n, nearest) for (label, nearest), n in counts.items()]
    return sorted(labels, key=lambda one: (-one.count, one.label))


def listed(labels: Sequence[UnknownLabel], most: int = 10) -> str:
    """ "'DISGUST' 195 (nearest: 'disgust'), 'bored' 3, 2 more" """
    more = [f"{len(labels) - most} more"] if len(labels) > most else []
    return ", ".join([one.text for one in labels[:most]] + more)


@dataclass(frozen=True, slots=True)
class Asked:
    """The corpus whose labels are judged. `described`: by a card that its owner can edit."""

    name: str
    root: Path
    card: CorpusCard
    described: bool


def judge_labels(
    corpus: Asked,
    labels: Sequence[UnknownLabel],
    *,
    n_read: int,
    by_label: Mapping[str, int],
    listed_in: Callable[[], str] = lambda: "",
) -> None:
    """Raises `CorpusError` for a whole label that nobody knows, or half of a class.

    `n_read`: files or rows, rejects among them. `by_label`: native label -> accepted samples. `listed_in`: writes the
    rejects down where a person can open them, and says where.
    """
    why: dict[UnknownLabel, str] = {}
    for emotion, lost in _lost_spellings(corpus.card, labels).items():
        kept = sum(n for label, n in by_label.items() if _class_of(corpus.card, label) == emotion)
        gone = sum(one.count for one in lost)
        if gone >= HALF * (kept + gone):
            why |= dict.fromkeys(lost, f"{gone} of {kept + gone} samples of {emotion}")
    for one in labels:
        if one.count >= MANY or (one.count > 1 and one.count >= SHARE * n_read):
            why.setdefault(one, f"all {one.count} samples of it")
    if not why:
        return
    losses = "; ".join(
        f"{one.label!r} ({loss} would be lost{f'; did you mean {one.nearest!r}?' if one.nearest else ''})"
        for one, loss in list(why.items())[:10]
    )
    whose = "its card" if corpus.described else "its reader"
    raise CorpusError(
        f"corpus {corpus.name!r} at {corpus.root}: {'labels' if len(why) > 1 else 'a label'} that {whose} does not "
        f"know: {losses}. {_advice(corpus, list(why))}{listed_in()}"
    )


def _class_of(card: CorpusCard, label: str) -> str:
    """The emotion that a native label means, or the label itself where the vocabulary has no word for it."""
    return card.label_map.get(label) or label


def _lost_spellings(card: CorpusCard, labels: Iterable[UnknownLabel]) -> dict[str, list[UnknownLabel]]:
    """Class -> unknown labels that are near spellings of one of its labels."""
    lost: dict[str, list[UnknownLabel]] = {}
    for one in labels:
        if one.nearest in card.label_map:
            lost.setdefault(_class_of(card, str(one.nearest)), []).append(one)
    return lost


def _advice(corpus: Asked, labels: Sequence[UnknownLabel]) -> str:
    param = f"corpora.{corpus.name}.on_unknown_label: reject in params.yaml counts them as rejects"
    if not corpus.described:
        return f"Spell them as the corpus is published; or {param}."
    first = labels[0]
    meant = corpus.card.label_map.get(first.nearest or "", "an emotion") or "null"
    entry = f"label_map: {{{first.label}: {meant}}}, or files.values.label where the card has it"
    case = any(one.nearest and one.nearest.casefold() == one.label.casefold() for one in labels)
    ways = [f"say in the card what they mean ({entry}; null in label_map leaves a label without a class on purpose)"]
    ways += ["let case be ignored (files.ignore_case: true)"] if case else []
    text = "; ".join(ways)
    return f"{text[0].upper()}{text[1:]}; or {param}."
