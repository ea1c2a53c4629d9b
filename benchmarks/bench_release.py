"""Reading a release in every way there is: in turn, shuffled, at random, decoded or not, beside its peers.

    OMP_NUM_THREADS=1 python -m benchmarks.bench_release data/runs/demo_faces/release --repeats 5 [--rows rows.json]

One process; seconds are the processor's, contenders in turn. Ours opens the release each time and has hashed it once
before (corpora/store/remembered.py, in a cache folder of this run): nothing is hashed again, and nothing is read that
was not checked. The others check nothing. Rows:

    in turn         release.samples(columns=["emotion"])                       / raw webdataset, / datasets' streaming
    pipeline        release.webdataset(decode=False)                           / raw webdataset
    shuffled        release.webdataset(decode=False, shuffle=Shuffle())        / raw webdataset with .shuffle(1000)
    decoded         release.webdataset()                                       / webdataset with the same decoder
    at random       torch_dataset(decode=False)[i], i in no order              / in turn, / datasets' streaming
    random decoded  torch_dataset()[i]                                         / decoded

"Images a second" of the two at random are printed beside.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import corpora.quiet  # noqa: F401
from benchmarks.bench_reading import raw, streamed
from benchmarks.rows import OURS, Row, interleaved, row, table, write_rows
from corpora.reading.decoded import ByEnding
from corpora.reading.order import Shuffle
from corpora.store import remembered
from corpora.store.release import open_release
from training.reading.dataset import torch_dataset

GOALS = {"in turn": 1.0, "datasets": 2.0, "at random": 0.5}
A_SECOND = 2000  # small images at random


def count(samples: Iterable[Any]) -> int:
    return sum(1 for _ in samples)


def webdataset_of(path: Path, *, shuffle: int = 0, decode: bool = False) -> int:
    import webdataset as wds

    shards = sorted(map(str, (path / "shards").glob("*.tar")))
    data = wds.WebDataset(shards, shardshuffle=100 if shuffle else False, empty_check=False)
    data = data.shuffle(shuffle) if shuffle else data
    return count(data.decode(ByEnding()) if decode else data)


def at_random(path: Path, *, decode: bool) -> int:
    dataset = torch_dataset(path, decode=decode)
    order = np.random.default_rng(0).permutation(len(dataset)).tolist()
    return sum(dataset[i]["payload"] is not None for i in order)


def measured(path: Path, repeats: int) -> list[Row]:
    ending = str(open_release(path).index["codec"][0])
    n = open_release(path).index.num_rows
    name = f"{path.parent.name}, {n} {ending}"
    works: dict[str, Callable[[], int]] = {
        "in turn": lambda: count(open_release(path).samples(columns=["emotion"])),
        "pipeline": lambda: count(open_release(path).webdataset(decode=False)),
        "shuffled": lambda: count(open_release(path).webdataset(decode=False, shuffle=Shuffle())),
        "decoded": lambda: count(open_release(path).webdataset()),
        "at random": lambda: at_random(path, decode=False),
        "random decoded": lambda: at_random(path, decode=True),
        "webdataset": lambda: raw(path),
        "webdataset shuffled": lambda: webdataset_of(path, shuffle=1000),
        "webdataset decoded": lambda: webdataset_of(path, decode=True),
    }
    if ending in ("wav", "png"):
        works["datasets"] = lambda: streamed(path, ending)
    for work, read in works.items():  # imports, pages of the files, marks; and that all read the same
        if (there := read()) != n:
            raise SystemExit(f"{work} read {there} of {n} samples")
    times = interleaved({**works}, repeats=repeats)
    for work in ("at random", "random decoded"):
        speed = n / np.median(times[work])
        sys.stdout.write(f"{name}: {work} {speed:,.0f} a second ({A_SECOND:,} are wanted of small images)\n")
    pairs = [
        *(("in turn", "webdataset", GOALS["in turn"]), ("pipeline", "webdataset", None)),
        *(("shuffled", "webdataset shuffled", None), ("decoded", "webdataset decoded", None)),
        *(("at random", "in turn", GOALS["at random"]), ("random decoded", "decoded", GOALS["at random"])),
        *(("at random", "webdataset", None),),
    ]
    if "datasets" in works:
        pairs += [("in turn", "datasets", GOALS["datasets"]), ("at random", "datasets", GOALS["datasets"])]
    return [row(f"{own}: {name}", _pair(times, own, peer), peer, goal=goal) for own, peer, goal in pairs]


def _pair(times: Any, own: str, peer: str) -> dict[str, Any]:
    return {OURS: times[own], peer: times[peer]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", type=Path, nargs="+")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=Path, help="where the rows go as JSON")
    args = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["EMOFORGE_CACHE"] = cache
        for path in args.releases:
            begun = time.perf_counter()
            open_release(path).verify()
            remembered.forget_process()
            rows += measured(path, args.repeats)
            sys.stderr.write(f"{path}: {time.perf_counter() - begun:.0f} s\n")
    machine = {"machine": platform.machine(), "cores": str(os.cpu_count()), "python": platform.python_version()}
    machine |= {name: version(name) for name in ("webdataset", "datasets", "torch")}
    sys.stdout.write(table(rows) + "\n")
    if args.rows is not None:
        write_rows(args.rows, rows, machine=machine)


if __name__ == "__main__":
    main()
