"""A corpus that a card file describes: the layouts find texts and files, this module makes records of them.

What a layout finds is text by field; `files.values` says what a text means, `files.compose` makes fields of others.
Slugs beside those of the payloads: bad-label, bad-split, no-subject, no-group, not-a-number, rating-out-of-range.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

from corpora.errors import CorpusError, PayloadError
from corpora.labels import native_labels, rescale
from corpora.readers.cardfile import DIMENSIONS, Card, load_card
from corpora.readers.files import read_items
from corpora.readers.found import Found, make_record
from corpora.readers.tables import number_of
from corpora.schema import CorpusCard, Reject, Sample

LOOK_AT = 200  # first items among which at least one label must be known
_LAYOUTS = {
    "folder": "corpora.readers.layout_folder:Folder",
    "table": "corpora.readers.layout_table:Tables",
    "audformat": "corpora.readers.layout_audformat:Audformat",
    "datasets": "corpora.readers.layout_datasets:Datasets",
}
# names that corpora commonly give; others are said in files.values
_SPLITS = {"train": "train", "training": "train", "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev"}
_SPLITS |= {"development": "dev", "test": "test", "testing": "test"}
_GENDERS = {"m": "male", "male": "male", "man": "male", "f": "female", "female": "female", "woman": "female"}


class Layout(Protocol):
    """How a kind of folder is found through. Made with the card."""

    def items(self, root: Path) -> Iterable[tuple[Any, str]]:
        """(item, name) in a steady order. Raises `CorpusError` at once: not this layout, or other columns."""
        ...

    def found(self, item: Any, name: str) -> Found | None:
        """One item; None: no sample. Raises `PayloadError`."""
        ...

    def write(self, root: Path, rows: list[dict[str, Any]], seed: int) -> None:
        """Writes made-up rows (`described_fake.plan`) in this layout."""
        ...


def layout_of(card: Card) -> Layout:
    module, _, name = _LAYOUTS[card.files.layout].partition(":")
    made: Layout = getattr(importlib.import_module(module), name)(card)
    return made


class Described:
    """`Corpus` of a card file. `card_sha256` names the file's content."""

    def __init__(self, _card: Card) -> None:  # no option of the user's, hence the underscore
        self.card: CorpusCard = _card.facts
        self.card_sha256 = _card.sha256
        self.description = _card
        self._layout = layout_of(_card)

    @classmethod
    def of(cls, path: Path, shown: str | None = None) -> Described:
        """The corpus of a card file. Raises `CorpusError`."""
        return cls(load_card(path, shown))

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Raises `CorpusError` too where no label of the first items is one of the card's."""
        items = self._known_labels(Path(root), iter(self._layout.items(Path(root))))
        return read_items(items, corpus, lambda item, name: self._sample(item, name, corpus))

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """A small made-up corpus in the described layout. Raises `CorpusError` where its names cannot hold it."""
        from corpora.readers.described_fake import plan

        self._layout.write(Path(root), plan(self.description, subjects, per_class, seed), seed)

    def _known_labels(self, root: Path, items: Iterator[tuple[Any, str]]) -> Iterator[tuple[Any, str]]:
        """The items again, after a look at the labels of the first ones: a card that fits nothing is one error."""
        first: list[tuple[Any, str]] = []
        unknown: dict[str, None] = {}
        good = False
        for item, name in islice(items, LOOK_AT):
            first.append((item, name))
            try:
                found = self._layout.found(item, name)
                words = self._words(found) if found is not None else {}
            except PayloadError:
                continue
            if not words or any(word in self.card.label_map for word in words):
                good = True
                break
            unknown |= dict.fromkeys(words)
        if not first:
            raise CorpusError(f"{self.card.title}: {root} holds no samples in the layout of {self.description.origin}")
        if not good and unknown:
            raise CorpusError(
                f"{self.card.title}: no label found in {root} is one of the card's. Found: "
                f"{', '.join(sorted(unknown)[:20])}. {self.description.origin} knows: {', '.join(self.card.label_map)}"
            )
        return chain(first, items)

    def _sample(self, item: Any, name: str, corpus: str) -> Sample | None:
        found = self._layout.found(item, name)
        if found is None:
            return None
        facts = self._facts(found, corpus) | self._emotion(found)
        facts["extra"] = {"path": name, **facts["extra"], **found.extra}
        if self.card.split_unit == "payload":
            facts["group"] = hashlib.sha256(_content(found)).hexdigest()
        return make_record(self.card, corpus, found, self.description.files, facts)

    def _text(self, found: Found, field: str) -> Any:
        """What the field says in this sample: a text or number, None where it is not known."""
        files = self.description.files
        if field in files.compose:
            known = {**found.extra, **found.fields}
            text: Any = re.sub(r"\{(\w+)\}", lambda match: str(known.get(match[1], "")), files.compose[field])
        else:
            text = found.fields.get(field)
        if text is None or (isinstance(text, str) and text.strip() in files.missing):
            return None
        text = text.strip() if isinstance(text, str) else text
        meanings = files.values.get(field)
        if meanings is None or not isinstance(text, str):
            return text
        if text not in meanings:
            raise PayloadError("bad-label", f"{field} {text[:60]!r}; known: {', '.join(meanings)[:300]}")
        return meanings[text]

    def _words(self, found: Found) -> dict[str, float]:
        """{native label: weight} of one sample. Raises `PayloadError` bad-label where `values` do not know a text."""
        files = self.description.files
        given: Any = self._text(found, "label") if "label" in files.compose else found.fields.get("label")
        if given is None:
            return {}
        if isinstance(given, Mapping):
            weights = {str(word): float(weight) for word, weight in given.items() if weight}
        else:
            parts = given if isinstance(given, list) else given.split(files.separator) if files.separator else [given]
            weights = {str(part).strip(): 1.0 for part in parts if str(part).strip() not in files.missing}
        meanings = files.values.get("label")
        if meanings is None or "label" in files.compose:
            return weights
        named: dict[str, float] = {}
        for word, weight in weights.items():
            if word not in meanings:
                raise PayloadError("bad-label", f"label {word[:60]!r}; known: {', '.join(meanings)[:300]}")
            named[str(meanings[word])] = named.get(str(meanings[word]), 0.0) + weight
        return named

    def _emotion(self, found: Found) -> dict[str, Any]:
        words = self._words(found)
        entries = native_labels(self.card.name, words, self.card.label_map)  # bad-label for one that the map lacks
        best = max(words.values(), default=0.0)
        heaviest = [word for word, weight in words.items() if weight == best]
        raw = heaviest[0] if len(heaviest) == 1 else None
        return {
            "emotion_raw": raw,
            "emotion": self.card.label_map[raw] if raw is not None else None,
            "labels": entries if len(words) > 1 else (),
        }

    def _facts(self, found: Found, corpus: str) -> dict[str, Any]:
        facts: dict[str, Any] = {"extra": {}}
        given = self.description.files.fields()
        for field in ("subject", "group"):
            if field in given:
                text = self._text(found, field)
                if text is None and self.card.split_unit != "payload":
                    raise PayloadError(f"no-{field}", f"{field} is not known here, and no split may part one")
                facts[field] = text
        for field, name in (("session", "session_id"), ("sentence", "sentence_id")):
            if field in given and (text := self._text(found, field)) is not None:
                facts[name] = f"{corpus}:{text}"
        if "split" in given or "split" in found.fields:
            facts["extra"]["official_split"] = _one_of(self._text(found, "split"), _SPLITS, "split")
        if "gender" in given and (text := self._text(found, "gender")) is not None:
            facts["gender"] = _one_of(text, _GENDERS, "gender")
        if "language" in given and (text := self._text(found, "language")) is not None:
            facts["language"] = text
        numbers = (("intensity", "intensity"), ("agreement", "rater_agreement"), ("age", "age"), ("turn", "turn"),
                   ("start", "t_start_s"), ("end", "t_end_s"))  # fmt: skip
        for field, name in numbers:
            if field in given and (text := self._text(found, field)) is not None:
                number = number_of(str(text), field)
                if field in ("intensity", "agreement") and not 0 <= number <= 1:
                    raise PayloadError("rating-out-of-range", f"{field} is {number:g}, the scale is 0 to 1")
                facts[name] = int(number) if field == "turn" else number
        return facts | self._ratings(found, given)

    def _ratings(self, found: Found, given: set[str]) -> dict[str, Any]:
        """Each rater's value on the corpus' own scale, and the dimensions of the record in [-1, 1]."""
        entries = [{"scheme": name, "rater": rater, "value": value} for name, rater, value in found.ratings]
        facts: dict[str, Any] = {}
        for name, scale in self.card.dimensions.items():
            values = [value for dimension, _, value in found.ratings if dimension == name]
            for value in values:
                rescale(value, scale, name)
            if name in found.fields or name in self.description.files.compose:
                text = self._text(found, name)
                mean = None if text is None else number_of(str(text), name)
                if mean is not None:
                    entries.append({"scheme": name, "rater": "corpus", "value": mean})
            else:
                mean = sum(values) / len(values) if values else None
            if mean is not None:
                scaled = rescale(mean, scale, name)
                if name in DIMENSIONS:
                    facts[name] = scaled
        return facts | {"ratings": entries}


def _one_of(text: Any, known: Mapping[str, str], field: str) -> str:
    meant = known.get(str(text).lower())
    if meant is None:
        slug = "bad-split" if field == "split" else "bad-label"
        raise PayloadError(slug, f"{field} {str(text)[:60]!r}; known: {', '.join(known)}; say others in files.values")
    return meant


def _content(found: Found) -> bytes:
    """What equal samples share."""
    from corpora.readers.files import read_file

    if found.path is not None:
        cut = f"{found.cut}".encode() if found.cut else b""
        return read_file(found.path) + cut
    return found.content or (found.text or found.pixels or "").encode("utf-8", "replace")
