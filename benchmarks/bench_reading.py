"""Reading a release against raw webdataset and `datasets`' streaming: all payloads once, and single ones at random.

    OMP_NUM_THREADS=1 python benchmarks/bench_reading.py data/runs/demo_faces/release --repeats 7 [--rows rows.json]

All hand over the payload's bytes, in turn, in one process; seconds are the processor's. Ours opens the release each
time (hashes of its tables) and checks the sha256 of each payload, the others check nothing. Contenders:

    ours        open_release(...).samples(columns=["emotion"])
    all         open_release(...).samples(): a dict with every column of the index
    webdataset  the tars raw, the json beside a payload left as bytes
    datasets    load_dataset("webdataset", streaming=True), as the release's card says (speech and faces)
    random      read_payload of rows in no order; ours alone, shown a sample
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import corpora.quiet  # noqa: F401
from benchmarks.rows import OURS, Row, Work, interleaved, row, table, write_rows
from corpora.store.release import Release, open_release
from corpora.store.shards import read_payload

GOAL = 1.5  # times raw webdataset
_RANDOM = 2000  # payloads
_PLACE = ["sample_id", "shard", "offset", "n_bytes", "sha256"]


def ours(path: Path, columns: list[str] | None) -> int:
    return sum(len(one["payload"]) > 0 for one in open_release(path).samples(columns=columns))


def raw(path: Path) -> int:
    import webdataset as wds

    shards = sorted(map(str, (path / "shards").glob("*.tar")))
    read = wds.WebDataset(shards, shardshuffle=False, empty_check=False)
    return sum(len(one["json"]) > 0 for one in read)


def streamed(path: Path, ending: str) -> int:
    from datasets import Value, load_dataset

    data = load_dataset("webdataset", data_files={"all": f"{path}/shards/*.tar"}, split="all", streaming=True)
    data = data.cast_column(ending, {"bytes": Value("binary"), "path": Value("string")})
    return sum(len(one[ending]["bytes"]) > 0 for one in data)


def measured(path: Path, repeats: int) -> tuple[list[Row], float]:
    """-> rows, and microseconds of the processor a payload at random."""
    release = open_release(path)
    ending = str(release.index["codec"][0])
    work: dict[str, Work] = {
        OURS: lambda: ours(path, ["emotion"]),
        "all": lambda: ours(path, None),
        "webdataset": lambda: raw(path),
    }
    if ending in ("wav", "png"):
        work["datasets"] = lambda: streamed(path, ending)
    n = release.index.num_rows
    for name, read in work.items():  # imports, pages of the files; and that all read the same
        if (count := read()) != n:
            raise SystemExit(f"{name} read {count} of {n} samples")
    times = interleaved(work, repeats=repeats)
    name = f"reading {path.parent.name}, {n} {ending}"
    others = [
        row(name, times, "webdataset", goal=GOAL),
        row(f"{name}, all columns", {OURS: times["all"], "webdataset": times["webdataset"]}, "webdataset"),
        *([row(name, times, "datasets")] if "datasets" in times else []),
    ]
    return others, at_random(release)


def at_random(release: Release) -> float:
    rows = release.index.select(_PLACE).to_pylist()
    order = [rows[(i * 7919) % len(rows)] for i in range(_RANDOM)]
    begun = time.process_time()
    for one in order:
        read_payload(release.path, one)
    return (time.process_time() - begun) / len(order) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", type=Path, nargs="+")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--rows", type=Path, help="where the rows go as JSON")
    args = parser.parse_args()
    rows: list[Row] = []
    for path in args.releases:
        own, microseconds = measured(path, args.repeats)
        rows += own
        sys.stderr.write(f"{path.parent.name}: {microseconds:.0f} us a payload at random\n")
    machine = {"machine": platform.machine(), "cores": str(os.cpu_count()), "python": platform.python_version()}
    machine |= {name: version(name) for name in ("webdataset", "datasets")}
    sys.stdout.write(table(rows) + "\n")
    if args.rows is not None:
        write_rows(args.rows, rows, machine=machine)


if __name__ == "__main__":
    main()
