"""Speed of fitting: a step of cvae on speech and of diffusion on faces, and the time to a first accepted sample.

    OMP_NUM_THREADS=1 python -m benchmarks.bench_fit steps [--repeats 16] [--only cvae] [--out fit.json]
    OMP_NUM_THREADS=1 python -m benchmarks.bench_fit costs [--repeats 7]
    OMP_NUM_THREADS=1 python -m benchmarks.bench_fit first RAVDESS [--actors 1 2 3 4 5 6] [--steps 2000] [--every 0]

steps: arrays of the shapes of RAVDESS (32 rows x 320 columns, 38 % of them padding) and of FER2013 (48 x 48), filled
with noise: a step costs the same whatever it learns. Variants take turns in one run (benchmarks/rows.py), after them
one product of matrices of 2,048 (sgemm), whose rate is the machine's. `share of limit`: floating-point operations of
the step (torch's flop counter: products and convolutions, forwards and backwards) by the step's time, of that rate.
costs: a step of several generators at their defaults over the same arrays, for flows/stages/fit/cost.py.
first: ingest, plan, prepare and fit of a run (cvae over `world`, all else by default) from RAVDESS' files, then the
rounds of `augment` until a candidate is accepted. Processor seconds of each; `--every 0`: without an early stop, as it
was before. RAVDESS: a folder of Actor_NN.

Seconds are the processor's, of one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
import yaml

import corpora.quiet  # noqa: F401
from benchmarks.rows import Row, interleaved, row, table, write_rows
from features.representation import Spec, make_representation
from generators.generator import Device, TrainData, generator_class
from generators.layers import Grid
from training.loop import POOL

CPU = Device()
CLASSES = tuple(f"class-{i}" for i in range(8))
PADDING = 0.38  # of the columns of RAVDESS' prepared utterances
SIDE = 2048  # of the matrices whose product is the machine's rate


def noise_data(spec: Spec, n: int = 128) -> TrainData:
    """Noise in the shape of a representation; rows with lengths as RAVDESS has them."""
    rng = np.random.default_rng(0)
    arrays = rng.normal(0, 0.3, (n, *spec.shape)).astype(np.float32)
    if spec.bounds is not None:
        arrays = arrays.clip(*spec.bounds)
    if spec.mask_row is not None:
        columns = spec.shape[1]
        lengths = np.clip(rng.normal(1 - PADDING, 0.17, n) * columns, 60, columns).astype(int)
        inside = np.arange(columns)[None] < lengths[:, None]
        arrays *= inside[:, None]
        arrays[:, spec.mask_row] = np.where(inside, 1.0, -1.0)
    ids = tuple(map(str, range(n)))
    emotions = tuple(CLASSES[i % len(CLASSES)] for i in range(n))
    return TrainData(spec, CLASSES, arrays, emotions, ids, ids, (None,) * n, np.zeros(n, bool))


def stepping(name: str, data: TrainData, **params: Any) -> Callable[[], object]:
    """-> a call that does the next step of a fit."""
    reports: Iterator[Any] = iter(())

    def step() -> object:
        nonlocal reports
        report = next(reports, None)
        if report is None:
            fresh = generator_class(name)(data.spec, data.classes, **params)
            reports = iter(fresh.fit(data, steps=100, seed=0, device=CPU))
            report = next(reports)
        return report

    return step


@contextmanager
def averages_of_torch() -> Iterator[None]:
    """Halving of time by avg_pool2d, as it was before."""
    with mock.patch.object(Grid, "down", lambda self, x: F.avg_pool2d(x, self.stride)):
        yield


def operations(step: Callable[[], object]) -> int:
    """Floating-point operations of products and convolutions in one step."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def steps(args: argparse.Namespace) -> None:
    """Variants of a step in turns."""
    speech, faces = make_representation("world", {}).spec, make_representation("pixels", {"size": 48}).spec
    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    rows: list[Row] = []
    sizes = {"width 24": {"width": 24}, "batch 16": {"batch_size": 16}, "both": {"width": 24, "batch_size": 16}}
    cut = {"padding cut": {"padding": "cut"}, "all three": {"padding": "cut", **sizes["both"]}}
    for name, spec, variants in (("cvae", speech, {**sizes, **cut}), ("diffusion", faces, sizes)):
        if name not in args.only:
            continue
        data = noise_data(spec)
        ours = stepping(name, data)
        before = stepping(name, data)
        work = operations(ours)

        def as_before(before: Callable[[], object] = before) -> object:
            with averages_of_torch():
                return before()

        others = {label: stepping(name, data, **params) for label, params in variants.items()}
        for other in (as_before, *others.values()):
            other()
        contenders = {"ours": ours, "averages by avg_pool2d": as_before, **others, "sgemm": lambda: a @ b}
        times = dict(interleaved(contenders, repeats=args.repeats))
        rate = [2 * SIDE**3 / seconds for seconds in times["sgemm"]]
        times["the step's operations at the rate of sgemm"] = [work / each for each in rate]
        limit = "the step's operations at the rate of sgemm"
        title = f"fit step, {name}, {spec.name} {' x '.join(map(str, spec.shape))}, batch 32"
        rows += [row(title, times, peer, limit=limit) for peer in ("averages by avg_pool2d", *others)]
        print(f"{title}: {work / 1e9:.1f} GFLOP, sgemm {np.median(rate) / 1e9:.1f} GFLOP/s")
    print(table(rows))
    if args.out is not None:
        write_rows(args.out, rows, machine={"cpu": platform.processor(), "torch": torch.__version__})


