"""What no ingest of FER2013 that writes these bytes can leave out, each step alone in the plainest loop.

Used by benchmarks/bench_ingest_against.py, which runs it behind the stage in the same process. Not in it: csv lines,
records, the journal, the index that finds candidates, tar headers, views, audits and the card.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpora.codecs import decode_image
from corpora.near import images
from corpora.near.alignment import aligned_correlation
from corpora.near.pairs import FINGERPRINTS
from corpora.readers import make_corpus
from corpora.schema import SAMPLES
from corpora.store.shards import iter_payloads, read_table, write_table
from validators.tables import FACTS, check_table, fact_table, sample_expectations

_TOGETHER = 256  # pictures
_SIDE = 48


def floor(csv: Path, out: Path) -> dict[str, float]:
    """The csv and what the stage wrote from it -> step -> processor seconds."""
    rows = [line.split(b",")[1] for line in csv.read_bytes().splitlines()[1:]]
    index = read_table(out / "index.parquet", SAMPLES)
    pictures = np.stack([decode_image(payload) for _, payload in iter_payloads(out, index, ["sample_id"])])
    filtered = np.full((len(pictures), _SIDE, _SIDE + 1), 2, np.uint8)
    filtered[:, :, 1:] = np.diff(pictures, axis=1, prepend=np.uint8(0))
    prints = read_table(out / "near.parquet", FINGERPRINTS)
    unique = dict(zip(prints["sha256"].to_pylist(), prints["data"].to_pylist(), strict=True))
    thumbs = np.frombuffer(b"".join(unique[sha] for sha in sorted(unique)), np.uint8).reshape(-1, 32 * 32)
    first, second, view = images._candidates(thumbs)
    bodies = [plane.tobytes() for plane in filtered]
    steps: dict[str, Callable[[], object]] = {
        "numbers of a row (NumPy)": lambda: [np.fromstring(row, dtype=np.int64, sep=" ") for row in rows],
        "Huffman coding (zlib)": lambda: [_deflated(body) for body in bodies],
        "sha256 of pixels and file": lambda: [hashlib.sha256(body).digest() for _ in range(2) for body in bodies],
        "thumbnails (Pillow)": lambda: [
            images._thumbnails(pictures[at : at + _TOGETHER]) for at in range(0, len(pictures), _TOGETHER)
        ],
        "product of 50 views (BLAS)": lambda: _seen(thumbs),
        f"alignment of {len(first)} candidates": lambda: _aligned(thumbs, first, second, view),
        "table checks (Great Expectations)": lambda: _checks(index),
        "tables and hashes of files": lambda: _files(out),
    }
    return {name: _seconds(step) for name, step in steps.items()}


def _seconds(step: Callable[[], object]) -> float:
    begun = time.process_time()
    step()
    return time.process_time() - begun


def _deflated(body: bytes) -> bytes:
    deflate = zlib.compressobj(1, zlib.DEFLATED, 15, 8, zlib.Z_HUFFMAN_ONLY)
    return deflate.compress(body) + deflate.flush()


def _seen(thumbs: np.ndarray) -> None:
    smooth, views = images._smooth(thumbs), images._projections()
    for at in range(0, len(smooth), _TOGETHER):
        smooth[at : at + _TOGETHER] @ views


def _aligned(thumbs: np.ndarray, first: np.ndarray, second: np.ndarray, view: np.ndarray) -> None:
    start = [images._motion(number) for number in view.tolist()]
    motion, mirrored = np.array([m for m, _ in start], np.float32), np.array([m for _, m in start], bool)
    for at in range(0, len(first), images._ALIGNED):
        part = slice(at, at + images._ALIGNED)
        aligned_correlation(thumbs[first[part]], thumbs[second[part]], motion[part], mirrored[part])


def _checks(index: pa.Table) -> None:
    card = make_corpus("fer2013").card
    check_table(index, name="x", expectations=sample_expectations(card.modality))
    check_table(fact_table(index), name="x_facts", schema=None, expectations=FACTS[card.modality])


def _files(out: Path) -> None:
    """The two large tables written once more, everything hashed."""
    for name in ("index.parquet", "near.parquet"):
        write_table(out.parent / name, pq.read_table(out / name, memory_map=False))
    for path in out.rglob("*.*"):
        hashlib.sha256(path.read_bytes()).digest()
