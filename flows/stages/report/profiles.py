"""The profile of a corpus: what its payloads are like, per class and per subject, as figures of the report.

A bounded number of samples is looked at, chosen by the hash of their ids: the same for the same corpus, and spread over
all of it. The corpus is profiled as it was ingested, before anything was prepared.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpora.labels import EMOTIONS
from corpora.schema import SAMPLES
from corpora.store.shards import read_payload, read_table
from features.profile import MEASURES, describe_or_none
from flows.stages.report.profile_figure import profile_chart

LOOKED_AT = 300  # samples of a corpus; of 600 utterances it takes some 6 s
SUBJECTS_SHOWN = 24
_FEWEST = 3  # values that make a box
_NO_CLASS = "no class"


def profile_corpus(folder: Path, *, limit: int = LOOKED_AT) -> dict[str, Any]:
    """data/corpora/<name> -> {"n", "of", "unreadable", "measures": [{"name", "title", "unit", "figure": SVG}, ...]}."""
    rows = _chosen(folder, limit)
    described = [
        describe_or_none(read_payload(folder, row), str(row["modality"]), row["signals"] or ()) for row in rows
    ]
    pairs = [(row, found) for row, found in zip(rows, described, strict=True) if found is not None]
    measures = []
    for name, measure in MEASURES.items():
        values = [(row, found[name]) for row, found in pairs if name in found]
        if len(values) < _FEWEST or np.ptp([value for _, value in values]) == 0:
            continue  # all alike: pictures of one size have no distribution to show
        by_class = _grouped(values, "emotion", _NO_CLASS)
        by_subject = _grouped(values, "subject_id", None)
        figure = profile_chart(measure.title, measure.unit, by_class, by_subject, log=measure.log)
        measures.append({"name": name, "title": measure.title, "unit": measure.unit, "figure": figure})
    return {"n": len(pairs), "of": _size(folder), "unreadable": len(rows) - len(pairs), "measures": measures}


def _size(folder: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.ParquetFile(folder / "index.parquet").metadata.num_rows)


def _chosen(folder: Path, limit: int) -> list[Mapping[str, Any]]:
    columns = ["sample_id", "modality", "emotion", "subject_id", "signals", "shard", "offset", "n_bytes", "sha256"]
    table = read_table(folder / "index.parquet", SAMPLES).select(columns)
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
