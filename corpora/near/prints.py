"""Fingerprints taken while samples are read, so that nobody opens the finished shards once more to look at them.

They lie in a file without a name, in the order in which samples came: memory does not grow with them.
"""

from __future__ import annotations

import tempfile
from array import array
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.near.images import Thumbnails
from corpora.near.pairs import PICTURES, fingerprint, method_of, written
from corpora.schema import Sample
from corpora.store.shards import in_order, read_at


class Prints:
    """What near copies are found by, of samples that come one by one. `folder`: where the file lies while it is open.

    Raises `CorpusError` for a modality that nothing compares.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._thumbnails = Thumbnails()
        self.clear()

    def __enter__(self) -> Prints:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def clear(self) -> None:
        """Forgets all of them."""
        self._thumbnails.taken()
        self._ids: list[str] = []
        self._ends = array("q", [0])  # bytes: one more than there are fingerprints
        self._file.seek(0)

    def add(self, sample: Sample) -> None:
        """Takes in the fingerprint of one sample."""
        self._ids.append(sample.sample_id)
        if sample.modality == "face":
            self._thumbnails.add(sample.payload)
            if len(self._thumbnails) >= PICTURES:
                self._flush()
            return
        self._flush()
        self._keep(fingerprint(sample.modality, sample.payload, sample.signals))

    def _flush(self) -> None:
        if len(self._thumbnails):
            for data in self._thumbnails.taken():
                self._keep(data)

    def _keep(self, data: bytes) -> None:
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))

    def write(self, index: pa.Table, path: Path) -> pa.Table | None:
        """Writes FINGERPRINTS of all samples of an index, in its order, as `write_fingerprints` does, and gives
        them back. None where one of them did not come: nothing is written."""
        self._flush()
        self._file.flush()
        rows = in_order(index.select(["sample_id", "modality", "sha256", "shard", "offset"]))
        place = pc.index_in(rows["sample_id"], value_set=pa.array(self._ids, pa.string()))
        if place.null_count:
            return None
        at = place.to_numpy()
        ends = np.frombuffer(self._ends, np.int64)
        spans = zip(ends[at].tolist(), (ends[at + 1] - ends[at]).tolist(), strict=True)
        kept: list[pa.Table] = []
        with written(path, kept) as write:
            for batch in rows.to_batches():
                methods = [f"{name}/{method_of(name).METHOD}" for name in batch.column("modality").to_pylist()]
                shas = batch.column("sha256").to_pylist()
                for own in zip(batch.column("sample_id").to_pylist(), shas, methods, strict=True):
                    start, size = next(spans)
                    write((*own, read_at(self._file.fileno(), size, start)))
        return pa.concat_tables(kept)
