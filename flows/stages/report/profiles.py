"""The profile of a corpus: what its payloads are like, per class and per subject, as figures of the report.

A bounded number of samples is looked at, chosen by the hash of their ids: the same for the same corpus, and spread over
all of it. The corpus is profiled as it was ingested, before anything was prepared.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from corpora.labels import EMOTIONS
from corpora.store.shards import read_payload
from features.profile import MEASURES, describe_or_none
from flows.artifacts.ingested import Ingested
from flows.stages.report.profile_figure import profile_chart

LOOKED_AT = 300  # samples of a corpus; of 600 utterances it takes some 6 s
SUBJECTS_SHOWN = 24
_FEWEST = 3  # values that make a box
_NO_CLASS = "no class"


@dataclass(frozen=True, slots=True)
class MeasureFigure:
    """One measure as boxes by class and by subject (SVG)."""

    name: str
    title: str
    unit: str
    figure: str


@dataclass(frozen=True, slots=True)
class Profile:
    """n: samples that were measured, of all `of` in the corpus; unreadable: more that cannot be decoded."""

    n: int
    of: int
    unreadable: int
    measures: tuple[MeasureFigure, ...]


def profile_corpus(corpus: Ingested, *, limit: int = LOOKED_AT) -> Profile:
    """What at most `limit` samples of an ingested corpus are like. Raises `IntegrityError` for a damaged shard."""
    table = corpus.index()
    rows = _chosen(table, limit)
    described = [
        describe_or_none(read_payload(corpus.path, row), str(row["modality"]), row["signals"] or ()) for row in rows
    ]
    pairs = [(row, numbers) for row, numbers in zip(rows, described, strict=True) if numbers is not None]
    measures = []
    for name, measure in MEASURES.items():
        values = [(row, numbers[name]) for row, numbers in pairs if name in numbers]
        if len(values) < _FEWEST or np.ptp([value for _, value in values]) == 0:
            continue  # all alike: pictures of one size have no distribution to show
        by_class = _grouped(values, "emotion", _NO_CLASS)
        by_subject = _grouped(values, "subject_id", None)
        figure = profile_chart(measure.title, measure.unit, by_class, by_subject, log=measure.log)
        measures.append(MeasureFigure(name, measure.title, measure.unit, figure))
    return Profile(len(pairs), table.num_rows, len(rows) - len(pairs), tuple(measures))


def _chosen(index: pa.Table, limit: int) -> list[Mapping[str, Any]]:
    columns = ["sample_id", "modality", "emotion", "subject_id", "signals", "shard", "offset", "n_bytes", "sha256"]
    table = index.select(columns)
    ids = table.column("sample_id").to_pylist()
    order = sorted(range(len(ids)), key=lambda i: hashlib.sha256(ids[i].encode()).digest())[:limit]
    rows: list[Mapping[str, Any]] = table.take(sorted(order)).to_pylist()
    return rows


def _grouped(
    values: Sequence[tuple[Mapping[str, Any], float]], column: str, missing: str | None
) -> dict[str, list[float]]:
    """{class or subject: values}; subjects beyond the `SUBJECTS_SHOWN` with most samples are left out."""
    groups: dict[str, list[float]] = defaultdict(list)
    for row, value in values:
        key = row[column] if row[column] is not None else missing
        if key is not None:
            groups[str(key).partition(":")[2] or str(key)].append(value)
    biggest = sorted(groups, key=lambda key: (-len(groups[key]), key))[:SUBJECTS_SHOWN]
    place = {name: number for number, name in enumerate(EMOTIONS)}
    return {key: groups[key] for key in sorted(biggest, key=lambda key: (place.get(key, len(place)), key))}