def costs(args: argparse.Namespace) -> None:
    """Steps of generators at their defaults, in turns."""
    shapes = {"rows": make_representation("world", {}).spec, "image": make_representation("pixels", {"size": 48}).spec}
    contenders = {}
    for layout, spec in shapes.items():
        data = noise_data(spec)
        for name in ("cvae", "diffusion", "cgan"):
            contenders[f"{name}, {layout}"] = step = stepping(name, data)
            step()  # what warms up is not counted
    times = interleaved(contenders, repeats=args.repeats)
    medians = {name: round(float(np.median(seconds)), 3) for name, seconds in times.items()}
    print(json.dumps(medians, indent=1))
    if args.out is not None:
        args.out.write_text(json.dumps(medians, indent=1) + "\n", encoding="utf-8")


class _FirstAcceptedError(Exception):
    """Ends `augment` where there is what was waited for."""


def first(args: argparse.Namespace) -> None:
    """One run, up to its first accepted sample."""
    import flows.stages.augment.rounds as rounds
    from flows.artifacts.fitted import Fitted
    from flows.paths import Layout
    from flows.stages.run import run_stage

    os.environ["EMOFORGE_ACTORS"] = "0"
    generator: dict[str, Any] = {"name": "cvae", "steps": args.steps}
    if args.every is not None:
        generator["early_stop"] = {"every": args.every}
    params = {
        "numerics": {"fit_threads": 1},
        "corpora": {"ravdess": {"reader": "ravdess"}},
        "runs": {
            "ravdess": {
                "corpora": ["ravdess"],
                "representation": {"name": "world"},
                "generator": generator,
                "target": {"policy": "number", "number": args.target},
            }
        },
    }
    spent: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        repo = Path(folder)
        raw = repo / "data" / "raw" / "ravdess"
        raw.mkdir(parents=True)
        for actor in args.actors:
            (raw / f"Actor_{actor:02}").symlink_to((args.ravdess / f"Actor_{actor:02}").resolve())
        (repo / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        admit = rounds._admit

        def watched(candidates: list[Any], *more: Any) -> None:
            admit(candidates, *more)
            if any(candidate.failed is None for candidate in candidates):
                raise _FirstAcceptedError

        accepted = False
        for verb in ("ingest", "plan", "prepare", "fit", "augment"):
            begun = time.process_time()
            try:
                with mock.patch.object(rounds, "_admit", watched):
                    run_stage(verb, "ravdess", repo=repo)
            except _FirstAcceptedError:
                accepted = True
            spent[verb] = round(time.process_time() - begun, 1)
        summary = Fitted.open(Layout(repo.resolve()).run("ravdess") / "fit").summary()
    result = {
        "seconds": spent,
        "total": round(sum(spent.values()), 1),
        "accepted": accepted,
        "steps": summary.steps_done,
        "seconds_a_step": round(spent["fit"] / max(1, summary.steps_done), 4),
        "ended": summary.ended,
        "train": summary.n_train,
    }
    print(json.dumps(result, indent=1))
    if args.out is not None:
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    of_steps = parts.add_parser("steps")
    of_steps.add_argument("--repeats", type=int, default=POOL)  # of cut padding: short batches and long ones
    of_steps.add_argument("--only", nargs="+", choices=("cvae", "diffusion"), default=["cvae", "diffusion"])
    of_steps.set_defaults(do=steps)
    of_costs = parts.add_parser("costs")
    of_costs.add_argument("--repeats", type=int, default=7)
    of_costs.set_defaults(do=costs)
    of_first = parts.add_parser("first")
    of_first.add_argument("ravdess", type=Path)
    of_first.add_argument("--actors", type=int, nargs="+", default=[1, 2, 3, 4, 5, 6])
    of_first.add_argument("--steps", type=int, default=2000)
    of_first.add_argument("--every", type=int)
    of_first.add_argument("--target", type=int, default=40)
    of_first.set_defaults(do=first)
    for part in (of_steps, of_costs, of_first):
        part.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.do(args)


if __name__ == "__main__":
    main()
