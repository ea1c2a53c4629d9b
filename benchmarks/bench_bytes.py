"""Bytes that three versions of a release take: as copies, in DVC's cache, and in a store that keeps parts of files.

    python benchmarks/bench_bytes.py [--samples 1000] [--rows 240000] [--out docs/publishing.json]

A release of as many real as synthetic samples with payloads of 2,000 random bytes (a PNG of 48 x 48 cannot be pressed
any further either), 8 shards of each, the index, splits, six scores for each of twice as many candidates, and lineage.
Its second version has 1 % more synthetic samples, its third lacks one real person of 200 and what was drawn from them.

DVC's cache and remotes keep a file once for each content (md5): `whole files`. A Hub's Xet keeps parts: here parts of
64 KiB on average (8 KiB to 128 KiB), cut where a rolling hash of 32 bytes says. Tables are written twice, with
content-defined chunks as the project does, and without. How that pays in a large table, a table of scores alone says:
ROWS rows, and 600 more in the middle.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from corpora.schema import LINEAGE, SCORES, SPLITS, Sample  # noqa: E402
from corpora.store.shards import WRITER, write_shards  # noqa: E402

PEOPLE, SHARDS, PAYLOAD, GATES = 200, 8, 2000, ("validity", "copies", "support", "identity", "class", "signal")
SMALLEST, MEAN_BITS, LARGEST, WINDOW = 8 * 1024, 16, 128 * 1024, 32
KINDS = {"real shards": "shards/train-real", "synthetic shards": "shards/train-synthetic", "tables": ""}
_GEAR = np.random.default_rng(0).integers(0, 2**32, 256, dtype=np.uint32)


def real(number: int) -> Sample:
    """One of a person of `PEOPLE`."""
    return Sample(
        sample_id=f"faces/{number:06d}",
        corpus="faces",
        modality="face",
        payload=np.random.default_rng(number).bytes(PAYLOAD),
        codec="png",
        license="CC0-1.0",
        group_id=f"faces:{number % PEOPLE:03d}",
        subject_id=f"faces:{number % PEOPLE:03d}",
        emotion="anger" if number % 2 else "fear",
    )


def drawn(number: int, n_real: int) -> Sample:
    """One that was moved from a real sample."""
    source = number % n_real
    key = hashlib.sha256(f"draw {number}".encode()).hexdigest()[:16]
    return Sample(
        sample_id=f"syn/9e1d04c2/{key}",
        corpus="faces",
        modality="face",
        payload=np.random.default_rng(10**7 + number).bytes(PAYLOAD),
        codec="png",
        license="CC0-1.0",
        group_id=f"faces:{source % PEOPLE:03d}",
        subject_id=f"faces:{source % PEOPLE:03d}",
        emotion="fear" if source % 2 else "anger",
        generator_id="9e1d04c2",
        seed=number,
        sources={"from": f"faces/{source:06d}"},
    )


def version(folder: Path, n: int, extra: int, without: int | None, writer: Mapping[str, Any]) -> None:
    """n: real samples; extra: synthetic ones more than n; without: a person who is not in it."""
    gone = "" if without is None else f"faces:{without:03d}"
    reals = [sample for sample in map(real, range(n)) if sample.subject_id != gone]
    fakes = [sample for sample in (drawn(i, n) for i in range(n + extra)) if sample.subject_id != gone]
    tables = [
        write_shards(of, folder, SHARDS, f"shards/train-{kind}") for kind, of in (("real", reals), ("synthetic", fakes))
    ]
    index = pa.concat_tables(tables)
    ids = index["sample_id"].to_pylist()
    splits = pa.table({"view": ["group"] * len(ids), "sample_id": ids, "split": ["train"] * len(ids)}, schema=SPLITS)
    for name, table in (("index", index), ("splits", splits), ("scores", _scores(fakes)), ("lineage", _lineage(fakes))):
        pq.write_table(table.replace_schema_metadata(None).combine_chunks(), folder / f"{name}.parquet", **writer)


def _scores(fakes: list[Sample]) -> pa.Table:
    """In the order of draws, as stages write them; every second candidate was refused."""
    rows = []
    for sample in fakes:
        for half in ("", "-refused"):
            for at, gate in enumerate(GATES):
                value = float(np.random.default_rng((sample.seed or 0) * 16 + at + 8 * bool(half)).random())
                rows.append(
                    {"sample_id": sample.sample_id + half, "emotion": sample.emotion, "round": 1, "gate": gate}
                    | {"value": value, "limit": 0.5, "passed": not half, "reason": None, "judge": "hog:1f"}
                )
    return pa.Table.from_pylist(rows, schema=SCORES)


def _lineage(fakes: list[Sample]) -> pa.Table:
    edges = []
    for sample in fakes:
        edges += [
            (sample.sample_id, sample.subject_id, "subject"),
            (sample.sample_id, "generator:9e1d04c2", "generator"),
            (sample.sample_id, (sample.sources or {})["from"], "source:from"),
            (sample.sample_id, f"list:{(sample.seed or 0) // 256:08d}", "list"),
        ]
    return pa.table([pa.array(column, pa.string()) for column in zip(*edges, strict=True)], schema=LINEAGE)


def parts(data: bytes) -> Iterator[bytes]:
    """Content-defined parts of a file, as the module's docstring says."""
    values = _GEAR[np.frombuffer(data, np.uint8)]
    rolling: np.ndarray = np.zeros(len(values), np.uint32)
    for back in range(min(WINDOW, len(values))):
        rolling[back:] += values[: len(values) - back] << np.uint32(back)
    cuts: np.ndarray = np.flatnonzero(rolling >> np.uint32(32 - MEAN_BITS) == 0) + 1
    start = 0
    while start < len(data):
        after = cuts[np.searchsorted(cuts, start + SMALLEST) :]
        end = int(after[0]) if len(after) else len(data)
        end = min(end, start + LARGEST, len(data))
        yield data[start:end]
        start = end


