"""Reading a release: `open_release(...).samples()`, which checks every payload's sha256, against raw webdataset.

    python benchmarks/bench_reading.py data/runs/demo_faces/release --repeats 5

Both read payload bytes of the same tars, in turn, in one process; the ratio is ours to raw webdataset (1 = as fast).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import corpora.quiet  # noqa: F401
from corpora.store.release import open_release


def ours(path: Path) -> int:
    return sum(len(row["payload"]) > 0 for row in open_release(path).samples())


def raw(path: Path) -> int:
    import webdataset as wds

    shards = sorted(map(str, (path / "shards").glob("*.tar")))
    return sum(1 for _ in wds.WebDataset(shards, shardshuffle=False, empty_check=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    n = ours(args.release)
    assert raw(args.release) == n, "both read the same samples"
    rates: dict[str, list[float]] = {"ours": [], "webdataset": []}
    for _ in range(args.repeats):
        for name, read in (("ours", ours), ("webdataset", raw)):
            begun = time.perf_counter()
            read(args.release)
            rates[name].append(n / (time.perf_counter() - begun))
    ratios = [a / b for a, b in zip(rates["ours"], rates["webdataset"], strict=True)]
    print(
        json.dumps(
            {
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                "python": platform.python_version(),
                "webdataset": version("webdataset"),
                "samples": n,
                "repeats": args.repeats,
                "samples_per_s": {
                    k: [round(min(v)), round(statistics.median(v)), round(max(v))] for k, v in rates.items()
                },
                "ratio": [round(x, 3) for x in (min(ratios), statistics.median(ratios), max(ratios))],
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
