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
from collections import Counter
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import SplitError
from corpora.labels import assign, classes_of
from corpora.near.pairs import FINGERPRINTS, NEAR, near_pairs
from corpora.schema import SAMPLES, SPLITS
from corpora.splits.audit import SHORT_TEXT, Finding, apply_on_leak, audit_view
from corpora.splits.splits import make_view
from corpora.splits.views import ViewSpec
from corpora.store.ingested import corpus_manifest
from corpora.store.shards import read_table
from flows.artifacts.prepared import Prepared
from flows.engine.store import WorkStore
from flows.params import Machine
from flows.paths import Layout
from flows.stages.plan.plans import PreparePlan
from flows.stages.plan.weights import require_loaded
from flows.stages.prepare.summary import Chosen, summarised
from flows.stages.prepare.writer import Writer, reader_of


def run(plan: PreparePlan, layout: Layout, machine: Machine) -> None:
    """Raises `SplitError`, `LeakError`, `CorpusError`, `IntegrityError` for other weights than those of the plan."""
    require_loaded(plan.loads)
    index = load_indexes(plan, layout)
    view, findings, dropped = choose_view(plan, layout, index)
    index, unlabelled = label(index, plan.scheme)
    pairs = zip(index.column("sample_id").to_pylist(), index.column("emotion").to_pylist(), strict=True)
    # the order of class indices everywhere in the run
    classes = list(classes_of(plan.scheme, [e for i, e in pairs if i in view]))
    with Prepared.written(layout.run(plan.run) / "prepared") as prepared:
        writer = Writer(plan, layout, machine, WorkStore(machine.store or layout.store), index, view)
        prepared.write_tables(writer.write(prepared.path), _splits(plan.view, writer.split_of))
        if plan.representation is not None:
            from flows.stages.plan.feasible import require_prepared  # reads views as this module makes them

            require_prepared(plan.run, layout, prepared.index(), writer.split_of, classes, writer.listed)
        layout.rejects_file("prepare", plan.run).unlink(missing_ok=True)
        readers = {corpus: reader_of(layout.corpus(corpus)) for corpus in plan.corpus_names}
        prepared.write_summary(summarised(plan, writer, classes, Chosen(view, findings, dropped, unlabelled), readers))


def _splits(view: str, split_of: Mapping[str, str]) -> pa.Table:
    """SPLITS of the prepared pieces, in the order of their ids."""
    ids = sorted(split_of)
    columns = {"view": [view] * len(ids), "sample_id": ids, "split": [split_of[i] for i in ids]}
    return pa.table(columns, schema=SPLITS)


def load_indexes(plan: PreparePlan, layout: Layout) -> pa.Table:
    """The records of all corpora of the run, one table. Shard names become absolute so that payloads are found."""
    tables = []
    for corpus in plan.corpus_names:
        corpus_manifest(layout.corpus(corpus))  # of a format that can be read
        table = read_table(layout.corpus(corpus) / "index.parquet", SAMPLES)
        shards = [str(layout.corpus(corpus) / s) for s in table.column("shard").to_pylist()]
        at = table.schema.get_field_index("shard")
        tables.append(table.set_column(at, SAMPLES.field("shard"), pa.array(shards, pa.string())))
    return pa.concat_tables(tables)


def choose_view(plan: PreparePlan, layout: Layout, index: pa.Table) -> tuple[dict[str, str], list[Finding], pa.Table]:
    """-> sample_id -> split, the audit's findings, and the samples that the policy dropped (DROPPED).

    `group` and `official` were made at ingest; other views are made here, over all corpora of the run together. Audited
    over all of them, too, so that two corpora that share files, or near copies of them, are found out.
    """
    spec = ViewSpec.parse(plan.view)
    ingested = _ingested_view(plan, layout, spec.outer.name) if spec.outer.name in ("group", "official") else None
    view = ingested if ingested is not None and spec == spec.outer else make_view(index, spec, outer=ingested)
    policy = plan.on_leak.model_dump()
    short_text = policy.pop("short_text_letters", SHORT_TEXT)
    findings = audit_view(index, view, _near(plan, layout), short_text=short_text)
    groups = dict(zip(index.column("sample_id").to_pylist(), index.column("group_id").to_pylist(), strict=True))
    kept, dropped = apply_on_leak(view, findings, policy, groups)
    splits = dict(zip(kept.column("sample_id").to_pylist(), kept.column("split").to_pylist(), strict=True))
    return splits, findings, dropped


def _near(plan: PreparePlan, layout: Layout) -> pa.Table:
    """Near copies among the payloads of the run: of one corpus they are known, several are compared with each other."""
    folders = [layout.corpus(corpus) for corpus in plan.corpus_names]
    if len(folders) == 1:
        return read_table(folders[0] / "near_pairs.parquet", NEAR)
    return near_pairs(pa.concat_tables(read_table(folder / "near.parquet", FINGERPRINTS) for folder in folders))


def _ingested_view(plan: PreparePlan, layout: Layout, name: str) -> pa.Table:
    views = []
    for corpus in plan.corpus_names:
        table = read_table(layout.corpus(corpus) / "splits.parquet", SPLITS)
        own = table.filter(pc.equal(table.column("view"), name))
        if own.num_rows == 0:
            notes = json.loads((layout.corpus(corpus) / "audit.json").read_text(encoding="utf-8"))
            have = sorted(set(table.column("view").to_pylist()))
            why = notes["views"].get(name, {}).get("reason", "nothing of that name is made at ingest")
            others = f" Views that it has: {', '.join(have)}." if have else ""
            raise SplitError(f"corpus {corpus!r} has no view {name!r}: {why.rstrip('.')}.{others}")
        views.append(own)
    return pa.concat_tables(views)


def label(index: pa.Table, scheme: str) -> tuple[pa.Table, dict[str, Counter[str]]]:
    """Emotions in the target scheme; what the scheme has no word for becomes null, is kept in `labels`, and counted
    (corpus -> native emotion -> samples)."""
    before, corpora = index.column("emotion").to_pylist(), index.column("corpus").to_pylist()
    records = index.select(["emotion", "labels", "valence", "arousal", "dominance"]).to_pylist()
    after = [assign(record, scheme) for record in records]
    lost: dict[str, Counter[str]] = {c: Counter() for c in corpora}
    for corpus, native, emotion in zip(corpora, before, after, strict=True):
        if emotion is None:
            lost[corpus][str(native)] += 1
    at = index.schema.get_field_index("emotion")
    return index.set_column(at, SAMPLES.field("emotion"), pa.array(after, pa.string())), lost
