"""What became of the samples that only one of two releases holds, as the other release tells it.

A release holds the scores of every candidate, released or not, and the rejects of its corpora: so each side says of a
sample that it lacks whether it was drawn, which gate said no, or why its file could not be taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from corpora.schema import REJECTS, SCORES
from corpora.store.release import SCORE_TABLE, Release
from corpora.store.shards import read_table
from flows.releases.paired import Paired, is_real

SHOWN = 5  # ids of each fate
NOT_DRAWN = "was not drawn"
SURPLUS = "passed every gate and was not needed"
OTHER_GENERATOR = "was drawn by generator {}, which the other release does not have"
NOT_THERE = "is in no table of the other release: not in its corpora or its view"


@dataclass(frozen=True, slots=True)
class Fate:
    """Samples with one fate. way: "came" (of the second release alone) or "went"; n: how many; examples: a few ids."""

    way: Literal["came", "went"]
    kind: Literal["real", "synthetic"]
    reason: str
    n: int
    examples: tuple[str, ...]


def fates(before: Release, after: Release, pair: Paired) -> list[Fate]:
    """Of samples that went, then of those that came; the largest groups first."""
    moved = [*_fates("went", pair.gone, after), *_fates("came", pair.come, before)]
    return sorted(moved, key=lambda fate: (fate.way != "went", fate.kind, -fate.n, fate.reason))


def _fates(way: Literal["came", "went"], rows: pa.Table, other: Release) -> Iterator[Fate]:
    real = is_real(rows)
    yield from _grouped(way, "real", _of_real(rows.filter(real), other))
    yield from _grouped(way, "synthetic", _of_synthetic(rows.filter(pc.invert(real)), other))


def _grouped(
    way: Literal["came", "went"], kind: Literal["real", "synthetic"], fates: Iterable[tuple[str, str]]
) -> Iterator[Fate]:
    by_reason: dict[str, list[str]] = {}
    for sample, reason in fates:
        by_reason.setdefault(reason, []).append(sample)
    for reason, ids in by_reason.items():
        yield Fate(way, kind, reason, len(ids), tuple(ids[:SHOWN]))


def _of_real(rows: pa.Table, other: Release) -> Iterator[tuple[str, str]]:
    path = other.path / "rejects.parquet"
    table = read_table(path, REJECTS) if path.is_file() else REJECTS.empty_table()
    fates = table.select(["path", "stage", "reason"]).to_pylist()
    rejected = {row["path"]: (row["stage"], row["reason"]) for row in fates}
    for sample in rows["sample_id"].to_pylist():
        native = sample.partition("/")[2]
        stage, reason = rejected.get(sample) or rejected.get(native) or ("", "")
        yield sample, f"was rejected by {stage}: {reason}" if reason else NOT_THERE


def _of_synthetic(rows: pa.Table, other: Release) -> Iterator[tuple[str, str]]:
    if not rows.num_rows:
        return
    generators = set(other.columns["generator_id"].unique().to_pylist())
    known = _candidates(other.path, rows["sample_id"])
    columns = zip(*(rows[c].to_pylist() for c in ("sample_id", "generator_id")), strict=True)
    for sample, generator in columns:
        if sample in known:
            refused = known[sample]
            yield sample, f"was refused by {', '.join(refused)}" if refused else SURPLUS
        else:
            yield sample, NOT_DRAWN if generator in generators else OTHER_GENERATOR.format(generator)


def _candidates(path: Path, ids: pa.ChunkedArray) -> dict[str, list[str]]:
    """Of the candidates `ids` that the release scored: the gates that refused each."""
    if not (path / SCORE_TABLE).is_file():
        return {}
    table = read_table(path / SCORE_TABLE, SCORES)
    table = table.filter(pc.is_in(table["sample_id"], value_set=ids.combine_chunks()))
    known: dict[str, list[str]] = {}
    for row in table.select(["sample_id", "gate", "passed"]).to_pylist():
        refused = known.setdefault(row["sample_id"], [])
        if not row["passed"]:
            refused.append(row["gate"])
    return known
