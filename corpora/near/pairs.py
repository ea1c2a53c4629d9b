"""Near copies of any modality: fingerprints computed once at ingest, and the pairs among them that are copies.

A fingerprint is all that the comparison needs, so several corpora are audited together without their payloads. It
takes 1 kB for a picture, 0.2 kB for a second of speech, a text its letters, a window of signals 16 kB (up to eight
channels; two where it lasts minutes, 0.1 kB a second) and a row of features 8 kB at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpora.errors import CorpusError
from corpora.near import audio as near_audio
from corpora.near import images as near_images
from corpora.near import signals as near_signals
from corpora.near import text as near_text
from corpora.signals import is_vector
from corpora.store.shards import iter_payloads

# modality -> module with METHOD, fingerprint(payload[, signals]) and near_pairs(prints)
METHODS: dict[str, ModuleType] = {
    "speech": near_audio,
    "face": near_images,
    "text": near_text,
    "physio": near_signals,
}
FINGERPRINTS = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),  # of the payload
        pa.field("method", pa.string(), nullable=False),  # name and version; others cannot be compared with it
        pa.field("data", pa.binary(), nullable=False),  # empty: cannot be compared (short, flat, not decodable)
    ]
)
# Pairs of payloads, not of samples: what a thousand samples share is one payload. first < second.
NEAR = pa.schema(
    [
        pa.field("first", pa.string(), nullable=False),  # sha256 of a payload
        pa.field("second", pa.string(), nullable=False),
        pa.field("similarity", pa.float32(), nullable=False),  # in (0, 1]; what it is, the method says
    ]
)
_BATCH = 1024
PICTURES = 256  # that are looked at together ...
_PICTURE_BYTES = 1 << 22  # ... or so many bytes of them
_NEEDED = ["sample_id", "modality", "signals", "shard", "offset", "n_bytes", "sha256"]


def method_of(modality: str) -> ModuleType:
    """Raises `CorpusError` for a modality that nothing compares."""
    if modality not in METHODS:
        raise CorpusError(f"no fingerprint for modality {modality!r}; known: {', '.join(METHODS)}")
    return METHODS[modality]


def fingerprint(modality: str, payload: bytes, signals: Iterable[Mapping[str, object]] = ()) -> bytes:
    """Payload -> the fingerprint that near copies are searched by; b"" where it cannot be compared."""
    method, signals = method_of(modality), list(signals)
    if modality == "physio" and is_vector(signals):
        return b""  # features have no time to be shifted in, and many are alike; equal ones have equal bytes
    return bytes(method.fingerprint(payload, signals) if modality == "physio" else method.fingerprint(payload))


def write_fingerprints(folder: Path, index: pa.Table, path: Path) -> None:
    """Reads the payloads of an index below `folder` shard by shard and writes FINGERPRINTS, a batch at a time.

    Equal payloads but pictures are looked at once while they follow each other; memory does not grow with the corpus.
    """
    ordered = index.select(_NEEDED)
    asked = ["sample_id", "modality", "sha256"] + (
        ["signals"] if "physio" in index["modality"].unique().to_pylist() else []
    )
    with written(path) as write:
        for row, data in _looked_at(iter_payloads(folder, ordered, asked)):
            modality = str(row["modality"])
            write((row["sample_id"], row["sha256"], f"{modality}/{method_of(modality).METHOD}", data))


@contextmanager
def written(path: Path, kept: list[pa.Table] | None = None) -> Iterator[Callable[[tuple[str, str, str, bytes]], None]]:
    """A file of FINGERPRINTS, a row a call; the same rows give the same bytes. `kept`: takes what was written."""
    rows: list[tuple[str, str, str, bytes]] = []

    def write(row: tuple[str, str, str, bytes]) -> None:
        rows.append(row)
        if len(rows) == _BATCH:
            put()

    def put() -> None:
        table = _prints(rows)
        writer.write_table(table)
        rows.clear()
        if kept is not None:
            kept.append(table)

    with pq.ParquetWriter(path, FINGERPRINTS, version="2.6", compression="zstd", compression_level=3) as writer:
        yield write
        put()


def _looked_at(payloads: Iterable[tuple[dict[str, Any], bytes]]) -> Iterator[tuple[dict[str, Any], bytes]]:
    """(row, payload) -> (row, fingerprint), in their order. Pictures are looked at some at a time."""
    last: tuple[str, bytes] = ("", b"")
    waiting: list[tuple[dict[str, Any], bytes]] = []
    n_bytes = 0
    for row, payload in payloads:
        if row["modality"] == "face":
            waiting.append((row, payload))
            n_bytes += len(payload)
            if len(waiting) < PICTURES and n_bytes < _PICTURE_BYTES:
                continue
        yield from _pictures(waiting)
        waiting, n_bytes = [], 0
        if row["modality"] != "face":
            if row["sha256"] != last[0]:
                last = (row["sha256"], fingerprint(str(row["modality"]), payload, row.get("signals") or ()))
            yield row, last[1]
    yield from _pictures(waiting)


def _pictures(waiting: Sequence[tuple[dict[str, Any], bytes]]) -> Iterator[tuple[dict[str, Any], bytes]]:
    prints = near_images.fingerprints(payload for _, payload in waiting)
    return zip((row for row, _ in waiting), prints, strict=True)


def _prints(rows: list[tuple[str, str, str, bytes]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(FINGERPRINTS)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, FINGERPRINTS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=FINGERPRINTS)


def near_pairs(prints: pa.Table) -> pa.Table:
    """FINGERPRINTS, of one corpus or of several, -> NEAR, sorted. Equal payloads are no near copies of each other.

    Raises `CorpusError` for fingerprints of another version of a method: the corpus has to be ingested again.
    """
    near: list[tuple[str, str, float]] = []
    for name in sorted(prints["method"].unique().to_pylist()):
        modality = name.partition("/")[0]
        method = method_of(modality)
        if name != f"{modality}/{method.METHOD}":
            raise CorpusError(f"fingerprints of method {name!r}, expected {modality}/{method.METHOD}: ingest again")
        unique: dict[str, bytes] = {}
        own = prints.filter(pc.equal(prints["method"], name)).select(["sha256", "data"])
        for batch in own.to_batches(max_chunksize=_BATCH):
            unique.update(zip(*(column.to_pylist() for column in batch.columns), strict=True))
        hashes = sorted(unique)
        rows, similarity = method.near_pairs([unique[sha] for sha in hashes])
        pairs = zip(rows.tolist(), similarity.tolist(), strict=True)
        near += [(hashes[a], hashes[b], float(value)) for (a, b), value in pairs]
    near.sort()
    return pa.Table.from_pylist([dict(zip(NEAR.names, row, strict=True)) for row in near], schema=NEAR)
