"""Rounds of sample and gate: whole lists of every cell's fixed sequence of draws, until a cell is full or its limits
say stop. What a round takes depends on counts alone (generators/draws/balance.py), never on time or the number of
actors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from flows.artifacts.augmented import RoundTally
from flows.artifacts.prepared import Prepared
from flows.engine.progress import progress
from flows.params import Target
from flows.stages.augment.candidates import Candidate, Drawer
from flows.stages.augment.gating import FittedGate
from flows.stages.augment.sampler import NO_CLASS
from generators.draws.balance import STOPS, Budget, Stop, next_step
from generators.draws.targets import BySubject, Cell
from generators.generator import Draw
from validators.gate import SampleGate, lets_in


def prepared_cells(target: Target, prepared: Prepared) -> list[Cell]:
    """What is to be filled: the classes of the run, of each corpus, or of each subject, by what prepare left."""
    summary = prepared.summary()
    by_corpus = {name: corpus.counts["train"] for name, corpus in summary.by_corpus.items()}
    by_subject = prepared_subjects(prepared) if target.cells == "subject" else None
    counts = summary.counts["train"]
    return target.cells_of(summary.classes, counts, by_corpus, by_subject)


def prepared_subjects(prepared: Prepared) -> BySubject:
    """Train samples of each subject and class, by what prepare left."""
    train = {sample_id for sample_id, split in prepared.split_of().items() if split == "train"}
    return subject_counts(prepared.index(), train)


def subject_counts(index: pa.Table, chosen: set[str]) -> BySubject:
    """corpus -> subject (None: not known) -> class -> samples of `index` (SAMPLES) whose id is in `chosen`."""
    counts: dict[str, dict[str | None, dict[str, int]]] = {}
    for row in index.select(["sample_id", "corpus", "subject_id", "emotion"]).to_pylist():
        if row["sample_id"] in chosen and row["emotion"] is not None:
            own = counts.setdefault(row["corpus"], {}).setdefault(row["subject_id"], {})
            own[row["emotion"]] = own.get(row["emotion"], 0) + 1
    return counts


def fill(
    wanted: list[Cell],
    gates: dict[str, FittedGate],
    limits: dict[str, dict[str, float]],
    draw: Drawer,
    budget: Budget,
    draw_list: int,
) -> tuple[dict[Cell, list[Candidate]], dict[Cell, Stop], list[RoundTally]]:
    """-> every candidate with its fate, why each cell ended, and one row for each round and cell.

    By weight each source of a cell serves once: of the last list, what goes beyond that is drawn and left out, so that
    lists stay whole and a higher `spread` goes on with them.
    """
    sources = {cell: draw.sequence.sources(cell) for cell in wanted} if budget.spread is not None else {}
    seen: dict[Cell, list[Candidate]] = {cell: [] for cell in wanted}
    history: dict[Cell, list[tuple[int, int]]] = {cell: [] for cell in wanted}
    stops: dict[Cell, Stop] = {c: "no-source" for c in wanted if c.lacking > 0 and not draw.sequence.can_draw(c)}
    for cell in (c for c in wanted if c.lacking > 0):
        if (why := draw.sequence.refused(cell)) is not None:
            stops[cell] = "refused"
            progress(f"augment: {cell.named} gets no samples; the generator says {why}")
    rounds: list[RoundTally] = []
    number = 0
    while True:
        number += 1
        lists: list[list[Draw]] = []
        owners: list[Cell] = []
        for cell in wanted:
            if cell in stops:
                continue
            n, stop = next_step(cell.lacking, history[cell], budget, draw_list, sources.get(cell))
            if stop is not None:
                stops[cell] = stop
                _tell_stop(cell, stop, history[cell], budget)
                continue
            start = len(seen[cell])
            for k in range(n):
                at = start + k * draw_list
                lists.append(draw.sequence.draws(cell, at, draw_list))
            owners += [cell] * n
        if not lists:
            return seen, stops, rounds
        fresh: dict[Cell, list[Candidate]] = {}
        for i, candidate in enumerate(draw(lists, number)):
            candidate.cell = owners[i // draw_list]
            fresh.setdefault(candidate.cell, []).append(candidate)
        for cell, candidates in fresh.items():
            if (served := budget.served(cell.lacking, sources.get(cell))) is not None:
                del candidates[served - len(seen[cell]) :]
        for classes in dict.fromkeys(cell.classes for cell in fresh):
            # a copy of a candidate that fills the same class of another corpus or subject is a copy as well
            new = [c for cell in fresh if cell.classes == classes for c in fresh[cell]]
            old = [c for cell in wanted if cell.classes == classes for c in seen[cell]]
            of_class = {n: limit_of(g.gate, limits[n], classes) for n, g in gates.items()}
            _admit(new, gates, of_class)
            _part_repeats(new, old, gates, of_class, draw)
        for cell, candidates in fresh.items():
            seen[cell] += candidates
            passed = sum(c.failed is None for c in candidates)
            history[cell].append((len(candidates), passed))
            rounds.append(
                RoundTally(
                    round=number,
                    emotion=cell.emotion or cell.named,
                    candidates=len(candidates),
                    accepted=passed,
                    corpus=cell.corpus,
                    subject=cell.subject,
                )
            )
            progress(
                f"augment: round {number}, {cell.named}: {passed} of {len(candidates)} candidates passed every gate"
            )


def limit_of(gate: SampleGate, by_class: Mapping[str, float], classes: Sequence[str]) -> float:
    """The limit of a cell: its class'; of a mixture the strictest of its classes."""
    limits = [by_class[name] for name in classes]
    return min(limits) if gate.better == "lower" else max(limits)


