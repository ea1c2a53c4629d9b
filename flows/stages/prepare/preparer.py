"""The worker of `prepare`: requests in; prepared payloads, arrays and coded payloads into the store, one pack a call.

It sees of a sample what its steps look at, and nothing of the run: no view, label or neighbour can change a byte.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import PayloadError
from corpora.schema import Payload, Signal
from corpora.store.shards import read_payload
from features.prepare import make_preparation
from features.representation import Representation, make_representation
from features.steps import Piece, Source
from flows.engine.store import WorkStore
from flows.stages.prepare.records import CodedAs, Facts, PackRecord, Place, PreparedPiece, PreparedSample, Request


class Preparer:
    """Long-lived. `representation`: None where the run has no generator."""

    def __init__(self, store: str, modality: str, steps: dict[str, Any], representation: dict[str, Any] | None) -> None:
        self.store = WorkStore(store)
        self.prepare = make_preparation(modality, steps)
        self.representation = representation_of(representation)
        self.lossy = is_lossy(representation)

    def run(self, payload: dict[str, Any]) -> dict[str, Any]:
        """payload: {"pack": key, "samples": requests}. Puts under the key: the bytes of all pieces ("payload",
        "coded"), "arrays" [n, *shape of the spec], and a `PackRecord`."""
        pack = _Pack()
        for request in (Request.from_json(sample) for sample in payload["samples"]):
            try:
                data = read_payload(Path(request.shard).parent, _row(request))
                pieces = [self._piece(pack, piece) for piece in self.prepare(_source(data, request.facts))]
                pack.samples.append(PreparedSample(request.key, None, tuple(pieces)))
            except PayloadError as failed:
                pack.samples.append(PreparedSample(request.key, (failed.reason, failed.detail)))
        tensors = {name: np.frombuffer(b"".join(parts), dtype=np.uint8) for name, parts in pack.blobs.items()}
        if self.representation is not None:
            shape = (0, *self.representation.spec.shape)
            tensors["arrays"] = np.stack(pack.arrays) if pack.arrays else np.zeros(shape, np.float32)
        record = PackRecord(self.prepare.codec, tuple(pack.samples))
        self.store.put_arrays(payload["pack"], tensors, record.to_json())
        return {}

    def _piece(self, pack: _Pack, piece: Piece) -> PreparedPiece:
        array, coded, why = self._encoded(piece)
        if array is not None:
            pack.arrays.append(array)
        return PreparedPiece(
            suffix=piece.suffix,
            duration_s=piece.duration_s,
            start_s=piece.start_s,
            stop_s=piece.stop_s,
            signals=tuple(Signal.from_row(row) for row in piece.signals),
            notes=dict(piece.notes),
            counted=tuple(piece.counted),
            row=-1 if array is None else len(pack.arrays) - 1,
            not_encoded=why,
            payload=pack.place("payload", piece.payload),
            coded=pack.place("coded", b"" if coded is None else coded.data),
            coded_as=None if coded is None else CodedAs(coded.codec, coded.duration_s, coded.signals),
        )

    def _encoded(self, piece: Piece) -> tuple[np.ndarray | None, Payload | None, tuple[str, str] | None]:
        """The array; the payload after a trip through it, where it is kept; of what cannot be modelled (reason,
        detail)."""
        if self.representation is None:
            return None, None, None
        try:
            signals = tuple(Signal.from_row(row) for row in piece.signals)
            payload = Payload(piece.payload, self.prepare.codec, signals, piece.duration_s)
            array = self.representation.encode(payload)
            return array, self.representation.decode(array) if self.lossy else None, None
        except PayloadError as error:
            return None, None, (error.reason, error.detail)


class _Pack:
    """What a call gathers. A sample that is rejected midway may leave bytes behind that no record names."""

    def __init__(self) -> None:
        self.blobs: dict[str, list[bytes]] = {"payload": [], "coded": []}
        self.sizes = {"payload": 0, "coded": 0}
        self.arrays: list[np.ndarray] = []
        self.samples: list[PreparedSample] = []

    def place(self, name: str, data: bytes) -> Place:
        begin = self.sizes[name]
        self.blobs[name].append(data)
        self.sizes[name] = begin + len(data)
        return begin, self.sizes[name]


def _row(request: Request) -> dict[str, Any]:
    """As `read_payload` wants it."""
    return {
        "sample_id": request.sample_id,
        "shard": Path(request.shard).name,
        "offset": request.offset,
        "n_bytes": request.n_bytes,
        "sha256": request.sha256,
    }


def _source(data: bytes, facts: Facts) -> Source:
    signals = [signal.as_row() for signal in facts.signals]
    return Source(data, facts.codec, signals, dict(facts.extra or {}), facts.reader)


def representation_of(params: dict[str, Any] | None) -> Representation | None:
    """The representation of a plan: its name and its own parameters. None for None."""
    if params is None:
        return None
    return make_representation(params["name"], {k: v for k, v in params.items() if k != "name"})


def is_lossy(params: dict[str, Any] | None) -> bool:
    """Whether the run's representation loses something of a payload. No representation loses nothing."""
    representation = representation_of(params)
    return representation is not None and not representation.lossless


def coded_splits(params: dict[str, Any] | None) -> tuple[str, ...]:
    """Splits of which samples are kept in coded form: none where nothing is lost; train and dev, which gates compare
    with; of features without a way back all, since a classifier is trained and tested on them as well."""
    if not is_lossy(params):
        return ()
    representation = representation_of(params)
    return ("train", "dev") if getattr(representation, "way_back", True) else ("train", "dev", "test")
