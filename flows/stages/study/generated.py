"""Arms of registered generators: fitted on the train rows of a view, sampled, gated, and as features.

On the study's features a generator models the scaled rows themselves. With a representation of its own it models the
prepared payloads: what it draws is decoded, and features are taken of the result, as anybody would who reads a release.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from corpora.errors import PayloadError, UserError
from corpora.fingerprint import hash_bytes
from corpora.schema import FROM, Payload
from features.representation import EditingRepresentation, Representation, Spec, is_features, make_representation
from flows.stages.augment.batches import Form, Stored, batch_of
from flows.stages.study.rows import Payloads, Rows
from flows.stages.study.train import Added, TrainView
from flows.studying import Arm
from generators.draws.balance import Budget, share
from generators.draws.plausible import plausibility
from generators.draws.sources import SourceTable, choose_sources, count_sources
from generators.generator import (
    RATED,
    Condition,
    Device,
    Draw,
    Generator,
    TrainData,
    generator_class,
    refused,
    require_layout,
    soft_labels,
    source_class,
    turns_of,
)
from training.seeds import derive_seed
from validators.batch import Batch, rows_of
from validators.gate import SampleGate, class_limits, default_limit, gate_class, knows, lets_in
from validators.verdict import Limit

DEVICE = Device()
ROUNDS = 4  # of draws, where gates refuse some


@dataclass(frozen=True)
class Modelled:
    """What a generator models beside the study's features: rows in its representation, and the way to the features."""

    rows: Rows
    representation: Representation
    features: Representation
    form: Form
    payloads: Payloads


