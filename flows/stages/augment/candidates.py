"""Candidates: from the fixed sequence of draws of each class to scored samples, through the pool and the work store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpora.errors import ResourceError, UserError
from corpora.fingerprint import hash_json
from corpora.schema import SAMPLES
from corpora.store.shards import read_table
from features.representation import EditingRepresentation, make_representation
from flows.artifacts.augmented import DrawnBy
from flows.artifacts.prepared import Prepared
from flows.engine.executor import Executor, Worker, WorkItem, executor
from flows.engine.progress import Pace
from flows.engine.store import MissingItemError, WorkStore
from flows.params import Machine, RepresentationParams
from flows.paths import Layout
from flows.records import ARRAYS
from flows.stages.augment.batches import Form, Stored, batch_of
from flows.stages.augment.originals import keep_originals
from flows.stages.augment.sampler import (
    Setup,
    asked_dimensions,
    asked_emotion,
    read_samples,
    samples_key,
    scores_key,
)
from flows.stages.fit.given_file import asked_of_train
from flows.stages.fit.model_file import generator_id, read_model
from flows.stages.plan.plans import AugmentPlan
from generators.draws.asked import NOTHING, Asked
from generators.draws.balance import draw_sequence
from generators.draws.sources import SourceTable, choose_sources, count_sources
from generators.draws.targets import Cell
from generators.generator import Draw, SourceClass, generator_class, source_class
from training.seeds import derive_seed
from validators.gate import Batch

TRIES = 3  # a store that loses what was just written to it that often will not keep it the next time either


@dataclass
class Candidate:
    """One drawn sample and what became of it."""

    draw: Draw
    sample_id: str
    sha256: str
    round: int
    list_key: str
    row: int
    values: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str | None] = field(default_factory=dict)
    failed: str | None = None  # the first gate that said no
    refused_by: tuple[str, ...] = ()  # all that said no, in the order of the gates
    surplus: bool = False  # passed, but is not released: the class was full, or is withheld
    place: int | None = None  # in the order in which passed candidates of its cell were chosen
    cell: Cell | None = None  # what it is to fill
    weight: float | None = None  # what it counts once it is released; None: 1
    lineage: Mapping[str, Any] | None = None  # what its generator says of it (`generators.generator.Lineage.facts`)
    soft: Mapping[str, float] | None = None  # its label, where it is not what was asked for (`soft_labels`)


@dataclass(frozen=True)
class DrawSource:
    """The fixed sequence of draws of every cell; for conversions with their sources.

    `tables`: corpus (None: the whole run) -> what a conversion may start from; None where nothing is converted.
    `of_subject`: the same for each subject's own samples. `asked`: what draws ask for beside their class;
    `refuses`: class -> why the generator draws nothing of it.
    """

    seed: int
    tables: Mapping[str | None, SourceTable] | None
    of_subject: Mapping[str, SourceTable] = field(default_factory=dict)
    asked: Asked = NOTHING
    refuses: Mapping[str, str] = field(default_factory=dict)

    def draws(self, cell: Cell, start: int, n: int) -> list[Draw]:
        """Draws start ... start + n - 1 of the cell."""
        chooser = None
        if self.tables is not None:
            table, seed = self._table(cell.corpus, cell.subject), derive_seed("sources", self.seed)

            def chooser(index: int) -> Mapping[str, str]:
                return choose_sources([index], table, cell.classes, seed)[0]

        return draw_sequence(cell, start, n, run_seed=self.seed, source_chooser=chooser, asked=self.asked)

    def can_draw(self, cell: Cell) -> bool:
        """Whether there is anything to start from, of the cell's subject or corpus."""
        return self.tables is None or self.sources(cell) > 0

    def sources(self, cell: Cell) -> int:
        """Samples that draws of the cell may start from; 0 where nothing is converted."""
        return 0 if self.tables is None else count_sources(self._table(cell.corpus, cell.subject), cell.classes)

    def refused(self, cell: Cell) -> str | None:
        """Why the generator draws nothing of the cell; None where it does."""
        return next((self.refuses[name] for name in cell.classes if name in self.refuses), None)

    def _table(self, corpus: str | None, subject: str | None) -> SourceTable:
        assert self.tables is not None
        nothing = SourceTable((), (), ())
        return self.tables.get(corpus, nothing) if subject is None else self.of_subject.get(subject, nothing)


