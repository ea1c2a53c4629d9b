"""data/corpora/<name>: what ingest says of a corpus (written by flows/stages/ingest/ingest.py), as the report reads it.

index.parquet + shards/*.tar   every sample as it came
card.json                      the reader's card, counts against the published ones, reasons of rejects
audit.json                     findings of each split view, and conflicts of equal payloads
quality.json                   result of the table checks
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from pydantic import Field, JsonValue

from corpora.schema import SAMPLES
from corpora.store.shards import read_table
from flows.artifacts.base import Folder, Record, read_as
from flows.artifacts.prepared import FindingRecord


class CardFacts(Record):
    """What of a reader's card people read. n_subjects: as published, None where nothing is."""

    name: str
    title: str
    version: str
    license: str
    may_redistribute: bool
    url: str | None = None
    n_subjects: int | None = None
    counts_source: str | None = None


class LabelCount(Record):
    """One native label. emotion: what it is read as, None where the vocabulary has no word for it. published: samples
    that the corpus' authors count; difference: present minus published; both None where nothing is published."""

    label: str
    emotion: str | None
    present: int = Field(alias="found")
    published: int | None
    difference: int | None


class UnknownLabelCount(Record):
    """A label that no card knows, of rejected files, and the nearest one that is known."""

    label: str
    count: int
    nearest: str | None = None


class CorpusFacts(Record):
    """card.json. n_without_class: samples without a word in the vocabulary. n_subjects: None where none is known.
    difference: why counts differ from the published ones. rejects: reason -> files. notes: what no split mends."""

    reader: str
    card: CardFacts
    counts: tuple[LabelCount, ...]
    difference: str | None = None
    n_without_class: int
    n_subjects: int | None
    rejects: dict[str, int]
    unknown_labels: tuple[UnknownLabelCount, ...] = ()
    notes: tuple[str, ...] = ()


class ViewAudit(Record):
    """One split view. feasible: the view exists; reason: why not. counts: split -> samples."""

    feasible: bool
    reason: str | None
    findings: tuple[FindingRecord, ...]
    counts: dict[str, int] = Field(default_factory=dict)


class ConflictList(Record):
    """Conflicts of one kind (corpora/splits/conflicts.py). counts: of "entries" and "samples", all of them. entries:
    the first thousand, each {speaker id or label: its sample ids}."""

    counts: dict[str, int]
    entries: tuple[dict[str, tuple[str, ...]], ...]


class Audit(Record):
    """audit.json. views: name -> its audit. conflicts: kind -> what there is of it."""

    views: dict[str, ViewAudit]
    conflicts: dict[str, ConflictList] = Field(default_factory=dict)


class Check(Record):
    """One table check: its type, the column, what was asked and what was observed."""

    type: str
    column: str | None = None
    success: bool
    asked: dict[str, JsonValue] | None = Field(None, alias="kwargs")
    observed: JsonValue = None


class Quality(Record):
    """quality.json. n_rows: of the index."""

    success: bool
    n_rows: int | None = None
    results: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Ingested(Folder):
    """data/corpora/<name>. Readers raise `IntegrityError` that names the file."""

    @property
    def has_samples(self) -> bool:
        """False where the corpus itself is not on this machine: a release that was pulled without it."""
        return (self.path / "index.parquet").exists() and (self.path / "shards").is_dir()

    def index(self) -> pa.Table:
        """SAMPLES of the whole corpus."""
        return read_table(self.path / "index.parquet", SAMPLES)

    def facts(self) -> CorpusFacts:
        """Card, counts and rejects."""
        facts: CorpusFacts = read_as(self.path / "card.json", CorpusFacts)
        return facts

    def audit(self) -> Audit:
        """Findings of each view; nothing where there is no audit."""
        path = self.path / "audit.json"
        return read_as(path, Audit) if path.exists() else Audit(views={})

    def quality(self) -> Quality | None:
        """None where the index was not checked."""
        path = self.path / "quality.json"
        quality: Quality | None = read_as(path, Quality) if path.exists() else None
        return quality
