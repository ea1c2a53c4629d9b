"""What the pool costs and gains: sampling with 1 and 2 actors of one thread each, and the fixed cost of a local Ray.

    python -m benchmarks.bench_pool --repeats 5 --out pool.json

The work is real: a small diffusion model (32 x 32, 12 steps) draws lists of 16, as the stage `augment` does. Runs with
1 and 2 actors alternate on one Ray, actors warm, so that both meet the same load of the machine. `two processes` is the
ceiling of this machine: the same lists in two plain processes without Ray.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import platform
import resource
import statistics
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import corpora.quiet  # noqa: F401
from benchmarks.rows import OURS, row
from flows.engine.cluster import connected
from flows.engine.executor import Executor, Resources, Worker, WorkItem, executor
from flows.engine.store import WorkStore
from flows.engine.worker import environ, environment

WORKER = "benchmarks.bench_pool:Draws"
CLASSES = ("anger", "neutral")


class Draws:
    """Samples a list of draws and leaves it in the store, as the project's own worker does."""

    def __init__(self, store: str, cache: str) -> None:
        from generators.generator import Device, generator_class

        self.store = WorkStore(store)
        self.device = Device()
        folder = self.store.fetch_folder("models/bench", Path(cache))
        self.generator = generator_class("diffusion").load(folder, device=self.device)

    def run(self, payload: dict[str, Any]) -> dict[str, Any]:
        from generators.generator import Condition, Draw

        draws = [Draw(Condition(CLASSES[s % 2]), s) for s in payload["seeds"]]
        arrays = self.generator.sample(draws, device=self.device)
        self.store.put_arrays(payload["key"], {"arrays": arrays}, {})
        return {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


class ImportsTorch:
    """The least that a sampling actor does."""

    def run(self, payload: dict[str, Any]) -> dict[str, Any]:
        import torch

        return {"threads": torch.get_num_threads()}


def fit_model(folder: Path) -> None:
    """Five steps on noise: speed does not depend on what was learnt."""
    import numpy as np

    from features.representation import Spec
    from generators.generator import Device, TrainData, generator_class

    n = 64
    data = TrainData(
        spec=Spec("pixels", (1, 32, 32), bounds=(-1.0, 1.0)),
        classes=CLASSES,
        arrays=np.random.default_rng(0).uniform(-1, 1, (n, 1, 32, 32)).astype(np.float32),
        emotions=tuple(CLASSES[i % 2] for i in range(n)),
        ids=tuple(f"noise/{i}" for i in range(n)),
        groups=tuple(f"noise:{i}" for i in range(n)),
        subjects=(None,) * n,
        held_out=np.zeros(n, bool),
        intensity=np.full(n, np.nan),
    )
    model = generator_class("diffusion")(data.spec, CLASSES, width=16, sample_steps=12)
    for _ in model.fit(data, steps=5, seed=1, device=Device()):
        pass
    model.save(folder)


def lists(n: int, length: int, label: str) -> list[WorkItem]:
    seeds = [list(range(i * length, (i + 1) * length)) for i in range(n)]
    return [WorkItem(f"bench/{label}/{i}", {"key": f"bench/{label}/{i}", "seeds": s}) for i, s in enumerate(seeds)]


def timed(pool: Executor, items: list[WorkItem], peaks: list[float]) -> float:
    """-> seconds by the clock; the largest memory that an actor had by the end of each list goes to `peaks`, MiB."""
    began = time.perf_counter()
    pool.run(items, lambda _, result: peaks.append(result["peak_mib"]))
    return time.perf_counter() - began


def fixed_cost(actors: int) -> dict[str, float]:
    """Seconds: Ray up, first answers of actors that import torch, all ended."""
    marks = [time.perf_counter()]
    with executor(Worker("benchmarks.bench_pool:ImportsTorch"), Resources(actors, address="local")) as pool:
        marks.append(time.perf_counter())
        pool.run([WorkItem(str(i), {}) for i in range(actors)], lambda *_: None)
        marks.append(time.perf_counter())
    marks.append(time.perf_counter())
    parts = [b - a for a, b in itertools.pairwise(marks)]
    return dict(zip(("init_s", "actors_s", "shutdown_s", "all_s"), [*parts, marks[-1] - marks[0]], strict=True))


def plain_process(kwargs: dict[str, Any], items: list[WorkItem], barrier: Any, began: Any, ended: Any) -> None:
    worker = Draws(**kwargs)
    worker.run(items[0].payload)  # warm
    barrier.wait()
    with began.get_lock():
        began.value = began.value or time.perf_counter()
    for item in items:
        worker.run(item.payload)
    with ended.get_lock():
        ended.value = max(ended.value, time.perf_counter())


def plain(processes: int, kwargs: dict[str, Any], items: list[WorkItem]) -> float:
    """Seconds for the lists, dealt out beforehand to plain processes."""
    context = multiprocessing.get_context("spawn")
    barrier, began, ended = context.Barrier(processes), context.Value("d", 0.0), context.Value("d", 0.0)
    with environ(environment(1)):
        running = [
            context.Process(target=plain_process, args=(kwargs, items[i::processes], barrier, began, ended))
            for i in range(processes)
        ]
        for process in running:
            process.start()
        for process in running:
            process.join()
    return float(ended.value - began.value)  # perf_counter is one clock for all processes of a Linux machine


def spread(values: list[float]) -> dict[str, Any]:
    return {
        "n": len(values),
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
        "values": [round(v, 3) for v in values],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--lists", type=int, default=16, help="work items in a run")
    parser.add_argument("--draws", type=int, default=16, help="draws in a work item")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    import diffusers
    import psutil
    import ray
    import torch

    load = os.getloadavg()[0]
    starts = [fixed_cost(2) for _ in range(max(3, args.repeats))]
    one: list[float] = []
    two: list[float] = []
    plain_one: list[float] = []
    plain_two: list[float] = []
    peaks: list[float] = []
    with tempfile.TemporaryDirectory(prefix="emoforge-bench-") as scratch:
        kwargs = {"store": f"{scratch}/store", "cache": f"{scratch}/cache"}
        fit_model(Path(scratch) / "model")
        WorkStore(kwargs["store"]).put_folder("models/bench", Path(scratch) / "model")
        with (
            connected("local", cpus=3, env=environment(1)),
            executor(Worker(WORKER, kwargs), Resources(1)) as single,
            executor(Worker(WORKER, kwargs), Resources(2)) as double,
        ):
            timed(single, lists(1, args.draws, "warm"), peaks)
            timed(double, lists(4, args.draws, "warm"), peaks)
            for i in range(args.repeats):
                for pool, found in ((single, one), (double, two)) if i % 2 else ((double, two), (single, one)):
                    found.append(timed(pool, lists(args.lists, args.draws, f"r{i}"), peaks))
        for _ in range(max(3, args.repeats // 2)):
            plain_one.append(plain(1, kwargs, lists(args.lists, args.draws, "plain")))
            plain_two.append(plain(2, kwargs, lists(args.lists, args.draws, "plain")))
    result = {
        "work": f"{args.lists} lists of {args.draws} draws, diffusion 32 x 32, 12 steps, one thread in each process",
        "one_actor_s": spread(one),
        "two_actors_s": spread(two),
        "ratio": spread([a / b for a, b in zip(one, two, strict=True)]),
        "peak_mib_an_actor": round(max(peaks)),
        "rows": [asdict(row("two actors, by the clock", {OURS: two, "one actor": one}, "one actor", goal=1.8))],
        "one_process_s": spread(plain_one),
        "two_processes_s": spread(plain_two),
        "two_processes_ratio": spread([a / b for a, b in zip(plain_one, plain_two, strict=True)]),
        "fixed_cost_2_actors": {k: spread([s[k] for s in starts]) for k in starts[0]},
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "load_before": round(load, 2),
            "system": platform.platform(),
        },
        "versions": {
            "python": platform.python_version(),
            "ray": ray.__version__,
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
        },
    }
    text = json.dumps(result, indent=2, sort_keys=True)
    if args.out:
        args.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
