"""How tables and formats change without breaking what was written before: they grow, and readers bear it.

A table is read by the names of its columns. One that is missing is null, where its schema allows that; one that is not
known is passed over; a list or structure may have fields more or fewer. So a column can be added and nothing has to be
made again. Columns that are passed over are not kept in memory: tables of several corpora are joined and written anew,
and what nobody here understands may not be true of the new rows. The file keeps them.

What cannot be borne (a column that says something else, another hash) raises the major version of the format, and a
reader refuses a higher one: `Format.require`. tests/golden holds a folder of every format there was.
"""

from __future__ import annotations

import re
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import CorpusError, IntegrityError
from corpora.schema import FROM, PARTS, SAMPLES

# of SAMPLES: what older tables lack and other columns say
DERIVED = ("part", "sources", "source_ids")
_VERSION = re.compile(r"([1-9][0-9]{0,5})(?:\.([0-9]{1,6}))?")


@dataclass(frozen=True, slots=True)
class Format:
    """The format of a folder: a name, and the highest major version that this emoforge reads and the one it writes.

    Written as `<name>/<major>` or `<name>/<major>.<minor>`. A minor version adds: columns, files, keys.
    """

    name: str
    major: int
    minor: int = 0

    @property
    def text(self) -> str:
        """What a manifest says: "emoforge-release/3", "emoforge-release/3.1"."""
        return f"{self.name}/{self.major}" + (f".{self.minor}" if self.minor else "")

    def require(self, value: Any, place: Path) -> int:
        """`value`: what the manifest at `place` says -> its major version.

        Raises `CorpusError` for a higher one than this emoforge reads, `IntegrityError` for what is no version.
        """
        match = _VERSION.fullmatch(value.removeprefix(f"{self.name}/")) if isinstance(value, str) else None
        if match is None or not str(value).startswith(f"{self.name}/"):
            shown = reprlib.repr(value)
            raise IntegrityError(f"{place}: format is {shown[:80]}; {self.text} or an earlier one is wanted.")
        major = int(match[1])
        if major > self.major:
            raise CorpusError(
                f"{place} is of format {value}, this emoforge reads up to {self.text}. Install a newer one: "
                "pip install --upgrade emoforge"
            )
        return major


def evolved(table: pa.Table, schema: pa.Schema, place: Path) -> pa.Table:
    """The table with exactly the columns of `schema`: see the module. `place` is named in errors.

    SAMPLES of formats that had no `part` and no `sources` get them from `modality` and `source_ids`. Raises
    `IntegrityError`: a column that must be there is missing or has nulls, a type that is another, a column twice.
    """
    names = table.schema.names
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise IntegrityError(f"{place} has several columns named {', '.join(repeated)}. Make it again.")
    missing = [field.name for field in schema if field.name not in names]
    if needed := [name for name in missing if not schema.field(name).nullable]:
        raise IntegrityError(f"{place} lacks {', '.join(needed)}: it is no table of this kind. Make it again.")
    columns = []
    for field in schema:
        if field.name in missing:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table[field.name]
        if not _grown(column.type, field.type):
            raise IntegrityError(f"{place}: column {field.name!r} holds {column.type}, {field.type} is wanted.")
        if not field.nullable and column.null_count:
            raise IntegrityError(f"{place}: column {field.name!r} has {column.null_count} nulls, none allowed.")
        columns.append(column if column.type == field.type else column.cast(field.type))
    whole = pa.Table.from_arrays(columns, schema=schema)
    return _older_samples(whole, missing) if schema is SAMPLES or schema.equals(SAMPLES) else whole


def _grown(old: pa.DataType, new: pa.DataType) -> bool:
    """Whether the types are one, but for fields that structures within them have more or fewer."""
    if old.equals(new):
        return True
    if pa.types.is_list(old) and pa.types.is_list(new):
        return _grown(old.value_type, new.value_type)
    if not (pa.types.is_struct(old) and pa.types.is_struct(new)):
        return False
    before = {field.name: field.type for field in old}
    shared = [field for field in new if field.name in before]
    return bool(shared) and all(_grown(before[field.name], field.type) for field in shared)


def _older_samples(table: pa.Table, missing: list[str]) -> pa.Table:
    """Of formats before release 3 and corpus 2: what the columns that came then would have said."""
    if "part" in missing:
        modality = table["modality"]
        part = pa.nulls(table.num_rows, pa.string())
        for name, usual in PARTS.items():
            part = pc.if_else(pc.equal(modality, name), usual, part)
        table = _with(table, "part", part)
    if "sources" in missing:
        sources = [
            None if ids is None else [{"role": _role(n), "id": one} for n, one in enumerate(ids)]
            for ids in table["source_ids"].to_pylist()
        ]
        table = _with(table, "sources", pa.array(sources, SAMPLES.field("sources").type))
    if "source_ids" in missing:
        ids = [None if of is None else [one["id"] for one in of] for of in table["sources"].to_pylist()]
        table = _with(table, "source_ids", pa.array(ids, pa.list_(pa.string())))
    return table


def _role(place: int) -> str:
    """Of a source that has a place in a list and no role: "from", "from2", ..."""
    return FROM if place == 0 else f"{FROM}{place + 1}"


def _with(table: pa.Table, name: str, values: Any) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), values)
