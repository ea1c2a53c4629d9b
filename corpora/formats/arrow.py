"""Rows of parquet and arrow files, in bounded memory; what is damaged costs its own row where it can."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from corpora.errors import CorpusError, PayloadError
from corpora.formats.tables import has_columns, no_doubles
from corpora.records.files import printable

BATCH = 256  # rows in memory
CUT_SHORT = PayloadError("bad-row", "the file is damaged from here on")


def parquet_rows(
    path: Path, title: str, wanted: list[str] | None, also: Iterable[str] = ()
) -> tuple[Iterator[tuple[Any, str]], list[str]]:
    """-> rows of a parquet file as {column: value}, and the names of all its columns. `wanted` None: all are read;
    `also`: globs of more. Raises `CorpusError` at once: no parquet, other columns, two of one name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        there = list(file.schema_arrow.names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorpusError(f"{title}: {path} is not parquet: {error}") from None
    no_doubles(there, f"{title}: {path}")
    has_columns(there, wanted or [], f"{title}: {path}")
    chosen = None
    if wanted is not None:
        chosen = list(dict.fromkeys([*wanted, *(name for name in there if any(fnmatchcase(name, g) for g in also))]))

    def rows() -> Iterator[tuple[Any, str]]:
        number = 0
        try:
            for batch in file.iter_batches(batch_size=BATCH, columns=chosen):
                for row in batch_rows(batch):
                    yield row, f"{printable(path.name)}#{number:06d}"
                    number += 1
        except (pa.ArrowException, OSError, ValueError):
            yield CUT_SHORT, f"{printable(path.name)}#{number:06d}"

    return rows(), there


def batch_rows(batch: Any) -> Iterator[dict[str, Any] | PayloadError]:
    """Rows of an arrow batch, one at a time, so that sounds are never decoded all at once. What Python cannot hold (a
    text that is no UTF-8, a time beyond the year 9999) is a `PayloadError` in its row's place."""
    import pyarrow as pa

    for at in range(batch.num_rows):
        try:
            yield batch.slice(at, 1).to_pylist()[0]
        except (pa.ArrowException, ValueError, OverflowError, KeyError):
            yield PayloadError("bad-row", "a value that is no text, number or time")
