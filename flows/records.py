"""Rows of tables <-> samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from corpora.schema import REJECTS, Reject, Sample

# prepared/arrays.parquet: whose array stands in which row of arrays.npy
ARRAYS = pa.schema([pa.field("sample_id", pa.string(), nullable=False), pa.field("row", pa.int64(), nullable=False)])

_FIELDS = {f.name for f in dataclasses.fields(Sample)} - {"payload", "codec"}


def sample_from_row(row: dict[str, Any], payload: bytes, codec: str) -> Sample:
    """A row of the SAMPLES schema with (possibly new) payload bytes -> Sample."""
    values = {k: v for k, v in row.items() if k in _FIELDS}
    values["extra"] = dict(row.get("extra") or ())
    if (sources := row.get("sources")) is not None:
        values["sources"] = {source["role"]: source["id"] for source in sources}
    for name in ("labels", "ratings", "signals"):
        values[name] = values.get(name) or ()
    return Sample(payload=payload, codec=codec, **values)


def rejects_table(rejects: Iterable[Reject]) -> pa.Table:
    """Rejects -> a table of the schema REJECTS."""
    return pa.Table.from_pylist([dataclasses.asdict(r) for r in rejects], schema=REJECTS)
