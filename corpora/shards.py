"""Samples <-> WebDataset tars with a Parquet index: the same samples give the same bytes, in whatever order they come.

A sample's shard is a stable hash of its group, its place in the shard the hash of its id: one new file changes one
shard, and reading is already shuffled. Payloads pass through a temporary file, so memory does not grow with them.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from corpora.errors import CorpusError, IntegrityError
from corpora.schema import SAMPLES, Sample

_BLOCK = 512  # bytes of a tar block
_RECORD = 10240  # tars are padded to this
_BATCH = 2048  # samples that become one Arrow batch
_ROW_GROUP = 65536
# What a payload's json tells besides its id: facts that no split and no run changes.
_TOLD = (
    *("corpus", "modality", "emotion", "emotion_raw", "subject_id", "group_id", "session_id", "turn", "intensity"),
    *("valence", "arousal", "dominance", "gender", "age", "language", "sentence_id", "duration_s"),
    *("generator_id", "seed", "license"),
)
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False)
_PLAIN = [
    name for name in SAMPLES.names if name not in ("shard", "offset", "n_bytes", "sha256", "recording_id", "extra")
]

_told, _plain = attrgetter(*_TOLD), attrgetter(*_PLAIN)


def shard_of(group_id: str, n_shards: int) -> int:
    """The bucket of a group: first 8 bytes of its sha256 modulo `n_shards`. Stable for ever."""
    return int.from_bytes(hashlib.sha256(group_id.encode()).digest()[:8], "big") % n_shards


def key_of(sample_id: str) -> str:
    """`__key__` in the tar: 16 hex digits of the id's sha256; no dots, as WebDataset splits names at the first one."""
    return hashlib.sha256(sample_id.encode()).hexdigest()[:16]


def write_shards(samples: Iterable[Sample], folder: Path, n_shards: int, prefix: str) -> pa.Table:
    """Writes `<prefix>-00000.tar` ... below `folder` and returns their index (schema SAMPLES, sorted by shard and key).

    Members of a sample: `<key>.<codec>` and `<key>.json`. `prefix` may name a subfolder; column `shard` is relative to
    `folder`. Buckets without samples give no file. Raises `CorpusError` if two samples have one id (or keys
    of 64 bits that collide); ValueError for n_shards < 1.
    """
    if n_shards < 1:
        raise ValueError(f"n_shards must be at least 1, not {n_shards}")
    folder = Path(folder)
    (folder / prefix).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".spill-") as spill:
        spilled, table = _spill(samples, Path(spill), n_shards)
        offsets, names = _assemble(spilled, Path(spill), folder, prefix)
    order = [row for rows in spilled for row, *_ in rows]
    table = table.take(pa.array(order, pa.int64()))
    for name, values in (("shard", pa.array(names, pa.string())), ("offset", pa.array(offsets, pa.int64()))):
        place = SAMPLES.get_field_index(name)
        table = table.set_column(place, SAMPLES.field(place), values)
    return table.combine_chunks()


# (row in the order of arrival, key, codec, offset in the spill file, bytes of the payload, bytes of the json)
_Spilled = tuple[int, str, str, int, int, int]


def _spill(samples: Iterable[Sample], spill: Path, n_shards: int) -> tuple[list[list[_Spilled]], pa.Table]:
    """Payloads and jsons go to one file for each shard; everything else becomes Arrow batches."""
    spilled: list[list[_Spilled]] = [[] for _ in range(n_shards)]
    batches: list[pa.RecordBatch] = []
    rows: list[tuple[Any, ...]] = []
    seen: set[str] = set()
    with ExitStack() as stack:
        files: dict[int, BinaryIO] = {}
        ends = [0] * n_shards
        for number, sample in enumerate(samples):
            key = key_of(sample.sample_id)
            if key in seen:
                raise CorpusError(
                    f"sample id {sample.sample_id!r} comes twice. Ids name a sample for ever: the reader of corpus "
                    f"{sample.corpus!r} must make them unique."
                )
            seen.add(key)
            shard = shard_of(sample.group_id, n_shards)
            told = _json(sample)
            if shard not in files:
                files[shard] = stack.enter_context((spill / str(shard)).open("wb"))
            files[shard].write(sample.payload)
            files[shard].write(told)
            spilled[shard].append((number, key, sample.codec, ends[shard], len(sample.payload), len(told)))
            ends[shard] += len(sample.payload) + len(told)
            rows.append(_row(sample))
            if len(rows) == _BATCH:
                batches.append(_batch(rows))
                rows = []
        batches.append(_batch(rows))
    for entries in spilled:
        entries.sort(key=lambda entry: entry[1])
    return spilled, pa.Table.from_batches(batches, schema=SAMPLES)


