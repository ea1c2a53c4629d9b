"""A corpus described in YAML: the models that check a card file, and what they become.

The upper part of a card states facts (`CorpusCard`); `files` says where in the files each field of a record stands. An
unknown key is an error that names the nearest valid one. docs/describe-a-corpus.md walks through an example.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from corpora.errors import CorpusError
from corpora.formats.textlines import known_encoding
from corpora.formats.yamlfile import parse_yaml
from corpora.labels import EMOTIONS
from corpora.readers.described.cardwords import known_name, validated
from corpora.records.spellings import Spellings
from corpora.schema import CORPUS_ID, FACTS, CorpusCard
from corpora.signals import MAX_SIGNALS, is_signal_name

MAX_CARD_BYTES = 1 << 20
DIMENSIONS = ("valence", "arousal", "dominance")
# what a pattern's group or a column may be called to become a part of the record
FIELDS = (
    "id",
    "label",
    "subject",
    "group",
    "session",
    "sentence",
    "turn",
    "start",
    "end",
    "intensity",
    "split",
    "gender",
    "age",
    "language",
    "agreement",
    *DIMENSIONS,
)
PAYLOADS = ("path", "text", "pixels", "media")  # columns that hold the sample itself, or say where it lies


def _text(value: Any) -> Any:
    return f"{value}" if isinstance(value, int | float) and not isinstance(value, bool) else value


def _text_keys(value: Any) -> Any:
    """YAML reads 01 as a number and loses its zero, so a key that is no text is asked for in quotes."""
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r} is not text; put it in quotes as it stands in the corpus")
    return value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_text)]
Texts = Annotated[list[Text], BeforeValidator(_listed)]
Names = Annotated[dict[str, Text], BeforeValidator(_text_keys)]
_Meaning = Annotated[str | float | None, Field(union_mode="left_to_right")]
Codes = Annotated[dict[str, _Meaning], BeforeValidator(_text_keys)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SignalSpec(_Model):
    """One signal of a physiological trial: a column of its csv file, or several columns of one rate and unit as its
    channels."""

    unit: str = Field(description="Unit of its values: mV, µV, µS, °C, ...")
    rate_hz: Annotated[float, Field(gt=0)] = Field(description="Values in a second.")
    column: str | None = Field(None, description="Its column; none: the signal's own name.")
    columns: Texts | None = Field(None, description="Columns that are the channels, in this order.")
    pattern: str | None = Field(
        None, description="Regular expression of whole names of columns that are the channels, in the file's order."
    )

    @model_validator(mode="after")
    def _one_way(self) -> SignalSpec:
        given = [key for key in ("column", "columns", "pattern") if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of column, columns and pattern, not {' and '.join(given)}")
        if self.columns is not None and len(set(self.columns)) < max(len(self.columns), 1):
            raise ValueError("columns names none, or one twice")
        if self.pattern is not None:
            _compiled(self.pattern)
        return self


class Files(_Model):
    """What all layouts share. Fields are those of `FIELDS`, and the dimensions that the card names."""

    layout: Literal["folder", "table", "audformat", "datasets"] = Field(description="How the files are laid out.")
    values: dict[str, Codes] = Field(
        default_factory=dict,
        description="Field -> {text in the corpus: what it means}; of `label` a key of `label_map`. Null: not known.",
    )
    compose: Names = Field(
        default_factory=dict,
        description='Field -> text with fields in it, "{session}-{subject}"; not known where one of them is not.',
    )
    separator: str | None = Field(None, description="Parts several labels in one cell or group.")
    ignore_case: bool = Field(
        False, description="Upper and lower case are the same: in labels, in texts of `values` and in patterns."
    )
    missing: Texts = Field(
        default_factory=lambda: [""],
        description="Texts that mean: not known. What is so everywhere (NaN, NA, null, None, ...) needs no mention.",
    )
    not_missing: Texts = Field(
        default_factory=list, description="Texts that look as if nothing were known and are meant, a subject called NA."
    )
    signals: dict[str, SignalSpec] = Field(default_factory=dict, description="Physiological: signals of a csv file.")
    full_scale: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Speech: full scale of float wav files, such as 32768, where it is not 1."
    )
    levels: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Faces: level of white in pictures of more than 8 bits and in pixel columns, such as 4095."
    )
    fake: dict[str, Texts] = Field(default_factory=dict, description="Field -> texts that a made-up corpus draws from.")

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Files:
        if both := sorted(set(self.missing) & set(self.not_missing)):
            raise ValueError(f"{both[0]!r} stands in missing and in not_missing")
        return self

    def fields(self) -> set[str]:
        """The fields that a record of this layout gets."""
        return set(self.compose)


def _compiled(pattern: str, ignore_case: bool = False) -> re.Pattern[str]:
    try:
        return re.compile(f"(?:^|/)(?:{pattern})$", re.IGNORECASE if ignore_case else 0)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from None


class FolderFiles(Files):
    """One file a sample; its path tells all."""

    layout: Literal["folder"]
    pattern: str = Field(
        r"(?P<label>[^/]+)/[^/]+",
        description="Regular expression of the end of a file's path, from a folder's name on; its groups are fields.",
    )
    example: str | None = Field(None, description="A path that the pattern fits; errors show it, `fake` varies it.")
    ignore: Texts = Field(default_factory=list, description="Globs of files that are no samples: *.lab, extra/*.")
    extra: Texts = Field(default_factory=list, description="Groups kept in `extra` as they stand.")

    @field_validator("pattern")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        _compiled(value)
        return value

    @property
    def compiled(self) -> re.Pattern[str]:
        return _compiled(self.pattern, self.ignore_case)

    @model_validator(mode="after")
    def _example_fits(self) -> FolderFiles:
        if self.example is not None and not self.compiled.search(self.example):
            raise ValueError(f"the example {self.example!r} does not fit the pattern {self.pattern!r}")
        return self

    def fields(self) -> set[str]:
        return {*self.compiled.groupindex, *self.compose} - set(self.extra)


class _Columns(Files):
    columns: Names = Field(default_factory=dict, description="Field, path, text, pixels or media -> column.")
    label_columns: Codes = Field(default_factory=dict, description="Column -> label; its number is the label's weight.")
    rater_columns: dict[str, Texts] = Field(default_factory=dict, description="Dimension -> a column for each rater.")
    extra: Texts = Field(
        default_factory=list, description="Columns, and groups of the patterns, kept in `extra` as they stand."
    )
    name_pattern: str | None = Field(
        None, description="Regular expression of the end of a table's own path; its groups are fields."
    )
    path_pattern: str | None = Field(
        None,
        description="Regular expression of the end of the path in each row, with or without `suffix`; its groups are "
        "fields. A path that it does not fit is a reject (unknown-name).",
    )

    @field_validator("label_columns", "columns", mode="before")
    @classmethod
    def _same_names(cls, value: Any) -> Any:
        return {name: name for name in value} if isinstance(value, list) else value

    @field_validator("name_pattern", "path_pattern")
    @classmethod
    def _is_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            _compiled(value)
        return value

    @model_validator(mode="after")
    def _each_field_from_one_place(self) -> _Columns:
        """What two places tell, the later would overwrite without a word."""
        told: dict[str, str] = {}
        places = {
            "columns": set(self.columns) - set(PAYLOADS),
            "label_columns": {"label"} if self.label_columns else set(),
            "name_pattern": set(self.named.groupindex) if self.named else set(),
            "path_pattern": set(self.path_named.groupindex) if self.path_named else set(),
        }
        for place, fields in places.items():
            for field in sorted(fields):
                if field in told:
                    raise ValueError(f"{field} stands in {told[field]} and in {place}; say it in one place")
                told[field] = place
        for dimension, columns in self.rater_columns.items():
            if len(set(columns)) < len(columns):
                raise ValueError(f"rater_columns.{dimension} names a column twice")
        return self

    @property
    def named(self) -> re.Pattern[str] | None:
        return _compiled(self.name_pattern, self.ignore_case) if self.name_pattern else None

    @property
    def path_named(self) -> re.Pattern[str] | None:
        return _compiled(self.path_pattern, self.ignore_case) if self.path_pattern else None

    def groups(self) -> set[str]:
        """Names of the groups of both patterns."""
        return {name for pattern in (self.named, self.path_named) if pattern for name in pattern.groupindex}

    def wanted(self) -> list[str]:
        """Every column that is read."""
        raters = [column for columns in self.rater_columns.values() for column in columns]
        extra = [name for name in self.extra if name not in self.groups()]
        return list(dict.fromkeys([*self.columns.values(), *self.label_columns, *raters, *extra]))

    def fields(self) -> set[str]:
        labels = {"label"} if self.label_columns else set()
        groups = self.groups() - set(self.extra)
        return {*self.columns, *self.compose, *self.rater_columns, *groups, *labels} - set(PAYLOADS)


class TableFiles(_Columns):
    """One row a sample: csv, tsv, jsonl or parquet."""

    layout: Literal["table"]
    tables: Texts = Field(description="Globs of the tables, relative to the corpus.")
    format: Literal["csv", "tsv", "jsonl", "parquet"] | None = Field(None, description="Default: by the file's ending.")
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        None, description="One character. Default: a comma in csv, else a tab."
    )
    quoted: bool = Field(True, description="Fields may stand in quotes, as in RFC 4180.")
    encoding: str = Field("utf-8", description="Of csv, tsv and jsonl: latin-1, cp1252, ...; UTF-16 is recognised.")
    header: Texts | None = Field(None, description="The columns' names, where the files have no line of them.")
    media: str = Field("", description="Folder that paths are relative to.")
    suffix: str = Field("", description="Ending that paths lack, such as .wav.")
    vector: Texts = Field(
        default_factory=list,
        description="Columns of numbers that are the sample itself, names or globs such as `eda_*`: features without a "
        "signal behind them.",
    )

    @field_validator("encoding")
    @classmethod
    def _is_encoding(cls, value: str) -> str:
        known_encoding(value)
        return value

    @field_validator("header")
    @classmethod
    def _no_name_twice(cls, value: list[str] | None) -> list[str] | None:
        doubled = sorted({name for name in value or () if (value or []).count(name) > 1})
        if doubled:
            raise ValueError(f"several columns named {', '.join(doubled)}")
        return value

    @model_validator(mode="after")
    def _one_payload(self) -> TableFiles:
        payloads = [name for name in PAYLOADS if name in self.columns and name != "path"]
        if self.vector and (payloads or ("path" in self.columns and not self.path_pattern)):
            raise ValueError("vector: the columns are the sample, so there is no path, text or pixels beside them")
        if self.path_pattern and "path" not in self.columns:
            raise ValueError("path_pattern looks at the column of columns.path, and there is none")
        return self


class AudformatFiles(_Columns):
    """A database in audEERING's format; a column may be `speaker/gender`: what the scheme knows of each speaker."""

    layout: Literal["audformat"]
    tables: Texts = Field(description="Tables that hold the samples; each may belong to a split.")
    join: Texts = Field(default_factory=list, description="Further tables that columns are looked up in, by file.")

    @field_validator("name_pattern")
    @classmethod
    def _no_names(cls, value: str | None) -> str | None:
        if value is not None:
            raise ValueError("the names of tables are the database's own; its splits are read from db.yaml")
        return value


