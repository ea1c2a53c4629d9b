"""Samples <-> WebDataset tars with a Parquet index: the same samples give the same bytes, in whatever order they come.

A sample's shard is a stable hash of its group, its place in the shard the hash of its id: one new file changes one
shard, and reading is already shuffled. Payloads pass through a temporary file, so memory does not grow with them.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from corpora.errors import IntegrityError
from corpora.schema import SAMPLES, Sample
from corpora.store.evolve import evolved
from corpora.store.spill import Spill, Spilled, shard_of

__all__ = [
    "PLACE",
    "assemble",
    "count_members",
    "iter_payloads",
    "read_payload",
    "read_table",
    "shard_of",
    "write_shards",
    "write_table",
]

_BLOCK = 512  # bytes of a tar block
_RECORD = 10240  # tars are padded to this
_BATCH = 2048  # rows read at once
_ROW_GROUP = 1 << 20
PLACE = ("sample_id", "shard", "offset", "n_bytes", "sha256")  # where a payload lies and what it must be


def write_shards(samples: Iterable[Sample], folder: Path, n_shards: int, prefix: str) -> pa.Table:
    """Writes `<prefix>-00000.tar` ... below `folder` and returns their index (schema SAMPLES, sorted by shard and key).

    Members of a sample: `<key>.<codec>` and `<key>.json`. `prefix` may name a subfolder; column `shard` is relative to
    `folder`. Buckets without samples give no file. Raises `CorpusError` if two samples have one id (or keys
    of 64 bits that collide); ValueError for n_shards < 1.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".spill-") as place:
        spill = Spill(Path(place), n_shards)
        for sample in samples:
            spill.add(sample)
        return assemble([spill], folder, prefix)


def assemble(spills: Sequence[Spill], folder: Path, prefix: str) -> pa.Table:
    """Spills with equal numbers of buckets -> tars below `folder` and their index, as `write_shards` has it."""
    folder = Path(folder)
    (folder / prefix).parent.mkdir(parents=True, exist_ok=True)
    tables = [spill.table() for spill in spills]
    starts = [sum(table.num_rows for table in tables[:i]) for i in range(len(tables))]
    order: list[int] = []
    offsets: list[int] = []
    names: list[str] = []
    for shard in range(spills[0].n_shards):
        members = [(entry, i) for i, spill in enumerate(spills) for entry in spill.entries[shard]]
        if not members:
            continue
        members.sort(key=lambda pair: pair[0].key)
        name = f"{prefix}-{shard:05d}.tar"
        offsets += _write_tar(folder / name, [spill.folder / str(shard) for spill in spills], members)
        names += [name] * len(members)
        order += [starts[i] + entry.row for entry, i in members]
        for spill in spills:
            spill.release(shard)
    table = pa.concat_tables(tables).take(pa.array(order, pa.int64()))
    for name, values in (("shard", pa.array(names, pa.string())), ("offset", pa.array(offsets, pa.int64()))):
        place = SAMPLES.get_field_index(name)
        table = table.set_column(place, SAMPLES.field(place), values)
    return table.combine_chunks()


def _write_tar(path: Path, sources: Sequence[Path], members: Sequence[tuple[Spilled, int]]) -> list[int]:
    """One tar of payloads and jsons in the given order, each from its source; -> offsets of the payloads."""
    offsets = []
    with ExitStack() as stack, path.open("wb") as target:
        # plain reads and no mmap: pages of a map count as memory of the process, and shards may be big
        files = {i: stack.enter_context(sources[i].open("rb")) for i in {i for _, i in members}}
        position = 0
        for entry, i in members:
            offsets.append(position + _BLOCK)
            file = files[i]
            file.seek(entry.start)
            position += _member(target, f"{entry.key}.{entry.codec}", file.read(entry.n_payload))
            position += _member(target, f"{entry.key}.json", file.read(entry.n_about))
        position += target.write(bytes(2 * _BLOCK))
        target.write(bytes(-position % _RECORD))
    return offsets


def _ustar() -> tuple[bytes, int]:
    """A header with an empty name, size 0 and a blank checksum, as tarfile writes it; and the sum of its bytes."""
    info = tarfile.TarInfo("")
    info.mtime, info.mode, info.uid, info.gid = 0, 0o644, 0, 0
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = bytes(12)  # size
    header[148:156] = b" " * 8  # checksum
    return bytes(header), sum(header)


_HEADER, _HEADER_SUM = _ustar()


def _member(target: BinaryIO, name: str, data: bytes) -> int:
    """Header and data, padded; no time, user or mode of this machine gets in. -> bytes written

    Fills in a header that tarfile made: ten times as fast as making each one anew.
    """
    raw, size = name.encode("ascii"), b"%011o\0" % len(data)
    checksum = b"%06o\0 " % (_HEADER_SUM + sum(raw) + sum(size))
    header = raw.ljust(100, b"\0") + _HEADER[100:124] + size + _HEADER[136:148] + checksum + _HEADER[156:]
    padding = bytes(-len(data) % _BLOCK)
    return target.write(b"".join((header, data, padding)))