def draw_sources(
    seed: int,
    prepared: Path,
    takes: Sequence[str],
    asked: Asked = NOTHING,
    refuses: Mapping[str, str] | None = None,
    of: SourceClass = "other",
    turns: Mapping[str, int] | None = None,
) -> DrawSource:
    """Sources are train samples that the representation can hold, and no others; none of a class that the generator
    refuses (class -> why). `of`: of which class, beside that asked for (`generators.generator.source_class`);
    `turns`: sample -> how often it serves before all begin again (`turns_of`)."""
    refuses = dict(refuses or {})
    if not takes:
        return DrawSource(seed, None, asked=asked, refuses=refuses)
    ids = read_table(prepared / "arrays.parquet", ARRAYS).column("sample_id").to_pylist()
    columns = ["sample_id", "corpus", "emotion", "subject_id"]
    rows = read_table(prepared / "index.parquet", SAMPLES).select(columns).to_pylist()
    by_id = {r["sample_id"]: r for r in rows}
    own = [by_id[i] for i in ids]

    def table(chosen: list[dict[str, Any]]) -> SourceTable:
        return (
            SourceTable(
                ids=tuple(r["sample_id"] for r in chosen),
                emotions=tuple(r["emotion"] for r in chosen),
                subjects=tuple(r["subject_id"] for r in chosen),
                source_class=of,
            )
            .with_turns(turns or {})
            .without(refuses)
        )

    by_corpus: dict[str | None, list[dict[str, Any]]] = {None: own}
    by_subject: dict[str, list[dict[str, Any]]] = {}
    for row in own:
        by_corpus.setdefault(row["corpus"], []).append(row)
        if row["subject_id"] is not None:
            by_subject.setdefault(row["subject_id"], []).append(row)
    tables = {corpus: table(rows) for corpus, rows in by_corpus.items()}
    of_subject = {subject: table(rows) for subject, rows in by_subject.items()}
    return DrawSource(seed, tables, of_subject, asked, refuses)


