"""The folder that `prepare` leaves, file by file: shards, coded payloads, arrays, and what was rejected on the way."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from corpora.errors import CorpusError
from corpora.fingerprint import hash_json
from corpora.schema import SPLIT_NAMES, Reject, Sample
from corpora.store.atomic import write_json
from corpora.store.shards import read_payload, write_shards, write_table
from features.physio.statistics import PopulationStatistics
from features.prepare import make_preparation
from flows.artifacts.prepared import PreparedTables
from flows.engine.executor import Worker, WorkItem, executor
from flows.engine.progress import Pace
from flows.engine.store import WorkStore
from flows.params import Machine
from flows.paths import Layout
from flows.records import ARRAYS, rejects_table, sample_from_row
from flows.stages.ingest.reject_list import leave_rejects
from flows.stages.plan.plans import PreparePlan
from flows.stages.prepare.packs import PACK, Packs, PieceContent
from flows.stages.prepare.population import fit_population, standardised
from flows.stages.prepare.preparer import coded_splits, representation_of
from flows.stages.prepare.records import Facts, Request, sample_key

# Below this many samples, starting actors takes longer than the work (one process: about 25 utterances or detected
# faces a second, 2000 cropped faces a second; two actors that import their libraries: about 8 s).
PARALLEL_FROM = {"speech": 400, "face": 400, "physio": 400}
THREADS = 1  # of a worker: more would change the last digits of a sum, and samples are prepared side by side anyway
SHOWN_BEFORE = 3  # train samples of each corpus that are kept as they came
OF_THE_STAGE = ("population",)  # steps that the stage itself does, of the run's split: no part of a prepared sample
Row = Mapping[str, Any]  # of SAMPLES


@dataclass
class Writer:
    """Prepares the samples of one view and writes them.

    `index`: SAMPLES, labelled, shards by absolute path. `view`: sample id -> split. After `write`: `split_of`, id of
    each prepared piece -> split; `rejects`, in the order of ids; `noted`, corpus -> slug -> samples (several-faces,
    ...); `rejected_of_class`, corpus -> class -> rejects: a step that rejects one class more than another biases what
    is learned; `n_samples`, corpus -> samples of the view; `n_not_encoded`, pieces unknown to
    the generator; `prepared`, (corpus, split, class) -> pieces.
    """

    plan: PreparePlan
    layout: Layout
    machine: Machine
    store: WorkStore
    index: pa.Table
    view: dict[str, str]
    rejects: list[Reject] = field(default_factory=list)
    split_of: dict[str, str] = field(default_factory=dict)
    noted: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    rejected_of_class: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    n_samples: Counter[str] = field(default_factory=Counter)
    n_not_encoded: int = 0
    prepared: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    population: PopulationStatistics | None = None

    def write(self, folder: Path) -> PreparedTables:
        """Writes shards, arrays and statistics into `folder`; -> the tables that belong to them. Raises `CorpusError`:
        too many rejects, or nothing to learn from."""
        packs, rows = self.prepared_packs()
        if getattr(self.plan.steps, "population", None) is not None:
            train = [i for i in rows if self.view[i] == "train"]
            self.population = fit_population(packs.in_order(train), self.split_of)
            write_json(folder / "statistics.json", self.population.as_json())
        self._keep_some_as_they_came(folder, rows)
        n_shards = self.plan.shards
        tables = [
            write_shards(self._samples(packs, rows, split, "payload"), folder, n_shards, f"shards/{split}-real")
            for split in SPLIT_NAMES
        ]
        coded = arrays = None
        if splits := coded_splits(self.representation):
            coded = pa.concat_tables(
                write_shards(self._samples(packs, rows, split, "coded"), folder, 4, f"coded/{split}-coded")
                for split in splits
            )
        if self.representation is not None:
            arrays = self._arrays(packs, rows, folder)
        return PreparedTables(pa.concat_tables(tables), coded, arrays, rejects_table(self.rejects))

    def prepared_packs(self) -> tuple[Packs, Mapping[str, Row]]:
        """All samples of the view that have a class, prepared, and their records in the order of ids; `rejects`,
        `split_of` and the counts are of them from here on. Raises `CorpusError`: too many rejects."""
        rows = {r["sample_id"]: r for r in _rows(self.index) if r["sample_id"] in self.view and r["emotion"]}
        rows = {sample_id: rows[sample_id] for sample_id in sorted(rows)}
        packs = Packs.complete(self.store, self.settings, self._requests(rows), self._make)
        for row in rows.values():
            self.n_samples[row["corpus"]] += 1
        self._take_stock(packs, rows)
        self.require_few_rejected()
        return packs, rows

    @cached_property
    def steps(self) -> dict[str, Any]:
        """The steps that the worker does."""
        steps: Mapping[str, Any] = self.plan.steps.model_dump(mode="json")
        return {name: value for name, value in steps.items() if name not in OF_THE_STAGE}

    @cached_property
    def representation(self) -> dict[str, Any] | None:
        """The representation's name and parameters, as JSON; None in a run without a generator."""
        representation = self.plan.representation
        return None if representation is None else representation.model_dump(mode="json")

    @cached_property
    def settings(self) -> str:
        """40 hex digits over all that decides how a payload is prepared: the worker's settings, code and weights."""
        plan = self.plan
        drawn_by = [plan.modality, self.steps, self.representation, plan.loads, plan.worker_code]
        return hash_json(drawn_by)[:40]

    def require_few_rejected(self) -> None:
        """Raises `CorpusError` where more of a corpus was rejected than the run allows."""
        for corpus, n in self.n_samples.items():
            reasons = Counter(r.reason for r in self.rejects if r.corpus == corpus)
            if sum(reasons.values()) > self.plan.max_reject_share * n:
                counts = ", ".join(f"{reason} {k}" for reason, k in reasons.most_common())
                first = next(r for r in self.rejects if r.corpus == corpus)
                hint = (
                    " Pictures that show the face alone need prepare.face.find.by: none." if reasons["no-face"] else ""
                )
                raise CorpusError(
                    f"run {self.plan.run!r}: preparation refused {sum(reasons.values())} of {n} samples of {corpus!r} "
                    f"({counts}); at most {self.plan.max_reject_share:.0%} may be (prepare.max_reject_share)."
                    f" First: {first.path} ({first.reason}: {first.detail}).{hint}{self.listed()}"
                )

    def listed(self) -> str:
        """Leaves a list of the rejects and says where, for an error."""
        return leave_rejects(self.layout.rejects_file("prepare", self.plan.run), self.rejects)

    def _requests(self, rows: Mapping[str, Row]) -> dict[str, Request]:
        """Sample id -> what the worker is asked for it."""
        reads = make_preparation(self.plan.modality, self.steps).reads
        readers = {c: reader_of(self.layout.corpus(c)) for c in self.plan.corpus_names}
        requests = {}
        for sample_id, row in rows.items():
            facts = Facts.of(row, readers[row["corpus"]], reads)
            key = sample_key(row["sha256"], facts)
            requests[sample_id] = Request(
                key, sample_id, row["shard"], row["offset"], row["n_bytes"], row["sha256"], facts
            )
        return requests

    def _make(self, packs: list[tuple[str, list[Request]]]) -> None:
        """Prepares what the store has not, side by side where it is much."""
        items = [WorkItem(key, {"pack": key, "samples": [r.to_json() for r in own]}) for key, own in packs]
        parallel = len(items) * PACK >= PARALLEL_FROM.get(self.plan.modality, 1 << 62)
        pace = Pace("prepare", "samples", sum(len(own) for _, own in packs))
        settings = {
            "store": self.store.url,
            "modality": self.plan.modality,
            "steps": self.steps,
            "representation": self.representation,
        }
        worker = Worker("flows.stages.prepare.preparer:Preparer", settings)
        needs = self.machine.resources(threads=THREADS, here=not parallel)
        with executor(worker, needs, self.machine.patience()) as pool:
            pool.run(items, lambda item, _: pace.add(len(item.payload["samples"])))
        pace.end()

    def _take_stock(self, packs: Packs, rows: Mapping[str, Row]) -> None:
        """Rejects, notes and the split of every piece, in the order of ids."""
        encodes = self.representation is not None
        for sample_id, row in rows.items():
            sample, corpus = packs.record(sample_id), row["corpus"]
            if sample.error is not None:
                reason, detail = sample.error
                self.rejects.append(Reject(corpus, sample_id, reason, detail, "prepare"))
                self.rejected_of_class[corpus][row["emotion"]] += 1
                continue
            if len(sample.pieces) > 1:
                self.noted[corpus]["cut-into-pieces"] += 1
            for piece in sample.pieces:
                self.split_of[sample_id + piece.suffix] = self.view[sample_id]
                self.prepared[corpus, self.view[sample_id], row["emotion"]] += 1
                self.noted[corpus].update(piece.counted)
                self.n_not_encoded += encodes and piece.row < 0

    def _samples(
        self, packs: Packs, rows: Mapping[str, Row], split: str, form: Literal["payload", "coded"]
    ) -> Iterator[Sample]:
        for prepared in packs.each([i for i in rows if self.view[i] == split]):
            data, codec = prepared.payload, prepared.codec
            coded_as = prepared.piece.coded_as if form == "coded" else None
            if form == "coded":
                data, codec = prepared.coded, coded_as.codec if coded_as else ""
            if data:  # else it cannot be encoded: kept as real data, unknown to the generator
                sample = _piece_of(sample_from_row(dict(rows[prepared.sample_id]), data, codec), prepared)
                if coded_as is not None:
                    signals = [signal.as_row() for signal in coded_as.signals]
                    sample = replace(sample, duration_s=coded_as.duration_s, signals=signals)
                yield sample if self.population is None else standardised(sample, self.population)

    def _keep_some_as_they_came(self, folder: Path, rows: Mapping[str, Row]) -> None:
        """Which ones, only their ids decide."""
        rejected = {r.path for r in self.rejects}
        by_corpus: dict[str, list[str]] = defaultdict(list)
        for sample_id, row in rows.items():
            if self.view[sample_id] == "train" and sample_id not in rejected:
                by_corpus[row["corpus"]].append(sample_id)
        shown = [
            i
            for ids in by_corpus.values()
            for i in sorted(ids, key=lambda i: hashlib.sha256(i.encode()).hexdigest())[:SHOWN_BEFORE]
        ]
        samples = [
            sample_from_row(dict(rows[i]), read_payload(self.layout.repo, rows[i]), rows[i]["codec"]) for i in shown
        ]
        write_table(folder / "before.parquet", write_shards(iter(samples), folder, 1, "before/before"))

    def _arrays(self, packs: Packs, rows: Mapping[str, Row], folder: Path) -> pa.Table:
        """arrays.npy, [n, *shape of the spec] float32 in the order of ids, written row by row: memory stays flat."""
        representation = representation_of(self.representation)
        assert representation is not None
        spec = representation.spec
        train = [i for i in rows if self.view[i] == "train"]
        ids = [i + piece.suffix for i in train for piece in packs.record(i).pieces if piece.row >= 0]
        if not ids:
            n_train = sum(split == "train" for split in self.split_of.values())
            raise CorpusError(
                f"run {self.plan.run!r}: none of the {n_train} train samples that were prepared can be encoded as "
                f"{spec.name}: {_why_not_encoded(packs, train)}.{self.listed()}"
            )
        place = {piece_id: n for n, piece_id in enumerate(ids)}
        out = np.lib.format.open_memmap(
            folder / "arrays.npy", mode="w+", dtype=np.float32, shape=(len(ids), *spec.shape)
        )
        for prepared in packs.each(train):
            if prepared.array is not None:
                out[place[prepared.piece_id]] = prepared.array
        out.flush()
        return pa.table({"sample_id": ids, "row": list(range(len(ids)))}, schema=ARRAYS)


