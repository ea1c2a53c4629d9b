"""The worker that actors run: a list of draws -> payloads and scores in the work store.

A list's samples are named by what makes them (generator, draws, sources, numerics), its scores by what measured them as
well, limits left out: a changed limit or a higher target finds all of it again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import PayloadError
from corpora.fingerprint import hash_bytes, hash_json
from corpora.schema import Payload
from corpora.store.shards import read_table
from features.representation import make_representation
from flows.engine.store import MissingItemError, WorkStore
from flows.records import ARRAYS
from flows.stages.augment.batches import Form, Stored, batch_of
from generators.generator import Device, Draw, generator_class
from validators.gate import gate_class


def samples_key(generator_id: str, draws: Sequence[Draw], sources: Sequence[str], numerics: dict[str, Any]) -> str:
    """Store key of a list of samples. `sources`: sha256 of what the draws start from, in their order."""
    return f"samples/{generator_id}/" + hash_json([[d.key() for d in draws], list(sources), numerics])[:40]


def scores_key(samples: str, gate: str) -> str:
    """`gate`: the store key of the fitted gate, which names its code, parameters and reference."""
    return "scores/" + hash_json([samples, gate])[:40]


NO_CLASS = "no-class"  # reason of a gate that judges the class, for a candidate that has none: excused


def asked_emotion(draw: Draw) -> str:
    """What stands in `Batch.emotions`: the class that was asked for; "" for a mixture, which is none of its classes."""
    return draw.condition.one_class or ""


def asked_dimensions(draws: Sequence[Draw]) -> dict[str, list[float | None]]:
    """What stands in `Batch.dimensions`: valence, arousal and dominance as asked for; None: not asked for."""
    return {
        name: [None if (v := d.condition.given.get(name)) is None else float(v) for d in draws]  # type: ignore[arg-type]
        for name in ("valence", "arousal", "dominance")
    }


def judges_class(gate: Any) -> bool:
    """Whether the gate's score is about the class that was asked for, so that a mixture has none."""
    return bool(getattr(gate, "judges_class", False))


