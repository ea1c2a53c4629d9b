"""A release with a million rows: how long it takes to open, filter, compare and verify it, and in how much memory.

    python -m benchmarks.bench_index build FOLDER --rows 1000000 --shards 8    # FOLDER/before, FOLDER/after
    python -m benchmarks.bench_index run FOLDER [--json out.json]              # each step in a process of its own

Rows are as those of a corpus (36 columns, of which a label, a rating, a map of extras), ids and hashes all different;
payloads are 16 bytes with a json beside. In `after` a hundredth of the samples is gone, as many have come, and another
hundredth has another payload. Linear work is seen at two sizes: build and run with --rows 250000 too.

Peak memory is the process' own (`ru_maxrss`), with the 130 MiB or so that importing Arrow takes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import corpora.quiet  # noqa: F401
from corpora.schema import SAMPLES, SPLITS
from corpora.store.atomic import write_json
from corpora.store.checked import MANIFEST
from corpora.store.release import describe_files, open_release, sealed
from corpora.store.shards import _member, write_table

_MEMBER = 2048  # bytes of a sample in a tar: header, payload, header, json
_CLASSES = ("anger", "fear", "happiness", "neutral", "sadness")


def build(folder: Path, n: int, n_shards: int, *, other: bool, tables: bool = False) -> None:
    """A release of `n` rows; `other`: with the changes that the module names; `tables`: without its tars, to be opened
    and compared, not read."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "shards").mkdir(parents=True)
    numbers = np.arange(n)
    if other:
        numbers = np.concatenate([numbers[n // 100 :], np.arange(n, n + n // 100)])
    salted = other & (numbers % 100 == 50)
    payloads = [b"%s%015x" % (b"b" if salt else b"a", i) for i, salt in zip(numbers.tolist(), salted, strict=True)]
    index = _index(numbers, payloads, -(-n // n_shards))
    write_table(folder / "index.parquet", index)
    split = np.where(numbers % 5 == 4, 0, (numbers % 10 == 8) + 2 * (numbers % 10 == 7))
    names = pa.array(["train", "dev", "test"]).take(pa.array(split))
    view = pa.array(["group"]).take(pa.array(np.zeros(n, np.int64)))
    write_table(folder / "splits.parquet", pa.table([view, index["sample_id"], names], schema=SPLITS))
    if not tables:
        _write_tars(folder, index, payloads)
    there = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    files = describe_files(folder, there)
    files |= {
        name: {"sha256": "0" * 64, "n_bytes": 0} for name in index["shard"].unique().to_pylist() if name not in files
    }
    card = {"label_map": {name: name for name in _CLASSES}}
    facts = {"name": "many", "modality": "text", "view": "group", "classes": list(_CLASSES)}
    write_json(folder / MANIFEST, sealed({**facts, "corpora": [{"id": "corpus", "card": card}], "files": files}))


def _write_tars(folder: Path, index: pa.Table, payloads: list[bytes]) -> None:
    with ExitStack() as stack:
        last, tar = "", None
        for name, sample_id, payload in zip(
            index["shard"].to_pylist(), index["sample_id"].to_pylist(), payloads, strict=True
        ):
            if tar is None or name != last:
                if tar is not None:
                    tar.write(bytes(10240))
                last, tar = name, stack.enter_context((folder / name).open("wb", buffering=1 << 20))
            _member(tar, f"{payload.decode()}.txt", payload)
            _member(tar, f"{payload.decode()}.json", json.dumps({"sample_id": sample_id}).encode())
        if tar is not None:
            tar.write(bytes(10240))


def _index(numbers: np.ndarray, payloads: list[bytes], per_shard: int) -> pa.Table:
    n = len(numbers)
    made, ones = numbers % 5 == 4, np.zeros(n, np.int64)
    text = pa.array(numbers).cast(pa.string())
    actor = pc.binary_join_element_wise("corpus:actor", pa.array(numbers % 997).cast(pa.string()), "")
    ids = pc.if_else(
        pa.array(made),
        pc.binary_join_element_wise("syn/0f3a9c", text, "/"),
        pc.binary_join_element_wise("corpus/recording", text, "/"),
    )
    classes = pa.array(_CLASSES).take(pa.array(numbers % len(_CLASSES)))
    offsets = pa.array(np.arange(n + 1, dtype=np.int32))

    def same(value: object, kind: pa.DataType | None = None) -> pa.Array:
        return pa.array([value], kind).take(pa.array(ones))

    def listed(name: str, *columns: pa.Array) -> pa.Array:
        fields = list(SAMPLES.field(name).type.value_type)
        return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(columns, fields=fields))

    columns: dict[str, pa.Array] = {
        "sample_id": ids,
        "corpus": same("corpus"),
        "modality": same("text"),
        "part": same("line"),
        "recording_id": ids,
        "subject_id": actor,
        "group_id": actor,
        "emotion": classes,
        "labels": listed("labels", same("corpus"), classes, same(1.0, pa.float32())),
        "ratings": listed("ratings", same("valence"), same("mean"), pa.array((numbers % 100 / 100).astype(np.float32))),
        "valence": pa.array((numbers % 100 / 100).astype(np.float32)),
        "duration_s": pa.array(numbers % 1000 / 250),
        "codec": same("txt"),
        "extra": pa.MapArray.from_arrays(offsets, same("path"), ids),
        "shard": pa.array([f"shards/train-real-{i:05d}.tar" for i in range(-(-n // per_shard))]).take(
            pa.array(np.arange(n) // per_shard)
        ),
        "offset": pa.array(np.arange(n) % per_shard * _MEMBER + 512),
        "n_bytes": same(16, pa.int64()),
        "sha256": pa.array([hashlib.sha256(payload).hexdigest() for payload in payloads]),
        "generator_id": pc.if_else(pa.array(made), "0f3a9c", pa.nulls(n, pa.string())),
        "weight": pa.array(np.where(made, np.float32(0.5), np.float32(1))),
        "license": same("CC-BY-4.0"),
    }
    arrays = [columns.get(field.name, pa.nulls(n, field.type)) for field in SAMPLES]
    return pa.Table.from_arrays(arrays, schema=SAMPLES)


def _open(folder: Path) -> object:
    return open_release(folder / "before")


def _rows(folder: Path) -> object:
    release = open_release(folder / "before")
    return [release.rows(split, synthetic=kind).num_rows for split in ("train", "dev") for kind in (None, True, False)]


def _first(folder: Path) -> object:
    return next(open_release(folder / "before").samples("train", columns=["emotion"]))


def _pass(folder: Path) -> object:
    return sum(1 for _ in open_release(folder / "before").samples(columns=["emotion"]))


def _balance(folder: Path) -> object:
    return open_release(folder / "before").balance()


def _draw(folder: Path) -> object:
    return open_release(folder / "before", weights="draw").index.num_rows


def _torch(folder: Path) -> object:
    from training.reading.dataset import torch_dataset

    return torch_dataset(folder / "before", "train", decode=False)[12345]["sample_id"]


def _paired(folder: Path) -> object:
    from flows.releases.bumps import needed_bump

    return needed_bump(folder / "before", folder / "after").because


def _verify(folder: Path) -> object:
    from corpora.store.verify import check_release

    return check_release(folder / "before").intact


STEPS: dict[str, Callable[[Path], object]] = {
    "open": _open,
    "open, rows of splits and kinds": _rows,
    "open, first sample of train": _first,
    "open, all payloads": _pass,
    "open, balance": _balance,
    "open with a draw of weights": _draw,
    "torch_dataset of train, one sample": _torch,
    "what a bump needs of two releases": _paired,
    "verify": _verify,
}


def step(folder: Path, name: str) -> dict[str, object]:
    """Runs one step here; imports are done before the clock starts."""
    import pandas  # noqa: F401  (Arrow does at the first array, and takes half a second)

    import training.reading.dataset  # noqa: F401
    from flows.releases import bumps  # noqa: F401

    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun, cpu = time.perf_counter(), time.process_time()
    said = STEPS[name](folder)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "step": name,
        "s": seconds,
        "cpu_s": cpu,
        "peak_mib": peak // 1024,
        "idle_mib": idle // 1024,
        "said": str(said)[:60],
    }


def run(folder: Path, names: list[str], repeats: int) -> list[dict[str, object]]:
    """Each step `repeats` times, each time in a process of its own; the hashes of both releases are remembered."""
    lines = []
    environment = os.environ | {"EMOFORGE_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    for name in names:
        own = [sys.executable, "-m", "benchmarks.bench_index", "step", str(folder), "--step", name]
        shots = [
            json.loads(subprocess.run(own, env=environment, capture_output=True, check=True).stdout)
            for _ in range(repeats)
        ]
        seconds, cpu = (sorted(shot[clock] for shot in shots) for clock in ("s", "cpu_s"))
        middle = seconds[len(seconds) // 2]
        line = {"step": name, "s": middle, "low": seconds[0], "high": seconds[-1], "n": repeats}
        line |= {"cpu_s": cpu[len(cpu) // 2], "cpu_low": cpu[0], "cpu_high": cpu[-1]}
        line["peak_mib"] = max(shot["peak_mib"] for shot in shots)
        line["idle_mib"] = shots[0]["idle_mib"]
        lines.append(line)
        sys.stdout.write(
            f"| {name} | {line['cpu_s']:.2f} s [{cpu[0]:.2f}, {cpu[-1]:.2f}] of the processor, "
            f"{middle:.2f} s [{seconds[0]:.2f}, {seconds[-1]:.2f}] on the clock, n = {repeats} | "
            f"{line['peak_mib']} MiB (imports alone: {line['idle_mib']}) | {shots[0]['said']}\n"
        )
        sys.stdout.flush()
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["build", "run", "step"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--tables", action="store_true", help="without tars: opened and compared, not read")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--step", choices=list(STEPS), action="append")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.what == "build":
        for name, other in (("before", False), ("after", True)):
            build(args.folder / name, args.rows, args.shards, other=other, tables=args.tables)
    elif args.what == "step":
        sys.stdout.write(json.dumps(step(args.folder, args.step[0])))
    else:
        lines = run(args.folder, args.step or list(STEPS), args.repeats)
        if args.json is not None:
            args.json.write_text(json.dumps(lines, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
