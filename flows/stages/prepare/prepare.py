"""The stage `prepare`: a leak-free split, payloads made alike, arrays for the generator.

Writes data/runs/<run>/prepared/:
  shards/<split>-real-*.tar + index.parquet   every sample of the view, prepared (a release holds these very files)
  coded/*.tar + coded.parquet                 train and dev after a trip through the representation, where it is lossy:
                                              what gates compare with, so that a vocoder's own shift is nobody's fault
  arrays.npy + arrays.parquet                 train alone, [N, C, H, W] float32, and the ids of its rows; not in a run
                                              without a generator
  statistics.json                             of the train split, where a step needs them (prepare.physio.population)
  before/*.tar + before.parquet               a few train samples of each corpus as they came, for the report
  splits.parquet  rejects.parquet  summary.json
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import CorpusError, SplitError
from corpora.fingerprint import hash_json
from corpora.labels import assign, classes_of
from corpora.near.pairs import FINGERPRINTS, NEAR, near_pairs
from corpora.schema import SAMPLES, SPLIT_NAMES, SPLITS, Reject, Sample
from corpora.splits.audit import SHORT_TEXT, Finding, apply_on_leak, audit_view
from corpora.splits.splits import make_view
from corpora.splits.views import ViewSpec
from corpora.store.atomic import atomic_folder, write_json
from corpora.store.shards import read_payload, read_table, write_shards, write_table
from features.physio.statistics import PopulationStatistics
from flows.engine.pool import Pool, WorkItem
from flows.engine.progress import Pace
from flows.engine.store import WorkStore
from flows.params import Machine
from flows.paths import Layout
from flows.records import ARRAYS, rejects_table, sample_from_row
from flows.stages.ingest.reject_list import leave_rejects
from flows.stages.plan.plans import Plan
from flows.stages.prepare.population import fit_population, standardised
from flows.stages.prepare.preparer import is_lossy, reader_of, representation_of

LIST = 64  # samples in one work item
# Below this many samples, starting actors takes longer than the work (one process: about 25 utterances or detected
# faces a second, 2000 cropped faces a second; two actors that import their libraries: about 8 s).
PARALLEL_FROM = {"speech": 400, "face": 400, "physio": 400}
SHOWN_BEFORE = 3  # train samples of each corpus that are kept as they came
Counts = dict[str, dict[str, int]]  # split -> class -> samples


def run(plan: Plan, layout: Layout, machine: Machine) -> None:
    """Raises `SplitError`, `LeakError`, `CorpusError`."""
    index = load_indexes(plan, layout)
    view, findings, dropped = choose_view(plan, layout, index)
    index, unlabelled = label(index, plan.params["scheme"])
    pairs = zip(index.column("sample_id").to_pylist(), index.column("emotion").to_pylist(), strict=True)
    # the order of class indices everywhere in the run
    classes = list(classes_of(plan.params["scheme"], [e for i, e in pairs if i in view]))
    with atomic_folder(layout.run(plan.run) / "prepared") as folder:
        writer = _Writer(plan, layout, machine, WorkStore(machine.store or layout.store), index, view)
        tables, coded, arrays = writer.write(folder)
        write_table(folder / "index.parquet", tables)
        for name, table in (("coded", coded), ("arrays", arrays)):
            if table is not None:
                write_table(folder / f"{name}.parquet", table)
        kept = sorted(writer.split_of)
        chosen = {
            "view": [plan.params["view"]] * len(kept),
            "sample_id": kept,
            "split": [writer.split_of[i] for i in kept],
        }
        write_table(folder / "splits.parquet", pa.table(chosen, schema=SPLITS))
        write_table(folder / "rejects.parquet", rejects_table(writer.rejects))
        counts, by_corpus = _counts(tables, writer.split_of, classes, plan.params["corpora"])
        if plan.params["representation"] is not None:
            from flows.stages.plan.feasible import require_prepared  # reads views as this module makes them

            require_prepared(plan.run, layout, tables, writer.split_of, classes, writer.listed)
        layout.rejects_file("prepare", plan.run).unlink(missing_ok=True)
        write_json(
            folder / "summary.json",
            {
                "modality": plan.modality,
                "rate_hz": plan.params["steps"]["resample"]["rate_hz"] if plan.modality == "speech" else None,
                "classes": classes,
                "counts": counts,
                "corpora": plan.params["corpora"],
                "scheme": plan.params["scheme"],
                "view": plan.params["view"],
                "representation": plan.params["representation"],
                "prepared": plan.params["described"],
                "audit": [f.to_json() for f in findings],
                "dropped": dropped.num_rows,
                "leaks": leak_shares(view, dropped),
                "unlabelled": dict(sum(unlabelled.values(), Counter())),
                "rejected": dict(Counter(r.reason for r in writer.rejects)),
                "noted": dict(sum(writer.noted.values(), Counter())),
                "not_encoded": writer.n_not_encoded,
                "by_corpus": {
                    c: {
                        "reader": reader_of(layout.corpus(c)),
                        "counts": by_corpus[c],
                        "samples": writer.n_samples[c],
                        "prepared": sum(sum(by.values()) for by in by_corpus[c].values()),
                        "rejected": dict(Counter(r.reason for r in writer.rejects if r.corpus == c)),
                        "rejected_of_class": dict(writer.refused[c]),
                        "unlabelled": sum(unlabelled.get(c, Counter()).values()),
                        "noted": dict(writer.noted[c]),
                    }
                    for c in plan.params["corpora"]
                },
            },
        )


def load_indexes(plan: Plan, layout: Layout) -> pa.Table:
    """The records of all corpora of the run, one table. Shard names become absolute so that payloads are found."""
    tables = []
    for corpus in plan.params["corpora"]:
        table = read_table(layout.corpus(corpus) / "index.parquet", SAMPLES)
        shards = [str(layout.corpus(corpus) / s) for s in table.column("shard").to_pylist()]
        at = table.schema.get_field_index("shard")
        tables.append(table.set_column(at, SAMPLES.field("shard"), pa.array(shards, pa.string())))
    return pa.concat_tables(tables)


def choose_view(plan: Plan, layout: Layout, index: pa.Table) -> tuple[dict[str, str], list[Finding], pa.Table]:
    """-> sample_id -> split, the audit's findings, and the samples that the policy dropped (DROPPED).

    `group` and `official` were made at ingest; other views are made here, over all corpora of the run together. Audited
    over all of them, too, so that two corpora that share files, or near copies of them, are found out.
    """
    spec = ViewSpec.parse(plan.params["view"])
    made = _made_at_ingest(plan, layout, spec.outer.name) if spec.outer.name in ("group", "official") else None
    view = made if made is not None and spec == spec.outer else make_view(index, spec, outer=made)
    policy = dict(plan.params["on_leak"])
    short_text = policy.pop("short_text_letters", SHORT_TEXT)
    findings = audit_view(index, view, _near(plan, layout), short_text=short_text)
    groups = dict(zip(index.column("sample_id").to_pylist(), index.column("group_id").to_pylist(), strict=True))
    kept, dropped = apply_on_leak(view, findings, policy, groups)
    splits = dict(zip(kept.column("sample_id").to_pylist(), kept.column("split").to_pylist(), strict=True))
    return splits, findings, dropped


def leak_shares(view: dict[str, str], dropped: pa.Table) -> dict[str, dict[str, Any]]:
    """Split -> samples of the view before leaks went, and kind of leak -> how many went; splits that lost none are
    left out. `view`: what is left."""
    gone: dict[str, Counter[str]] = defaultdict(Counter)
    for split, kind in zip(dropped["split"].to_pylist(), dropped["kind"].to_pylist(), strict=True):
        gone[split][kind] += 1
    left = Counter(view.values())
    return {s: {"of": left[s] + by.total(), "dropped": dict(by)} for s, by in sorted(gone.items())}


def _near(plan: Plan, layout: Layout) -> pa.Table:
    """Near copies among the payloads of the run: of one corpus they are known, several are compared with each other."""
    folders = [layout.corpus(corpus) for corpus in plan.params["corpora"]]
    if len(folders) == 1:
        return read_table(folders[0] / "near_pairs.parquet", NEAR)
    return near_pairs(pa.concat_tables(read_table(folder / "near.parquet", FINGERPRINTS) for folder in folders))


def _made_at_ingest(plan: Plan, layout: Layout, name: str) -> pa.Table:
    views = []
    for corpus in plan.params["corpora"]:
        table = read_table(layout.corpus(corpus) / "splits.parquet", SPLITS)
        own = table.filter(pc.equal(table.column("view"), name))
        if own.num_rows == 0:
            notes = json.loads((layout.corpus(corpus) / "audit.json").read_text(encoding="utf-8"))
            have = sorted(set(table.column("view").to_pylist()))
            why = notes["views"].get(name, {}).get("reason", "nothing of that name is made at ingest")
            raise SplitError(f"corpus {corpus!r} has no view {name!r}: {why}. Views that it has: {', '.join(have)}")
        views.append(own)
    return pa.concat_tables(views)


def label(index: pa.Table, scheme: str) -> tuple[pa.Table, dict[str, Counter[str]]]:
    """Emotions in the target scheme; what the scheme has no word for becomes null, is kept in `labels`, and counted
    (corpus -> native emotion -> samples)."""
    before, corpora = index.column("emotion").to_pylist(), index.column("corpus").to_pylist()
    records = index.select(["emotion", "labels", "valence", "arousal", "dominance"]).to_pylist()
    after = [assign(record, scheme) for record in records]
    lost: dict[str, Counter[str]] = {c: Counter() for c in corpora}
    for corpus, native, found in zip(corpora, before, after, strict=True):
        if found is None:
            lost[corpus][str(native)] += 1
    at = index.schema.get_field_index("emotion")
    return index.set_column(at, SAMPLES.field("emotion"), pa.array(after, pa.string())), lost


@dataclass
class _Writer:
    """`split_of`: id of each prepared piece -> split. `noted`: corpus -> slug -> samples (several-faces, ...).
    `refused`: corpus -> class -> rejects: a step that refuses one class more than another biases what is learned."""

    plan: Plan
    layout: Layout
    machine: Machine
    store: WorkStore
    index: pa.Table
    view: dict[str, str]
    rejects: list[Reject] = field(default_factory=list)
    split_of: dict[str, str] = field(default_factory=dict)
    noted: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    refused: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    n_samples: Counter[str] = field(default_factory=Counter)
    n_not_encoded: int = 0
    population: PopulationStatistics | None = None

    def write(self, folder: Path) -> tuple[pa.Table, pa.Table | None, pa.Table | None]:
        wanted = {r["sample_id"]: r for r in _rows(self.index) if r["sample_id"] in self.view and r["emotion"]}
        keys = self._work(wanted)
        for row in wanted.values():
            self.n_samples[row["corpus"]] += 1
        self._take_stock(keys, wanted)
        self.require_few_refused()
        if self.plan.params["steps"].get("population") is not None:
            self.population = fit_population(self.store, keys, self.split_of)
            write_json(folder / "statistics.json", self.population.as_json())
        self._keep_some_as_they_came(folder, wanted)
        tables = [
            write_shards(
                self._samples(keys, wanted, split, "payload"),
                folder,
                self.plan.params["shards"],
                f"shards/{split}-real",
            )
            for split in SPLIT_NAMES
        ]
        coded = arrays = None
        if is_lossy(self.plan.params["representation"]):
            coded = pa.concat_tables(
                write_shards(self._samples(keys, wanted, split, "coded"), folder, 4, f"coded/{split}-coded")
                for split in ("train", "dev")
            )
        if self.plan.params["representation"] is not None:
            arrays = self._arrays(keys, folder)
        return pa.concat_tables(tables), coded, arrays

    def require_few_refused(self) -> None:
        """Raises `CorpusError` where more of a corpus was refused than the run allows."""
        for corpus, n in self.n_samples.items():
            reasons = Counter(r.reason for r in self.rejects if r.corpus == corpus)
            if sum(reasons.values()) > self.plan.params["max_reject_share"] * n:
                told = ", ".join(f"{reason} {k}" for reason, k in reasons.most_common())
                first = next(r for r in self.rejects if r.corpus == corpus)
                hint = (
                    " Pictures that show the face alone need prepare.face.find.by: none." if reasons["no-face"] else ""
                )
                raise CorpusError(
                    f"run {self.plan.run!r}: preparation refused {sum(reasons.values())} of {n} samples of {corpus!r} "
                    f"({told}); at most {self.plan.params['max_reject_share']:.0%} may be (prepare.max_reject_share). "
                    f"First: {first.path} ({first.reason}: {first.detail}).{hint}{self.listed()}"
                )

    def listed(self) -> str:
        """Leaves a list of the rejects and says where, for an error."""
        return leave_rejects(self.layout.rejects_file("prepare", self.plan.run), self.rejects)

    def _work(self, wanted: dict[str, dict[str, Any]]) -> list[str]:
        """Prepares and encodes all samples in lists; -> store keys, in order."""
        corpora = {c: str(self.layout.corpus(c)) for c in self.plan.params["corpora"]}
        kwargs = {
            "modality": self.plan.modality,
            "steps": self.plan.params["steps"],
            "representation": self.plan.params["representation"],
        }
        settings = kwargs | {
            "code": self.plan.code,
            "numerics": self.plan.numerics,
            "readers": {c: reader_of(Path(folder)) for c, folder in corpora.items()},
        }
        ids, items = sorted(wanted), []
        for start in range(0, len(ids), LIST):
            part = ids[start : start + LIST]
            # what a step may see of each sample: its payload, and what the corpus says of that payload
            seen = [[wanted[i]["sha256"], wanted[i]["codec"], wanted[i]["signals"], wanted[i]["extra"]] for i in part]
            key = "prepared/" + hash_json([settings, part, seen])[:40]
            items.append(WorkItem(key, {"ids": part, "key": key}))
        missing = [item for item in items if not self.store.sound(item.key)]  # what is damaged is made again
        if missing:
            parallel = len(missing) * LIST >= PARALLEL_FROM.get(self.plan.modality, 1 << 62)
            pace = Pace("prepare", "samples", sum(len(m.payload["ids"]) for m in missing))
            with Pool(
                "flows.stages.prepare.preparer:Preparer",
                kwargs | {"store": self.store.url, "corpora": corpora},
                actors=self.machine.actors if parallel else 0,
                threads=int(self.plan.numerics["sample_threads"]),
                device="cpu",
                address=self.machine.ray_address,
                stall_s=self.machine.stall_s,
            ) as pool:
                pool.run(missing, lambda item, _: pace.add(len(item.payload["ids"])))
            pace.end()
        return [item.key for item in items]

    def _take_stock(self, keys: list[str], rows: dict[str, dict[str, Any]]) -> None:
        """Rejects, notes and the split of every piece."""
        encodes = self.plan.params["representation"] is not None
        for key in keys:
            for sample in self.store.get_arrays(key)[1]["samples"]:
                corpus = rows[sample["id"]]["corpus"]
                if sample["error"] is not None:
                    reason, detail = sample["error"]
                    self.rejects.append(Reject(corpus, sample["id"], reason, detail, "prepare"))
                    self.refused[corpus][rows[sample["id"]]["emotion"]] += 1
                    continue
                if len(sample["pieces"]) > 1:
                    self.noted[corpus]["cut-into-pieces"] += 1
                for piece in sample["pieces"]:
                    self.split_of[sample["id"] + piece["suffix"]] = self.view[sample["id"]]
                    self.noted[corpus].update(piece["counted"])
                    self.n_not_encoded += encodes and piece["row"] < 0

    def _samples(self, keys: list[str], rows: dict[str, dict], split: str, part: str) -> Iterator[Sample]:
        for key in keys:
            arrays, meta = self.store.get_arrays(key)
            blob = arrays[part].tobytes()
            for found in meta["samples"]:
                if found["error"] is not None or self.view[found["id"]] != split:
                    continue
                for piece in found["pieces"]:
                    begin, end = piece[part]
                    if begin < end:  # else it cannot be encoded: kept as real data, unknown to the generator
                        sample = sample_from_row(rows[found["id"]], blob[begin:end], meta["codec"])
                        sample = _piece_of(sample, piece)
                        yield sample if self.population is None else standardised(sample, self.population)

    def _keep_some_as_they_came(self, folder: Path, rows: dict[str, dict[str, Any]]) -> None:
        """Which ones, only their ids decide."""
        refused = {r.path for r in self.rejects}
        by_corpus: dict[str, list[str]] = defaultdict(list)
        for sample_id, row in rows.items():
            if self.view[sample_id] == "train" and sample_id not in refused:
                by_corpus[row["corpus"]].append(sample_id)
        shown = [
            i
            for ids in by_corpus.values()
            for i in sorted(ids, key=lambda i: hashlib.sha256(i.encode()).hexdigest())[:SHOWN_BEFORE]
        ]
        samples = [sample_from_row(rows[i], read_payload(self.layout.repo, rows[i]), rows[i]["codec"]) for i in shown]
        write_table(folder / "before.parquet", write_shards(iter(samples), folder, 1, "before/before"))

    def _arrays(self, keys: list[str], folder: Path) -> pa.Table:
        """arrays.npy in the order of the keys, written row by row: memory stays flat."""
        representation = representation_of(self.plan.params["representation"])
        assert representation is not None
        spec = representation.spec
        ids = [i for key in keys for i, _ in self._train_rows(self.store.get_arrays(key)[1])]
        if not ids:
            n_train = sum(split == "train" for split in self.split_of.values())
            raise CorpusError(
                f"run {self.plan.run!r}: none of the {n_train} train samples that were prepared can be encoded as "
                f"{spec.name}: {self._why_not_encoded(keys)}.{self.listed()}"
            )
        out = np.lib.format.open_memmap(
            folder / "arrays.npy", mode="w+", dtype=np.float32, shape=(len(ids), *spec.shape)
        )
        n = 0
        for key in keys:
            arrays, meta = self.store.get_arrays(key)
            for _, row in self._train_rows(meta):
                out[n] = arrays["arrays"][row]
                n += 1
        out.flush()
        return pa.table({"sample_id": ids, "row": list(range(n))}, schema=ARRAYS)

    def _why_not_encoded(self, keys: list[str]) -> str:
        """Counts of the reasons, and the first of them in words."""
        found = [
            (sample["id"], *piece["not_encoded"])
            for key in keys
            for sample in self.store.get_arrays(key)[1]["samples"]
            if sample["error"] is None and self.view[sample["id"]] == "train"
            for piece in sample["pieces"]
            if piece["not_encoded"] is not None
        ]
        told = ", ".join(f"{reason} {n}" for reason, n in Counter(reason for _, reason, _ in found).most_common())
        return f"{told}; first: {found[0][0]} ({found[0][2]})" if found else "there are none"

    def _train_rows(self, meta: dict[str, Any]) -> list[tuple[str, int]]:
        return [
            (sample["id"] + piece["suffix"], piece["row"])
            for sample in meta["samples"]
            if sample["error"] is None and self.view[sample["id"]] == "train"
            for piece in sample["pieces"]
            if piece["row"] >= 0
        ]


def _piece_of(sample: Sample, piece: dict[str, Any]) -> Sample:
    """The record of a prepared piece: the sample's own, but for what preparation changed. Label and group stay."""
    begin, end = sample.t_start_s, sample.t_end_s
    if piece["suffix"]:
        begin, end = (begin or 0.0) + piece["start_s"], (begin or 0.0) + piece["stop_s"]
    return replace(
        sample,
        sample_id=sample.sample_id + piece["suffix"],
        recording_id=sample.recording_id or sample.sample_id,  # pieces of one trial stay known as such
        duration_s=piece["duration_s"],
        signals=piece["signals"],
        extra={**sample.extra, **piece["notes"]},
        t_start_s=begin,
        t_end_s=end,
    )


def _rows(index: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in index.to_batches(max_chunksize=4096):
        yield from batch.to_pylist()


def _counts(
    index: pa.Table, split_of: dict[str, str], classes: list[str], corpora: list[str]
) -> tuple[Counts, dict[str, Counts]]:
    """Prepared samples of each split and class: of the run, and of each corpus."""
    found: Counts = {s: dict.fromkeys(classes, 0) for s in SPLIT_NAMES}
    by_corpus: dict[str, Counts] = {c: {s: dict.fromkeys(classes, 0) for s in SPLIT_NAMES} for c in corpora}
    for row in index.select(["sample_id", "corpus", "emotion"]).to_pylist():
        split = split_of[row["sample_id"]]
        found[split][row["emotion"]] += 1
        by_corpus[row["corpus"]][split][row["emotion"]] += 1
    return found, by_corpus