def _assemble(spilled: list[list[_Spilled]], spill: Path, folder: Path, prefix: str) -> tuple[list[int], list[str]]:
    """Writes the tars, one after the other; -> payload offsets and shard names in their order."""
    offsets: list[int] = []
    names: list[str] = []
    for shard, entries in enumerate(spilled):
        if not entries:
            continue
        name = f"{prefix}-{shard:05d}.tar"
        # plain reads and no mmap: pages of a map count as memory of the process, and shards may be big
        with (spill / str(shard)).open("rb") as source, (folder / name).open("wb") as target:
            position = 0
            for _, key, codec, start, n_payload, n_told in entries:
                offsets.append(position + _BLOCK)
                source.seek(start)
                position += _member(target, f"{key}.{codec}", source.read(n_payload))
                position += _member(target, f"{key}.json", source.read(n_told))
            position += target.write(bytes(2 * _BLOCK))
            target.write(bytes(-position % _RECORD))
        names += [name] * len(entries)
        (spill / str(shard)).unlink()
    return offsets, names


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


def _json(sample: Sample) -> bytes:
    """What stands beside a payload for those who read tars alone; facts that are not known are left out."""
    told = {name: value for name, value in zip(_TOLD, _told(sample), strict=True) if value is not None}
    told["sample_id"], told["emotion"] = sample.sample_id, sample.emotion
    told["synthetic"] = sample.generator_id is not None
    if sample.source_ids is not None:
        told["source_ids"] = list(sample.source_ids)
    return _ENCODER.encode(told).encode()


def _batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    """Rows of (fields of `_PLAIN` ..., recording, extra, bytes, sha256); shard and offset are known later."""
    *plain, recording, extra, n_bytes, sha256 = zip(*rows, strict=True) if rows else [()] * (len(_PLAIN) + 4)
    columns = dict(zip(_PLAIN, plain, strict=True))
    columns |= {"recording_id": recording, "extra": extra, "n_bytes": n_bytes, "sha256": sha256}
    columns |= {"shard": ("",) * len(rows), "offset": (0,) * len(rows)}
    return pa.RecordBatch.from_arrays([pa.array(columns[f.name], f.type) for f in SAMPLES], schema=SAMPLES)


def _row(sample: Sample) -> tuple[Any, ...]:
    payload = sample.payload
    return (
        *_plain(sample),
        sample.recording_id or sample.sample_id,
        sorted(sample.extra.items()),
        len(payload),
        hashlib.sha256(payload).hexdigest(),
    )


def write_table(path: Path, table: pa.Table) -> None:
    """Parquet with fixed writer options and no pandas metadata: the same table gives the same bytes."""
    plain = table.replace_schema_metadata(None).combine_chunks()
    temporary = path.with_name(f".{path.name}.tmp")
    pq.write_table(
        plain,
        temporary,
        version="2.6",
        compression="zstd",
        compression_level=3,
        row_group_size=_ROW_GROUP,
        use_dictionary=True,
        write_statistics=True,
        data_page_version="1.0",
        store_schema=True,
    )
    temporary.replace(path)


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """The table, if it has exactly the columns of `schema`. Raises `IntegrityError` otherwise, or for no Parquet."""
    try:
        table = pq.read_table(path, memory_map=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise IntegrityError(f"{path} cannot be read as Parquet: {error}. Make it again.") from error
    if table.schema.names != schema.names or table.schema.types != schema.types:
        odd = sorted(set(table.schema.names) ^ set(schema.names))
        raise IntegrityError(
            f"{path} has other columns than this version expects ({', '.join(odd) or 'types differ'})."
        )
    for field in schema:
        if not field.nullable and table[field.name].null_count:
            raise IntegrityError(
                f"{path}: column {field.name!r} has {table[field.name].null_count} nulls, none allowed."
            )
    return table.cast(schema)


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
        with tar.open("rb") as file:
            file.seek(row["offset"])
            data = file.read(row["n_bytes"])
    except FileNotFoundError as error:
        raise IntegrityError(f"{tar} is missing; the index names it for {row['sample_id']}.") from error
    return _checked(data, row, tar)


def iter_payloads(folder: Path, table: pa.Table) -> Iterator[tuple[dict[str, Any], bytes]]:
    """(row, payload) of each row of an index, shard by shard in the order of the tar; each tar is opened once.

    Raises `IntegrityError` if a tar is missing, short, or holds other bytes than the index says.
    """
    ordered = table.sort_by([("shard", "ascending"), ("offset", "ascending")])
    with ExitStack() as stack:
        name, file = None, None
        for batch in ordered.to_batches(max_chunksize=_BATCH):
            for row in batch.to_pylist():
                if row["shard"] != name or file is None:
                    stack.close()
                    name = row["shard"]
                    try:
                        file = stack.enter_context((Path(folder) / name).open("rb"))
                    except FileNotFoundError as error:
                        raise IntegrityError(f"{Path(folder) / name} is missing; the index names it.") from error
                file.seek(row["offset"])
                yield row, _checked(file.read(row["n_bytes"]), row, Path(folder) / row["shard"])


def count_members(tar: Path) -> int:
    """Payloads in a tar (members that are no json). A cut-off tar reads silently short: compare with the index."""
    try:
        with tarfile.open(tar) as file:
            return sum(not member.name.endswith(".json") for member in file)
    except tarfile.TarError as error:
        raise IntegrityError(f"{tar} cannot be read as tar: {error}") from error