def passes(gate: SampleGate, values: Sequence[float], reasons: Sequence[str | None], limit: float) -> np.ndarray:
    """[B] bool: what the gate lets in; a mixture is excused by a gate that judges classes (`NO_CLASS`)."""
    return lets_in(gate, values, reasons, limit) | np.array([reason == NO_CLASS for reason in reasons], dtype=bool)


def _tell_stop(cell: Cell, stop: Stop, history: list[tuple[int, int]], budget: Budget) -> None:
    if stop in ("complete", "filled"):
        return
    passed = sum(ok for _, ok in history)
    limit = f" of {budget.min_acceptance:g}" if stop == "acceptance" else ""
    progress(f"augment: {cell.named} ends with {passed} of {cell.lacking} missing samples: {STOPS[stop]}{limit}")


def _admit(candidates: list[Candidate], gates: dict[str, FittedGate], limits: dict[str, float]) -> None:
    """Marks each candidate with the gates that refuse it, in the order of the gates."""
    passed = {
        n: passes(g.gate, [c.values[n] for c in candidates], [c.reasons[n] for c in candidates], limits[n])
        for n, g in gates.items()
    }
    for i, candidate in enumerate(candidates):
        candidate.refused_by = tuple(n for n in gates if not passed[n][i])
        candidate.failed = candidate.refused_by[0] if candidate.refused_by else None


def _part_repeats(
    new: list[Candidate], old: list[Candidate], gates: dict[str, FittedGate], limits: dict[str, float], draw: Drawer
) -> None:
    """Of candidates that are copies of one another the first stays: a score of one row cannot see its siblings."""
    for name, fitted in gates.items():
        if not fitted.gate.drops_repeats or not any(c.failed is None for c in new):
            continue
        standing = [c for c in [*old, *new] if c.failed is None]
        for i, j in fitted.gate.near_pairs(draw.batch(standing), limits[name]):
            if standing[i].failed is None and standing[j].failed is None:
                standing[j].failed, standing[j].refused_by = name, (name,)
                standing[j].reasons[name] = "repeats-another-candidate"
