"""An index on disk whose columns are decoded when they are first asked for.

Of an index of a million rows few readers want more than a handful of the 39 columns, and decoding all of them takes
half a second and 600 MB. The file itself (some 40 MB) is read at once, so what is decoded later is of the bytes that
were there, whatever becomes of the file meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from corpora.errors import IntegrityError
from corpora.schema import SAMPLES
from corpora.store.evolve import DERIVED, evolved

T = TypeVar("T")
PAYLOAD = ("codec", "shard", "offset", "n_bytes", "sha256")  # columns of SAMPLES that say where a payload lies
# of a release that holds features alone: an index without these columns, which are null when it is read
WITHOUT_PAYLOADS = pa.schema([field.with_nullable(field.nullable or field.name in PAYLOAD) for field in SAMPLES])


class Columns:
    """The columns of SAMPLES in a Parquet file, with the values that `corpora.store.shards.read_table` has. schema:
    SAMPLES, or `WITHOUT_PAYLOADS`.

    Names and types of all columns are checked at once; where the file may hold nulls in a column that must have none,
    those too. Several threads may ask; it can be pickled.

    Raises `IntegrityError` as `read_table` does: for no Parquet, a missing column, nulls and other types at once, for a
    damaged column when it is asked for.
    """

    def __init__(self, path: Path, schema: pa.Schema = SAMPLES) -> None:
        self.path, self.schema = Path(path), schema
        self._decoded: dict[str, pa.ChunkedArray] = {}
        self._mask: pa.BooleanArray | None = None
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise self._unreadable(error) from error
        self._data: bytes | None = data
        held, self.num_rows = self._of_file(data, lambda file: (file.schema_arrow, file.metadata.num_rows))
        evolved(held.empty_table(), schema, self.path)
        self._held = frozenset(held.names)
        if not self._held.issuperset(DERIVED):  # of older formats: made of other columns
            whole = evolved(self._of_file(data, lambda file: file.read()), schema, self.path)
            self._decoded, self._data = dict(zip(schema.names, whole.columns, strict=True)), None
        self.select(f.name for f in schema if not f.nullable and held.field(f.name).nullable)

    @classmethod
    def of(cls, table: pa.Table, path: Path) -> Columns:
        """A table that is decoded already. `path`: where it is from, for errors."""
        columns = cls.__new__(cls)
        columns.path, columns.schema, columns.num_rows = Path(path), table.schema, table.num_rows
        columns._decoded = dict(zip(table.schema.names, table.columns, strict=True))
        columns._mask, columns._data, columns._held = None, None, frozenset(table.schema.names)
        return columns

    @property
    def names(self) -> list[str]:
        """Of all columns, decoded or not, in their order."""
        return list(self.schema.names)

    def select(self, names: Iterable[str]) -> pa.Table:
        """These columns of all rows, in the order asked for; columns are not copied. Raises KeyError for another."""
        asked = list(names)
        schema = pa.schema([self.schema.field(name) for name in asked])
        self._decode([name for name in dict.fromkeys(asked) if name not in self._decoded])
        return pa.Table.from_arrays([self._decoded[name] for name in asked], schema=schema)

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        """One column of all rows. Raises KeyError for another."""
        return self.select([name])[name]

    def table(self) -> pa.Table:
        """All columns."""
        return self.select(self.names)

    def having(self, name: str, column: pa.ChunkedArray) -> Columns:
        """The same with another column `name`, of as many rows."""
        other = self._copy()
        other._decoded[name] = column
        return other

    def filter(self, mask: pa.BooleanArray) -> Columns:
        """The rows where `mask` (a value for each row) is true; what is not decoded yet is filtered when it is."""
        other = self._copy()
        if other._mask is not None:
            raise ValueError("rows were filtered before; filter a table of them")
        other._mask, other.num_rows = mask, mask.true_count
        other._decoded = {name: column.filter(mask) for name, column in self._decoded.items()}
        return other

    def _copy(self) -> Columns:
        other = self.__class__.__new__(self.__class__)
        other.__dict__.update(self.__dict__)
        other._decoded = dict(self._decoded)
        return other

    def _decode(self, names: list[str]) -> None:
        data = self._data
        if not names or data is None:  # None: another thread decoded all that was left
            return
        there = [name for name in names if name in self._held]
        table = self._of_file(data, lambda file: file.read(columns=there)) if there else pa.table({})
        wanted = pa.schema([self.schema.field(name) for name in there])
        table = evolved(table, wanted, self.path)
        for name in names:
            if name in self._held:
                column = table[name]
                self._decoded[name] = column if self._mask is None else column.filter(self._mask)
            else:
                self._decoded[name] = pa.chunked_array([pa.nulls(self.num_rows, self.schema.field(name).type)])
        if len(self._decoded) == len(self.schema):
            self._data = None

    def _of_file(self, data: bytes, ask: Callable[[pq.ParquetFile], T]) -> T:
        try:
            with pq.ParquetFile(pa.BufferReader(data)) as file:
                return ask(file)
        except (pa.ArrowInvalid, OSError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> IntegrityError:
        return IntegrityError(f"{self.path} cannot be read as Parquet: {error}. Make it again.")
