"""A corpus that a card file describes: the layouts find texts and files, this module makes records of them.

What a layout finds is text by field; `files.values` says what a text means, `files.compose` makes fields of others.
Slugs beside those of the payloads: bad-label, bad-split, no-subject, no-group, not-a-number, rating-out-of-range.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

from corpora.errors import CorpusError, PayloadError, UnknownLabelError
from corpora.formats.tables import number_of
from corpora.formats.trial_csv import fixed, open_trial
from corpora.labels import clean_label, native_labels, nearest_label, rescale
from corpora.readers.described.cardfile import Card, load_card
from corpora.readers.described.filekeys import DIMENSIONS, FIELDS, SignalSpec
from corpora.readers.layouts.entries import RawSample, bytes_of, make_record
from corpora.records.files import read_items
from corpora.records.spellings import Spellings
from corpora.records.unknown import is_unknown, known_text
from corpora.schema import CorpusCard, Reject, Sample

LOOK_AT = 200  # first items among which at least one label must be known
_LAYOUTS = {
    "folder": "corpora.readers.layouts.folder:Folder",
    "table": "corpora.readers.layouts.table:Tables",
    "audformat": "corpora.readers.layouts.audformat:Audformat",
    "datasets": "corpora.readers.layouts.datasets:Datasets",
}
# names that corpora commonly give; others: files.values
_SPLITS = {"train": "train", "training": "train", "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev"}
_SPLITS |= {"development": "dev", "test": "test", "testing": "test"}
_GENDERS = {"m": "male", "male": "male", "man": "male", "f": "female", "female": "female", "woman": "female"}


class Layout(Protocol):
    """How a kind of folder is read: what lies where. It is built with the card."""

    def items(self, root: Path) -> Iterable[tuple[Any, str]]:
        """(item, name) in a steady order. Raises `CorpusError` at once: not this layout, or other columns."""
        ...

    def raw_sample(self, item: Any, name: str) -> RawSample | None:
        """One item; None: no sample. Raises `PayloadError`."""
        ...

    def write(self, root: Path, rows: list[dict[str, Any]], seed: int) -> None:
        """Writes fake rows (`described_fake.plan`) in this layout."""
        ...


def layout_of(card: Card) -> Layout:
    """The reader of the layout that the card names."""
    module, _, name = _LAYOUTS[card.files.layout].partition(":")
    layout: Layout = getattr(importlib.import_module(module), name)(card)
    return layout


class Described:
    """`Corpus` of a card file. `card_sha256` names the file's content."""

    def __init__(self, _card: Card) -> None:  # no option of the user's, hence the underscore
        self.card: CorpusCard = _card.facts
        self.card_sha256 = _card.sha256
        self.description = _card
        self._layout = layout_of(_card)
        files, where = _card.files, f"{_card.origin}: files.values"
        self._labels = Spellings(_card.facts.label_map, f"{_card.origin}: label_map", ignore_case=files.ignore_case)
        self._texts = {
            field: Spellings(meanings, f"{where}.{field}", ignore_case=files.ignore_case)
            for field, meanings in files.values.items()
        }
        self._known = frozenset(files.not_missing)
        self._missing = frozenset(map(clean_label, files.missing))

    @property
    def layout_module(self) -> str:
        """The module that reads this card's layout; another layout's code does not matter to the corpus."""
        return type(self._layout).__module__

    @classmethod
    def of(cls, path: Path, shown: str | None = None) -> Described:
        """The corpus of a card file. Raises `CorpusError`."""
        return cls(load_card(path, shown))

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Raises `CorpusError` too where no label of the first items is one of the card's."""
        items = self._known_labels(Path(root), iter(self._layout.items(Path(root))))
        signals: Mapping[str, SignalSpec] = self.description.files.signals
        if signals:
            signals, items = self._known_signals(iter(items))
        return read_items(items, corpus, lambda item, name: self._sample(item, name, corpus, signals))

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """A small fake corpus in the described layout. Raises `CorpusError` where its names cannot hold it."""
        from corpora.readers.described.fake import plan

        self._layout.write(Path(root), plan(self.description, subjects, per_class, seed), seed)

    def _known_labels(self, root: Path, items: Iterator[tuple[Any, str]]) -> Iterator[tuple[Any, str]]:
        """The items again, after a look at the labels of the first ones: a card that fits nothing is one error."""
        first: list[tuple[Any, str]] = []
        unknown: dict[str, None] = {}
        good, unnamed = False, ""
        for item, name in islice(items, LOOK_AT):
            first.append((item, name))
            try:
                raw = self._layout.raw_sample(item, name)
                words = self._words(raw) if raw is not None else {}
            except PayloadError as error:
                unnamed = unnamed or (error.detail if error.reason == "unknown-name" else "")
                continue
            good = good or any(word in self.card.label_map for word in words) or not self.card.label_map
            unnamed = "-"
            if good:
                break
            unknown |= dict.fromkeys(words)
        if len(unnamed) > 1:
            raise CorpusError(f"{self.card.title}: no path in {root} is as files.path_pattern says: {unnamed}")
        if not first:
            raise CorpusError(f"{self.card.title}: {root} holds no samples in the layout of {self.description.origin}")
        if not good and unknown:
            near = {label: nearest_label(label, self.card.label_map) for label in sorted(unknown)[:20]}
            hint = ", ".join(f"{label} ({known})" for label, known in near.items() if known)
            raise CorpusError(
                f"{self.card.title}: no label found in {root} is one of the card's. Found: {', '.join(near)}. "
                f"{self.description.origin} knows: {', '.join(self.card.label_map)}."
                + (f" Nearest: {hint}." if hint else "")
            )
        return chain(first, items)

    def labels(self, root: Path) -> Iterator[UnknownLabelError | None]:
        """Of each item the error that its label is, None where the card knows it or there is none. No payload is
        read, so this is a quick look. Raises `CorpusError` for another layout."""
        for item, name in self._layout.items(Path(root)):
            try:
                raw = self._layout.raw_sample(item, name)
                if raw is not None:
                    self._emotion(raw)
            except UnknownLabelError as error:
                yield error
                continue
            except PayloadError:
                pass  # ingest counts it
            yield None

    def _known_signals(
        self, items: Iterator[tuple[Any, str]]
    ) -> tuple[Mapping[str, SignalSpec], Iterator[tuple[Any, str]]]:
        """The card's signals, patterns as the columns that fit them in the first trial that can be opened, and the
        items again. Raises `CorpusError` where none of the first trials has the columns."""
        first: list[tuple[Any, str]] = []
        wrong = ""
        for item, name in islice(items, LOOK_AT):
            first.append((item, name))
            try:
                raw = self._layout.raw_sample(item, name)
                if raw is None:
                    continue
                table = open_trial(bytes_of(raw), self.description.files.signals)
            except PayloadError:
                continue
            try:
                return fixed(self.description.files.signals, table.names), chain(first, items)
            except PayloadError as error:
                wrong = wrong or f"{name}: {error.detail}"
        if wrong:
            raise CorpusError(f"{self.card.title}: no trial has the columns of {self.description.origin}. {wrong}")
        return self.description.files.signals, chain(first, items)

    def _sample(self, item: Any, name: str, corpus: str, signals: Mapping[str, SignalSpec]) -> Sample | None:
        raw = self._layout.raw_sample(item, name)
        if raw is None:
            return None
        if "id" in self.description.files.compose:
            native = self._composed(raw, "id")
            if native is None:
                raise PayloadError("not-of-this-corpus", "a part of its id is not known")
            raw = replace(raw, native_id=native)
        facts = self._facts(raw, corpus) | self._emotion(raw)
        facts["extra"] = {"path": name, **facts["extra"], **raw.extra, **self._composed_extra(raw)}
        if self.card.split_unit == "payload":
            facts["group"] = hashlib.sha256(_content(raw)).hexdigest()
        return make_record(self.card, corpus, raw, self.description.files, signals, facts)

    def _text(self, raw: RawSample, field: str) -> Any:
        """What the field says in this sample: a text or number, None where it is not known."""
        files = self.description.files
        text = self._composed(raw, field) if field in files.compose else raw.fields.get(field)
        if isinstance(text, list | tuple | Mapping):
            raise PayloadError("bad-row", f"{field} holds a {_kind(text)}, a text or a number is expected")
        if text is None or clean_label(str(text)) in self._missing:
            return None
        spellings = self._texts.get(field)
        if spellings is not None and (key := spellings.find(str(text))) is not None:
            return files.values[field][key]
        if is_unknown(text, known=self._known):
            return None
        if spellings is not None:
            raise PayloadError(
                "bad-label", f"{field} {str(text)[:60]!r}; known: {', '.join(files.values[field])[:300]}"
            )
        return clean_label(str(text))

    def _name(self, raw: RawSample, field: str) -> str | None:
        """An id: who or what it is, None where that is not known."""
        text = self._text(raw, field)
        return known_text(text, known={str(text)}) if text is not None else None

    def _composed(self, raw: RawSample, field: str) -> str | None:
        """The field made of others; not known where one of them is not, or all that is unknown would be one."""
        known = {**raw.extra, **raw.fields}
        parts: dict[str, str] = {}
        for name in set(re.findall(r"\{(\w+)\}", self.description.files.compose[field])):
            text = known.get(name)
            if text is None and name in raw.blank:
                text = ""
            meant = {*self._known, *self._meant(name)}
            if isinstance(text, list | Mapping) or (
                name not in raw.blank
                and (is_unknown(text, known=meant, words=name in FIELDS) or clean_label(str(text)) in self._missing)
            ):
                return None
            parts[name] = known_text(text, known={str(text)}) or ""
        return re.sub(r"\{(\w+)\}", lambda match: parts[match[1]], self.description.files.compose[field])

    def _composed_extra(self, raw: RawSample) -> dict[str, str]:
        """What `files.compose` makes of fields to be kept in `extra`, through `values`."""
        files = self.description.files
        names = [name for name in files.compose if name in getattr(files, "extra", ())]
        texts = {name: self._text(raw, name) for name in names}
        return {name: str(text) for name, text in texts.items() if text is not None}

    def _meant(self, field: str) -> set[str]:
        """Texts that the card gives a meaning, and which are therefore known."""
        return {*self.description.files.values.get(field, ()), *(self.card.label_map if field == "label" else ())}

    def _words(self, raw: RawSample) -> dict[str, float]:
        """{native label as the card spells it: weight} of one sample; what the card does not know stays as it stands.

        Raises `PayloadError` bad-label where `values` do not know a text, not-a-number for a weight that is none.
        """
        files = self.description.files
        given: Any = self._composed(raw, "label") if "label" in files.compose else raw.fields.get("label")
        if given is None:
            return {}
        weights: dict[str, float] = {}
        for text, weight in self._weighted(given).items():
            word = self._word(text, coded="label" not in files.compose)
            if word is not None:
                weights[word] = weights.get(word, 0.0) + weight
        return weights

    def _weighted(self, given: Any) -> dict[str, float]:
        """Texts of labels and their weights: of a structure, a list or a cell of several. Each text counts once."""
        files = self.description.files
        if isinstance(given, Mapping):
            weights = {
                str(text): number_of(str(weight), f"the weight of {str(text)[:40]!r}")
                for text, weight in given.items()
                if not is_unknown(weight)
            }
            if any(weight < 0 for weight in weights.values()):
                raise PayloadError("bad-label", f"a weight below 0: {str(weights)[:200]}")
            return {text: weight for text, weight in weights.items() if weight}
        parts = given if isinstance(given, list) else str(given).split(files.separator) if files.separator else [given]
        if any(isinstance(part, list | Mapping) for part in parts):
            raise PayloadError("bad-label", "a list or structure in a list of labels, texts are expected")
        texts = {clean_label(str(part)): str(part) for part in parts if part is not None}
        folded = {text.casefold() if files.ignore_case else text: part for text, part in texts.items()}
        return dict.fromkeys(folded.values(), 1.0)

    def _word(self, text: str, *, coded: bool) -> str | None:
        """One label as the card spells it, None where it says that nothing is known."""
        if clean_label(text) in self._missing:
            return None
        spellings = self._texts.get("label") if coded else None
        key = (spellings or self._labels).find(text)
        if key is not None:
            return str(self.description.files.values["label"][key]) if spellings is not None else key
        if is_unknown(text, known=self._known, words=False):
            return None
        if spellings is not None:
            raise UnknownLabelError(clean_label(text), self.description.files.values["label"], "label")
        return clean_label(text)

    def _emotion(self, raw: RawSample) -> dict[str, Any]:
        words = self._words(raw)
        entries = native_labels(self.card.name, words, self.card.label_map)  # bad-label for one that the map lacks
        best = max(words.values(), default=0.0)
        heaviest = [word for word, weight in words.items() if weight == best]
        native = heaviest[0] if len(heaviest) == 1 else None
        return {
            "emotion_raw": native,
            "emotion": self.card.label_map[native] if native is not None else None,
            "labels": entries if len(words) > 1 else (),
        }

    def _facts(self, raw: RawSample, corpus: str) -> dict[str, Any]:
        facts: dict[str, Any] = {"extra": {}}
        given = self.description.files.fields()
        for field in ("subject", "group"):
            if field in given:
                text = self._name(raw, field)
                if text is None and self.card.split_unit != "payload":
                    raise PayloadError(
                        f"no-{field}",
                        f"{field} is not known here; samples of one must share a split",
                    )
                facts[field] = text
        for field, name in (("session", "session_id"), ("sentence", "sentence_id")):
            if field in given and (text := self._name(raw, field)) is not None:
                facts[name] = f"{corpus}:{text}"
        if "split" in given or "split" in raw.fields:
            facts["extra"]["official_split"] = _one_of(self._text(raw, "split"), _SPLITS, "split")
        if "gender" in given and (text := self._text(raw, "gender")) is not None:
            facts["gender"] = _one_of(text, _GENDERS, "gender")
        if "language" in given and (text := self._text(raw, "language")) is not None:
            facts["language"] = text
        numbers = (
            ("intensity", "intensity"),
            ("agreement", "rater_agreement"),
            ("age", "age"),
            ("turn", "turn"),
            ("start", "t_start_s"),
            ("end", "t_end_s"),
        )
        for field, name in numbers:
            if field in given and (text := self._text(raw, field)) is not None:
                number = number_of(str(text), field)
                if field in ("intensity", "agreement") and not 0 <= number <= 1:
                    raise PayloadError("rating-out-of-range", f"{field} is {number:g}, the scale is 0 to 1")
                if field == "turn" and not (number.is_integer() and abs(number) < 2**31):
                    raise PayloadError("not-a-number", f"turn is {str(text)[:40]!r}, a whole number is expected")
                facts[name] = int(number) if field == "turn" else number
        return facts | self._ratings(raw, given)

    def _ratings(self, raw: RawSample, given: set[str]) -> dict[str, Any]:
        """Each rater's value on the corpus' own scale, and the dimensions of the record in [-1, 1]."""
        entries = [{"scheme": name, "rater": rater, "value": value} for name, rater, value in raw.ratings]
        facts: dict[str, Any] = {}
        for name, scale in self.card.dimensions.items():
            values = [value for dimension, _, value in raw.ratings if dimension == name]
            for value in values:
                rescale(value, scale, name)
            if name in raw.fields or name in self.description.files.compose:
                text = self._text(raw, name)
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
    text = "" if text is None else text
    meant = known.get(str(text).lower())
    if meant is None:
        slug = "bad-split" if field == "split" else "bad-label"
        raise PayloadError(slug, f"{field} {str(text)[:60]!r}; known: {', '.join(known)}; say others in files.values")
    return meant


def _kind(value: Any) -> str:
    return "list" if isinstance(value, list | tuple) else "structure"


def _content(raw: RawSample) -> bytes:
    """What equal samples share."""
    from corpora.records.files import read_file

    if raw.path is not None:
        cut = f"{raw.cut}".encode() if raw.cut else b""
        return read_file(raw.path) + cut
    if raw.vector is not None:
        return repr(list(raw.vector.values())).encode()
    return raw.content or (raw.text or raw.pixels or "").encode("utf-8", "replace")
