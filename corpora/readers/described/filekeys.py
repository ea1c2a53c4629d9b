"""The keys of a card below `files`: where in the files of a corpus each field of a record stands, by layout."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from corpora.formats.textlines import known_encoding

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


def text_keys(value: Any) -> Any:
    """YAML reads 01 as a number and loses its zero, so a key that is no text is asked for in quotes. A list of texts is
    a mapping of each to itself."""
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return {text: text for text in value}
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r} is not text; put it in quotes as it stands in the corpus")
    return value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_text)]
Texts = Annotated[list[Text], BeforeValidator(_listed)]
Names = Annotated[dict[str, Text], BeforeValidator(text_keys)]
_Meaning = Annotated[str | float | None, Field(union_mode="left_to_right")]
Codes = Annotated[dict[str, _Meaning], BeforeValidator(text_keys)]


class CardModel(BaseModel):
    """What every model of a card is: an unknown key is an error, and nothing is changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SignalSpec(CardModel):
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


class Files(CardModel):
    """What all layouts share. Fields are those of `FIELDS`, and the dimensions that the card names."""

    layout: Literal["folder", "table", "audformat", "datasets"] = Field(description="How the files are laid out.")
    values: dict[str, Codes] = Field(
        default_factory=dict,
        description="Field -> {text in the corpus: what it means}; of `label` a key of `label_map`. Null: not known. A "
        "list: texts that mean themselves; others are rejects.",
    )
    compose: Names = Field(
        default_factory=dict,
        description='Field, or name in `extra` -> text with fields in it, "{session}-{subject}"; not known where one '
        "of them is not. Without fields it holds for all samples.",
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
    fake: dict[str, Texts] = Field(default_factory=dict, description="Field -> texts that a fake corpus draws from.")

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Files:
        if both := sorted(set(self.missing) & set(self.not_missing)):
            raise ValueError(f"{both[0]!r} stands in missing and in not_missing")
        return self

    def fields(self) -> set[str]:
        """The fields that a record of this layout gets."""
        return set(self.compose)

    def kept(self) -> set[str]:
        """Names beside fields that a value map or a template may use."""
        return set()

    def placed(self) -> set[str]:
        """Names that stand in the template of fake paths."""
        return {name for template in self.fake.get("path", ()) for name in re.findall(r"\{(\w+)", template)}


def _compiled(pattern: str, ignore_case: bool = False) -> re.Pattern[str]:
    try:
        return re.compile(f"(?:^|/)(?:{pattern})$", re.IGNORECASE if ignore_case else 0)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from None


def _checked_pattern(value: str | None) -> str | None:
    if value is not None:
        _compiled(value)
    return value


class FolderFiles(Files):
    """One file a sample; its path tells all."""

    layout: Literal["folder"]
    pattern: str = Field(
        r"(?P<label>[^/]+)/[^/]+",
        description="Regular expression of the end of a file's path, from a folder's name on; its groups are fields.",
    )
    example: str | None = Field(None, description="A path that the pattern fits; errors show it, `fake` varies it.")
    known_by: str | None = Field(
        None,
        description="Regular expression of the end of a path: one file at least must fit it. Default: `pattern`. Where "
        "that fits many corpora, this names what only this one has.",
    )
    only: Texts = Field(default_factory=list, description="Globs of files that are looked at. Default: all.")
    ignore: Texts = Field(default_factory=list, description="Globs of files that are no samples: *.lab, extra/*.")
    extra: Texts = Field(default_factory=list, description="Groups kept in `extra` as they stand.")
    case: dict[str, Literal["lower", "upper"]] = Field(
        default_factory=dict, description="Group -> the case in which its text is taken."
    )
    same: Names = Field(
        default_factory=dict,
        description="Group -> field that it tells once more, by its own `values`. Where the two differ, the file is a "
        "reject (bad-label); a text without a meaning is passed over.",
    )

    _is_pattern = field_validator("pattern", "known_by")(_checked_pattern)

    @model_validator(mode="after")
    def _groups_are_there(self) -> FolderFiles:
        groups = sorted(self.compiled.groupindex)
        for key in ("case", "same"):
            for name in getattr(self, key):
                if name not in groups:
                    raise ValueError(f"{key} names {name!r}; the pattern's groups are {', '.join(groups)}")
        for name, field in self.same.items():
            if field not in groups or field in self.same or name not in self.values:
                raise ValueError(f"same.{name} is {field!r}: a group, and values.{name} that say what it means")
        return self

    @property
    def recognised(self) -> re.Pattern[str]:
        """What one path at least must fit."""
        return _compiled(self.known_by or self.pattern, self.ignore_case)

    @property
    def compiled(self) -> re.Pattern[str]:
        """The pattern, from a folder's name on to the end of a path."""
        return _compiled(self.pattern, self.ignore_case)

    @model_validator(mode="after")
    def _example_fits(self) -> FolderFiles:
        if self.example is not None and not self.compiled.search(self.example):
            raise ValueError(f"the example {self.example!r} does not fit the pattern {self.pattern!r}")
        return self

    def fields(self) -> set[str]:
        """Groups of the pattern, and what is made of them."""
        return {*self.compiled.groupindex, *self.compose} - {*self.extra, *self.same}

    def kept(self) -> set[str]:
        """Groups that are kept as they stand, or tell a field once more."""
        return {*self.extra, *self.same}


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

    _is_pattern = field_validator("name_pattern", "path_pattern")(_checked_pattern)

    @model_validator(mode="after")
    def _each_field_from_one_place(self) -> _Columns:
        """What two places tell, the later would overwrite without a word."""
        stands_in: dict[str, str] = {}
        places = {
            "columns": set(self.columns) - set(PAYLOADS),
            "label_columns": {"label"} if self.label_columns else set(),
            "name_pattern": set(self.named.groupindex) if self.named else set(),
            "path_pattern": set(self.path_named.groupindex) if self.path_named else set(),
        }
        for place, fields in places.items():
            for field in sorted(fields):
                if field in stands_in:
                    raise ValueError(f"{field} stands in {stands_in[field]} and in {place}; say it in one place")
                stands_in[field] = place
        for dimension, columns in self.rater_columns.items():
            if len(set(columns)) < len(columns):
                raise ValueError(f"rater_columns.{dimension} names a column twice")
        return self

    @property
    def named(self) -> re.Pattern[str] | None:
        """`name_pattern`, as it is searched in a table's path."""
        return _compiled(self.name_pattern, self.ignore_case) if self.name_pattern else None

    @property
    def path_named(self) -> re.Pattern[str] | None:
        """`path_pattern`, as it is searched in the path of a row."""
        return _compiled(self.path_pattern, self.ignore_case) if self.path_pattern else None

    def groups(self) -> set[str]:
        """Names of the groups of both patterns."""
        return {name for pattern in (self.named, self.path_named) if pattern for name in pattern.groupindex}

    def wanted(self) -> list[str]:
        """Every column that is read."""
        raters = [column for columns in self.rater_columns.values() for column in columns]
        extra = [name for name in self.extra if name not in self.groups()]
        return list(dict.fromkeys([*self.columns.values(), *self.label_columns, *raters, *extra]))

    def kept(self) -> set[str]:
        """Columns and groups that are kept as they stand."""
        return set(self.extra)

    def fields(self) -> set[str]:
        """Fields that columns, patterns and `compose` give; a payload is none."""
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
