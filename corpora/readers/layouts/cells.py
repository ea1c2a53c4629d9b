"""Columns, cells and paths of the layouts whose samples are rows: what a card asks for, and what stands there."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from corpora.errors import CorpusError, PayloadError
from corpora.formats.tables import has_columns, number_of
from corpora.readers.described.cardfile import Card, _Columns
from corpora.records.unknown import is_unknown

MAX_VECTOR = 20_000  # features of a row; openSMILE's largest common set has 6,373


@dataclass(frozen=True, slots=True)
class Told:
    """What a pattern tells by its groups. `blank`: groups that took no part in it."""

    fields: dict[str, str] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)
    blank: tuple[str, ...] = ()

    @classmethod
    def by(cls, match: re.Match[str], extra: Collection[str]) -> Told:
        groups = match.groupdict()
        told = {key: text for key, text in groups.items() if text is not None}
        kept = {key: told.pop(key) for key in extra if key in told}
        return cls(told, kept, tuple(key for key, text in groups.items() if text is None))

    def also(self, other: Told) -> Told:
        return Told(self.fields | other.fields, self.extra | other.extra, self.blank + other.blank)


def fields_of_name(files: _Columns, name: str, card: Card) -> Told:
    """What a table's own path tells. Raises `CorpusError` for a name that the pattern does not fit."""
    if files.named is None:
        return Told()
    match = files.named.search(name)
    if match is None:
        raise CorpusError(f"{card.facts.title}: the table {name} does not fit name_pattern {files.name_pattern!r}")
    return Told.by(match, files.extra)


def columns_like(globs: Iterable[str], there: Iterable[str], taken: Iterable[str], where: str) -> list[str]:
    """Columns that are named or fit a glob, in the order of the table, without those that are read as something else.

    Raises `CorpusError`: a glob that fits none, more than `MAX_VECTOR` columns.
    """
    names = [name for name in there if name not in set(taken)]
    for glob in globs:
        if not any(name == glob or fnmatchcase(name, glob) for name in names):
            has_columns(names, [glob], f"{where}: files.vector")
    chosen = [name for name in names if any(name == glob or fnmatchcase(name, glob) for glob in globs)]
    if len(chosen) > MAX_VECTOR:
        raise CorpusError(f"{where}: files.vector fits {len(chosen)} columns, at most {MAX_VECTOR} are read")
    return chosen


def numbers_of(row: Mapping[str, Any], columns: list[str]) -> dict[str, float]:
    """Cells of a row of features. Raises `PayloadError` missing-value, not-a-number."""
    found = {}
    for column in columns:
        value = row.get(column)
        if is_unknown(value):
            raise PayloadError("missing-value", f"nothing is known of {column[:60]!r}")
        found[column] = number_of(str(as_text(value)), column[:60])
    return found


def fields_of_path(files: _Columns, *paths: str) -> Told:
    """The groups of the first of these spellings of a path that fits. Raises `PayloadError` unknown-name."""
    pattern = files.path_named
    if pattern is None:
        return Told()
    match = next((found for path in paths if (found := pattern.search(path))), None)
    if match is None:
        raise PayloadError(
            "unknown-name", f"{paths[0][:80]!r} is not as path_pattern {str(files.path_pattern)[:200]!r} says"
        )
    return Told.by(match, files.extra)


def own_id(texts: dict[str, Any], files: _Columns) -> str | None:
    """The id that a row gives itself, taken out of its texts; None where it gives none."""
    value = texts.pop("id", None)
    return None if is_unknown(value, known=files.not_missing) else str(value)


def clean_path(value: Any) -> str:
    """A cell that names a file, "" where it names none. Only its ends are cleaned: names may hold anything."""
    return "" if is_unknown(value, words=False) else str(value).strip().strip("\ufeff")


def cells(files: _Columns, row: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any], dict[str, str]]:
    """A row -> fields (payload columns among them), ratings (dimension, rater, value), extra. Raises `PayloadError`."""
    fields: dict[str, Any] = {}
    for field_name, column in files.columns.items():
        value = row.get(column)
        if isinstance(value, bytes) and field_name != "media":
            value = _decoded(value, column)
        if (text := as_text(value)) is not None:
            fields[field_name] = text
    if files.label_columns:
        weights = {str(label): _weight(row.get(column), column) for column, label in files.label_columns.items()}
        if any(weight < 0 for weight in weights.values()):
            raise PayloadError("bad-label", f"a weight below 0: {weights}")
        fields["label"] = weights
    ratings = []
    for dimension, columns in files.rater_columns.items():
        for column in columns:
            text = as_text(row.get(column))
            if not is_unknown(text) and str(text).strip() not in files.missing:
                ratings.append((dimension, column, number_of(str(text), column)))
    extra = {}
    for column in files.extra:
        value = row.get(column)
        text = as_text(_decoded(value, column) if isinstance(value, bytes) else value)
        if text is not None:
            extra[column] = str(text)
    for payload in ("text", "pixels", "path", "id"):
        if isinstance(fields.get(payload), list | dict):
            raise PayloadError("bad-row", f"{payload} is a list or structure, a text is expected")
    return fields, ratings, extra


def _decoded(value: bytes, column: str) -> str:
    """Spark and others write texts as bytes."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PayloadError("undecodable-row", f"{column[:60]!r}: byte {error.start} is not utf-8") from None


def _weight(value: Any, column: str) -> float:
    if value is False or is_unknown(value):
        return 0.0
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return float(value.strip().lower() == "true")
    return 1.0 if value is True else number_of(str(value), column)


def as_text(value: Any) -> Any:
    """A cell as text, NaN and NaT as None; lists stay lists of texts, bytes and structs stay as they are."""
    if value is None or isinstance(value, str | bytes | dict):
        return value
    if isinstance(value, list | tuple):
        return [as_text(part) for part in value]
    if value != value:
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)
