"""Tables of the report about the data that went in: audit, checks, rejects, preparation, where samples come from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from flows.artifacts.ingested import ConflictList, Quality
from flows.artifacts.prepared import CorpusSummary, FindingRecord
from flows.stages.report.data import Listed, RejectCount, RunFolder, listed
from flows.stages.report.text import flat

FINDING_COLUMNS = ("kind", "splits", "action", "counts", "examples")


@dataclass(frozen=True, slots=True)
class TextTable:
    """Names of columns, and rows of texts."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def findings_table(findings: Sequence[FindingRecord]) -> TextTable | None:
    """What the audit of a view says; of the samples in a finding the first few ids. None where there is nothing."""
    rows = tuple(
        (
            finding.kind,
            flat(finding.splits),
            finding.action,
            flat(finding.counts),
            flat([i for parts in finding.members.values() for ids in parts.values() for i in ids]),
        )
        for finding in findings
    )
    return TextTable(FINDING_COLUMNS, rows) if rows else None


CONFLICTS = {
    "same_recording": ("Speaker ids that share a recording", "perhaps one person, whom a split by subject may part"),
    "conflicting_labels": ("Equal payloads under several labels", "one of them is wrong, or there are two opinions"),
}
MOST_CONFLICTS = 50  # rows of a table; the corpus' audit has more


@dataclass(frozen=True, slots=True)
class ConflictTable:
    """Conflicts of one kind. why: what they may mean. n: all of them; the table holds the first."""

    title: str
    why: str
    n: int
    table: TextTable


