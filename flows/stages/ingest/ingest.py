"""Stage `ingest`: a raw corpus becomes checked shards, an index, split views, an audit and a card. No Prefect in here.

The folder is built beside its place and renamed; the same corpus gives the same bytes, so nothing in it tells the time.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import CorpusError, SplitError
from corpora.near.pairs import FINGERPRINTS, near_pairs, write_fingerprints
from corpora.near.prints import Prints
from corpora.quiet import imports_set_aside
from corpora.readers import make_corpus
from corpora.schema import CORPUS_ID, REJECTS, SPLITS, CorpusCard, Reject
from corpora.splits.audit import audit_view
from corpora.splits.conflicts import conflict_notes, conflicts_to_json, find_conflicts
from corpora.splits.splits import group_view, official_view
from corpora.splits.views import view_hash
from corpora.store.atomic import atomic_folder, write_json
from corpora.store.ingested import FORMAT
from corpora.store.release import compute_release_hash, describe_files
from corpora.store.shards import assemble, read_table, write_table
from flows.stages.ingest.parts import ReadTask, Share, Tell, read_corpus
from flows.stages.ingest.reject_list import leave_rejects
from flows.stages.ingest.retracted import without_retracted
from flows.stages.ingest.unknown_labels import (
    LISTED,
    Asked,
    OnUnknownLabel,
    UnknownLabel,
    judge_labels,
    listed,
    unknown_labels,
)
from validators.tables import FACTS, check_counts, check_table, fact_table, sample_expectations


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """How a corpus is read: `corpora.<name>` of params.yaml, which decides what comes out.

    `options`: the reader's own. `base`: what a card's path is relative to (None: the current folder). `fake`: what
    is read was written by the reader's `fake()`, so licence and published counts of the real corpus do not hold for it.
    `retracted`: what never comes in, hashed (flows/stages/ingest/retracted.py).
    """

    reader: str
    shards: int
    ratios: Mapping[str, float]
    split_seed: int
    max_reject_share: float
    on_unknown_label: OnUnknownLabel = "stop"
    options: Mapping[str, Any] = field(default_factory=dict)
    base: Path | None = None
    fake: bool = False
    retracted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IngestPlaces:
    """Where a corpus is read from and written to. `work`: a folder where what was read outlives a crash (None: it does
    not). `rejects_to`: a csv file for the rejects of an ingest that ends with an error because of them, which is named
    in its message."""

    root: Path
    target: Path
    work: Path | None = None
    rejects_to: Path | None = None


def ingest_corpus(
    name: str,
    settings: IngestSettings,
    places: IngestPlaces,
    *,
    share: Share | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Reads corpus `name` below `places.root` and writes the folder `places.target` whole or not at all.

    `share`: reads the corpus in parts, in other processes (flows.stages.ingest.parts). `tell`: takes lines of progress.

    Files: shards/*.tar, index.parquet (SAMPLES; `shard` relative to the folder), rejects.parquet, splits.parquet (views
    `official` and `group`, where they exist), near.parquet (what near copies are found by: corpora/near/pairs.py),
    near_pairs.parquet (those that were found), audit.json (findings of each view; why a view is missing; conflicts:
    corpora/splits/conflicts.py), quality.json (result of the table checks), card.json (card, counts found against
    published, notes), manifest.json (files, their sha256 and the content hash over them). Returns the manifest and,
    beside it, `seconds`.

    Raises `CorpusError`: not the corpus, nothing accepted, more than `max_reject_share` rejected, a label of its own or
    half of a class that is not known (unless `on_unknown_label` is "reject"), or an index that fails a table check;
    `UnknownNameError`: no such reader; `ResourceError`: disk full or not writable.
    """
    begun = time.perf_counter()
    if not CORPUS_ID.fullmatch(name):
        raise CorpusError(f"corpus name {name!r}: allowed are a-z, 0-9 and _, beginning with a letter, 40 at most")
    reader, work = settings.reader, places.work
    corpus = make_corpus(reader, settings.options, base=settings.base)
    card_sha256 = getattr(corpus, "card_sha256", None)  # of a described corpus
    card = fake_card(corpus.card) if settings.fake else corpus.card
    where = str(settings.base.resolve()) if settings.base else str(Path.cwd())
    task = ReadTask(
        name,
        reader,
        dict(settings.options),
        str(places.root),
        settings.shards,
        card.license,
        where,
        card_sha256,
        settings.retracted,
    )
    with imports_set_aside(), atomic_folder(places.target) as folder, Prints(folder) as prints:
        place = work or folder / ".spill"
        spills = read_corpus(task, place, keep=work is not None, share=share, tell=tell, prints=prints)
        rejects = [reject for spill in spills for reject in spill.rejects]
        index = assemble(spills, folder, "shards/" + name)
        if work is None:
            shutil.rmtree(folder / ".spill")
        unknown = unknown_labels(rejects)
        _tell_rejects(name, rejects, unknown, tell)
        by_label = native_counts(index, corpus.card)
        if settings.on_unknown_label == "stop":
            judge_labels(
                Asked(name, places.root, corpus.card, described=card_sha256 is not None),
                unknown,
                n_read=index.num_rows + len(rejects),
                by_label=by_label,
                listed_in=lambda: leave_rejects(places.rejects_to, rejects),
            )
        _judge_rejects(name, places, index.num_rows, rejects, settings.max_reject_share)
        write_table(folder / "index.parquet", index)
        write_table(folder / "rejects.parquet", _reject_table(rejects))
        taken = prints.write(index, folder / "near.parquet")
        if taken is None:  # other processes read it, or this one after a crash
            write_fingerprints(folder, index, folder / "near.parquet")
            taken = read_table(folder / "near.parquet", FINGERPRINTS)
        near = near_pairs(taken)
        write_table(folder / "near_pairs.parquet", near)
        views, audit = _views(index, settings.ratios, settings.split_seed, near)
        write_table(folder / "splits.parquet", views)
        conflicts = find_conflicts(index)
        write_json(folder / "audit.json", audit | {"conflicts": conflicts_to_json(conflicts)})
        described = {"card_sha256": card_sha256} if card_sha256 else {}
        facts = _card(card, reader, index, rejects, by_label) | {"made_up": settings.fake, **described}
        facts["unknown_labels"] = [one.as_dict() for one in unknown[:LISTED]]
        facts["notes"] = conflict_notes(conflicts)
        if tell is not None:
            for note in facts["notes"]:
                tell(f"{name}: {note}")
        quality = _quality(name, card, index, facts["counts"])
        write_json(folder / "quality.json", quality)
        write_json(folder / "card.json", facts)
        manifest = _manifest(folder, name, reader, index, rejects, audit)
        write_json(folder / "manifest.json", manifest)
    if work is not None:
        shutil.rmtree(work, ignore_errors=True)
    if places.rejects_to is not None:
        places.rejects_to.unlink(missing_ok=True)
    return {"manifest": manifest, "seconds": time.perf_counter() - begun}


