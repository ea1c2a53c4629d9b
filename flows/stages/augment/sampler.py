"""The worker that actors run: a list of draws -> payloads and scores in the work store.

A list's samples are named by what makes them (generator, draws, sources, numerics), its scores by what measured them as
well, limits left out: a changed limit or a higher target finds all of it again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import JsonValue

from corpora.errors import PayloadError
from corpora.fingerprint import hash_bytes, hash_json
from corpora.schema import FROM, Payload
from corpora.tagged import Tag, with_tag
from features.representation import EditingRepresentation, make_representation
from flows.artifacts.base import Record
from flows.engine.store import MissingItemError, WorkStore
from flows.params import RepresentationParams
from flows.stages.augment.batches import Form, Stored, batch_of
from flows.stages.augment.originals import Originals
from flows.stages.plan.plans import AugmentCompute
from generators.generator import Device, Draw, Generator, PayloadEditor, generator_class, lineage_of, soft_labels
from validators.gate import SampleGate, gate_class

SAMPLES_FORM = 1  # of a stored list of samples, arrays and what is said of them: another form is another name
SCORES_FORM = 1  # of what gates are shown of it (flows/stages/augment/batches.py), and of their stored answers


def samples_key(generator_id: str, draws: Sequence[Draw], sources: Sequence[str], compute: AugmentCompute) -> str:
    """Where the work store keeps what the generator made of these draws. `sources`: sha256 of the payloads that they
    start from; of `compute` what changes a sample (`AugmentCompute.of_samples`)."""
    came_from = [SAMPLES_FORM, [d.key() for d in draws], list(sources), compute.of_samples()]
    return f"samples/{generator_id}/{hash_json(came_from)[:40]}"


def scores_key(samples: str, gate: str) -> str:
    """`gate`: the store key of the fitted gate, which names its code, parameters and reference."""
    return "scores/" + hash_json([SCORES_FORM, samples, gate])[:40]


NO_CLASS = "no-class"  # reason of a gate that judges the class, for a candidate that has none: excused


OTHER_CLASS = "mostly-another-class"  # reason of a sample whose soft label has more of another class than was asked for


def asked_emotion(draw: Draw) -> str:
    """What stands in `Batch.emotions`: the class that was asked for; "" for a mixture, which is none of its classes."""
    return draw.condition.one_class or ""


def asked_dimensions(draws: Sequence[Draw]) -> dict[str, list[float | None]]:
    """What stands in `Batch.dimensions`: valence, arousal and dominance as asked for; None: not asked for."""
    return {
        name: [None if (v := d.condition.given.get(name)) is None else float(v) for d in draws]  # type: ignore[arg-type]
        for name in ("valence", "arousal", "dominance")
    }


class Setup(Record):
    """What a sampler works with. store: URL of the work store; cache: this node's own folder; model, sources, gates:
    keys of the fitted generator, of what conversions start from (None: it converts nothing), and of the fitted gates by
    name; form: in which gates see samples; generator: its name."""

    store: str
    cache: str
    model: str
    sources: str | None
    gates: dict[str, str]
    form: Form
    representation: RepresentationParams
    generator: str
    device: Device


class Sampler:
    """Long-lived: loads the generator and the gates once. Everything comes through the store, so that nodes need not
    share a disk; `cache` is this node's own folder."""

    def __init__(self, setup: Mapping[str, JsonValue]) -> None:
        """`setup`: a `Setup` as JSON."""
        self._setup = Setup.model_validate(setup)
        self.store, self.cache = WorkStore(self._setup.store), Path(self._setup.cache)
        self.form, self.device, self.gate_keys = self._setup.form, self._setup.device, self._setup.gates
        shape = self._setup.representation
        self.representation = make_representation(shape.name, shape.params)
        self._generator: Generator | None = None
        self._gates: dict[str, SampleGate] = {}
        self._seconds: dict[str, float] = {}  # of the item under way, for timings
        self._sources: Originals | None = None

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
        if isinstance(generator, PayloadEditor):
            originals = self._originals()
            decoded = generator.edit_payloads(draws, [originals.payload(d.sources[FROM]) for d in draws])
        else:
            decoded = self._drawn(generator, draws)
        lineage = lineage_of(generator, draws, lambda: self._source_arrays(generator, draws))
        if lineage is not None:  # the generator's own reason says more than a decoder's
            own = [PayloadError(of.reason, of.detail) if of.reason else None for of in lineage]
            decoded = [p if error is None else error for p, error in zip(decoded, own, strict=True)]
        labels = soft_labels(generator, draws)
        decoded = [
            p if own is None else _of_its_class(p, d, own) for p, d, own in zip(decoded, draws, labels, strict=True)
        ]
        errors = [[p.reason, p.detail] if isinstance(p, PayloadError) else None for p in decoded]
        sound = [None if isinstance(p, PayloadError) else p for p in decoded]
        ids = [f"syn/{generator_id}/{d.key()}" for d in draws]
        payloads = [
            b"" if p is None else with_tag(p.data, p.codec, Tag(generator_id, name))
            for p, name in zip(sound, ids, strict=True)
        ]
        ends = np.cumsum([0, *map(len, payloads)]).tolist()
        self.store.put_arrays(
            key,
            {"payloads": np.frombuffer(b"".join(payloads), dtype=np.uint8)},
            {
                "ids": ids,
                "ends": ends,
                "sha256": [hash_bytes(p) for p in payloads],
                "errors": errors,
                **({} if lineage is None else {"lineage": [dict(of.facts) for of in lineage]}),
                **({"labels": labels} if any(labels) else {}),
                "codecs": [None if p is None else p.codec for p in sound],
                "durations_s": [None if p is None else p.duration_s for p in sound],
                "signals": [[] if p is None else [signal.as_row() for signal in p.signals] for p in sound],
            },
        )

    def _drawn(self, generator: Generator, draws: list[Draw]) -> list[Payload | PayloadError]:
        """Arrays, decoded or as a change of their sources."""
        sources = self._source_arrays(generator, draws)
        arrays = generator.sample(draws, sources, device=self.device)
        decoded: list[Payload | PayloadError] = []
        for i, (draw, array) in enumerate(zip(draws, arrays, strict=True)):
            try:
                decoded.append(self._payload(draw, None if sources is None else sources[i], array))
            except PayloadError as error:
                decoded.append(error)
        return decoded

    def _source_arrays(self, generator: Generator, draws: list[Draw]) -> np.ndarray | None:
        return self._originals().arrays([d.sources[FROM] for d in draws]) if generator.takes else None

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
            shares=meta.get("labels", ()),
        )
        batch = batch_of(stored, self.form)
        mixed = np.array([d.condition.one_class is None for d in draws], bool)
        for name, score_key in wanted.items():
            if name not in self._gates:
                folder = self.store.fetch_folder(self.gate_keys[name], self.cache)
                self._gates[name] = gate_class(name).load(folder)
            gate, begun = self._gates[name], time.perf_counter()
            values = np.array(gate.score(batch), dtype=np.float64)
            reasons = list(gate.reasons(batch))
            if gate.judges_class and mixed.any():
                values[mixed] = np.nan
                reasons = [NO_CLASS if no_class else why for no_class, why in zip(mixed, reasons, strict=True)]
            self.store.put_arrays(score_key, {"values": values}, {"reasons": list(reasons)})
            self._seconds[name] = time.perf_counter() - begun  # the first that needs a feature pays for it

    def _load_generator(self) -> Generator:
        if self._generator is None:
            folder = self.store.fetch_folder(self._setup.model, self.cache)
            self._generator = generator_class(self._setup.generator).load(folder, device=self.device)
        assert self._generator is not None
        return self._generator

    def _originals(self) -> Originals:
        if self._sources is None:
            if self._setup.sources is None:
                raise PayloadError("no-sources", f"{self._setup.generator!r} needs sources and was given none")
            self._sources = Originals(self.store.fetch_folder(self._setup.sources, self.cache))
        return self._sources

    def _payload(self, draw: Draw, source: np.ndarray | None, array: np.ndarray) -> Payload:
        """What was drawn as a payload: a change of its source where the representation edits, else the array decoded.
        Raises `PayloadError` where there is nothing valid."""
        if source is not None and isinstance(self.representation, EditingRepresentation):
            return self.representation.edit(self._originals().payload(draw.sources[FROM]), source, array)
        return self.representation.decode(array)


def _of_its_class(payload: Payload | PayloadError, draw: Draw, label: Mapping[str, float]) -> Payload | PayloadError:
    """What was drawn; rejected where it was asked for as a class that is not the most of its soft label."""
    asked = draw.condition.one_class
    if (
        isinstance(payload, PayloadError)
        or asked is None
        or label.get(asked, 0.0) > max((share for name, share in label.items() if name != asked), default=0.0)
    ):
        return payload
    shares = " + ".join(f"{share:.2f} {name}" for name, share in label.items())
    return PayloadError(OTHER_CLASS, f"asked for {asked}, it is {shares}")


def read_samples(store: WorkStore, key: str) -> tuple[list[bytes], dict[str, Any]]:
    """-> payloads (empty where there is none) and the list's metadata."""
    arrays, meta = store.get_arrays(key)
    blob, ends = arrays["payloads"].tobytes(), meta["ends"]
    return [blob[ends[i] : ends[i + 1]] for i in range(len(ends) - 1)], meta