@dataclass
class Generated:
    """The generators of one view, fitted once each, whatever arms use them."""

    view: TrainView
    modelled: Mapping[str, Modelled]  # canonical JSON of a representation -> its rows
    modality: str
    fitted: dict[str, tuple[Generator, TrainData]] = field(default_factory=dict)
    gates: dict[str, tuple[SampleGate, Limit]] = field(default_factory=dict)
    references: dict[str, Batch] = field(default_factory=dict)
    places: dict[int, dict[str, int]] = field(default_factory=dict)

    def added(self, arm: Arm, lacks: Mapping[int, int]) -> Added:
        """As many rows of each class as it lacks, or as many as the gates let in. Raises `UserError` where the
        generator cannot learn from this train set."""
        generator, data = self._fitted(arm)
        parts, labels, weights, notes, soft = [], [], [], [], []
        stats: dict[str, list[tuple[float, float, int]]] = {}
        for k, n in sorted(lacks.items()):
            x, shares, seen = self._of_class(arm, generator, data, k, n)
            parts.append(x)
            soft.append(shares)
            labels.append(np.full(len(x), k, np.int64))
            weights.append(np.full(len(x), share(n, len(x))))
            if len(x) < n:
                why = refused(generator).get(self.view.classes[k])
                notes.append(f"{len(x)} of {n} of {self.view.classes[k]}" + (f": {why}" if why else ""))
            for name, values in seen.items():
                stats.setdefault(name, []).append(values)
        x = np.concatenate(parts) if parts else self.view.x[:0]
        y = np.concatenate(labels) if labels else self.view.y[:0]
        scores = {name: _pooled(values) for name, values in stats.items()}
        counts = np.concatenate(weights) if parts and arm.by == "weight" else None
        if arm.weigh == "plausible" and len(x):
            believed = plausibility(_flat(self.view.x), self.view.y, _flat(x), y)
            counts = believed if counts is None else counts * believed
        mixed = np.concatenate(soft) if soft else np.eye(len(self.view.classes))[y]
        return Added(x, y, tuple(notes), scores, counts, mixed if np.any(mixed[np.arange(len(y)), y] < 1.0) else None)

    # -- fitting

    def _fitted(self, arm: Arm) -> tuple[Generator, TrainData]:
        key = repr((arm.method, sorted(arm.params.items()), arm.representation, arm.steps))
        if key not in self.fitted:
            data = self._data(arm)
            kind = generator_class(arm.method)
            require_layout(arm.method, kind, data.spec)
            generator = kind(data.spec, data.classes, **arm.params)
            seed = derive_seed("study-fit", self.view.seed, arm.method)
            for _ in generator.fit(data, steps=arm.steps, seed=seed, device=DEVICE):
                pass
            self.fitted[key] = generator, data
        return self.fitted[key]

    def _data(self, arm: Arm) -> TrainData:
        """The train rows, of classes that train holds: what a generator cannot have seen it cannot draw."""
        view = self.view
        if arm.representation is None:
            arrays, rows = view.x.astype(np.float32), view.train
            spec = Spec("study features", arrays.shape[1:], layout="vector") if arrays.ndim == 2 else None
            if spec is None:
                raise UserError("the study's features are no vectors; name the arm's representation")
        else:
            own = self.modelled[representation_key(arm.representation)]
            kept = own.rows.encoded[view.train]
            rows = view.train[kept]
            if not len(rows):
                raise UserError(f"no train sample can be encoded as {own.representation.spec.name}")
            arrays, spec = own.rows.x[rows], own.representation.spec
        facts = [view.rows.facts[i] for i in rows]
        present = [name for name in view.classes if any(f.emotion == name for f in facts)]
        ratings = {
            name: np.array([np.nan if (v := getattr(f, name, None)) is None else v for f in facts], np.float64)
            for name in RATED
        }
        return TrainData(
            spec=spec,
            classes=tuple(present),
            arrays=arrays,
            emotions=tuple(f.emotion for f in facts),
            ids=tuple(f.piece_id for f in facts),
            groups=tuple(f.group for f in facts),
            subjects=tuple(f.subject for f in facts),
            held_out=np.zeros(len(facts), bool),
            ratings=ratings,
        )

    # -- drawing

    def _of_class(
        self, arm: Arm, generator: Generator, data: TrainData, k: int, n: int
    ) -> tuple[np.ndarray, np.ndarray, dict[str, tuple[float, float, int]]]:
        """-> [m <= n, ...] features, [m, K] their labels, and of each gate (mean score, share let in, candidates)."""
        name = self.view.classes[k]
        if name not in data.classes or name in refused(generator):
            return self.view.x[:0], self._labels(generator, ()), {}
        if arm.by == "weight":
            return self._of_all_sources(arm, generator, data, name, n)
        parts: list[np.ndarray] = []
        labels: list[np.ndarray] = [self._labels(generator, ())]
        seen: dict[str, list[tuple[float, float, int]]] = {}
        drawn, have = 0, 0
        may_fail = bool(arm.gates) or arm.representation is not None
        most = math.ceil(n * (arm.gather if may_fail else 1.0))
        for _ in range(ROUNDS if may_fail else 1):
            batch = min(most - drawn, math.ceil((n - have) * (1.25 if arm.gates else 1.0)))
            if batch <= 0 or have >= n:
                break
            draws = self._draws(arm, generator, data, name, drawn, batch)
            drawn += batch
            x, passed = self._judged(arm, generator, data, draws, seen)
            parts.append(x[passed])
            labels.append(self._labels(generator, draws)[passed])
            have += int(passed.sum())
        x = np.concatenate(parts)[:n] if parts else self.view.x[:0]
        return x, np.concatenate(labels)[:n], {gate: _pooled_n(values) for gate, values in seen.items()}

    def _of_all_sources(
        self, arm: Arm, generator: Generator, data: TrainData, name: str, n: int
    ) -> tuple[np.ndarray, np.ndarray, dict[str, tuple[float, float, int]]]:
        """One draw of every source of a class, at most `spread` for each row that it lacks; as `_of_class`."""
        seen: dict[str, list[tuple[float, float, int]]] = {}
        possible = count_sources(_sources(arm, generator, data), (name,))
        served = Budget(spread=arm.spread).served(n, possible) or 0
        draws = self._draws(arm, generator, data, name, 0, served)
        x, passed = self._judged(arm, generator, data, draws, seen)
        labels = self._labels(generator, draws)[passed]
        return x[passed], labels, {gate: _pooled_n(values) for gate, values in seen.items()}

    def _labels(self, generator: Generator, draws: Sequence[Draw]) -> np.ndarray:
        """[n, K] shares of the study's classes, of what the draws give: 1 for the class that was asked for, or the soft
        label of a sample that is not of it alone."""
        place = {name: k for k, name in enumerate(self.view.classes)}
        labels = np.zeros((len(draws), len(place)))
        for i, (draw, soft) in enumerate(zip(draws, soft_labels(generator, draws), strict=True)):
            for name, share_of in (soft or draw.condition.shares).items():
                labels[i, place[name]] = share_of
        return labels

    def _draws(self, arm: Arm, generator: Generator, data: TrainData, name: str, start: int, n: int) -> list[Draw]:
        indices = range(start, start + n)
        seeds = [derive_seed("study-draw", self.view.seed, arm.method, name, i) for i in indices]
        sources: Sequence[Mapping[str, str]] = [{}] * n
        if generator.takes:
            sources = choose_sources(list(indices), _sources(arm, generator, data), name, self.view.seed)
        return [Draw(Condition(name), seed, dict(source)) for seed, source in zip(seeds, sources, strict=True)]

    def _judged(
        self,
        arm: Arm,
        generator: Generator,
        data: TrainData,
        draws: list[Draw],
        seen: dict[str, list[tuple[float, float, int]]],
    ) -> tuple[np.ndarray, np.ndarray]:
        """-> [m, ...] features in the scaled space and [m] bool, whether all gates let them in."""
        sources = None
        if generator.takes:
            place = {piece: i for i, piece in enumerate(data.ids)}
            sources = np.stack([data.arrays[place[d.sources["from"]]] for d in draws])
        arrays = generator.sample(draws, sources, device=DEVICE)
        if arm.representation is None:
            x, payloads = arrays.astype(np.float64), None
            good = np.isfinite(x).reshape(len(x), -1).all(axis=1)
        else:
            modelled = self.modelled[representation_key(arm.representation)]
            x, payloads, good = self._decoded(modelled, draws, sources, arrays)
        passed = good.copy()
        if arm.gates:
            batch = self._batch(arm, draws, x, payloads, soft_labels(generator, draws))
            for name in arm.gates:
                gate, limit = self._gate(arm, name, data)
                limits, _ = class_limits(gate, limit, data.classes)
                values, reasons = gate.score(batch), gate.reasons(batch)
                own = lets_in(gate, list(values), list(reasons), limits[str(draws[0].condition.emotion)])
                finite = values[np.isfinite(values)]
                mean = float(finite.mean()) if finite.size else math.nan
                seen.setdefault(name, []).append((mean, float(own.mean()), len(own)))
                passed &= own
        return x, passed  # type: ignore[return-value]  # numpy types `&=` as a scalar, too

    def _decoded(
        self, own: Modelled, draws: Sequence[Draw], sources: np.ndarray | None, arrays: np.ndarray
    ) -> tuple[np.ndarray, list[Payload | None], np.ndarray]:
        """What was drawn as payloads, edited or decoded, and their features; False of what cannot be described."""
        payloads: list[Payload | None] = []
        x = np.zeros((len(arrays), *own.features.spec.shape), np.float32)
        good = np.zeros(len(arrays), bool)
        for i, array in enumerate(arrays):
            try:
                if sources is not None and isinstance(own.representation, EditingRepresentation):
                    source = own.payloads.of(self._place(own)[draws[i].sources[FROM]])
                    payload = own.representation.edit(source, sources[i], array)
                else:
                    payload = own.representation.decode(array)
                x[i], good[i] = own.features.encode(payload), True
                payloads.append(payload)
            except PayloadError:
                payloads.append(None)
        return self.view.scaled(x), payloads, good

    def _place(self, own: Modelled) -> dict[str, int]:
        """Piece -> its row."""
        if id(own) not in self.places:
            self.places[id(own)] = {fact.piece_id: i for i, fact in enumerate(own.rows.facts)}
        return self.places[id(own)]

    # -- gates

    def _batch(
        self,
        arm: Arm,
        draws: list[Draw],
        x: np.ndarray,
        payloads: list[Payload | None] | None,
        soft: Sequence[Mapping[str, float] | None],
    ) -> Batch:
        asked = [str(d.condition.emotion) for d in draws]
        ids = [f"candidate/{d.key()}" for d in draws]
        sources = [d.source_ids for d in draws]
        if payloads is None or arm.representation is None:
            batch = _vectors(self.modality, ids, asked, x, source_ids=sources)
            return dataclasses.replace(batch, shares=tuple(soft) if any(soft) else ())
        data = [b"" if p is None else p.data for p in payloads]
        facts = [() if p is None else [s.as_row() for s in p.signals] for p in payloads]
        stored = Stored(ids, asked, data, [hash_bytes(d) for d in data], facts=facts, source_ids=sources, shares=soft)
        return batch_of(stored, self.modelled[representation_key(arm.representation)].form)

    def _gate(self, arm: Arm, name: str, data: TrainData) -> tuple[SampleGate, Limit]:
        asked = arm.gates[name]
        key = repr((name, asked.limit, sorted(asked.params.items()), arm.representation))
        if key not in self.gates:
            kind = gate_class(name)
            own = None if arm.representation is None else self.modelled[representation_key(arm.representation)]
            seen = "vector" if own is None or is_features(own.representation) else "signal"
            if not (isinstance(kind, type) and issubclass(kind, SampleGate)) or not knows(kind, self.modality, seen):
                raise UserError(f"gate {name} cannot look at single samples of {self.modality} as {data.spec.name}")
            reference = self._reference(arm, data)
            seed = derive_seed("study-gate", self.view.seed, name) >> 32
            gate = kind.fit(
                reference,
                classes=data.classes,
                known_sha256=frozenset(reference.sha256),
                params=asked.params,
                seed=seed,
            )
            limit = default_limit(kind) if asked.limit is None else Limit(**asked.limit)
            self.gates[key] = gate, limit
        return self.gates[key]

    def _reference(self, arm: Arm, data: TrainData) -> Batch:
        """The real train rows as gates see them."""
        key = "vectors" if arm.representation is None else representation_key(arm.representation)
        if key not in self.references:
            if arm.representation is None:
                batch = _vectors(
                    self.modality, data.ids, data.emotions, data.arrays, subjects=data.subjects, groups=data.groups
                )
            else:
                own = self.modelled[key]
                place = self._place(own)
                payloads = [own.payloads.of(place[i], coded=True) for i in data.ids]
                stored = Stored(
                    data.ids,
                    data.emotions,
                    [p.data for p in payloads],
                    [hash_bytes(p.data) for p in payloads],
                    facts=[[s.as_row() for s in p.signals] for p in payloads],
                    subjects=data.subjects,
                    groups=data.groups,
                )
                batch = batch_of(stored, own.form)
            self.references[key] = batch
        return rows_of(self.references[key], np.ones(len(self.references[key]), bool))