def fake_card(card: CorpusCard) -> CorpusCard:
    """The card of what a reader's `fake()` wrote: in the layout of the corpus, with none of its people in it."""
    return replace(
        card,
        title=f"Made-up corpus in the layout of {card.title}",
        license="CC0-1.0",
        may_redistribute=True,
        bibtex="",
        counts=None,
        counts_source=None,
        n_subjects=None,
    )


def _tell_rejects(name: str, rejects: list[Reject], unknown: list[UnknownLabel], tell: Tell | None) -> None:
    """What was rejected, by reason, and the labels that nobody knows; nothing where there is nothing."""
    if tell is None or not rejects:
        return
    reasons = Counter(reject.reason for reject in rejects).most_common()
    tell(f"{name}: rejected, by reason: {', '.join(f'{reason} {n}' for reason, n in reasons)}")
    if unknown:
        tell(f"{name}: unknown labels: {listed(unknown)}")


def _reasons(rejects: list[Reject]) -> dict[str, int]:
    return dict(sorted(Counter(reject.reason for reject in rejects).items()))


def _judge_rejects(name: str, places: IngestPlaces, accepted: int, rejects: list[Reject], max_share: float) -> None:
    rejects = list(without_retracted(rejects))  # a retraction is no fault of the files
    total = accepted + len(rejects)
    share = len(rejects) / total if total else 1.0
    if accepted and share <= max_share:
        return
    counts = ", ".join(f"{reason} {count}" for reason, count in _reasons(rejects).items())
    first = f" First: {rejects[0].path} ({rejects[0].reason}: {rejects[0].detail})." if rejects else ""
    raise CorpusError(
        f"corpus {name!r} at {places.root}: {len(rejects)} of {total} files were rejected ({share:.0%}, at most "
        f"{max_share:.0%} are allowed): {counts or 'there was nothing to read'}.{first}"
        f"{leave_rejects(places.rejects_to, rejects)} Mend or remove them, or raise corpora.{name}.max_reject_share."
    )