def stored(folders: list[Path], prefix: str) -> dict[str, list[int]]:
    """Bytes after each version: copies, whole files, parts; of files whose path begins with `prefix` ("": tables)."""
    files: dict[bytes, int] = {}
    pieces: dict[bytes, int] = {}
    copies = 0
    told: dict[str, list[int]] = {"copies": [], "whole files": [], "parts": []}
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = path.relative_to(folder).as_posix()
            if not (name.startswith(prefix) if prefix else name.endswith(".parquet")):
                continue
            data = path.read_bytes()
            copies += len(data)
            key = hashlib.sha256(data).digest()
            if key not in files:
                files[key] = len(data)
                pieces |= {hashlib.sha256(part).digest(): len(part) for part in parts(data)}
        for kind, value in (("copies", copies), ("whole files", sum(files.values())), ("parts", sum(pieces.values()))):
            told[kind].append(value)
    return told


def measured(n: int) -> dict[str, Any]:
    """Kind of file -> way of storing -> bytes after each version; tables both ways."""
    plain = {key: value for key, value in WRITER.items() if key != "use_content_defined_chunking"}
    found: dict[str, Any] = {"samples": n}
    for words, writer in (("", WRITER), (" (plain)", plain)):
        with tempfile.TemporaryDirectory() as place:
            folders = [Path(place) / number for number in ("v1.0.0", "v1.1.0", "v1.2.0")]
            for folder, (extra, without) in zip(folders, ((0, None), (n // 100, None), (n // 100, 7)), strict=True):
                version(folder, n, extra, without, writer)
            for kind, prefix in KINDS.items():
                if not words or not prefix:
                    found[kind + words] = stored(folders, prefix)
    return found


def grown(n: int) -> dict[str, list[int]]:
    """Bytes in parts of a table of `n` scores, before and after 600 rows came into its middle, by way of writing."""
    before = np.arange(n)
    after = np.concatenate([before[: n // 3], np.arange(n, n + 600), before[n // 3 :]])
    ways = {
        "as written": WRITER,
        "without chunks": {key: value for key, value in WRITER.items() if key != "use_content_defined_chunking"},
        "groups of 65,536 rows": {**WRITER, "row_group_size": 65_536},
    }
    told: dict[str, list[int]] = {}
    for name, writer in ways.items():
        pieces: dict[bytes, int] = {}
        told[name] = []
        for order in (before, after):
            with tempfile.TemporaryDirectory() as place:
                pq.write_table(_one_score_each(order), Path(place) / "t.parquet", **writer)
                data = (Path(place) / "t.parquet").read_bytes()
            pieces |= {hashlib.sha256(part).digest(): len(part) for part in parts(data)}
            told[name].append(sum(pieces.values()))
    return told


def _one_score_each(order: np.ndarray) -> pa.Table:
    columns: dict[str, Any] = {
        "sample_id": [f"syn/9e1d04c2/{hashlib.sha256(b'%d' % i).hexdigest()[:16]}" for i in order],
        "emotion": ["fear" if i % 2 else "anger" for i in order],
        "round": np.ones(len(order), np.int32),
        "gate": ["copies"] * len(order),
        "value": np.random.default_rng(1).random(int(order.max()) + 1)[order],
        "limit": np.full(len(order), 0.5),
        "passed": np.ones(len(order), bool),
        "reason": pa.nulls(len(order), pa.string()),
        "judge": ["hog:1f"] * len(order),
    }
    return pa.table(columns, schema=SCORES).replace_schema_metadata(None)


def shown(found: Mapping[str, Any]) -> str:
    """A table in MB."""
    lines = ["| files | copies | whole files (DVC) | parts (Xet) |", "|---|---|---|---|"]
    for kind, ways in found.items():
        if isinstance(ways, dict) and "copies" in ways:
            order = ("copies", "whole files", "parts")
            cells = [" / ".join(f"{value / 1e6:.1f}" for value in ways[way]) for way in order]
            lines.append(f"| {kind} | {' | '.join(cells)} |")
    lines += ["", "| a large table | before | after |", "|---|---|---|"]
    for way, (first, second) in found.get("large table", {}).items():
        lines.append(f"| {way} | {first / 1e6:.1f} | {second / 1e6:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=240_000)
    parser.add_argument("--out", type=Path, default=REPO / "docs" / "publishing.json")
    arguments = parser.parse_args()
    found = measured(arguments.samples) | {"rows": arguments.rows, "large table": grown(arguments.rows)}
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(shown(found) + "\n")


if __name__ == "__main__":
    main()