# Pages end where the content says (content-defined chunking), so that a row more leaves most pages as they were: stores
# that look below whole files keep those once (docs/publishing.md). The bounds are pyarrow's own, named so that another
# version of it writes the same bytes. It does so inside a row group alone, hence few of them: with groups of 65,536
# rows, one row more moved the rows of every group behind it. Tables of fewer rows whose columns are below the lower
# bound have the bytes that they had before either.
WRITER: Mapping[str, Any] = {
    "version": "2.6",
    "compression": "zstd",
    "compression_level": 3,
    "row_group_size": _ROW_GROUP,
    "use_dictionary": True,
    "write_statistics": True,
    "data_page_version": "1.0",
    "store_schema": True,
    "use_content_defined_chunking": {"min_chunk_size": 256 * 1024, "max_chunk_size": 1024 * 1024, "norm_level": 0},
}


def write_table(path: Path, table: pa.Table) -> None:
    """Parquet with fixed writer options and no pandas metadata: the same table gives the same bytes."""
    plain = table.replace_schema_metadata(None).combine_chunks()
    temporary = path.with_name(f".{path.name}.tmp")
    pq.write_table(plain, temporary, **WRITER)
    temporary.replace(path)


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """The columns of `schema`, by name: a missing one is null, one that `schema` has not is passed over.

    Raises `IntegrityError` for no Parquet, a missing column that must be there, nulls in one, and another type. See
    corpora/store/evolve.py.
    """
    try:
        table = pq.read_table(path, memory_map=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise IntegrityError(f"{path} cannot be read as Parquet: {error}. Make it again.") from error
    return evolved(table, schema, path)


def _checked(data: bytes, row: Mapping[str, Any], tar: Path) -> bytes:
    if len(data) != row["n_bytes"]:
        raise IntegrityError(f"{tar} ends within {row['sample_id']}: {len(data)} of {row['n_bytes']} bytes are there.")
    if hashlib.sha256(data).hexdigest() != row["sha256"]:
        raise IntegrityError(
            f"{tar}: the bytes of {row['sample_id']} at {row['offset']} do not have the sha256 of the index."
        )
    return data


def read_payload(folder: Path, row: Mapping[str, Any]) -> bytes:
    """Random access: the payload of one index row below `folder`. Raises `IntegrityError` if it is not what it was."""
    tar = Path(folder) / row["shard"]
    try:
        with tar.open("rb", buffering=0) as file:
            data = _read_at(file.fileno(), row["n_bytes"], row["offset"])
    except FileNotFoundError as error:
        raise IntegrityError(f"{tar} is missing; the index names it for {row['sample_id']}.") from error
    return _checked(data, row, tar)


def iter_payloads(
    folder: Path, table: pa.Table, columns: Sequence[str] | None = None
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """(row, payload) of each row of an index, shard by shard in the order of the tar; each tar is opened once.

    `columns`: those that a row holds, in their order (None: all); lists and maps cost more than a small payload. The
    table has them, and sample_id, shard, offset, n_bytes and sha256. Raises `IntegrityError` if a tar is missing,
    short, or holds other bytes than the index says.
    """
    ordered = table.sort_by([("shard", "ascending"), ("offset", "ascending")])
    names = table.schema.names if columns is None else list(columns)
    with ExitStack() as stack:
        shard, number = None, -1
        for batch in ordered.to_batches(max_chunksize=_BATCH):
            place = [batch.column(name).to_pylist() for name in PLACE]
            told = [batch.column(name).to_pylist() for name in names]
            for at, values in zip(zip(*place, strict=True), _rows(told, batch.num_rows), strict=True):
                sample_id, name, offset, n_bytes, sha256 = at
                if name != shard:
                    stack.close()
                    shard, tar = name, Path(folder) / name
                    try:
                        number = stack.enter_context(tar.open("rb")).fileno()
                    except FileNotFoundError as error:
                        raise IntegrityError(f"{tar} is missing; the index names it.") from error
                data = _read_at(number, n_bytes, offset)
                if len(data) != n_bytes or hashlib.sha256(data).hexdigest() != sha256:
                    row = {"sample_id": sample_id, "offset": offset, "n_bytes": n_bytes, "sha256": sha256}
                    _checked(data, row, tar)
                yield dict(zip(names, values, strict=True)), data


def _rows(columns: Sequence[Sequence[Any]], n: int) -> Iterator[tuple[Any, ...]]:
    return zip(*columns, strict=True) if columns else iter([()] * n)


def _read_at(number: int, n_bytes: int, offset: int) -> bytes:
    """Bytes of an open file (its descriptor) from `offset` on: `n_bytes`, or what there is. No buffer is filled."""
    data = os.pread(number, n_bytes, offset)
    while len(data) < n_bytes and (more := os.pread(number, n_bytes - len(data), offset + len(data))):
        data += more  # a read of more than 2 GiB, or one that a signal cut short
    return data


def count_members(tar: Path) -> int:
    """Payloads in a tar (members that are no json). A cut-off tar reads silently short: compare with the index."""
    try:
        with tarfile.open(tar) as file:
            return sum(not member.name.endswith(".json") for member in file)
    except tarfile.TarError as error:
        raise IntegrityError(f"{tar} cannot be read as tar: {error}") from error