def _quality(name: str, card: CorpusCard, index: pa.Table, counts: list[dict[str, Any]]) -> dict[str, Any]:
    """Checks of the index and of its sizes and rates; one that fails stops the stage. A wrong count is only shown:
    a re-packed corpus may hold a file twice, and its owner decides."""
    expected = sample_expectations(card.modality, is_vector=card.is_vector)
    table = check_table(index, name=name, expectations=expected)
    kind = "vector" if card.is_vector else card.modality
    facts = check_table(fact_table(index), name=f"{name}_facts", schema=None, expectations=FACTS[kind])
    results = table["results"] + facts["results"]
    _judge_quality(name, results)
    results = results + check_counts(name, counts)
    return table | {"success": all(result["success"] for result in results), "results": results}


def _judge_quality(name: str, results: list[dict[str, Any]]) -> None:
    failed = [result for result in results if not result["success"]]
    if failed:
        checks = "; ".join(f"{r['type']}({r['column'] or ''}) observed {r['observed']}" for r in failed[:5])
        raise CorpusError(f"corpus {name!r}: the index fails {len(failed)} table check(s): {checks}")


def _reject_table(rejects: list[Reject]) -> pa.Table:
    rows = [asdict(reject) for reject in sorted(rejects, key=lambda r: (r.path, r.reason))]
    return pa.Table.from_pylist(rows, schema=REJECTS)


def _views(index: pa.Table, ratios: Mapping[str, float], seed: int, near: pa.Table) -> tuple[pa.Table, dict[str, Any]]:
    """The views that exist, and the audit: findings of each, or the reason why it does not exist."""
    views: list[pa.Table] = []
    audit: dict[str, Any] = {}
    makers = {"group": lambda: group_view(index, ratios, seed), "official": lambda: official_view(index)}
    for name, make in makers.items():
        try:
            view = make()
        except SplitError as error:
            audit[name] = {"feasible": False, "reason": str(error), "findings": []}
            continue
        if view is None:
            audit[name] = {"feasible": False, "reason": "the corpus publishes no split", "findings": []}
            continue
        views.append(view)
        findings = [finding.to_json() for finding in audit_view(index, view, near)]
        counts = dict(sorted(Counter(view["split"].to_pylist()).items()))
        facts = {"feasible": True, "reason": None, "hash": view_hash(view), "counts": counts, "findings": findings}
        audit[name] = facts
    return pa.concat_tables(views).combine_chunks() if views else SPLITS.empty_table(), {"views": audit}


