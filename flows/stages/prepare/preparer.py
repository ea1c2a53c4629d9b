"""The worker of `prepare`: lists of sample ids in; prepared payloads, arrays and coded payloads into the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import PayloadError
from corpora.schema import SAMPLES, Payload, Signal
from corpora.store.shards import read_payload, read_table
from features.prepare import make_preparation
from features.representation import Representation, make_representation
from features.steps import Piece, Source
from flows.engine.store import WorkStore

COLUMNS = ["sample_id", "corpus", "codec", "signals", "extra", "shard", "offset", "n_bytes", "sha256"]


class Preparer:
    """Long-lived. `corpora`: id -> data/corpora/<id>. `representation`: None where the run has no generator."""

    def __init__(
        self, store: str, corpora: dict[str, str], modality: str, steps: dict, representation: dict | None
    ) -> None:
        self.store = WorkStore(store)
        self.prepare = make_preparation(modality, steps)
        self.representation = representation_of(representation)
        self.lossy = is_lossy(representation)
        self.readers = {c: reader_of(Path(folder)) for c, folder in corpora.items()}
        self.rows: dict[str, tuple[Path, dict]] = {}
        for folder in corpora.values():
            table = read_table(Path(folder) / "index.parquet", SAMPLES).select(COLUMNS)
            self.rows |= {r["sample_id"]: (Path(folder), r) for r in table.to_pylist()}

    def run(self, payload: dict[str, Any]) -> dict[str, Any]:
        """payload: {"key", "ids"}. Puts under the key: the bytes of all pieces ("payload", "coded"), "arrays"
        [n, C, H, W], and for each sample its error or its pieces with their places in them."""
        blobs: dict[str, list[bytes]] = {"payload": [], "coded": []}
        arrays: list[np.ndarray] = []
        samples: list[dict[str, Any]] = []
        for sample_id in payload["ids"]:
            folder, row = self.rows[sample_id]
            entry: dict[str, Any] = {"id": sample_id, "error": None, "pieces": []}
            try:
                for piece in self.prepare(self._source(folder, row)):
                    array, coded, why = self._encoded(piece)
                    entry["pieces"].append(
                        _facts(piece)
                        | {
                            "row": -1 if array is None else len(arrays),
                            "not_encoded": why,
                            "coded_as": _as_coded(coded),
                        }
                        | _places(blobs, piece, b"" if coded is None else coded.data)
                    )
                    if array is not None:
                        arrays.append(array)
            except PayloadError as failed:
                entry["error"] = [failed.reason, failed.detail]
            samples.append(entry)
        tensors = {name: np.frombuffer(b"".join(parts), dtype=np.uint8) for name, parts in blobs.items()}
        if self.representation is not None:
            shape = (0, *self.representation.spec.shape)
            tensors["arrays"] = np.stack(arrays) if arrays else np.zeros(shape, np.float32)
        self.store.put_arrays(payload["key"], tensors, {"codec": self.prepare.codec, "samples": samples})
        return {}

    def _source(self, folder: Path, row: dict[str, Any]) -> Source:
        return Source(
            payload=read_payload(folder, row),
            codec=row["codec"],
            signals=row["signals"] or (),
            extra=dict(row["extra"] or ()),
            reader=self.readers[row["corpus"]],
        )

    def _encoded(self, piece: Piece) -> tuple[np.ndarray | None, Payload | None, list[str] | None]:
        """The array; the payload after a trip through it, where it is kept; of what cannot be modelled [reason,
        detail]."""
        if self.representation is None:
            return None, None, None
        try:
            signals = tuple(Signal.from_row(row) for row in piece.signals)
            payload = Payload(piece.payload, self.prepare.codec, signals, piece.duration_s)
            array = self.representation.encode(payload)
            return array, self.representation.decode(array) if self.lossy else None, None
        except PayloadError as error:
            return None, None, [error.reason, error.detail]


def _facts(piece: Piece) -> dict[str, Any]:
    return {
        "suffix": piece.suffix,
        "duration_s": piece.duration_s,
        "start_s": piece.start_s,
        "stop_s": piece.stop_s,
        "signals": [dict(s) for s in piece.signals],
        "notes": dict(piece.notes),
        "counted": list(piece.counted),
    }


def _as_coded(coded: Payload | None) -> dict[str, Any] | None:
    """What a record says of a payload that went through the representation; None where none is kept."""
    if coded is None:
        return None
    signals = [signal.as_row() for signal in coded.signals]
    return {"codec": coded.codec, "duration_s": coded.duration_s, "signals": signals}


def _places(blobs: dict[str, list[bytes]], piece: Piece, coded: bytes) -> dict[str, list[int]]:
    """Appends the bytes and says where they begin and end."""
    places = {}
    for name, data in (("payload", piece.payload), ("coded", coded)):
        begin = sum(map(len, blobs[name]))
        blobs[name].append(data)
        places[name] = [begin, begin + len(data)]
    return places


def reader_of(folder: Path) -> str:
    """Name on the card of the corpus in data/corpora/<id>."""
    card: str = json.loads((folder / "card.json").read_text(encoding="utf-8"))["card"]["name"]
    return card


def representation_of(params: dict[str, Any] | None) -> Representation | None:
    """The representation that a plan's `representation` names; None for a run without one."""
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
