"""Samples <-> WebDataset tars with a Parquet index: the same samples give the same bytes, in whatever order they come.

A sample's shard is a stable hash of its group, its place in the shard the hash of its id: one new file changes one
shard, and reading is already shuffled. Payloads pass through a temporary file, so memory does not grow with them.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
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
    "in_order",
    "iter_payloads",
    "read_at",
    "read_payload",
    "read_table",
    "shard_of",
    "write_shards",
    "write_table",
]

_BLOCK = 512  # bytes of a tar block
_RECORD = 10240  # tars are padded to this
_BATCH = 2048  # rows read at once
_WINDOW = 1 << 20  # bytes of a tar that are read at once where its members are counted
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
        files = {i: stack.enter_context(sources[i].open("rb", buffering=0)).fileno() for i in {i for _, i in members}}
        position = 0
        for entry, i in members:
            offsets.append(position + _BLOCK)
            both = read_at(files[i], entry.n_payload + entry.n_about, entry.start)  # one lies behind the other
            position += _member(target, f"{entry.key}.{entry.codec}", both[: entry.n_payload])
            position += _member(target, f"{entry.key}.json", both[entry.n_payload :])
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
_PADDING = bytes(_BLOCK)


def _member(target: BinaryIO, name: str, data: bytes) -> int:
    """Header and data, padded; no time, user or mode of this machine gets in. -> bytes written

    Fills in a header that tarfile made: ten times as fast as making each one anew.
    """
    raw, size = name.encode("ascii"), b"%011o\0" % len(data)
    checksum = b"%06o\0 " % (_HEADER_SUM + sum(raw) + sum(size))
    parts = (raw.ljust(100, b"\0"), _HEADER[100:124], size, _HEADER[136:148], checksum, _HEADER[156:], data)
    return target.write(b"".join((*parts, _PADDING[: -len(data) % _BLOCK])))


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


def write_table(path: Path, table: pa.Table, metadata: Mapping[str, str] | None = None) -> None:
    """Parquet with fixed writer options and no pandas metadata: the same table gives the same bytes. metadata: of the
    file, by key; other metadata of the schema is left out."""
    plain = table.replace_schema_metadata(dict(metadata) if metadata else None).combine_chunks()
    temporary = path.with_name(f".{path.name}.tmp")
    pq.write_table(plain, temporary, **WRITER)
    temporary.replace(path)


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """The columns of `schema`, by name: a missing one is null, one that `schema` has not is passed over.

    Raises `IntegrityError` for no Parquet, a missing column that must be there, nulls in one, and another type. See
    corpora/store/evolve.py.
    """
    try:
        # not pq.read_table: it loads Arrow's datasets first, and takes x=1 in a path for a column
        with pq.ParquetFile(path, memory_map=False) as file:
            table = file.read()
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
            data = read_at(file.fileno(), row["n_bytes"], row["offset"])
    except FileNotFoundError as error:
        raise IntegrityError(f"{tar} is missing; the index names it for {row['sample_id']}.") from error
    return _checked(data, row, tar)


def iter_payloads(
    folder: Path,
    table: pa.Table,
    columns: Sequence[str] | None = None,
    whole: Callable[[str], bool] | None = None,
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """(row, payload) of each row of an index, shard by shard in the order of the tar; each tar is opened once.

    `columns`: those that a row holds, in their order (None: all); lists and maps cost more than a small payload. The
    table has them, and sample_id, shard, offset, n_bytes and sha256. `whole`: asked of each shard when it is opened;
    payloads of one that is known to be what it was are not hashed once more. Raises `IntegrityError` if a tar is
    missing, short, or holds other bytes than the index says.
    """
    ordered = in_order(table)
    names = table.schema.names if columns is None else list(columns)
    with ExitStack() as stack:
        shard, number, checked = None, -1, True
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
                    checked = whole is None or not whole(name)
                data = read_at(number, n_bytes, offset)
                if len(data) != n_bytes or (checked and hashlib.sha256(data).hexdigest() != sha256):
                    row = {"sample_id": sample_id, "offset": offset, "n_bytes": n_bytes, "sha256": sha256}
                    _checked(data, row, tar)
                yield dict(zip(names, values, strict=True)), data


def in_order(table: pa.Table) -> pa.Table:
    """The rows by shard and offset; as it is where they stand so, which those of an index do."""
    encoded = table["shard"].combine_chunks().dictionary_encode()
    names, offsets = encoded.dictionary.to_pylist(), table["offset"].to_numpy()
    rank = {name: i for i, name in enumerate(sorted(names))}
    shards = np.array([rank[name] for name in names], np.int64)[encoded.indices.to_numpy()]
    step = np.diff(shards)
    if bool(((step > 0) | ((step == 0) & (np.diff(offsets) >= 0))).all()):
        return table
    return table.take(pa.array(np.lexsort((offsets, shards))))


def _rows(columns: Sequence[Sequence[Any]], n: int) -> Iterator[tuple[Any, ...]]:
    return zip(*columns, strict=True) if columns else iter([()] * n)


def read_at(number: int, n_bytes: int, offset: int) -> bytes:
    """Bytes of an open file (its descriptor) from `offset` on: `n_bytes`, or what there is. No buffer is filled."""
    data = os.pread(number, n_bytes, offset)
    while len(data) < n_bytes and (more := os.pread(number, n_bytes - len(data), offset + len(data))):
        data += more  # a read of more than 2 GiB, or one that a signal cut short
    return data


def count_members(tar: Path) -> int:
    """Payloads in a tar (members that are no json). A cut-off tar reads silently short: compare with the index."""
    plain = _count_plain(tar)
    if plain is not None:
        return plain
    try:
        with tarfile.open(tar) as file:
            return sum(not member.name.endswith(".json") for member in file)
    except tarfile.TarError as error:
        raise IntegrityError(f"{tar} cannot be read as tar: {error}") from error


def _count_plain(tar: Path) -> int | None:
    """As `count_members`, of a tar of plain files with short names, as ours are; None: `tarfile` is to look at it.

    Several times as fast: of a header, name, size and sum alone are read, and no object is made of it.
    """
    count, at, base, window = 0, 0, 0, b""
    with tar.open("rb", buffering=0) as file:
        end = os.fstat(file.fileno()).st_size
        while at < end:
            if not base <= at <= base + len(window) - _BLOCK:
                base, window = at, read_at(file.fileno(), _WINDOW, at)
            header = window[at - base : at - base + _BLOCK]
            if not any(header):
                return count
            if header[156:157] != b"0" or header[257:262] != b"ustar" or header[345:346] != b"\0":
                return None
            try:
                size, total = int(header[124:136].rstrip(b" \0"), 8), int(header[148:156].rstrip(b" \0"), 8)
            except ValueError:
                return None
            if total != sum(header) - sum(header[148:156]) + 8 * 32:  # as if its own field were blank
                return None
            count += not header[: header.index(b"\0")].endswith(b".json")
            at += _BLOCK + size + -size % _BLOCK
    return None  # no end
