"""A project with two ingested corpora of pictures, a run on the first, and a published version of it; no stage runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpora.codecs import encode_png
from corpora.near.pairs import FINGERPRINTS, near_pairs, write_fingerprints
from corpora.schema import Sample
from corpora.store.atomic import write_json
from corpora.store.shards import read_table, write_shards, write_table
from tests.flows.releases.published import Published
from tests.small_release import made, real, write_release

PARAMS = """corpora:
  c: {reader: fer2013}
  d: {reader: fer2013}
runs:
  tiny: {corpora: [c], seed: 1}
  both: {corpora: [c, d], seed: 1}
  other: {corpora: [d], seed: 1}
"""


def picture(seed: int, brighter: int = 0) -> bytes:
    """A picture of large smooth shapes; the same seed and another brightness is a near copy."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 200, (6, 6)).astype(np.float64)
    rows = np.linspace(0, 5, 48)
    smooth = np.stack([np.interp(rows, np.arange(6), column) for column in coarse.T], axis=1)
    smooth = np.stack([np.interp(rows, np.arange(6), row) for row in smooth], axis=0)
    return encode_png(np.clip(smooth + brighter, 0, 255).astype(np.uint8))


def ingested(folder: Path, samples: list[Sample]) -> Path:
    """What ingest leaves of them, as far as a retraction looks."""
    folder.mkdir(parents=True)
    index = write_shards(samples, folder, 4, "shards/c")
    write_table(folder / "index.parquet", index)
    write_fingerprints(folder, index, folder / "near.parquet")
    write_table(folder / "near_pairs.parquet", near_pairs(read_table(folder / "near.parquet", FINGERPRINTS)))
    write_json(folder / "manifest.json", {"content_hash": "00"})
    return folder


def faces(corpus: str, numbers: dict[int, bytes]) -> list[Sample]:
    return [
        real(n, sample_id=f"{corpus}/{n}", corpus=corpus, subject_id=f"{corpus}:s{n % 4}", payload=payload)
        for n, payload in numbers.items()
    ]


def of_c() -> list[Sample]:
    """c/0 ... c/7 of c:s0 ... c:s3; c/5 (of c:s1) is a near copy of c/0 (of c:s0)."""
    return faces("c", {n: picture(0, 6) if n == 5 else picture(n) for n in range(8)})


def edges(samples: list[Sample], fitted: list[int]) -> list[tuple[str, str, str]]:
    found = [(s.sample_id, f"subject:{s.subject_id}", "subject") for s in samples]
    found += [("generator:9e1d", f"c/{n}", "fitted on") for n in fitted]
    return [*found, ("judges", "c/4", "learned from")]


def project(place: Path) -> Published:
    """tiny@v1.0.0 holds all of c, tiny@v1.1.0 nothing of c:s0 and no near copy of it."""
    made_of = Published(place / "project")
    (made_of.folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
    ingested(made_of.folder / "data/corpora/c", of_c())
    # d/1 is a near copy of c/0, d/2 has the bytes of c/4
    ingested(made_of.folder / "data/corpora/d", faces("d", {1: picture(0, 9), 2: picture(4), 3: picture(30)}))
    run = made_of.folder / "data/runs/tiny"
    whole = [*of_c(), *(made(n) for n in range(4))]
    write_release(run / "release", whole, lineage=edges(whole, [0, 1, 2]))
    made_of.version(run, "v1.0.0")
    left = [*(s for s in of_c() if s.subject_id != "c:s0" and s.sample_id != "c/5"), made(1), made(2)]
    place_of = made_of.folder / "data/runs/tiny2/release"
    write_release(place_of, left, lineage=edges(left, [1, 2])[:-1])
    made_of.version(place_of.parent, "v1.1.0")
    return made_of
