"""Releases of a few samples with all that describes them, written by the project's own functions in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpora.codecs import encode_png, encode_wav
from corpora.licences import restrictions, uses
from corpora.schema import LINEAGE, REJECTS, REQUESTS, SCORES, SPLITS, VERDICTS, Sample
from corpora.signals import VECTOR, encode_signals
from corpora.store.atomic import write_json
from corpora.store.release import FEATURES, UNIT, feature_file
from corpora.store.shards import write_shards, write_table
from flows.artifacts.released import ClassCount, FeatureTable, Manifest, Released
from flows.describing.describe import describe
from tests.small_release import VERDICT

RATE = 16_000
CARD: dict[str, Any] = {
    "title": "The corpus C & Co",
    "license": "CC-BY-4.0",
    "may_redistribute": True,
    "url": "https://example.org/c",
    "version": "1.0",
    "bibtex": "@article{c2020corpus, title={A {Corpus} of C \\& Co}, author={Author, A. and {\\'E}crit, B.}, "
    "year={2020}}",
    "sources": {"license": "its page: CC BY 4.0"},
    "unverified": ["counts"],
}
CODEC = {"speech": "wav", "face": "png", "text": "txt", "physio": "npz"}


def payload(modality: str, i: int) -> bytes:
    """A payload of each modality, another one for each i."""
    if modality == "speech":
        return encode_wav(np.full(800, i / 100, np.float32), RATE)
    if modality == "face":
        return encode_png(np.full((8, 8), i, np.uint8))
    if modality == "text":
        return f"line {i}".encode()
    return encode_signals({"EDA": np.full(4, i, np.float32), "ACC": np.full((4, 3), i, np.float32)})


def sample(modality: str, i: int, split: str, *, synthetic: bool = False, vector: bool = False) -> Sample:
    """Of subject c:sN; anger where i is even. A synthetic one weighs a half and comes from c/0. vector: its payload is
    its features."""
    signals: tuple[dict[str, Any], ...] = ()
    if modality == "physio":
        signals = (
            {"name": "ACC", "unit": "g", "rate_hz": 4.0, "shape": [4, 3]},
            {"name": "EDA", "unit": "uS", "rate_hz": 4.0, "shape": [4]},
        )
    if vector:
        signals = ({"name": VECTOR, "unit": "", "rate_hz": None, "shape": [2]},)
    return Sample(
        sample_id=f"syn/9e1d/{i}" if synthetic else f"c/{i}",
        corpus="c",
        modality=modality,
        payload=encode_signals({VECTOR: np.full(2, i, np.float32)}) if vector else payload(modality, i),
        codec="npz" if vector else CODEC[modality],
        license="CC-BY-4.0",
        group_id=f"c:{split}{i % 3}",
        subject_id=None if synthetic else f"c:{split}{i % 3}",
        gender=None if synthetic else "female" if i % 3 else "male",
        age=None if synthetic else 20.0 + i % 3,
        language="pt-BR" if modality == "text" else None,
        emotion="anger" if i % 2 == 0 else "fear",
        duration_s=0.05 if modality == "speech" else None,
        signals=signals,
        generator_id="9e1d" if synthetic else None,
        seed=i if synthetic else None,
        sources={"from": "c/0"} if synthetic else None,
        weight=0.5 if synthetic else None,
    )


def write_described(folder: Path, modality: str = "speech", *, synthetic: int = 3, **other: Any) -> Path:
    """A release, sealed, with 4 train, 2 dev and 2 test samples. other: fields of its manifest; corpora:
    its entries; preset: of the generator; vectors: with features.parquet; beside: with features-functionals.parquet;
    requests: with prompts that quote a line."""
    corpora, preset = other.pop("corpora", [{"id": "c", "card": CARD}]), other.pop("preset", None)
    vectors, beside, requests = (other.pop(name, False) for name in ("vectors", "beside", "requests"))
    parts = {"train": range(4), "dev": range(4, 6), "test": range(6, 8)}
    with Released.written(folder) as release:
        place = release.path
        real = {split: [sample(modality, i, split) for i in rows] for split, rows in parts.items()}
        drawn = [sample(modality, 20 + i, "train", synthetic=True, vector=vectors) for i in range(synthetic)]
        tables = [write_shards(of, place, 2, f"shards/{split}-real") for split, of in real.items()]
        tables += [write_shards(drawn, place, 2, "shards/train-synthetic")] if drawn else []
        splits = {s.sample_id: split for split, of in [*real.items(), ("train", drawn)] for s in of}
        columns = {"view": ["group"] * len(splits), "sample_id": list(splits), "split": list(splits.values())}
        edges = [("generator:9e1d", "transfer", "name"), ("generator:9e1d", "weights:ab12", "weights")] if drawn else []
        release.write_tables(
            {
                "index": pa.concat_tables(tables),
                "splits": pa.table(columns, schema=SPLITS),
                "verdicts": pa.Table.from_pylist([VERDICT] if drawn else [], schema=VERDICTS),
                "scores": pa.Table.from_pylist([score(s) for s in drawn], schema=SCORES),
                "lineage": pa.Table.from_pylist(
                    [dict(zip(("thing", "used", "role"), edge, strict=True)) for edge in edges], schema=LINEAGE
                ),
                "rejects": REJECTS.empty_table(),
            }
        )
        if vectors:
            write_table(place / FEATURES, vector_rows(splits, pa.concat_tables(tables)))
            about = {
                "file": FEATURES,
                "representation": "functionals",
                "columns": 2,
                "real": 8,
                "synthetic": len(drawn),
            }
            other = {"features": about} | other
        if beside:
            rows = beside_payloads(pa.concat_tables(tables))
            write_table(place / feature_file("functionals"), rows)
            other = {"feature_tables": {"functionals": about_table(rows)}} | other
        if requests:
            asked = [{"sample_id": s.sample_id, "prompts": ["a real line"], "facts": "{}"} for s in drawn]
            release.write_tables({"requests": pa.Table.from_pylist(asked, schema=REQUESTS)})
        generator = {"name": "transfer", "preset": preset, "steps": 20, "params": {"scale": "scores"}}
        run = {"generator": generator if drawn else None, "representation": {"name": "world"}, "seed": 1}
        write_json(place / "params.json", {"run": run, "numerics": {}})
        write_json(place / "prepared.json", {"version": "x-1", "steps": [{"step": "trim-1", "params": {"db": 35.0}}]})
        release.write_audit([], 0)
        manifest = Manifest(**facts(modality, corpora, len(drawn)) | other)
        release.seal(manifest, describe(place, manifest))
    return folder


def vector_rows(splits: dict[str, str], index: pa.Table) -> pa.Table:
    """features.parquet with two features, in Hz and without a unit."""
    names = ("sample_id", "corpus", "subject_id", "group_id", "emotion", "weight", "generator_id")
    columns = [index[name].combine_chunks() for name in names]
    split = pa.array([splits[one] for one in index["sample_id"].to_pylist()])
    fields = [pa.field(name, column.type) for name, column in zip(names, columns, strict=True)]
    features = [pa.field("f0", pa.float32(), metadata={UNIT: b"Hz"}), pa.field("jitter", pa.float32())]
    values = [pa.array(np.arange(index.num_rows, dtype=np.float32) + k) for k in range(2)]
    schema = pa.schema([fields[0], pa.field("split", pa.string()), *fields[1:], *features])
    return pa.table([columns[0], split, *columns[1:], *values], schema=schema)


def beside_payloads(index: pa.Table) -> pa.Table:
    """features-functionals.parquet: two features of every sample but c/1 and the first synthetic one (short)."""
    none = np.isin(index["sample_id"].to_pylist(), ["c/1", "syn/9e1d/20"])
    values = np.arange(index.num_rows, dtype=np.float32)
    columns = [pa.array(values + k, mask=none) for k in range(2)]
    return pa.table([index["sample_id"].combine_chunks(), *columns], names=["sample_id", "f0", "jitter"])


def about_table(rows: pa.Table) -> FeatureTable:
    """As the manifest tells of it."""
    missing = {"too short": rows["f0"].null_count}
    return FeatureTable(
        file=feature_file("functionals"),
        representation="functionals",
        columns=2,
        rows=rows.num_rows,
        weights={},
        missing=missing,
    )


def score(synthetic: Sample) -> dict[str, Any]:
    """One row of SCORES."""
    return {"sample_id": synthetic.sample_id, "emotion": synthetic.emotion, "round": 1, "gate": "copies"} | {
        "value": 0.75,
        "limit": 0.5,
        "passed": True,
        "reason": None,
        "judge": "hog:1f",
    }


def facts(modality: str, corpora: list[dict[str, Any]], drawn: int) -> dict[str, Any]:
    """Of a manifest."""
    counts = {split: {c: ClassCount(real=n, synthetic=0) for c in ("anger", "fear")} for split, n in SIZES.items()}
    if drawn:
        fear = drawn // 2
        counts["train"] = {
            "anger": ClassCount(real=2, synthetic=drawn - fear, effective=1),
            "fear": ClassCount(real=2, synthetic=fear, effective=1),
        }
    return {
        "name": "tiny_run",
        "modality": modality,
        "rate_hz": RATE if modality == "speech" else None,
        "classes": ("anger", "fear"),
        "corpora": tuple(corpora),
        "view": "group",
        "scheme": "corpus",
        "counts": counts,
        "licenses": ("CC-BY-4.0",),
        "publishable": True,
        "reasons": (),
        "restrictions": tuple(restrictions(corpora, synthetic=bool(drawn))),
        "notes": ("gate frechet (all) is undecided: 18 < 32 & 100 % of it",),
        "leaks": {},
        "cannot_be_judged": {},
        "terms": {kind: use.to_json() for kind, use in uses(corpora).items()},
    }


SIZES = {"train": 2, "dev": 1, "test": 1}