def _why_not_encoded(packs: Packs, sample_ids: Sequence[str]) -> str:
    """Counts of the reasons, and the first of them in words."""
    reasons = [
        (sample_id, *piece.not_encoded)
        for sample_id in sample_ids
        for piece in packs.record(sample_id).pieces
        if piece.not_encoded is not None
    ]
    counts = ", ".join(f"{reason} {n}" for reason, n in Counter(reason for _, reason, _ in reasons).most_common())
    return f"{counts}; first: {reasons[0][0]} ({reasons[0][2]})" if reasons else "there are none"


def _piece_of(sample: Sample, prepared: PieceContent) -> Sample:
    """The record of a prepared piece: the sample's own, but for what preparation changed. Label and group stay."""
    piece, begin, end = prepared.piece, sample.t_start_s, sample.t_end_s
    if piece.suffix:
        begin, end = (begin or 0.0) + (piece.start_s or 0.0), (begin or 0.0) + (piece.stop_s or 0.0)
    return replace(
        sample,
        sample_id=prepared.piece_id,
        recording_id=sample.recording_id or sample.sample_id,  # pieces of one trial stay known as such
        duration_s=piece.duration_s,
        signals=[signal.as_row() for signal in piece.signals],
        extra={**sample.extra, **piece.notes},
        t_start_s=begin,
        t_end_s=end,
    )


def _rows(index: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in index.to_batches(max_chunksize=4096):
        yield from batch.to_pylist()


def reader_of(folder: Path) -> str:
    """Name on the card of the corpus in data/corpora/<id>."""
    card: str = json.loads((folder / "card.json").read_text(encoding="utf-8"))["card"]["name"]
    return card