class DatasetsFiles(_Columns):
    """What Hugging Face `datasets` saved: save_to_disk, or a folder of parquet files."""

    layout: Literal["datasets"]


LAYOUTS: dict[str, type[Files]] = {
    "folder": FolderFiles,
    "table": TableFiles,
    "audformat": AudformatFiles,
    "datasets": DatasetsFiles,
}


class CardFile(_Model):
    """The facts of a card file; `files` is checked by the model of its layout."""

    name: Annotated[str, Field(pattern=f"^{CORPUS_ID.pattern}$")] = Field(
        description="Short name of the corpus. Default: the file's own, without .yaml."
    )
    title: Text = Field(description="The name that people know.")
    modality: Literal["speech", "face", "text", "physio"] = Field(description="What a sample is.")
    license: Text = Field(description="An SPDX id; LicenseRef-... where none exists.")
    files: dict[str, Any] = Field(description="Where in the files each field stands; its keys depend on the layout.")
    label_map: Annotated[dict[str, str | None], BeforeValidator(_text_keys)] = Field(
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
        description="What no split may part; dialogue, trial and video are the field `group`. Default: `subject` where "
        "one is read, else `payload` (equal samples).",
    )
    counts: Annotated[dict[str, Annotated[int, Field(ge=0)]], BeforeValidator(_text_keys)] | None = Field(
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
            known_name(f"{shown}: files.values and files.fake", field, {*valid, *_kept(files), *PAYLOADS})
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


def _kept(files: Files) -> set[str]:
    """Names that are kept in `extra`; a value map or a template may use them."""
    return set(getattr(files, "extra", ()))


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