def _sources(arm: Arm, generator: Generator, data: TrainData) -> SourceTable:
    """What a generator may start from: train rows of classes that it does not refuse."""
    of = source_class(generator, arm.params)
    table = SourceTable(data.ids, data.emotions, data.subjects, of).with_turns(turns_of(generator))
    return table.without(refused(generator))


def _vectors(
    modality: str,
    ids: Sequence[str],
    emotions: Sequence[str],
    x: np.ndarray,
    *,
    subjects: Sequence[str | None] = (),
    groups: Sequence[str] = (),
    source_ids: Sequence[tuple[str, ...]] = (),
) -> Batch:
    signals = [np.ascontiguousarray(row, np.float32) for row in x]
    return Batch(
        modality=modality,
        ids=tuple(ids),
        emotions=tuple(emotions),
        signals=signals,
        sha256=tuple(hash_bytes(signal.tobytes()) for signal in signals),
        subjects=tuple(subjects) or (None,) * len(signals),
        groups=tuple(groups) or tuple(ids),
        source_ids=tuple(source_ids) or ((),) * len(signals),
        errors=(None,) * len(signals),
        layout="vector",
    )


def _flat(x: np.ndarray) -> np.ndarray:
    """[n, ...] -> [n, D]."""
    return x.reshape(len(x), -1)


def _pooled_n(values: list[tuple[float, float, int]]) -> tuple[float, float, int]:
    """Means over rounds or classes, weighted by candidates."""
    n = sum(count for _, _, count in values)
    known = [(mean, count) for mean, _, count in values if math.isfinite(mean)]
    mean = sum(m * c for m, c in known) / sum(c for _, c in known) if known else math.nan
    return mean, sum(share * count for _, share, count in values) / max(1, n), n


def _pooled(values: list[tuple[float, float, int]]) -> tuple[float, float]:
    mean, share, _ = _pooled_n(values)
    return mean, share


def representation_key(representation: Mapping[str, object]) -> str:
    """A representation as a key of `Generated.modelled`."""
    return repr(sorted(representation.items(), key=lambda item: item[0]))


def representation_from(params: Mapping[str, object]) -> Representation:
    """Of an arm or a plan: name and the representation's own keys."""
    return make_representation(str(params["name"]), {k: v for k, v in params.items() if k != "name"})
