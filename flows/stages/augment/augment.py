"""The stage `augment`: sample and gate, in rounds, until every class has its target or its limits say stop.

Each class has one fixed sequence of draws, cut into lists from index 0; a round takes the next whole lists. What is
drawn depends on counts alone, never on time or the number of actors, so the same inputs give the same release.

Writes data/runs/<run>/augmented/: shards/train-synthetic-*.tar + index.parquet (what is released: no more than the
target, or all that passed with weights that come to it), accepted.parquet (all that passed, and which of them are
released), scores.parquet (every candidate and gate), rejected/ (a few of each class and gate, to look at),
balance.json. Beside it, in .emoforge/timings: what it took.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from corpora.fingerprint import hash_bytes
from corpora.schema import SCORES, Sample
from flows.artifacts.augmented import ASKED, DRAWS, Augmented, Balance, Chosen, DrawnBy, Reference, RoundTally
from flows.artifacts.prepared import Prepared, Summary
from flows.engine.store import WorkStore
from flows.params import Machine
from flows.paths import Layout
from flows.stages.augment.candidates import Candidate, Drawer
from flows.stages.augment.choosing import accepted_table, choose, require_embedding
from flows.stages.augment.gating import FittedGate, fit_gates, resolve_limits
from flows.stages.augment.requests import requests_table
from flows.stages.augment.rounds import fill, limit_of, passes, prepared_cells
from flows.stages.augment.sampler import asked_emotion, read_samples
from flows.stages.augment.tallies import cell_tally, class_tally, spent
from flows.stages.augment.withholding import withhold
from flows.stages.plan.plans import AugmentPlan
from generators.draws.balance import Stop
from generators.draws.targets import Cell
from generators.generator import RATED, Given, generator_class

SHOWN_REJECTS = 3  # rejected payloads kept for each class and gate, for people to look at
CANONICAL: Mapping[str, Any] = {
    "sort_keys": True,
    "separators": (",", ":"),
    "ensure_ascii": False,
}  # as `hash_json` has it
# what synthetic samples are told of real ones (`_as_samples`)
OF_SOURCE = (
    *("sample_id", "corpus", "part", "emotion", "license", "group_id", "subject_id", "language", "gender"),
    *("sentence_id", "intensity", "valence", "arousal", "dominance"),
)
TIMINGS = "draws"  # .emoforge/timings/<run>/draws.json


@dataclass(frozen=True)
class Drawn:
    """What the rounds came to. seen: every candidate of each cell, with its fate; limits: gate -> class -> number;
    silent: gate -> class -> why the gate has no say in it; stops: why each cell ended; by: what drew."""

    seen: Mapping[Cell, list[Candidate]]
    gates: Mapping[str, FittedGate] = field(default_factory=dict)
    limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    silent: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    stops: Mapping[Cell, Stop] = field(default_factory=dict)
    rounds: Sequence[RoundTally] = ()
    chosen: Chosen = field(default_factory=Chosen)
    by: DrawnBy | None = None

    @property
    def candidates(self) -> list[Candidate]:
        """Of all cells, in the order of the draws."""
        return [c for of_cell in self.seen.values() for c in of_cell]

    @classmethod
    def nothing(cls, summary: Summary) -> Drawn:
        """Of a run of real samples alone: nothing drawn, nothing missing."""
        return cls({Cell(c, None, n, n): [] for c, n in summary.counts["train"].items()})


def run(plan: AugmentPlan, layout: Layout, machine: Machine) -> None:
    """Raises `UserError` where a gate cannot be built from the train split."""
    prepared = Prepared.open(layout.run(plan.run) / "prepared")
    summary = prepared.summary()
    store = WorkStore(machine.store or layout.store)
    if plan.generator is None:
        _write(plan, layout, prepared, store, Drawn.nothing(summary))
        return
    require_embedding(plan)
    gates = fit_gates(plan, layout, prepared, summary, store)
    limits, silent = resolve_limits(plan, gates, summary.classes)
    keys = {name: gate.key for name, gate in gates.items()}
    with Drawer(plan, layout, machine, store, prepared, keys) as draw:
        wanted = prepared_cells(plan.target, prepared) + draw.sequence.asked.cells()
        seen, stops, rounds = fill(wanted, gates, limits, draw, plan.rounds.budget(plan.target), plan.compute.draw_list)
        chosen = choose(plan, prepared, seen, draw)
        if plan.rounds.not_honoured == "withhold":
            stops |= withhold(seen, gates, summary.classes)
        drawn_by = draw.drawn_by
    _write(plan, layout, prepared, store, Drawn(seen, gates, limits, silent, stops, rounds, chosen, drawn_by))
    spent(layout.timing_file(TIMINGS, plan.run), seen, draw.seconds, machine.actors)


def _write(plan: AugmentPlan, layout: Layout, prepared: Prepared, store: WorkStore, drawn: Drawn) -> None:
    summary = prepared.summary()
    real = {r["sample_id"]: r for r in prepared.index().select(list(OF_SOURCE)).to_pylist()}
    edits = plan.generator is not None and hasattr(generator_class(plan.generator.name), "edit_payloads")
    released = [c for c in drawn.candidates if c.failed is None and not c.surplus]
    with Augmented.written(layout.run(plan.run) / "augmented") as out:
        out.write_samples(_as_samples(released, store, summary, real, edits), plan.shards)
        if shown := _shown_rejects(drawn.candidates):
            out.write_rejected(_as_samples(shown, store, summary, real, edits))
        out.write_tables(_scores(drawn), accepted_table(drawn.seen))
        if drawn.by is not None:
            out.write_draws(_draws(drawn.candidates, {c.list_key for c in released}), drawn.by)
        if (requests := requests_table(drawn.candidates)) is not None:
            out.write_requests(requests)
        if plan.ask.asked().names or any(map(_vectors_of, drawn.candidates)):
            out.write_asked(_asked(drawn.candidates))
        out.write_reference(_reference(drawn.gates))
        out.write_balance(_balance(plan, summary, drawn))


def _asked(candidates: Sequence[Candidate]) -> pa.Table:
    """ASKED, a row for each candidate."""
    rows = []
    for c in candidates:
        given = c.draw.condition.given
        rated = {name: given.get(name) for name in RATED}
        named = _vectors_of(c)
        vectors = json.dumps(named, sort_keys=True) if named else None
        rows.append({"sample_id": c.sample_id, **rated, "subject_id": c.draw.condition.subject, "given": vectors})
    return pa.Table.from_pylist(rows, schema=ASKED)


def _draws(candidates: Sequence[Candidate], lists: set[str]) -> pa.Table:
    """DRAWS of `lists`, whole: who stands in one batch with a sample has a share in its bytes."""
    of_lists = sorted((c for c in candidates if c.list_key in lists), key=lambda c: (c.list_key, c.row))
    draws = [json.dumps(c.draw.to_json(), **CANONICAL) for c in of_lists]
    keys = [c.list_key.rpartition("/")[2] for c in of_lists]
    columns = [keys, [c.row for c in of_lists], [c.sample_id for c in of_lists], draws]
    return pa.table(dict(zip(DRAWS.names, columns, strict=True)), schema=DRAWS)


def _vectors_of(c: Candidate) -> dict[str, Given]:
    """Named vectors that it was asked for."""
    return {name: value for name, value in c.draw.condition.given.items() if isinstance(value, tuple)}


def _reference(gates: Mapping[str, FittedGate]) -> Reference:
    return {
        name: {c: [_finite(float(v)) for v in scores] for c, scores in sorted(fitted.gate.reference().items())}
        for name, fitted in gates.items()
    }


def _balance(plan: AugmentPlan, summary: Summary, drawn: Drawn) -> Balance:
    target = None if plan.generator is None else plan.target
    gates, counts = list(drawn.gates), summary.counts["train"]
    return Balance(
        within=None if target is None else target.within,
        target=target,
        classes=tuple(class_tally(c, counts[c], drawn.seen, drawn.stops, gates) for c in summary.classes),
        cells=tuple(
            cell_tally(cell, of_cell, drawn.stops, gates)
            for cell, of_cell in drawn.seen.items()
            if cell.corpus is not None or cell.subject is not None or cell.mixture
        ),
        rounds=tuple(drawn.rounds),
        chosen=drawn.chosen,
        limits={n: {c: _finite(v) for c, v in by_class.items()} for n, by_class in drawn.limits.items()},
        undecided={n: dict(by_class) for n, by_class in drawn.silent.items() if by_class},
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
    candidates: list[Candidate],
    store: WorkStore,
    summary: Summary,
    real: Mapping[str, Mapping[str, Any]],
    edits: bool,
) -> Iterator[Sample]:
    """A conversion keeps its source's subject, group and licence. A free sample is its own group and nobody's, unless
    it was drawn as a subject of train: then it is that subject's, and of the subject's group where there is one."""
    licences = sorted({r["license"] for r in real.values()})
    parts = {r["part"] for r in real.values()}
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
                modality=summary.modality,
                part=source["part"] if source else next(iter(parts)) if len(parts) == 1 else None,
                payload=payloads[c.row],
                codec=meta["codecs"][c.row],
                duration_s=meta["durations_s"][c.row],
                signals=meta["signals"][c.row],
                license=" AND ".join(licences) if source is None else source["license"],
                group_id=source["group_id"] if source else next(iter(own)) if len(own) == 1 else c.sample_id,
                subject_id=subject if source is None else source["subject_id"],
                emotion=emotion,
                labels=[] if emotion is not None and c.soft is None else _labels(c, summary.scheme),
                language=None if source is None else source["language"],
                gender=None if source is None else source["gender"],
                sentence_id=None if source is None else source["sentence_id"],
                intensity=_rated(c, "intensity", source, edits),
                valence=_rated(c, "valence", source, edits),
                arousal=_rated(c, "arousal", source, edits),
                dominance=_rated(c, "dominance", source, edits),
                generator_id=c.sample_id.split("/")[1],
                seed=c.draw.seed,
                sources=c.draw.sources,
                weight=c.weight,
                extra=_extra(c),
            )


def _labels(c: Candidate, scheme: str) -> list[dict[str, object]]:
    """A soft label as the column `labels` has it: one entry for each class, with its weight."""
    shares = c.draw.condition.shares if c.soft is None else c.soft
    return [{"scheme": scheme, "label": name, "weight": share} for name, share in shares.items()]


def _rated(c: Candidate, name: str, source: Mapping[str, Any] | None, edits: bool) -> float | None:
    """What was asked for; an emotion without more is asked for in full. A variant of a sample of the class is not: how
    intense it is, is not known, but where a real payload was edited (`edits`), which keeps its ratings."""
    if edits and source is not None:
        return None if source[name] is None else float(source[name])
    varied = source is not None and source["emotion"] == c.draw.condition.one_class
    value = c.draw.condition.given.get(name, 1.0 if name == "intensity" and not varied else None)
    return None if value is None else float(value)  # type: ignore[arg-type]


def _extra(c: Candidate) -> dict[str, str]:
    """`corpus`: whose class the sample fills. A generator without sources was not asked for that corpus: the entry
    says which count the sample belongs to, not how it sounds or looks."""
    filled = {} if c.cell is None or c.cell.corpus is None else {"corpus": c.cell.corpus}
    return filled if c.failed is None else filled | {"gate": c.failed, "value": repr(c.values[c.failed])}


def _scores(drawn: Drawn) -> pa.Table:
    """SCORES: a row for each candidate and gate."""
    columns: dict[str, list[object]] = {name: [] for name in SCORES.names}
    for c in drawn.candidates:
        emotion, classes = asked_emotion(c.draw), tuple(c.draw.condition.shares)
        for name, fitted in drawn.gates.items():
            limit = limit_of(fitted.gate, drawn.limits[name], classes)
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