class Sampler:
    """Long-lived: loads the generator and the gates once. Everything comes through the store, so that nodes need not
    share a disk; `cache` is this node's own folder."""

    def __init__(
        self,
        store: str,
        cache: str,
        model: str,
        sources: str | None,
        gates: dict[str, str],
        modality: str,
        rate_hz: float | None,
        representation: dict[str, Any],
        generator: str,
        device: dict[str, Any],
        numerics: dict[str, Any],
    ) -> None:
        self.store = WorkStore(store)
        self.cache = Path(cache)
        self.form, self.numerics = Form.of(modality, rate_hz, representation), numerics
        self.device = Device(**device)
        self.representation = make_representation(
            representation["name"], {k: v for k, v in representation.items() if k != "name"}
        )
        self._model_key, self._generator_name, self._generator = model, generator, None
        self.gate_keys = gates
        self._gates: dict[str, Any] = {}
        self._seconds: dict[str, float] = {}  # of the item under way, for timings
        self._sources_key = sources
        self._sources: tuple[dict[str, int], np.ndarray] | None = None

    def run(self, payload: dict[str, Any]) -> dict[str, Any]:
        """payload: {"samples": key, "draws": [...], "generator_id"} -> {"seconds": {"sample" or gate: seconds}}, of
        what was done now; nothing that is kept depends on it.

        Leaves the samples under their key and one array of scores for each gate under its own.
        """
        key, draws = payload["samples"], [Draw.from_json(d) for d in payload["draws"]]
        self._seconds = {}
        if not self.store.has(key):
            self._draw(key, draws, payload["generator_id"])
        wanted = {name: scores_key(key, gate) for name, gate in self.gate_keys.items()}
        missing = [name for name, score_key in wanted.items() if not self.store.has(score_key)]
        if missing:
            asked = {name: wanted[name] for name in missing}
            try:
                self._score(key, draws, asked)
            except MissingItemError:  # the samples, found damaged on reading, and gone
                self._draw(key, draws, payload["generator_id"])
                self._score(key, draws, asked)
        return {"seconds": self._seconds}

    def _draw(self, key: str, draws: list[Draw], generator_id: str) -> None:
        self._load_generator()  # once an actor: no part of what a sample costs
        begun = time.perf_counter()
        self._sample(key, draws, generator_id)
        self._seconds["sample"] = time.perf_counter() - begun

    def _sample(self, key: str, draws: list[Draw], generator_id: str) -> None:
        generator = self._load_generator()
        sources = self._source_arrays(draws) if generator.takes else None
        arrays = generator.sample(draws, sources, device=self.device)
        decoded: list[Payload | None] = []
        errors: list[list[str] | None] = []
        for array in arrays:
            try:
                decoded.append(self.representation.decode(array))
                errors.append(None)
            except PayloadError as error:
                decoded.append(None)
                errors.append([error.reason, error.detail])
        payloads = [b"" if p is None else p.data for p in decoded]
        ends = np.cumsum([0, *map(len, payloads)]).tolist()
        self.store.put_arrays(
            key,
            {"payloads": np.frombuffer(b"".join(payloads), dtype=np.uint8)},
            {
                "ids": [f"syn/{generator_id}/{d.key()}" for d in draws],
                "ends": ends,
                "sha256": [hash_bytes(p) for p in payloads],
                "errors": errors,
                "codecs": [None if p is None else p.codec for p in decoded],
                "durations_s": [None if p is None else p.duration_s for p in decoded],
                "signals": [[] if p is None else [signal.as_row() for signal in p.signals] for p in decoded],
            },
        )

    def _score(self, key: str, draws: list[Draw], wanted: dict[str, str]) -> None:
        payloads, meta = read_samples(self.store, key)
        stored = Stored(
            meta["ids"],
            [asked_emotion(d) for d in draws],
            payloads,
            meta["sha256"],
            facts=meta["signals"],
            source_ids=[d.source_ids for d in draws],
            dimensions=asked_dimensions(draws),
        )
        batch = batch_of(stored, self.form)
        mixed = np.array([d.condition.one_class is None for d in draws], bool)
        for name, score_key in wanted.items():
            if name not in self._gates:
                folder = self.store.fetch_folder(self.gate_keys[name], self.cache)
                self._gates[name] = gate_class(name).load(folder)
            gate, begun = self._gates[name], time.perf_counter()
            values = np.array(gate.score(batch), dtype=np.float64)
            reasons = list(gate.reasons(batch)) if hasattr(gate, "reasons") else [None] * len(batch)
            if judges_class(gate) and mixed.any():
                values[mixed] = np.nan
                reasons = [NO_CLASS if no_class else why for no_class, why in zip(mixed, reasons, strict=True)]
            self.store.put_arrays(score_key, {"values": values}, {"reasons": list(reasons)})
            self._seconds[name] = time.perf_counter() - begun  # the first that needs a feature pays for it

    def _load_generator(self) -> Any:
        if self._generator is None:
            folder = self.store.fetch_folder(self._model_key, self.cache)
            self._generator = generator_class(self._generator_name).load(folder, device=self.device)
        return self._generator

    def _source_arrays(self, draws: list[Draw]) -> np.ndarray:
        if self._sources is None:
            if self._sources_key is None:
                raise PayloadError("no-sources", f"{self._generator_name!r} needs sources and was given none")
            folder = self.store.fetch_folder(self._sources_key, self.cache)
            ids = read_table(folder / "arrays.parquet", ARRAYS).column("sample_id").to_pylist()
            arrays = np.load(folder / "arrays.npy", mmap_mode="r", allow_pickle=False)
            self._sources = ({s: i for i, s in enumerate(ids)}, arrays)
        rows, arrays = self._sources
        return np.stack([arrays[rows[d.sources["from"]]] for d in draws])


def read_samples(store: WorkStore, key: str) -> tuple[list[bytes], dict[str, Any]]:
    """-> payloads (empty where there is none) and the list's metadata."""
    arrays, meta = store.get_arrays(key)
    blob, ends = arrays["payloads"].tobytes(), meta["ends"]
    return [blob[ends[i] : ends[i + 1]] for i in range(len(ends) - 1)], meta