def conflict_tables(conflicts: Mapping[str, ConflictList]) -> list[ConflictTable]:
    """What equal payloads say of a corpus: the kinds that there are."""
    tables = []
    for kind, (title, why) in CONFLICTS.items():
        of_kind = conflicts.get(kind)
        if of_kind is None or not of_kind.entries:
            continue
        rows = tuple(
            (" and ".join(what), flat([i for ids in what.values() for i in ids]))
            for what in of_kind.entries[:MOST_CONFLICTS]
        )
        tables.append(ConflictTable(title, why, of_kind.counts["entries"], TextTable(("what", "samples"), rows)))
    return tables


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One table check in words."""

    what: str
    column: str
    ok: bool
    asked: str
    observed: str


@dataclass(frozen=True, slots=True)
class QualityTable:
    """success: all checks are met. n_rows: of the index."""

    success: bool
    n_rows: int | None
    checks: tuple[CheckRow, ...]


def quality_table(quality: Quality | None) -> QualityTable | None:
    """The table checks of a corpus; None where there were none."""
    if quality is None:
        return None
    checks = tuple(
        CheckRow(
            what=check.type.removeprefix("expect_").replace("_", " "),
            column=check.column or "",
            ok=check.success,
            asked=flat(check.asked or {}),
            observed=flat(check.observed),
        )
        for check in quality.results
    )
    return QualityTable(quality.success, quality.n_rows, checks)


def rejects_by_reason(data: RunFolder) -> list[RejectCount]:
    """Files and samples that were left out: where, why, how many."""
    of_ingest = [RejectCount(c.name, "ingest", r, n) for c in data.corpora for r, n in c.facts.rejects.items()]
    return sorted([*of_ingest, *data.rejects], key=lambda r: (r.stage, -r.n, r.reason))


@dataclass(frozen=True, slots=True)
class UnknownRow:
    """A label of a corpus that its card does not know, and the nearest one that it does."""

    corpus: str
    label: str
    nearest: str | None
    count: int


def unknown_labels(data: RunFolder) -> list[UnknownRow]:
    """Labels that no card knows, whose files were left out: most frequent first."""
    rows = [
        UnknownRow(corpus.name, label.label, label.nearest, label.count)
        for corpus in data.corpora
        for label in corpus.facts.unknown_labels
    ]
    return sorted(rows, key=lambda r: (-r.count, r.corpus, r.label))


@dataclass(frozen=True, slots=True)
class CorpusRow:
    """What preparation did to one corpus. rejected, rejected_of_class, noted: reason, class or note with its count, as
    text. train: prepared train samples of each class, in the order of the run."""

    corpus: str
    facts: CorpusSummary
    rejected: str
    rejected_of_class: str
    noted: str
    train: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PreparationTable:
    """version: of preparation as a whole. steps: (name with version, parameters as text)."""

    version: str
    steps: tuple[tuple[str, str], ...]
    corpora: tuple[CorpusRow, ...]


def preparation(data: RunFolder) -> PreparationTable:
    """The steps with their parameters, and what they did to each corpus."""
    described = data.summary.prepared
    corpora = tuple(
        CorpusRow(
            corpus=name,
            facts=facts,
            rejected=flat(facts.rejected) or "–",
            rejected_of_class=flat(facts.rejected_of_class),
            noted=flat({k.replace("-", " "): n for k, n in facts.noted.items()}) or "–",
            train=tuple(facts.counts["train"].get(c, 0) for c in data.classes),
        )
        for name, facts in data.summary.by_corpus.items()
    )
    steps = tuple((step.step, flat(step.params) or "no parameters") for step in described.steps)
    return PreparationTable(described.version, steps, corpora)


@dataclass(frozen=True, slots=True)
class AskedOf:
    """What one accepted sample came from, of a generator that asks somebody else. prompt: the messages of its last
    request, as people read them; request: its hash."""

    sample_id: str
    answered_by: str
    request: str
    label: str | None
    attempts: int | None
    prompt: str


@dataclass(frozen=True, slots=True)
class LineageTable:
    """Whom a run asked. servers: (model, address); candidates: for which it asked; tokens, money: of all of them, None
    where nobody counted. rows: of the first accepted samples."""

    servers: tuple[tuple[str, str], ...]
    annotators: tuple[str, ...]
    candidates: int
    attempts: int
    tokens_in: int | None
    tokens_out: int | None
    money: float | None
    rows: tuple[AskedOf, ...]


@dataclass(frozen=True, slots=True)
class ProvenanceTable:
    """The first synthetic samples, of `total`. conversions: they start from real samples."""

    rows: tuple[Listed, ...]
    total: int
    generators: tuple[str, ...]
    conversions: bool
    lineage: LineageTable | None = None


def provenance_table(data: RunFolder, n: int) -> ProvenanceTable | None:
    """The first `n` accepted synthetic samples: class, generator, seed, sources, hash."""
    if data.synthetic is None:
        return None
    rows = tuple(listed(data.synthetic.slice(0, n)))
    generators = tuple(sorted({g for g in data.synthetic["generator_id"].to_pylist() if g is not None}))
    conversions = any(row.source_ids for row in rows)
    lineage = None if data.lineage is None else lineage_table(data.lineage, [row.sample_id for row in rows])
    return ProvenanceTable(rows, data.synthetic.num_rows, generators, conversions, lineage)


def lineage_table(lineage: pa.Table, shown: Sequence[str]) -> LineageTable:
    """LINEAGE of every candidate -> sums over all of it, and rows of the samples that are shown."""
    by_id = {row["sample_id"]: row for row in lineage.to_pylist()}
    whole = list(by_id.values())

    def total(name: str) -> Any:
        known = [row[name] for row in whole if row[name] is not None]
        return sum(known) if known else None

    def asked(row: Mapping[str, Any]) -> AskedOf:
        prompts = row["prompts"] or [""]
        return AskedOf(
            row["sample_id"],
            ", ".join(dict.fromkeys(row["answered_by"] or ())),
            (row["requests"] or [""])[-1],
            row["label"],
            row["attempts"],
            _as_read(prompts[-1]),
        )

    return LineageTable(
        tuple(sorted({(row["model"] or "", row["url"] or "") for row in whole})),
        tuple(sorted({row["annotator"] for row in whole if row["annotator"]})),
        len(whole),
        total("attempts") or len(whole),
        total("tokens_in"),
        total("tokens_out"),
        total("money"),
        tuple(asked(by_id[i]) for i in shown if i in by_id),
    )


def _as_read(messages: str) -> str:
    """JSON of messages -> their texts, each after its role."""
    return "\n\n".join(f"{m['role']}: {m['content']}" for m in json.loads(messages or "[]"))
