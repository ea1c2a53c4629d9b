"""What the folders of a run have in common: JSON with typed contents, tables, and a folder that is whole or not there.

A record that is read must have every key of its class, each of its type; keys that this version does not know are
passed over, so that a stage may come to write more. JSON is written canonically (corpora/store/atomic.py).
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError

from corpora.errors import EmoforgeError, IntegrityError
from corpora.formats.jsonfile import read_json
from corpora.store.atomic import atomic_folder, write_json
from corpora.store.shards import read_table

T = TypeVar("T")
AGAIN = "remove its folder and run the same command again (`emoforge run`)"


class Record(BaseModel):
    """A mapping of a JSON file. Frozen; NaN and infinities are refused."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, populate_by_name=True)

    def to_json(self) -> dict[str, JsonValue]:
        """Plain JSON, as it is written."""
        plain: dict[str, JsonValue] = self.model_dump(mode="json", by_alias=True)
        return plain


class StepDescribed(Record):
    """One step of preparation: its name with its version ("trim-1"), and its parameters."""

    step: str
    params: dict[str, JsonValue]


class Described(Record):
    """The steps of preparation of one modality that are on, in their order."""

    version: str
    steps: tuple[StepDescribed, ...]


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder of a run: the out of a stage."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> Self:
        """Raises `IntegrityError` where there is no such folder."""
        if not path.is_dir():
            raise IntegrityError(f"no {path}: the stage that writes it did not end; run the same command again")
        return cls(path)

    @classmethod
    @contextmanager
    def written(cls, path: Path) -> Iterator[Self]:
        """An empty folder that takes the place of `path` when all of it was written, and not before."""
        with atomic_folder(path) as folder:
            yield cls(folder)


def read_as(path: Path, kind: type[T] | Any) -> T:
    """The JSON file as an object of `kind`: a `Record`, or a mapping of them.

    Raises `IntegrityError` that names the file and, where one is missing or of another type, the key.
    """
    read_json(path)  # no file, no mapping, two values for one key, NaN
    try:
        value: T = TypeAdapter(kind).validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        raise IntegrityError(f"{path} is not as it was written: {explained(error)}; {AGAIN}") from None
    except EmoforgeError as error:  # a value that its own class refuses
        raise IntegrityError(f"{path} is not as it was written: {error}; {AGAIN}") from None
    return value


def write_as(path: Path, value: Any, kind: type[T] | Any) -> None:
    """Writes an object of `kind`, canonically. Raises ValueError for NaN and infinities."""
    write_json(path, TypeAdapter(kind).dump_python(value, mode="json", by_alias=True))


def explained(error: ValidationError) -> str:
    """ "classes.0.target is missing" of the first key that does not fit."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"])) or "the file"
    if first["type"] == "missing":
        return f"{where} is missing"
    return f"{where} is {reprlib.repr(first['input'])} ({first['msg']})"


def optional_table(path: Path, schema: pa.Schema) -> pa.Table | None:
    """The table, None where there is no file. Raises as `read_table`."""
    return read_table(path, schema) if path.exists() else None
