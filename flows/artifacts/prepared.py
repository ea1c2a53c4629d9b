"""prepared/: the samples of a run, split, harmonised and encoded (written by flows/stages/prepare/prepare.py).

shards/<split>-real-*.tar + index.parquet   every sample of the view, prepared
coded/*.tar + coded.parquet                 train and dev after a trip through the representation, where it is lossy
arrays.npy + arrays.parquet                 train, [N, *shape] float32, and the ids of its rows; with a generator
before/*.tar + before.parquet               a few train samples of each corpus as they came
statistics.json                             of the train split, where a step needs them
splits.parquet  rejects.parquet  summary.json
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import JsonValue

from corpora.errors import IntegrityError
from corpora.schema import REJECTS, SAMPLES, SPLITS
from corpora.store.shards import read_table, write_table
from flows.artifacts.base import AGAIN, Described, Folder, Record, read_as, write_as
from flows.records import ARRAYS

Counts = dict[str, dict[str, int]]  # split -> class -> samples


class FindingRecord(Record):
    """A finding of the audit, as `corpora.splits.audit.Finding.to_json` writes it. counts: "keys", and samples of each
    split. members: key -> split -> sample ids, of the first thousand keys."""

    kind: str
    action: str
    splits: tuple[str, ...]
    counts: dict[str, int]
    members: dict[str, dict[str, tuple[str, ...]]]


class Leak(Record):
    """What leaks took from a split. of: its samples before. dropped: kind of leak -> samples."""

    of: int
    dropped: dict[str, int]


class CorpusSummary(Record):
    """What became of one corpus. samples: of the view with a class; prepared: pieces made of them; rejected: reason ->
    samples; rejected_of_class: class -> samples; unlabelled: samples whose emotion the scheme has no word for; noted:
    slug -> samples."""

    reader: str
    counts: Counts
    samples: int
    prepared: int
    rejected: dict[str, int]
    rejected_of_class: dict[str, int]
    unlabelled: int
    noted: dict[str, int]


class Summary(Record):
    """summary.json. rate_hz: of speech, None elsewhere. classes: their order everywhere in the run. counts: prepared
    samples. representation: as params name it, None in a run without a generator. dropped: samples that leaks took.
    unlabelled: emotion that the scheme has no word for -> samples. not_encoded: pieces that are kept as real data and
    that the generator never sees."""

    modality: str
    rate_hz: int | float | None
    classes: tuple[str, ...]
    counts: Counts
    corpora: tuple[str, ...]
    scheme: str
    view: str
    representation: dict[str, JsonValue] | None
    prepared: Described
    audit: tuple[FindingRecord, ...]
    dropped: int
    leaks: dict[str, Leak]
    unlabelled: dict[str, int]
    rejected: dict[str, int]
    noted: dict[str, int]
    not_encoded: int
    by_corpus: dict[str, CorpusSummary]


@dataclass(frozen=True, slots=True)
class PreparedTables:
    """index, coded: SAMPLES; arrays: ARRAYS; rejects: REJECTS. None for what the run has not."""

    index: pa.Table
    coded: pa.Table | None
    arrays: pa.Table | None
    rejects: pa.Table


@dataclass(frozen=True, slots=True)
class Prepared(Folder):
    """data/runs/<run>/prepared. Readers raise `IntegrityError` that names the file."""

    @property
    def has_arrays(self) -> bool:
        """False in a run without a generator."""
        return (self.path / "arrays.parquet").exists()

    @property
    def is_coded(self) -> bool:
        """Whether the representation loses something, so that gates compare with what it makes of real samples."""
        return (self.path / "coded.parquet").exists()

    @property
    def statistics(self) -> Path | None:
        """statistics.json of the train split; None where no step needs it."""
        path = self.path / "statistics.json"
        return path if path.exists() else None

    @property
    def shards(self) -> Path:
        """The folder of the tars that `index` points into."""
        return self.path / "shards"

    def summary(self) -> Summary:
        """Counts of the run and of each corpus, findings of the audit, what was left out and why."""
        summary: Summary = read_as(self.path / "summary.json", Summary)
        return summary

    def index(self) -> pa.Table:
        """SAMPLES of every split."""
        return read_table(self.path / "index.parquet", SAMPLES)

    def coded(self) -> pa.Table:
        """SAMPLES of train and dev as the representation renders them: `index` where it loses nothing."""
        return read_table(self.path / "coded.parquet", SAMPLES) if self.is_coded else self.index()

    def reference(self, split: Literal["train", "dev"] | str) -> pa.Table:
        """The rows of `coded` in `split`: what gates compare candidates with."""
        table = self.coded()
        prefix = f"coded/{split}-coded" if self.is_coded else f"shards/{split}-real"
        chosen = [shard.startswith(prefix) for shard in table.column("shard").to_pylist()]
        return table.filter(pa.array(chosen, pa.bool_()))

    def splits(self) -> pa.Table:
        """SPLITS: one view."""
        return read_table(self.path / "splits.parquet", SPLITS)

    def split_of(self) -> dict[str, str]:
        """Sample id -> split."""
        table = self.splits()
        return dict(zip(table["sample_id"].to_pylist(), table["split"].to_pylist(), strict=True))

    def of_split(self, split: str) -> pa.Table:
        """The rows of `index` in `split`."""
        table, split_of = self.index(), self.split_of()
        chosen = [split_of.get(i) == split for i in table["sample_id"].to_pylist()]
        return table.filter(pa.array(chosen, pa.bool_()))

    def rejects(self) -> pa.Table:
        """REJECTS: what preparation refused."""
        return read_table(self.path / "rejects.parquet", REJECTS)

    def encoded_ids(self) -> list[str]:
        """Ids of the rows of `arrays`, in their order; [] in a run without a generator."""
        if not self.has_arrays:
            return []
        ids: list[str] = read_table(self.path / "arrays.parquet", ARRAYS)["sample_id"].to_pylist()
        return ids

    def arrays(self) -> np.ndarray:
        """[N, *shape] float32 of the train split, memory-mapped; row i is of `encoded_ids()[i]`."""
        path = self.path / "arrays.npy"
        try:
            arrays: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise IntegrityError(f"{path} cannot be read as an array ({error}); {AGAIN}") from None
        return arrays

    def payload_hashes(self) -> frozenset[str]:
        """sha256 of every real payload of the run, of all splits and in both forms."""
        tables = [self.index(), *([self.coded()] if self.is_coded else [])]
        return frozenset(h for table in tables for h in table["sha256"].to_pylist())

    def seen_by_gates(self) -> list[str]:
        """Ids of the samples that gates and judges learn from."""
        ids: list[str] = self.reference("train")["sample_id"].to_pylist()
        return ids

    def write_tables(self, tables: PreparedTables, splits: pa.Table) -> None:
        """index.parquet, coded.parquet, arrays.parquet, rejects.parquet; splits.parquet."""
        named = {"index": tables.index, "coded": tables.coded, "arrays": tables.arrays, "rejects": tables.rejects}
        for name, table in {**named, "splits": splits}.items():
            if table is not None:
                write_table(self.path / f"{name}.parquet", table)

    def write_summary(self, summary: Summary) -> None:
        """summary.json."""
        write_as(self.path / "summary.json", summary, Summary)
