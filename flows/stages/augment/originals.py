"""What conversions start from, as actors get it: arrays of train, and the payloads themselves where they are edited.

Everything goes through the work store, so that nodes need not share a disk; a node's copy is memory-mapped.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpora.errors import IntegrityError
from corpora.fingerprint import hash_file, hash_json
from corpora.schema import Payload, Signal
from corpora.store.atomic import atomic_folder
from corpora.store.shards import iter_payloads, read_table
from flows.artifacts.prepared import Prepared
from flows.engine.store import WorkStore
from flows.records import ARRAYS

ARRAY_FILES = ("arrays.npy", "arrays.parquet")  # of the folder `prepared`: train as arrays, and the ids of its rows
PAYLOADS, PLACES = "payloads.bin", "payloads.parquet"  # train's payloads end to end, and where each one lies
_COLUMNS = ("sample_id", "codec", "duration_s", "signals")


def originals_key(prepared: Prepared, *, edited: bool) -> str:
    """Where the work store keeps them: by the arrays and the ids of their rows, and by nothing else that was prepared;
    edited: by the payloads as well."""
    came_from = [hash_file(prepared.path / name) for name in ARRAY_FILES]
    if edited:
        came_from.append(hash_json(_encoded_rows(prepared).column("sha256").to_pylist()))
    return "sources/" + hash_json(came_from)[:40]


def keep_originals(prepared: Prepared, store: WorkStore, cache: Path, *, edited: bool) -> str:
    """Puts them into the work store, where they are not yet; -> their key."""
    key = originals_key(prepared, edited=edited)
    if not store.sound(key):
        with atomic_folder(cache / "sources") as folder:
            for name in ARRAY_FILES:
                shutil.copy(prepared.path / name, folder / name)
            if edited:
                _write_payloads(prepared, folder)
        store.put_folder(key, cache / "sources")
        shutil.rmtree(cache / "sources")
    return key


def _write_payloads(prepared: Prepared, folder: Path) -> None:
    """Those of the rows of the arrays, in the order of the shards."""
    own = _encoded_rows(prepared)
    rows, end = [], 0
    with (folder / PAYLOADS).open("wb") as out:
        for row, payload in iter_payloads(prepared.path, own):
            out.write(payload)
            rows.append({**{name: row[name] for name in _COLUMNS}, "start": end, "end": end + len(payload)})
            end += len(payload)
    schema = pa.schema([*(own.schema.field(n) for n in _COLUMNS), ("start", pa.int64()), ("end", pa.int64())])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / PLACES)


def _encoded_rows(prepared: Prepared) -> pa.Table:
    """Rows of the index (SAMPLES) that have an array."""
    ids, index = set(prepared.encoded_ids()), prepared.index()
    return index.filter(pa.array([i in ids for i in index.column("sample_id").to_pylist()], pa.bool_()))


class Originals:
    """The folder that `keep_originals` left, on this node."""

    def __init__(self, folder: Path) -> None:
        ids = read_table(folder / "arrays.parquet", ARRAYS).column("sample_id").to_pylist()
        self._row = {sample_id: i for i, sample_id in enumerate(ids)}
        self._arrays = np.load(folder / "arrays.npy", mmap_mode="r", allow_pickle=False)
        self._payloads: np.memmap | None = None
        if (folder / PLACES).exists():
            # one row a sample: some hundred bytes each, the payloads stay on disk
            self._places = {row["sample_id"]: row for row in pq.read_table(folder / PLACES).to_pylist()}
            if any(row["end"] for row in self._places.values()):
                self._payloads = np.memmap(folder / PAYLOADS, np.uint8, mode="r")

    def arrays(self, ids: Sequence[str]) -> np.ndarray:
        """[n, *shape] float32. Raises `IntegrityError` for what is no sample of train."""
        for sample_id in ids:
            if sample_id not in self._row:
                raise IntegrityError(f"the work store's sources hold no sample {sample_id!r}")
        return np.stack([self._arrays[self._row[i]] for i in ids])

    def payload(self, sample_id: str) -> Payload:
        """Raises `IntegrityError` where it was not kept: only what is edited is."""
        if self._payloads is None or sample_id not in self._places:
            raise IntegrityError(f"the work store's sources hold no payload of {sample_id!r}")
        row = self._places[sample_id]
        data = self._payloads[row["start"] : row["end"]].tobytes()
        signals = tuple(Signal.from_row(signal) for signal in row["signals"] or ())
        return Payload(data, row["codec"], signals, row["duration_s"])
