"""A corpus described in YAML: the models that check a card file, and what they become.

The upper part of a card states facts (`CorpusCard`); `files` says where in the files each field of a record stands
(filekeys.py). An unknown key is an error that names the nearest valid one. docs/describe-a-corpus.md walks through an
example.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from corpora.errors import CorpusError
from corpora.formats.yamlfile import parse_yaml
from corpora.labels import EMOTIONS
from corpora.readers.described.cardwords import known_name, validated
from corpora.readers.described.filekeys import (
    DIMENSIONS,
    FIELDS,
    LAYOUTS,
    PAYLOADS,
    CardModel,
    Files,
    Names,
    Text,
    Texts,
    text_keys,
)
from corpora.records.spellings import Spellings
from corpora.schema import CORPUS_ID, FACTS, CorpusCard
from corpora.signals import MAX_SIGNALS, is_signal_name

MAX_CARD_BYTES = 1 << 20


class CardFile(CardModel):
    """The facts of a card file; `files` is checked by the model of its layout."""

    name: Annotated[str, Field(pattern=f"^{CORPUS_ID.pattern}$")] = Field(
        description="Short name of the corpus. Default: the file's own, without .yaml."
    )
    title: Text = Field(description="The name that people know.")
    modality: Literal["speech", "face", "text", "physio"] = Field(description="What a sample is.")
    license: Text = Field(description="An SPDX id; LicenseRef-... where none exists.")
    files: dict[str, Any] = Field(description="Where in the files each field stands; its keys depend on the layout.")
    label_map: Annotated[dict[str, str | None], BeforeValidator(text_keys)] = Field(
        default_factory=dict,
        description="Label of the corpus -> emotion of the vocabulary; null: it has no word for it.",
    )
    dimensions: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="Rated dimension -> [lowest, highest] of the corpus' own scale."
    )
    version: Text = Field("unknown", description="Version or date of the corpus.")
    may_redistribute: bool = Field(False, description="Whether what is made of it may be pushed to others.")
    url: Text = Field("", description="Where to get it.")
    bibtex: Text = Field("", description="How to cite it.")
    language: Text | None = Field(None, description="Of all samples that do not name their own; BCP 47: en, de, pt-BR.")
    split_unit: Literal["subject", "dialogue", "trial", "video", "payload"] | None = Field(
        None,
        description="The split unit, which stays in one split; dialogue, trial and video are the field `group`. "
        "Default: `subject` where one is read, else `payload` (equal samples).",
    )
    counts: Annotated[dict[str, Annotated[int, Field(ge=0)]], BeforeValidator(text_keys)] | None = Field(
        None, description="Label of the corpus -> published number of samples."
    )
    counts_source: Text | None = Field(None, description="Where these counts stand.")
    n_subjects: int | None = Field(None, description="Published number of people.")
    n_samples: int | None = Field(None, description="Published number of samples.")
    official_split: Text | None = Field(None, description="What the published split is, in a sentence.")
    sources: Names = Field(
        default_factory=dict, description=f"Fact ({', '.join(FACTS)}) -> paper, page or file where it stands."
    )
    unverified: Texts | None = Field(None, description="Facts without a source. Default: those not in `sources`.")
    access: Text = Field("open download", description="What one must sign or ask for.")
    tested_on: Literal["real", "fake"] = Field("fake", description="Whether tests read published files.")
    quirks: Texts = Field(default_factory=list, description="Oddities of the published files.")


@dataclass(frozen=True, slots=True)
class Card:
    """A card file that was checked: the facts, where the fields stand, and the sha256 of the file's bytes."""

    facts: CorpusCard
    files: Files
    sha256: str
    origin: str


def load_card(path: Path, shown: str | None = None) -> Card:
    """Reads and checks a card file. Raises `CorpusError` naming file, key, value and what is allowed."""
    shown = shown or str(path)
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise CorpusError(f"{shown}: more than {MAX_CARD_BYTES} bytes; a card has a page or two")
        content = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"card {shown} cannot be read ({error.strerror})") from None
    raw = parse_yaml(content, CorpusError, shown=shown)
    if CORPUS_ID.fullmatch(path.stem):
        raw = {"name": path.stem} | raw
    elif "name" not in raw:
        raise CorpusError(
            f"{shown}: 'name' is missing, and {path.stem!r} of the file's name cannot name a corpus: small letters, "
            "digits and _, 1 to 40, beginning with a letter. Say `name: ...` in the card, or rename the file"
        )
    card = validated(CardFile, raw, shown, "")
    files = _files(card, shown)
    _check(card, files, shown)
    return Card(_facts(card, files), files, hashlib.sha256(content).hexdigest(), shown)


