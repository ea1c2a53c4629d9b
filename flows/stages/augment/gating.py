"""Sample gates of a run: built once from the train split, kept in the work store, with their limits as numbers."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from corpora.fingerprint import hash_json
from corpora.store.atomic import atomic_folder
from flows.artifacts.prepared import Prepared, Summary
from flows.engine.progress import progress
from flows.engine.store import WorkStore
from flows.paths import Layout
from flows.stages.augment.batches import SEEN, Form, batch_from_table
from flows.stages.plan.plans import AugmentPlan, EvaluatePlan, PlannedGate
from flows.stages.plan.weights import require_loaded, require_planned
from training.seeds import derive_seed
from validators.gate import Batch, SampleGate, class_limits, gate_class


@dataclass(frozen=True)
class FittedGate:
    """A gate of the run, ready to score."""

    name: str
    key: str  # in the work store
    gate: SampleGate


def form_of(summary: Summary) -> Form:
    """What the batches of a run are made of."""
    return Form.of(summary.modality, summary.rate_hz, summary.representation)


def reference_batch(prepared: Prepared, summary: Summary, split: str) -> Batch:
    """What a gate is fitted on: the payloads of `Prepared.reference`, decoded."""
    return batch_from_table(prepared.path, prepared.reference(split), form_of(summary))


def reference_hash(prepared: Prepared, summary: Summary, split: str, known_sha256: frozenset[str]) -> str:
    """64 hex digits over all that a gate is handed when it is fitted: of each reference row what stands in its Batch
    (`SEEN`), in its order, classes, modality and rate, and the payloads that are known. No reject, count, report or
    other column."""
    in_order = prepared.reference(split).sort_by([("shard", "ascending"), ("offset", "ascending")])
    seen = [[row[name] for name in SEEN] for row in in_order.select(list(SEEN)).to_pylist()]
    facts = [summary.classes, summary.modality, summary.rate_hz, summary.representation]
    return hash_json([seen, facts, sorted(known_sha256)])


def gate_key(plan: AugmentPlan, name: str, reference: str) -> str:
    """Where the work store keeps a fitted gate: by its code, its parameters with the hashes of weights, the seed, and
    what it was fitted on (`reference_hash`). Never by its limit."""
    came_from = [plan.gate_code[name], _measures(plan.gates[name]), plan.seed, reference]
    return f"gates/{name}/{hash_json(came_from)[:40]}"


def fit_gates(
    plan: AugmentPlan, layout: Layout, prepared: Prepared, summary: Summary, store: WorkStore
) -> dict[str, FittedGate]:
    """Builds each gate once from the train split; the store keeps it for actors, other rounds and other runs."""
    require_planned(plan.gates)
    require_loaded(plan.loads)
    known = prepared.payload_hashes()
    reference = reference_hash(prepared, summary, "train", known)
    keys = {name: gate_key(plan, name, reference) for name in plan.gates}
    cache = layout.scratch / "cache"
    train: Batch | None = None
    fitted = {}
    for name, key in keys.items():
        kind = gate_class(name)
        if not store.sound(key):
            if train is None:
                train = reference_batch(prepared, summary, "train")
            progress(f"augment: fitting gate {name}")
            gate = kind.fit(
                train,
                classes=summary.classes,
                known_sha256=known,
                params=plan.gates[name].params,
                seed=gate_seed(plan, name),
            )
            with atomic_folder(cache / "fitting" / name) as folder:
                gate.save(folder)
            store.put_folder(key, cache / "fitting" / name)
            shutil.rmtree(cache / "fitting" / name)
        fitted[name] = FittedGate(name, key, kind.load(store.fetch_folder(key, cache)))
    return fitted


def _measures(gate: PlannedGate) -> object:
    """What of a planned gate its scores depend on: its params, and the weights that they name by a path."""
    return [gate.params, gate.weights] if gate.weights else gate.params


def gate_seed(plan: AugmentPlan | EvaluatePlan, name: str) -> int:
    """In [0, 2**31): scikit-learn takes no larger one."""
    return derive_seed("gate", name, plan.seed) >> 32


def resolve_limits(
    plan: AugmentPlan, gates: dict[str, FittedGate], classes: Sequence[str]
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, str]]]:
    """Gate -> class -> the number that a score is held against; and gate -> class -> why the gate has no say in it."""
    resolved, silent = {}, {}
    for name, fitted in gates.items():
        resolved[name], silent[name] = class_limits(fitted.gate, plan.gates[name].limit, classes)
        for emotion, why in silent[name].items():
            progress(f"augment: gate {name} has no say in {emotion}: {why}")
    return resolved, silent