def native_counts(index: pa.Table, card: CorpusCard) -> Counter[str]:
    """Native label -> samples that carry it: entries of `labels` in the corpus' own scheme, else `emotion_raw`."""
    labels, raw = index["labels"].combine_chunks(), index["emotion_raw"]
    entries, row = pc.list_flatten(labels), pc.list_parent_indices(labels)
    scheme, name, weight = (pc.struct_field(entries, field) for field in ("scheme", "label", "weight"))
    is_own = pc.and_(pc.equal(scheme, card.name), pc.fill_null(pc.not_equal(weight, 0.0), True)).fill_null(False)
    own = pa.table({"row": row, "label": name}).filter(is_own).group_by(["row", "label"]).aggregate([])  # each once
    bare = np.ones(index.num_rows, bool)
    bare[own["row"].to_numpy()] = False
    without = raw.filter(pa.array(bare)).drop_null()
    counts: Counter[str] = Counter()
    for values in (own["label"], without):
        counts.update({one["values"]: one["counts"] for one in pc.value_counts(values).to_pylist()})
    return counts


def _card(
    card: CorpusCard, reader: str, index: pa.Table, rejects: list[Reject], present: Mapping[str, int]
) -> dict[str, Any]:
    """Card and counts: found, published and their difference for each native label; null where nothing is published."""
    published = dict(card.counts or {})
    counts = [
        {
            "label": label,
            "emotion": card.label_map.get(label),
            "found": present.get(label, 0),
            "published": published.get(label),
            "difference": present.get(label, 0) - published[label] if label in published else None,
        }
        for label in dict.fromkeys([*card.label_map, *published, *sorted(present)])
        if label in published or present.get(label)
    ]
    subjects = index["subject_id"].unique().drop_null()
    off = [row for row in counts if row["difference"]]
    return {
        "reader": reader,
        "card": {**asdict(card), "label_map": dict(card.label_map), "counts": published or None},
        "counts": counts,
        "difference": _why_different(card, counts, len(subjects), rejects) if off else None,
        "n_without_class": index["emotion"].null_count,
        "n_subjects": len(subjects) if subjects else None,
        "rejects": _reasons(rejects),
    }


def _why_different(card: CorpusCard, counts: list[dict[str, Any]], n_subjects: int, rejects: list[Reject]) -> str:
    """What is known of the reason why counts differ from the published ones; rejects explain no more than they are."""
    off = [row["difference"] for row in counts if row["difference"]]
    fewer, more = -sum(n for n in off if n < 0), sum(n for n in off if n > 0)
    why = []
    if fewer:
        why.append(f"{fewer} samples fewer than published")
        if rejects:
            left = fewer - len(rejects)
            beyond = f", which leaves {left} that are not in the folder" if left > 0 else ""
            why.append(f"{len(rejects)} files or rows were rejected{beyond}")
        absent = [row["label"] for row in counts if row["published"] and not row["found"]]
        if absent:
            why.append(f"nothing of {', '.join(map(repr, absent[:8]))}{' and others' if len(absent) > 8 else ''}")
    if card.n_subjects and n_subjects and n_subjects < card.n_subjects:
        why.append(f"{n_subjects} of {card.n_subjects} subjects are in the folder")
    if more:
        why.append(f"{more} samples more than published: another version of the corpus, or files that are there twice")
    if len(why) == 1 and not more:
        why.append("the reason is not known: a part of the corpus, or another version of it, was linked")
    return "; ".join(why)


def _manifest(
    folder: Path, name: str, reader: str, index: pa.Table, rejects: list[Reject], audit: Mapping[str, Any]
) -> dict[str, Any]:
    paths = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    files = describe_files(folder, paths)
    return {
        "format": FORMAT.text,
        "corpus": name,
        "reader": reader,
        "n": index.num_rows,
        "n_rejects": len(rejects),
        "views": sorted(view for view, facts in audit["views"].items() if facts["feasible"]),
        "files": files,
        "content_hash": compute_release_hash({path: file["sha256"] for path, file in files.items()}),
    }
