"""The stage `augment`: sample and gate, in rounds, until every class has its target or its limits say stop.

Each class has one fixed sequence of draws, cut into lists from index 0; a round takes the next whole lists. What is
drawn depends on counts alone, never on time or the number of actors, so the same inputs give the same release.

Writes data/runs/<run>/augmented/: shards/train-synthetic-*.tar + index.parquet (what is released, no more than the
target), accepted.parquet (all that passed, and which of them are released), scores.parquet (every candidate and gate),
rejected/ (a few of each class and gate, to look at), balance.json. Beside it, in .emoforge/timings: what it took.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpora.fingerprint import hash_bytes
from corpora.schema import SAMPLES, SCORES, Sample
from corpora.store.atomic import atomic_folder, write_json
from corpora.store.shards import read_table, write_shards, write_table
from flows.engine.store import WorkStore
from flows.params import Machine
from flows.paths import Layout
from flows.stages.augment.candidates import Candidate, Drawer
from flows.stages.augment.choosing import accepted_table, choose, require_embedding
from flows.stages.augment.gating import FittedGate, fit_gates, resolve_limits
from flows.stages.augment.rounds import budget_of, fill, limit_of, passes, prepared_cells
from flows.stages.augment.sampler import asked_emotion, read_samples
from flows.stages.augment.tallies import cell_row, class_row, spent
from flows.stages.plan.plan import Plan
from generators.draws.balance import Stop
from generators.draws.targets import Cell

SHOWN_REJECTS = 3  # rejected payloads kept for each class and gate, for people to look at
TIMINGS = "draws"  # .emoforge/timings/<run>/draws.json


def run(plan: Plan, layout: Layout, machine: Machine) -> None:
    """Raises `UserError` where a gate cannot be built from the train split."""
    prepared = layout.run(plan.run) / "prepared"
    summary = json.loads((prepared / "summary.json").read_text(encoding="utf-8"))
    store = WorkStore(machine.store or layout.store)
    if plan.params["generator"] is None:  # real samples alone: nothing drawn, nothing missing
        as_found: dict[Cell, list[Candidate]] = {Cell(c, None, n, n): [] for c, n in summary["counts"]["train"].items()}
        _write(plan, layout, store, prepared, summary, {}, {}, {}, as_found, {}, [], {})
        return
    require_embedding(plan)
    gates = fit_gates(plan, layout, prepared, summary, store)
    limits, silent = resolve_limits(plan, gates, summary["classes"])
    model = layout.run(plan.run) / "model"
    with Drawer(plan, layout, machine, store, prepared, model, summary, {n: g.key for n, g in gates.items()}) as draw:
        wanted = prepared_cells(plan.params["target"], prepared) + draw.sequence.asked.cells()
        budget = budget_of(plan.params["rounds"])
        seen, stops, rounds = fill(wanted, gates, limits, draw, budget, int(plan.numerics["draw_list"]))
        chosen = choose(plan, prepared, summary, seen, draw)
    _write(plan, layout, store, prepared, summary, gates, limits, silent, seen, stops, rounds, chosen)
    spent(layout.timing_file(TIMINGS, plan.run), seen, draw.seconds, machine.actors)


def _write(
    plan: Plan,
    layout: Layout,
    store: WorkStore,
    prepared: Path,
    summary: dict[str, Any],
    gates: dict[str, FittedGate],
    limits: dict[str, dict[str, float]],
    silent: dict[str, dict[str, str]],
    seen: dict[Cell, list[Candidate]],
    stops: dict[Cell, Stop],
    rounds: list[dict[str, Any]],
    how_chosen: dict[str, Any],
) -> None:
    real = {r["sample_id"]: r for r in read_table(prepared / "index.parquet", SAMPLES).to_pylist()}
    candidates = [c for of_cell in seen.values() for c in of_cell]
    chosen = [c for c in candidates if c.failed is None and not c.surplus]
    with atomic_folder(layout.run(plan.run) / "augmented") as folder:
        index = write_shards(
            _as_samples(chosen, store, summary, real), folder, plan.params["shards"], "shards/train-synthetic"
        )
        write_table(folder / "index.parquet", index)
        shown = _shown_rejects(candidates)
        if shown:
            rejected = write_shards(_as_samples(shown, store, summary, real), folder, 1, "rejected/rejected")
            write_table(folder / "rejected.parquet", rejected)
        write_table(folder / "scores.parquet", _scores(candidates, gates, limits))
        write_table(folder / "accepted.parquet", accepted_table(seen))
        reference = {n: g.gate.reference() for n, g in gates.items()}
        write_json(
            folder / "reference.json",  # what real samples score, for limits, yardsticks and figures
            {n: {c: [_finite(float(v)) for v in by[c]] for c in sorted(by)} for n, by in reference.items()},
        )
        made = plan.params["generator"] is not None
        write_json(
            folder / "balance.json",
            {
                "within": plan.params["target"]["within"] if made else None,
                "target": plan.params["target"] if made else None,
                "classes": [
                    class_row(c, summary["counts"]["train"][c], seen, stops, list(gates)) for c in summary["classes"]
                ],
                "cells": [
                    cell_row(cell, of_cell, stops, list(gates))
                    for cell, of_cell in seen.items()
                    if cell.corpus is not None or cell.subject is not None or cell.mixture
                ],
                "rounds": rounds,
                "chosen": how_chosen,
                "limits": {n: {c: _finite(v) for c, v in by.items()} for n, by in limits.items()},
                "undecided": {n: by for n, by in silent.items() if by},  # gate -> class -> why it has no say
            },
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _shown_rejects(candidates: list[Candidate]) -> list[Candidate]:
    """The first few of each class and gate that have a payload at all."""
    taken: Counter[tuple[Any, str]] = Counter()
    shown = []
    empty = hash_bytes(b"")
    for c in candidates:
        place = (c.draw.condition.one_class, c.failed or "")
        if c.failed is not None and c.sha256 != empty and taken[place] < SHOWN_REJECTS:
            taken[place] += 1
            shown.append(c)
    return shown


def _as_samples(
    candidates: list[Candidate], store: WorkStore, summary: dict[str, Any], real: dict[str, Any]
) -> Iterator[Sample]:
    """A conversion keeps its source's subject, group and licence. A free sample is its own group and nobody's, unless
    it was drawn as a subject of train: then it is that subject's, and of the subject's group where there is one."""
    licences = sorted({r["license"] for r in real.values()})
    groups: dict[str, set[str]] = {}
    for row in real.values():
        if row["subject_id"] is not None:
            groups.setdefault(row["subject_id"], set()).add(row["group_id"])
    by_list: dict[str, list[Candidate]] = {}
    for c in candidates:
        by_list.setdefault(c.list_key, []).append(c)
    for key, members in by_list.items():
        payloads, meta = read_samples(store, key)
        for c in members:
            source = real[c.draw.sources["from"]] if "from" in c.draw.sources else None
            emotion, subject = c.draw.condition.one_class, c.draw.condition.subject
            own = groups.get(subject, set()) if subject is not None else set()
            yield Sample(
                sample_id=c.sample_id,
                corpus="syn" if source is None else source["corpus"],
                modality=summary["modality"],
                payload=payloads[c.row],
                codec=meta["codecs"][c.row],
                duration_s=meta["durations_s"][c.row],
                signals=meta["signals"][c.row],
                license=" AND ".join(licences) if source is None else source["license"],
                group_id=source["group_id"] if source else next(iter(own)) if len(own) == 1 else c.sample_id,
                subject_id=subject if source is None else source["subject_id"],
                emotion=emotion,
                labels=[] if emotion is not None else _labels(c, summary["scheme"]),
                language=None if source is None else source["language"],
                gender=None if source is None else source["gender"],
                sentence_id=None if source is None else source["sentence_id"],
                intensity=_rated(c, "intensity"),
                valence=_rated(c, "valence"),
                arousal=_rated(c, "arousal"),
                dominance=_rated(c, "dominance"),
                generator_id=c.sample_id.split("/")[1],
                seed=c.draw.seed,
                source_ids=c.draw.source_ids,
                extra=_extra(c),
            )


def _labels(c: Candidate, scheme: str) -> list[dict[str, object]]:
    """A soft label as the column `labels` has it: one entry for each class, with its weight."""
    return [{"scheme": scheme, "label": name, "weight": share} for name, share in c.draw.condition.shares.items()]


def _rated(c: Candidate, name: str) -> float | None:
    """What was asked for; an emotion without more is asked for in full."""
    value = c.draw.condition.given.get(name, 1.0 if name == "intensity" else None)
    return None if value is None else float(value)  # type: ignore[arg-type]


def _extra(c: Candidate) -> dict[str, str]:
    """`corpus`: whose class the sample fills. Without sources the generator was not told: it is a count, no style."""
    filled = {} if c.cell is None or c.cell.corpus is None else {"corpus": c.cell.corpus}
    return filled if c.failed is None else filled | {"gate": c.failed, "value": repr(c.values[c.failed])}


def _scores(candidates: list[Candidate], gates: dict[str, FittedGate], limits: dict[str, dict[str, float]]) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [] for name in SCORES.names}
    for c in candidates:
        emotion, classes = asked_emotion(c.draw), tuple(c.draw.condition.shares)
        for name, fitted in gates.items():
            limit = limit_of(fitted.gate, limits[name], classes)
            reason = c.reasons[name]
            ok = bool(passes(fitted.gate, [c.values[name]], [reason], limit)[0])
            ok = ok and c.failed != name  # within the limit, but a copy of another candidate
            if not ok and reason is None:
                finite = math.isfinite(c.values[name])
                reason = f"{name}-beyond-limit" if finite else f"{name}-not-scored"
            row = (
                c.sample_id,
                emotion,
                c.round,
                name,
                c.values[name],
                _finite(limit),
                ok,
                None if ok else reason,
                fitted.gate.judge,
            )
            for column, value in zip(SCORES.names, row, strict=True):
                columns[column].append(value)
    return pa.table(columns, schema=SCORES)