def _files(card: CardFile, shown: str) -> Files:
    layout = card.files.get("layout")
    if layout not in LAYOUTS:
        raise CorpusError(f"{shown}: files.layout is {layout!r}; known: {', '.join(LAYOUTS)}")
    return validated(LAYOUTS[layout], card.files, shown, "files.")


def _check(card: CardFile, files: Files, shown: str) -> None:
    """What the models cannot see alone: names that must fit one another."""
    if not card.label_map and not card.dimensions:
        raise CorpusError(
            f"{shown}: give label_map (native label -> emotion) or dimensions (name -> [lowest, highest])"
        )
    for label, emotion in card.label_map.items():
        if emotion is not None:
            known_name(f"{shown}: label_map.{label}", emotion, EMOTIONS)
    for label in card.counts or {}:
        known_name(f"{shown}: counts", label, card.label_map)
    for fact in (*card.sources, *(card.unverified or ())):
        known_name(f"{shown}: sources and unverified", fact, FACTS)
    for name, (low, high) in card.dimensions.items():
        if not low < high:
            raise CorpusError(f"{shown}: dimensions.{name} is [{low:g}, {high:g}]; the lowest value comes first")
    valid = {*FIELDS, *card.dimensions}
    given = files.fields()
    for field in given:
        known_name(f"{shown}: files", field, valid)
    for part in (files.values, files.fake):
        for field in part:
            known = {*valid, *files.kept(), *PAYLOADS, *(files.placed() if part is files.fake else ())}
            known_name(f"{shown}: files.values and files.fake", field, known)
    for field in given & set(DIMENSIONS) | set(getattr(files, "rater_columns", {})):
        if field not in card.dimensions:
            raise CorpusError(f"{shown}: {field} is read, but dimensions gives no scale for it, such as [1, 5]")
    if card.label_map and "label" not in given:
        raise CorpusError(f"{shown}: label_map is given, and files says nowhere where the label stands")
    for native in files.values.get("label", {}).values():
        known_name(f"{shown}: files.values.label", str(native), card.label_map)
    for native in getattr(files, "label_columns", {}).values():
        known_name(f"{shown}: files.label_columns", str(native), card.label_map)
    unit = card.split_unit
    needed = {"subject": "subject", "dialogue": "group", "trial": "group", "video": "group"}.get(unit or "")
    if needed and needed not in given:
        raise CorpusError(
            f"{shown}: split_unit is {unit!r}, and files names no field {needed!r}, only {', '.join(sorted(given))}"
            "; without one, split_unit: payload keeps equal samples together"
        )
    vector = getattr(files, "vector", [])
    if card.modality == "physio" and not files.signals and not vector:
        raise CorpusError(
            f"{shown}: a physiological corpus needs files.signals: name -> unit, rate_hz, column (or, in a table of "
            "features, files.vector: its columns)"
        )
    if vector and (card.modality != "physio" or files.signals):
        raise CorpusError(f"{shown}: files.vector, a table of features, needs modality: physio and no files.signals")
    Spellings(card.label_map, f"{shown}: label_map", ignore_case=files.ignore_case)
    for field, meanings in files.values.items():
        Spellings(meanings, f"{shown}: files.values.{field}", ignore_case=files.ignore_case)
    if len(files.signals) > MAX_SIGNALS:
        raise CorpusError(
            f"{shown}: files.signals names {len(files.signals)} signals, a trial holds {MAX_SIGNALS} at most; channels "
            "of one rate and unit can be one signal: columns: [FP1, FP2], or pattern: 'EEG\\..*'"
        )
    for name in files.signals:
        if not is_signal_name(name):
            raise CorpusError(f"{shown}: files.signals: {name!r} holds other than letters, digits, _, - and .")
    for key, modality in (("full_scale", "speech"), ("levels", "face")):
        if getattr(files, key) is not None and card.modality != modality:
            raise CorpusError(f"{shown}: files.{key} is of {modality} corpora, this one is {card.modality}")


def _facts(card: CardFile, files: Files) -> CorpusCard:
    unverified = card.unverified if card.unverified is not None else [f for f in FACTS if f not in card.sources]
    given = files.fields()
    facts = card.model_dump(exclude={"files", "unverified", "quirks", "split_unit"})
    return CorpusCard(
        **facts,
        unverified=tuple(unverified),
        quirks=tuple(card.quirks),
        split_unit=card.split_unit or ("subject" if "subject" in given else "payload"),
        knows_subjects="subject" in given,
        is_vector=bool(getattr(files, "vector", ())),
    )