class Drawer:
    """Turns lists of draws into scored candidates, through the pool and the store."""

    def __init__(
        self,
        plan: AugmentPlan,
        layout: Layout,
        machine: Machine,
        store: WorkStore,
        prepared: Prepared,
        gate_keys: dict[str, str],
    ) -> None:
        """`gate_keys`: of the fitted gates by name. Raises `IntegrityError` for a damaged model, `UserError` for a run
        without a generator."""
        if plan.generator is None:
            raise UserError(f"run {plan.run!r} has no generator, so there is nothing to draw")
        self.plan, self.machine, self.store, self.gate_keys = plan, machine, store, gate_keys
        model, cache = layout.run(plan.run) / "model", layout.scratch / "cache"
        described = read_model(model)  # whole, or nothing is drawn
        self.generator_id = generator_id(described, plan.generator.code, plan.loads)
        self.drawn_by = DrawnBy(
            generator_id=self.generator_id,
            generator=str(described["generator"]),
            weights=hash_json(described["files"]),
            params=hash_json({name: described[name] for name in ("params", "representation", "classes")}),
            code=plan.generator.code,
            loads=dict(plan.loads),
        )
        kind = generator_class(plan.generator.name)
        takes = kind.takes
        model_key = f"models/{self.generator_id}"
        store.put_folder(model_key, model)
        self.source_hash: dict[str, str] = {}
        if takes:
            table = prepared.index()
            pairs = zip(table.column("sample_id").to_pylist(), table.column("sha256").to_pylist(), strict=True)
            self.source_hash = dict(pairs)
        summary = prepared.summary()
        shape = RepresentationParams(**described["representation"])
        built = make_representation(shape.name, shape.params)
        edited = isinstance(built, EditingRepresentation) or built.spec.layout == "payload"
        self.form = Form.of(summary.modality, summary.rate_hz, described["representation"])
        refuses, turns = described.get("refuses"), described.get("turns")
        asked = asked_of_train(plan.ask.asked(), model, described, plan.seed)
        of = source_class(kind, described["params"])
        self.sequence = draw_sources(plan.seed, prepared.path, takes, asked, refuses, of, turns)
        self.setup = Setup(
            store=store.url,
            cache=str(cache),
            model=model_key,
            sources=keep_originals(prepared, store, cache, edited=edited) if takes else None,
            gates=gate_keys,
            form=self.form,
            representation=shape,
            generator=described["generator"],
            device=plan.compute.place(),
        )
        self.pool: Executor | None = None
        self.seconds: dict[str, dict[str, float]] = {}  # list of draws -> what was done now, and how long it took

    def __enter__(self) -> Drawer:
        return self

    def __exit__(self, *failure: Any) -> None:
        if self.pool is not None:
            self.pool.__exit__(*failure)

    def __call__(self, lists: list[list[Draw]], round_number: int) -> list[Candidate]:
        """Scored candidates in the order of the draws. What the store holds is not drawn again."""
        items = []
        for draws in lists:
            sources = [self.source_hash[s] for d in draws for s in d.source_ids]
            key = samples_key(self.generator_id, draws, sources, self.plan.compute)
            payload = {
                "samples": key,
                "draws": [d.to_json() for d in draws],
                "generator_id": self.generator_id,
            }
            items.append(WorkItem(key, payload))
        for _ in range(TRIES):
            self._make(items, round_number)
            read = [self._read(item.key, draws, round_number) for item, draws in zip(items, lists, strict=True)]
            if all(of_list is not None for of_list in read):
                return [candidate for of_list in read for candidate in of_list or ()]
            # a damaged list is removed from the store by reading it: the next turn draws it again
        raise ResourceError(
            f"the work store {self.store.url} gives back other bytes than were written to it, {TRIES} times in a row. "
            "Look at the disk under it, or choose another store in machine.yaml."
        )

    def _make(self, items: list[WorkItem], round_number: int) -> None:
        missing = [
            i
            for i in items
            if not all(self.store.has(k) for k in [i.key, *(scores_key(i.key, g) for g in self.gate_keys.values())])
        ]
        if not missing:
            return
        pace = Pace(f"augment: round {round_number}", "candidates", sum(len(i.payload["draws"]) for i in missing))

        def report(item: WorkItem, result: dict[str, Any]) -> None:
            self.seconds[item.key] = result.get("seconds", {})
            pace.add(len(item.payload["draws"]))

        self._started().run(missing, report)
        pace.end()

    def batch(self, candidates: list[Candidate]) -> Batch:
        """The candidates as gates see them."""
        lists = {key: read_samples(self.store, key) for key in dict.fromkeys(c.list_key for c in candidates)}
        stored = Stored(
            [c.sample_id for c in candidates],
            [asked_emotion(c.draw) for c in candidates],
            [lists[c.list_key][0][c.row] for c in candidates],
            [c.sha256 for c in candidates],
            facts=[lists[c.list_key][1]["signals"][c.row] for c in candidates],
            source_ids=[c.draw.source_ids for c in candidates],
            dimensions=asked_dimensions([c.draw for c in candidates]),
            shares=[c.soft for c in candidates],
        )
        return batch_of(stored, self.form)

    def _started(self) -> Executor:
        if self.pool is None:
            compute = self.plan.compute
            needs = self.machine.resources(threads=compute.sample_threads, device=compute.device)
            worker = Worker("flows.stages.augment.sampler:Sampler", {"setup": self.setup.to_json()})
            self.pool = executor(worker, needs, self.machine.patience())
            self.pool.__enter__()
        return self.pool

    def _read(self, key: str, draws: list[Draw], round_number: int) -> list[Candidate] | None:
        """None: a part of the list was damaged; all parts that are have been removed."""
        parts = {n: scores_key(key, g) for n, g in self.gate_keys.items()}
        try:
            _, meta = read_samples(self.store, key)
            scores = {name: self.store.get_arrays(part) for name, part in parts.items()}
        except MissingItemError:
            for part in parts.values():
                self.store.sound(part)
            return None
        candidates = []
        lineage, soft = (meta.get(name) or [None] * len(draws) for name in ("lineage", "labels"))
        for i, draw in enumerate(draws):
            one = Candidate(
                draw, meta["ids"][i], meta["sha256"][i], round_number, key, i, lineage=lineage[i], soft=soft[i]
            )
            for name, (arrays, notes) in scores.items():
                one.values[name] = float(arrays["values"][i])
                one.reasons[name] = meta["errors"][i][0] if meta["errors"][i] else notes["reasons"][i]
            candidates.append(one)
        return candidates
