"""The stage `prepare`: a leak-free split, payloads made alike, arrays for the generator.

Writes data/runs/<run>/prepared/:
  shards/<split>-real-*.tar + index.parquet   every sample of the view, prepared (a release holds these very files)
  coded/*.tar + coded.parquet                 train and dev after a trip through the representation, where it is lossy:
                                              what gates compare with, so that a vocoder's own shift is nobody's fault;
                                              features without a way back: the vectors of all splits
  arrays.npy + arrays.parquet                 train alone, [N, C, H, W] float32, and the ids of its rows; not in a run
                                              without a generator
  statistics.json                             of the train split, where a step needs them (prepare.physio.population)
  before/*.tar + before.parquet               a few train samples of each corpus as they came, for the report
  splits.parquet  rejects.parquet  summary.json
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import SplitError
from corpora.labels import assign, classes_of
from corpora.near.pairs import FINGERPRINTS, NEAR, near_pairs
from corpora.schema import SAMPLES, SPLIT_NAMES, SPLITS
from corpora.splits.audit import SHORT_TEXT, Finding, apply_on_leak, audit_view
from corpora.splits.splits import make_view
from corpora.splits.views import ViewSpec
from corpora.store.atomic import atomic_folder, write_json
from corpora.store.ingested import corpus_manifest
from corpora.store.shards import read_table, write_table
from flows.engine.store import WorkStore
from flows.params import Machine
from flows.paths import Layout
from flows.records import rejects_table
from flows.stages.plan.plan import Plan
from flows.stages.plan.weights import require_loaded
from flows.stages.prepare.writer import Writer, reader_of

Counts = dict[str, dict[str, int]]  # split -> class -> samples


def run(plan: Plan, layout: Layout, machine: Machine) -> None:
    """Raises `SplitError`, `LeakError`, `CorpusError`, `IntegrityError` for other weights than those of the plan."""
    require_loaded(plan.params["loads"])
    index = load_indexes(plan, layout)
    view, findings, dropped = choose_view(plan, layout, index)
    index, unlabelled = label(index, plan.params["scheme"])
    pairs = zip(index.column("sample_id").to_pylist(), index.column("emotion").to_pylist(), strict=True)
    # the order of class indices everywhere in the run
    classes = list(classes_of(plan.params["scheme"], [e for i, e in pairs if i in view]))
    with atomic_folder(layout.run(plan.run) / "prepared") as folder:
        writer = Writer(plan, layout, machine, WorkStore(machine.store or layout.store), index, view)
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
                        "rejected_of_class": dict(writer.rejected_of_class[c]),
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
        corpus_manifest(layout.corpus(corpus))  # of a format that can be read
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
