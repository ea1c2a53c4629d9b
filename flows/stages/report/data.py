"""What the stages of a run left behind, read for the report. A stage that has not run yet is None, never a guess.

prepared/ must be there. Of the other stages the folder may be missing (the report says so); a folder without the files
that its stage always writes is an `IntegrityError`, because a half-read run would make a report that looks whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpora.schema import Signal
from corpora.store.shards import read_payload
from flows.artifacts.augmented import Balance, DrawnBy, Reference
from flows.artifacts.evaluated import Conditions, Uplift, VerdictRow
from flows.artifacts.fitted import Curves, FitSummary
from flows.artifacts.ingested import Audit, CorpusFacts, Ingested, Quality
from flows.artifacts.of_run import Metrics, RunArtifacts
from flows.artifacts.prepared import Summary
from flows.artifacts.released import Sealed
from flows.artifacts.studied import studies_about
from validators.trials.alarms import Alarm
from validators.trials.curves import Truth
from validators.trials.selftest import SelfTest


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of a sample lie: a tar below the folder of its index, and their sha256."""

    shard: str
    offset: int
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of an index, as far as the page shows it. emotion: None for a mixture of classes. extra: what readers,
    steps and gates noted."""

    sample_id: str
    corpus: str
    emotion: str | None
    codec: str
    place: Place
    signals: tuple[Signal, ...] = ()
    generator_id: str | None = None
    seed: int | None = None
    source_ids: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Listed:
        """A row of SAMPLES."""
        return cls(
            sample_id=row["sample_id"],
            corpus=row["corpus"],
            emotion=row["emotion"],
            codec=row["codec"],
            place=Place(row["shard"], row["offset"], row["n_bytes"], row["sha256"]),
            signals=tuple(Signal.from_row(signal) for signal in row["signals"] or ()),
            generator_id=row["generator_id"],
            seed=row["seed"],
            source_ids=tuple(row["source_ids"] or ()),
            extra=dict(row["extra"] or ()),
        )

    def payload(self, folder: Path) -> bytes:
        """The bytes; `folder`: of the index. Raises `IntegrityError` if they changed."""
        place = self.place
        return read_payload(
            folder,
            {
                "sample_id": self.sample_id,
                "shard": place.shard,
                "offset": place.offset,
                "n_bytes": place.n_bytes,
                "sha256": place.sha256,
            },
        )


def listed(table: pa.Table, at: Sequence[int] | None = None) -> list[Listed]:
    """SAMPLES -> its rows, or those at the places `at`, in that order."""
    rows = table if at is None else table.take(pa.array(at, pa.int64()))
    return [Listed.of(row) for row in rows.to_pylist()]


@dataclass(frozen=True, slots=True)
class CorpusFolder:
    """One corpus as ingest left it. quality: None where its index was not checked."""

    name: str
    ingested: Ingested
    facts: CorpusFacts
    audit: Audit
    quality: Quality | None


@dataclass(frozen=True, slots=True)
class RejectCount:
    """Files or samples of a corpus that a stage rejected for one reason."""

    corpus: str
    stage: str
    reason: str
    n: int


@dataclass(frozen=True, slots=True)
class StudySaid:
    """What a study of the run's corpora says. outcome: win, no win, cannot tell; page: from the run's folder."""

    name: str
    sentence: str
    outcome: str
    page: str


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Everything the report knows. Tables are SAMPLES, but `scores` (SCORES); None: its stage has not ended yet."""

    name: str
    folder: Path
    summary: Summary
    samples: pa.Table
    train: pa.Table  # the rows of `samples` in the train split
    before: pa.Table | None  # a few train samples as they came, where prepare keeps them
    rejects: tuple[RejectCount, ...]  # of preparation
    fit: FitSummary | None
    losses: Curves | None
    balance: Balance | None
    synthetic: pa.Table | None
    rejected: pa.Table | None  # rejected candidates with a payload, where augment keeps some
    scores: pa.Table | None
    reference: Reference  # gate -> class -> scores of real samples
    verdicts: tuple[VerdictRow, ...] | None
    uplift: Uplift | None
    conditions: Conditions | None
    alarms: tuple[Alarm, ...] | None
    truth: Truth | None
    selftest: SelfTest | None
    metrics: Metrics
    manifest: Sealed | None
    corpora: tuple[CorpusFolder, ...]
    studies: tuple[StudySaid, ...] = ()
    draws: pa.Table | None = None  # DRAWS of candidates, where augment has ended
    drawn_by: DrawnBy | None = None
    requests: pa.Table | None = None  # REQUESTS of every candidate, of a generator that asks somebody else

    @property
    def classes(self) -> list[str]:
        """In the order that the whole run has."""
        return list(self.summary.classes)

    @property
    def real_only(self) -> bool:
        """The run has no generator."""
        return self.summary.representation is None


def read_run(run: Path, corpora: Path) -> RunFolder:
    """Reads data/runs/<run> and data/corpora. Raises `IntegrityError` naming a file that is missing or unreadable."""
    there = RunArtifacts(run)
    prepared, fitted, augmented, evaluated = there.prepared, there.fitted, there.augmented, there.evaluated
    released = there.released
    summary, samples = prepared.summary(), prepared.index()
    return RunFolder(
        name=run.name,
        folder=run,
        summary=summary,
        samples=samples,
        train=samples.filter(pc.is_in(samples["sample_id"], value_set=_ids_of(prepared.splits(), "train"))),
        before=prepared.before(),
        rejects=_counted(prepared.rejects()),
        fit=fitted.summary() if fitted else None,
        losses=fitted.losses() if fitted else None,
        balance=augmented.balance() if augmented else None,
        synthetic=augmented.index() if augmented else None,
        rejected=augmented.rejected() if augmented else None,
        scores=augmented.scores() if augmented else None,
        draws=augmented.draws() if augmented else None,
        drawn_by=augmented.drawn_by() if augmented else None,
        requests=augmented.requests() if augmented else None,
        reference=augmented.reference() if augmented and augmented.has_reference else {},
        verdicts=tuple(evaluated.verdicts()) if evaluated else None,
        uplift=evaluated.uplift() if evaluated else None,
        conditions=evaluated.conditions() if evaluated and evaluated.has_conditions else None,
        alarms=evaluated.alarms() if evaluated else None,
        truth=evaluated.truth() if evaluated else None,
        selftest=evaluated.selftest() if evaluated else None,
        metrics=there.metrics(),
        manifest=released.manifest() if released else None,
        corpora=tuple(_corpus(Ingested(corpora / name)) for name in summary.corpora),
        studies=tuple(
            StudySaid(name, studied.verdict(), studied.outcome(), f"../../studies/{name}/result/{studied.page.name}")
            for name, studied in studies_about(corpora.parent / "studies", summary.corpora).items()
        ),
    )


def _corpus(ingested: Ingested) -> CorpusFolder:
    return CorpusFolder(ingested.path.name, ingested, ingested.facts(), ingested.audit(), ingested.quality())


def _ids_of(splits: pa.Table, split: str) -> pa.Array:
    return splits.filter(pc.equal(splits["split"], split))["sample_id"].combine_chunks()


def _counted(rejects: pa.Table) -> tuple[RejectCount, ...]:
    counts = Counter((row["corpus"], row["stage"], row["reason"]) for row in rejects.to_pylist())
    return tuple(RejectCount(*key, n) for key, n in sorted(counts.items()))
