"""What the stages of a run left behind, read for the report. A stage that has not run yet is None, never a guess.

prepared/ must be there. Of the other stages the folder may be missing (the report says so); a folder without the files
that its stage always writes is an `IntegrityError`, because a half-read run would make a report that looks whole.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpora.errors import IntegrityError

Row = dict[str, Any]
_LISTED = [
    "sample_id",
    "corpus",
    "emotion",
    "subject_id",
    "codec",
    "duration_s",
    "signals",
    "shard",
    "offset",
    "n_bytes",
    "sha256",
]
_MADE = ["generator_id", "seed", "source_ids", "license"]


@dataclass(frozen=True)
class CorpusFolder:
    """One corpus as ingest left it. `told`: card.json (the reader's card, counts, subjects, reasons of rejects)."""

    name: str
    folder: Path
    told: Row
    views: dict[str, Row]  # audit of each split view: feasible, reason, counts, findings
    conflicts: dict[str, Row]  # kind -> counts, entries (corpora/splits/conflicts.py)
    quality: Row | None  # result of the table checks

    @property
    def card(self) -> Row:
        card: Row = self.told["card"]
        return card


@dataclass(frozen=True)
class RunFolder:
    """Everything the report knows. Tables are Arrow; JSON files are as written."""

    name: str
    folder: Path
    summary: Row
    samples: pa.Table
    train: pa.Table  # the rows of `samples` in the train split
    before: pa.Table | None  # a few train samples as they came, where prepare keeps them
    rejects: dict[tuple[str, str, str], int]  # (corpus, stage, reason) -> n
    fit: Row | None
    losses: tuple[list[float], dict[str, list[float]]] | None
    balance: Row | None
    synthetic: pa.Table | None
    refused: pa.Table | None  # payloads of rejected candidates, where augment keeps some
    scores: pa.Table | None
    reference: dict[str, dict[str, list[float | None]]]  # gate -> class -> scores of real samples
    verdicts: list[Row] | None
    uplift: Row | None
    conditions: dict[str, Row] | None
    selftest: Row | None
    metrics: Row | None
    manifest: Row | None
    corpora: list[CorpusFolder]

    @property
    def classes(self) -> list[str]:
        return [str(c) for c in self.summary["classes"]]

    @property
    def real_only(self) -> bool:
        """The run has no generator."""
        return self.summary["representation"] is None


def read_run(run: Path, corpora: Path) -> RunFolder:
    """Reads data/runs/<run> and data/corpora. Raises `IntegrityError` naming a file that is missing or unreadable."""
    prepared, augmented, evaluation = run / "prepared", run / "augmented", run / "evaluation"
    summary = _json(prepared / "summary.json")
    samples = _table(prepared / "index.parquet", [*_LISTED, "extra"])
    rejects = _table(prepared / "rejects.parquet", ["corpus", "stage", "reason"]).to_pylist()
    has_fit, has_augmented, has_evaluation = (run / "fit").is_dir(), augmented.is_dir(), evaluation.is_dir()
    return RunFolder(
        name=run.name,
        folder=run,
        summary=summary,
        samples=samples,
        train=_of_split(samples, _table(prepared / "splits.parquet"), "train"),
        before=_optional_table(prepared / "before.parquet", [*_LISTED, "extra"]),
        rejects=_count([(str(r["corpus"]), str(r["stage"]), str(r["reason"])) for r in rejects]),
        fit=_json(run / "fit" / "fit.json") if has_fit else None,
        losses=_losses(run / "fit" / "loss.csv"),
        balance=_json(augmented / "balance.json") if has_augmented else None,
        synthetic=_table(augmented / "index.parquet", _LISTED + _MADE) if has_augmented else None,
        refused=_optional_table(augmented / "rejected.parquet", [*_LISTED, *_MADE, "extra"]),
        scores=_table(augmented / "scores.parquet") if has_augmented else None,
        reference=_optional_json(augmented / "reference.json") or {},
        verdicts=_table(evaluation / "verdicts.parquet").to_pylist() if has_evaluation else None,
        uplift=_optional_json(evaluation / "uplift.json"),
        conditions=_optional_json(evaluation / "conditions.json"),
        selftest=_optional_json(evaluation / "selftest.json"),
        metrics=_optional_json(run / "metrics.json"),
        manifest=_optional_json(run / "release" / "manifest.json"),
        corpora=[_corpus(corpora / str(name)) for name in summary.get("corpora", [])],
    )


def payload_of(folder: Path, row: Mapping[str, Any]) -> bytes:
    """Bytes of one row of the index that lies in `folder`. Raises `IntegrityError` if they changed."""
    from corpora.store.shards import read_payload

    return read_payload(folder, row)


def _corpus(folder: Path) -> CorpusFolder:
    audit = _optional_json(folder / "audit.json") or {}
    return CorpusFolder(
        name=folder.name,
        folder=folder,
        told=_json(folder / "card.json"),
        views=audit.get("views", {}),
        conflicts=audit.get("conflicts", {}),
        quality=_optional_json(folder / "quality.json"),
    )


def _of_split(samples: pa.Table, splits: pa.Table, split: str) -> pa.Table:
    views = pc.unique(splits["view"]).to_pylist()
    chosen = splits.filter(
        pc.and_(pc.equal(splits["split"], split), pc.equal(splits["view"], views[0] if views else ""))
    )
    return samples.filter(pc.is_in(samples["sample_id"], value_set=pc.unique(chosen["sample_id"])))


def _count(keys: Sequence[Any]) -> dict[Any, int]:
    counts: dict[Any, int] = {}
    for key in sorted(keys):
        counts[key] = counts.get(key, 0) + 1
    return counts


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise IntegrityError(f"no {path}: the stage that writes it did not end; run the same command again") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(
            f"{path} is not JSON ({error}): delete its folder and run the same command again"
        ) from None


def _optional_json(path: Path) -> Any:
    return _json(path) if path.exists() else None


def _table(path: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        return pq.ParquetFile(path).read(columns=columns)
    except FileNotFoundError:
        raise IntegrityError(f"no {path}: the stage that writes it did not end; run the same command again") from None
    except pa.ArrowException as error:
        raise IntegrityError(
            f"{path} is not Parquet ({error}): delete its folder and run the same command again"
        ) from None


def _optional_table(path: Path, columns: list[str] | None = None) -> pa.Table | None:
    return _table(path, columns) if path.exists() else None


def _losses(path: Path) -> tuple[list[float], dict[str, list[float]]] | None:
    """step and every other column; an empty or unreadable cell is NaN. None where there is no file or no row."""
    if not path.exists():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return None
    names = [name for name in rows[0] if name != "step"]
    return [_number(r["step"]) for r in rows], {name: [_number(r[name]) for r in rows] for name in names}


def _number(cell: str | None) -> float:
    try:
        return float(cell) if cell else math.nan
    except ValueError:
        return math.nan
