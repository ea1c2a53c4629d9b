"""The stage `augment`: sample and gate, in rounds, until every class has its target or the budget of draws is spent.

Each class has one fixed sequence of draws, cut into lists from index 0; a round takes the next whole lists. What is
drawn depends on counts alone, never on time or the number of actors, so the same inputs give the same release.

Writes data/runs/<run>/augmented/: shards/train-synthetic-*.tar + index.parquet (accepted, no more than the target),
scores.parquet (every candidate and gate), rejected/ (a few of each class and gate, to look at), balance.json.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpora.atomic import atomic_folder, write_json
from corpora.fingerprint import hash_bytes
from corpora.schema import SAMPLES, SCORES, Sample
from corpora.shards import read_table, write_shards, write_table
from flows.candidates import Candidate, Drawer
from flows.gating import FittedGate, fit_gates, resolve_limits
from flows.params import Machine
from flows.paths import Layout
from flows.plan import Plan
from flows.progress import progress
from flows.sampler import read_samples
from flows.store import WorkStore
from generators.balance import Cell, cells, next_lists
from generators.generator import Draw
from validators.gate import admit

GIVE_UP_AFTER = 4  # lists of a class before its acceptance is held against `min_acceptance`
SHOWN_REJECTS = 3  # rejected payloads kept for each class and gate, for people to look at


def run(plan: Plan, layout: Layout, machine: Machine) -> None:
    """Raises `UserError` where a gate cannot be built from the train split."""
    prepared = layout.run(plan.run) / "prepared"
    summary = json.loads((prepared / "summary.json").read_text(encoding="utf-8"))
    store = WorkStore(machine.store or layout.store)
    if plan.params["generator"] is None:  # real samples alone: nothing drawn, nothing missing
        as_found = [Cell(c, None, n, n) for c, n in summary["counts"]["train"].items()]
        _write(plan, layout, store, prepared, summary, {}, {}, as_found, [], [])
        return
    gates = fit_gates(plan, layout, prepared, summary, store)
    limits = resolve_limits(plan, gates, summary["classes"])
    model = layout.run(plan.run) / "model"
    with Drawer(plan, layout, machine, store, prepared, model, summary, {n: g.key for n, g in gates.items()}) as draw:
        wanted = cells_of(plan, summary)
        candidates, rounds = fill(plan, wanted, gates, limits, draw)
    _write(plan, layout, store, prepared, summary, gates, limits, wanted, candidates, rounds)


def cells_of(plan: Plan, summary: dict[str, Any]) -> list[Cell]:
    """What is to be filled: the classes of the run, or those of each corpus (`target.within`)."""
    by_corpus = {name: told["counts"]["train"] for name, told in summary["by_corpus"].items()}
    return cells(summary["classes"], summary["counts"]["train"], by_corpus, **plan.params["target"])


def fill(
    plan: Plan,
    wanted: list[Cell],
    gates: dict[str, FittedGate],
    limits: dict[str, dict[str, float]],
    draw: Drawer,
) -> tuple[list[Candidate], list[dict[str, Any]]]:
    """-> every candidate with its fate, and one row for each round and cell."""
    budget, size = plan.params["rounds"], int(plan.numerics["draw_list"])
    seen: dict[Cell, list[Candidate]] = {cell: [] for cell in wanted}
    rounds: list[dict[str, Any]] = []
    for number in range(1, budget["max_rounds"] + 1):
        lists: list[list[Draw]] = []
        owners: list[Cell] = []
        for cell in wanted:
            tried, accepted = len(seen[cell]), _accepted(seen[cell])
            lacking = cell.target - cell.real
            if tried >= GIVE_UP_AFTER * size and accepted < budget["min_acceptance"] * tried:
                continue
            n = next_lists(
                max(0, lacking - accepted),
                tried=tried,
                accepted=accepted,
                draw_list=size,
                # at least one list, so that a class that lacks one sample may try
                max_draws=max(size, round(budget["max_draws"] * lacking)),
            )
            lists += [draw.sequence.draws(cell.emotion, tried + k * size, size, cell.corpus) for k in range(n)]
            owners += [cell] * n
        if not lists:
            break
        new = draw(lists, number)
        by_cell: dict[Cell, list[Candidate]] = {}
        for i, candidate in enumerate(new):
            owner = owners[i // size]
            candidate.corpus = owner.corpus
            by_cell.setdefault(owner, []).append(candidate)
        for cell, fresh in by_cell.items():
            of_class = {n: by_class[cell.emotion] for n, by_class in limits.items()}
            _admit(fresh, gates, of_class)
            # a copy of a candidate that fills the same class of another corpus is a copy as well
            _part_repeats(
                fresh, [c for o in wanted if o.emotion == cell.emotion for c in seen[o]], gates, of_class, draw
            )
            room = cell.target - cell.real - _accepted(seen[cell])
            for k, candidate in enumerate(c for c in fresh if c.failed is None):
                candidate.surplus = k >= room
            seen[cell] += fresh
            passed = _accepted(fresh)
            rounds.append(
                {"round": number, "class": cell.emotion, "candidates": len(fresh), "accepted": passed}
                | ({} if cell.corpus is None else {"corpus": cell.corpus})
            )
            named = cell.emotion if cell.corpus is None else f"{cell.emotion} of {cell.corpus}"
            progress(f"augment: round {number}, {named}: {passed} of {len(fresh)} candidates passed every gate")
    return [c for cell in wanted for c in seen[cell]], rounds


def _accepted(candidates: list[Candidate]) -> int:
    return sum(c.failed is None for c in candidates)


def _admit(candidates: list[Candidate], gates: dict[str, FittedGate], limits: dict[str, float]) -> None:
    """Marks each candidate with the first gate that refuses it, in the order of the gates."""
    passed = {n: admit(np.array([c.values[n] for c in candidates]), limits[n], g.gate.better) for n, g in gates.items()}
    for i, candidate in enumerate(candidates):
        candidate.failed = next((n for n in gates if not passed[n][i]), None)


def _part_repeats(
    new: list[Candidate], old: list[Candidate], gates: dict[str, FittedGate], limits: dict[str, float], draw: Drawer
) -> None:
    """Of candidates that are copies of one another the first stays: a score of one row cannot see its siblings."""
    if "copies" not in gates:
        return
    standing = [c for c in [*old, *new] if c.failed is None]
    if not any(c.failed is None for c in new):
        return
    batch = draw.batch(standing)
    for i, j in gates["copies"].gate.near_pairs(batch, limits["copies"]):  # type: ignore[attr-defined]
        if standing[i].failed is None and standing[j].failed is None:
            standing[j].failed = "copies"
            standing[j].reasons["copies"] = "repeats-another-candidate"


def _write(
    plan: Plan,
    layout: Layout,
    store: WorkStore,
    prepared: Path,
    summary: dict[str, Any],
    gates: dict[str, FittedGate],
    limits: dict[str, dict[str, float]],
    wanted: list[Cell],
    candidates: list[Candidate],
    rounds: list[dict[str, Any]],
) -> None:
    real = {r["sample_id"]: r for r in read_table(prepared / "index.parquet", SAMPLES).to_pylist()}
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
        reference = {n: g.gate.reference() for n, g in gates.items()}
        write_json(
            folder / "reference.json",  # what real samples score, for limits, yardsticks and figures
            {n: {c: [_finite(float(v)) for v in by[c]] for c in sorted(by)} for n, by in reference.items()},
        )
        write_json(
            folder / "balance.json",
            {
                "within": plan.params["target"]["within"] if plan.params["generator"] else None,
                "classes": [
                    _class_row(c, summary["counts"]["train"][c], wanted, candidates) for c in summary["classes"]
                ],
                "cells": [_cell_row(cell, candidates) for cell in wanted if cell.corpus is not None],
                "rounds": rounds,
                "limits": {n: {c: _finite(v) for c, v in by.items()} for n, by in limits.items()},
            },
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cell_row(cell: Cell, candidates: list[Candidate]) -> dict[str, Any]:
    own = [c for c in candidates if c.draw.condition.emotion == cell.emotion and c.corpus == cell.corpus]
    accepted = sum(c.failed is None and not c.surplus for c in own)
    return {
        "emotion": cell.emotion,
        "corpus": cell.corpus,
        "real_train": cell.real,
        "target": cell.target,
        "candidates": len(own),
        "accepted": accepted,
        "surplus": sum(c.surplus for c in own),
        "rejected": dict(Counter(c.failed for c in own if c.failed is not None)),
        "filled": cell.real + accepted >= cell.target,
    }


def _class_row(emotion: str, real: int, wanted: list[Cell], candidates: list[Candidate]) -> dict[str, Any]:
    """A class of the run: the sum of its cells, filled where all of them are."""
    rows = [_cell_row(cell, candidates) for cell in wanted if cell.emotion == emotion]
    summed = {k: sum(r[k] for r in rows) for k in ("target", "candidates", "accepted", "surplus")}
    rejected: Counter[str] = sum((Counter(r["rejected"]) for r in rows), Counter())
    return {
        "emotion": emotion,
        "real_train": real,
        **summed,
        "rejected": dict(rejected),
        "filled": all(r["filled"] for r in rows),
    }


def _shown_rejects(candidates: list[Candidate]) -> list[Candidate]:
    """The first few of each class and gate that have a payload at all."""
    taken: Counter[tuple[Any, str]] = Counter()
    shown = []
    empty = hash_bytes(b"")
    for c in candidates:
        place = (c.draw.condition.emotion, c.failed or "")
        if c.failed is not None and c.sha256 != empty and taken[place] < SHOWN_REJECTS:
            taken[place] += 1
            shown.append(c)
    return shown


def _as_samples(
    candidates: list[Candidate], store: WorkStore, summary: dict[str, Any], real: dict[str, Any]
) -> Iterator[Sample]:
    """A conversion keeps its source's subject, group and licence; a free sample is nobody's and its own group."""
    licences = sorted({r["license"] for r in real.values()})
    by_list: dict[str, list[Candidate]] = {}
    for c in candidates:
        by_list.setdefault(c.list_key, []).append(c)
    for key, members in by_list.items():
        payloads, meta = read_samples(store, key)
        for c in members:
            source = real[c.draw.source_ids[0]] if c.draw.source_ids else None
            emotion = str(c.draw.condition.emotion)
            yield Sample(
                sample_id=c.sample_id,
                corpus="syn" if source is None else source["corpus"],
                modality=summary["modality"],
                payload=payloads[c.row],
                codec=meta["codec"],
                license=" AND ".join(licences) if source is None else source["license"],
                group_id=c.sample_id if source is None else source["group_id"],
                subject_id=None if source is None else source["subject_id"],
                emotion=emotion,
                language=None if source is None else source["language"],
                gender=None if source is None else source["gender"],
                sentence_id=None if source is None else source["sentence_id"],
                intensity=c.draw.condition.intensity,
                generator_id=c.sample_id.split("/")[1],
                seed=c.draw.seed,
                source_ids=c.draw.source_ids,
                extra=_extra(c),
            )


def _extra(c: Candidate) -> dict[str, str]:
    """`corpus`: whose class the sample fills. Without sources the generator was not told: it is a count, no style."""
    filled = {} if c.corpus is None else {"corpus": c.corpus}
    return filled if c.failed is None else filled | {"gate": c.failed, "value": repr(c.values[c.failed])}


def _scores(candidates: list[Candidate], gates: dict[str, FittedGate], limits: dict[str, dict[str, float]]) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [] for name in SCORES.names}
    for c in candidates:
        emotion = str(c.draw.condition.emotion)
        for name, fitted in gates.items():
            limit = limits[name][emotion]
            ok = bool(admit(np.array([c.values[name]]), limit, fitted.gate.better)[0])
            reason = c.reasons[name]
            ok = ok and c.failed != name  # within the limit, but a copy of another candidate
            if not ok and reason is None:
                finite = math.isfinite(c.values[name])
                reason = f"{name}-beyond-limit" if finite else f"{name}-not-scored"
            row = (c.sample_id, emotion, c.round, name, c.values[name], limit, ok, None if ok else reason,
                   fitted.gate.judge)  # fmt: skip
            for column, value in zip(SCORES.names, row, strict=True):
                columns[column].append(value)
    return pa.table(columns, schema=SCORES)
