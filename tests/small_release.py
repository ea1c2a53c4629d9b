"""Releases of a few samples, written by the project's own functions in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpora.schema import LINEAGE, SCORES, SPLITS, VERDICTS, Sample
from corpora.store.atomic import write_json
from corpora.store.release import MANIFEST, describe_files, open_release, sealed
from corpora.store.shards import write_shards, write_table

FACTS: dict[str, Any] = {
    "name": "tiny",
    "modality": "face",
    "rate_hz": None,
    "classes": ["anger", "fear"],
    "corpora": [{"id": "c", "card": {"label_map": {"a": "anger", "f": "fear"}, "may_redistribute": True}}],
    "view": "group",
    "scheme": "corpus",
    "licenses": ["CC0-1.0"],
    "publishable": True,
    "reasons": [],
    "restrictions": [],
    "notes": [],
    "leaks": {},
    "cannot_be_judged": {},
}


def real(number: int, **other: Any) -> Sample:
    """Sample c/NUMBER of subject c:sN, class anger where the number is even."""
    facts: dict[str, Any] = {
        "sample_id": f"c/{number}",
        "corpus": "c",
        "modality": "face",
        "payload": bytes([number % 256] * 700),
        "codec": "png",
        "license": "CC0-1.0",
        "group_id": f"c:s{number % 4}",
        "subject_id": f"c:s{number % 4}",
        "emotion": "anger" if number % 2 == 0 else "fear",
    }
    return Sample(**facts | other)


def made(number: int, generator: str = "9e1d", **other: Any) -> Sample:
    """Sample syn/GENERATOR/NUMBER, moved from c/NUMBER, which is of the other class."""
    facts: dict[str, Any] = {
        "sample_id": f"syn/{generator}/{number}",
        "emotion": "fear" if number % 2 == 0 else "anger",
        "generator_id": generator,
        "seed": number,
        "sources": {"from": f"c/{number}"},
        "payload": bytes([100 + number] * 600),
    }
    return real(number, **facts | other)


def write_release(
    folder: Path,
    samples: Sequence[Sample],
    split: Mapping[str, str] | None = None,
    verdicts: Sequence[Mapping[str, Any]] = (),
    **facts: Any,
) -> Path:
    """A release of `samples`. split: id -> split; train where it says nothing. lineage: edges (of `facts`)."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [s for s in samples if s.generator_id is not None]
    ids = [s.sample_id for s in samples]
    splits = {"view": ["group"] * len(ids), "sample_id": ids, "split": [(split or {}).get(i, "train") for i in ids]}
    tars: dict[str, list[Sample]] = {"train-real": [], "train-synthetic": []}  # named as those of a run
    for sample, of in zip(samples, splits["split"], strict=True):
        tars.setdefault(f"{of}-{'synthetic' if sample.generator_id else 'real'}", []).append(sample)
    tables = [write_shards(of, folder, 2, f"shards/{name}") for name, of in tars.items()]
    write_table(folder / "index.parquet", pa.concat_tables(tables))
    write_table(folder / "splits.parquet", pa.table(splits, schema=SPLITS))
    scores = [
        {"sample_id": s.sample_id, "emotion": s.emotion, "round": 1, "gate": "copies", "value": 0.75, "limit": 0.5}
        | {"passed": True, "reason": None, "judge": "hog:1f"}
        for s in drawn
    ]
    write_table(folder / "scores.parquet", pa.Table.from_pylist(scores, schema=SCORES))
    write_table(folder / "verdicts.parquet", pa.Table.from_pylist([VERDICT | v for v in verdicts], schema=VERDICTS))
    if edges := facts.pop("lineage", None):
        columns = [pa.array(column, pa.string()) for column in zip(*edges, strict=True)]
        write_table(folder / "lineage.parquet", pa.table(columns, schema=LINEAGE))
    (folder / "README.md").write_text("# tiny\n", encoding="utf-8")
    seal(folder, samples, splits["split"], **facts)
    return folder


VERDICT = {
    "gate": "frechet",
    "group": "all",
    "value": 1.5,
    "low": 1.0,
    "high": 2.0,
    "floor": 1.0,
    "limit": 2.5,
    "n_real": 8,
    "n_synthetic": 4,
    "unit": "1",
    "judge": "hog",
    "verdict": "pass",
    "reason": "",
}


def seal(folder: Path, samples: Sequence[Sample], splits: Sequence[str], **facts: Any) -> None:
    """manifest.json over all that is there."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for sample, split in zip(samples, splits, strict=True):
        cell = counts.setdefault(split, {}).setdefault(str(sample.emotion), {"real": 0, "synthetic": 0})
        cell["synthetic" if sample.generator_id else "real"] += 1
    files = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST]
    whole = {**FACTS, "counts": counts, **facts, "files": describe_files(folder, files)}
    write_json(folder / MANIFEST, sealed(whole))


def write_stub_report(run: Path, text: str = "") -> Path:
    """report.html of a run with a release, as small as one can be that takes up what changed."""
    release_hash = open_release(run / "release").release_hash
    places = {name: f"<!-- changed:{name} -->plain<!-- /changed:{name} -->" for name in ("line", "nav", "section")}
    path = run / "report.html"
    path.write_text(f"<!doctype html>{release_hash}{text}{''.join(places.values())}\n", encoding="utf-8")
    return path
