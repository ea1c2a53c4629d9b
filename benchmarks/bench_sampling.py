"""Sampling of diffusion against diffusers' loops on the same fitted network, in one interleaved run.

    OMP_NUM_THREADS=1 python -m benchmarks.bench_sampling [--data shapes|ring|FILE.npz] [--n 5000] [--ddpm-n 64]
        [--steps 1500] [--set sampler=dpmpp --set sample_steps=8 ...] [--margin 0.1] [--out sampling.json]

ours:        `generator.sample` as a run calls it, with the generator's defaults and whatever --set changes.
dpm20:       diffusers' DPMSolverMultistepScheduler, 20 steps, classifier-free guidance at every step, the loop that a
             pipeline runs: a scheduler object, conditions embedded at each step.
ddpm1000:    diffusers' DDPMScheduler, 1,000 steps, guided likewise; --ddpm-n samples, seconds are those for one sample.

The loops take turns on chunks of draws (`--chunk`), so that all meet the same load of the machine; seconds are of the
processor where --cpu-seconds says so, else wall. Quality: KID (validators/maths/kernel.py) between --n samples and as
many held-out real arrays as there are, in principal components of real arrays that hold 95 % of the variance.
Non-inferior: the upper end of the 95 % interval of KID(ours) - KID(dpm20) is below `--margin` times the KID of dpm20,
or below the half width of the KID of real against real, whichever is larger. Both start from the same noise, so the
interval is that of the differences over ten blocks of draws (Student's t; KID has no bias in the size of a block).

FILE.npz: arrays [N, 1, H, W] in [-1, 1] or [N, D], emotions [N] (strings), held_out [N] (booleans). Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import corpora.quiet  # noqa: F401
from features.representation import Spec
from generators.generator import Condition, Device, Draw, TrainData, generator_class
from training.seeds import noise
from validators.maths.kernel import Discrepancy, kid

CPU = Device()
BLOCKS = 10
Draws = list[Draw]
Sample = Callable[[Draws], np.ndarray]


def shapes(n: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """[n, 1, 24, 24] in [-1, 1]: a soft ring, a bar or two spots, where and how large by chance."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:24, 0:24] / 23.0
    names, arrays = [], np.empty((n, 1, 24, 24), np.float32)
    for i in range(n):
        name = ("ring", "bar", "spots")[i % 3]
        cx, cy = rng.uniform(0.35, 0.65, 2)
        width = rng.uniform(0.05, 0.09)
        if name == "ring":
            distance = np.abs(np.hypot(x - cx, y - cy) - rng.uniform(0.15, 0.3))
        elif name == "bar":
            angle = rng.uniform(-0.5, 0.5)
            distance = np.abs((x - cx) * np.sin(angle) + (y - cy) * np.cos(angle))
        else:
            apart = rng.uniform(0.15, 0.25)
            distance = np.minimum(np.hypot(x - cx - apart, y - cy), np.hypot(x - cx + apart, y - cy))
        arrays[i, 0] = 1.8 * np.exp(-((distance / width) ** 2)) - 0.9 + rng.normal(0, 0.03, x.shape)
        names.append(name)
    return np.clip(arrays, -1, 1), names


def ring(n: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """[n, 8]: six Gaussians on a circle, two for each class, mixed into eight columns."""
    rng = np.random.default_rng(seed)
    mode = np.arange(n) % 6
    angle = 2 * np.pi * mode / 6
    plane = 4 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(0, 0.3, (n, 2))
    mixing = np.random.default_rng(7).normal(size=(2, 8))
    return (plane @ mixing + rng.normal(0, 0.2, (n, 8))).astype(np.float32), [f"class{m % 3}" for m in mode]


def train_data(which: str, n: int) -> TrainData:
    """Half of it held out, to compare with."""
    if which.endswith(".npz"):
        with np.load(which, allow_pickle=False) as file:
            arrays, emotions, held_out = file["arrays"], [str(e) for e in file["emotions"]], file["held_out"]
    else:
        arrays, emotions = {"shapes": shapes, "ring": ring}[which](n, 0)
        held_out = np.arange(n) // 3 % 2 == 1
    shape = tuple(arrays.shape[1:])
    if len(shape) == 1:
        spec = Spec("bench", shape, layout="vector", rows=tuple(map(str, range(shape[0]))), units=("",) * shape[0])
    else:
        spec = Spec("bench", shape, bounds=(-1.0, 1.0))
    count = len(arrays)
    ids = tuple(map(str, range(count)))
    return TrainData(
        spec, tuple(sorted(set(emotions))), arrays, tuple(emotions), ids, ids, (None,) * count, np.asarray(held_out)
    )


def plain_loop(generator: Any, kind: str, steps: int) -> Sample:
    """diffusers' scheduler of that name around the generator's network, guided at every step."""
    import diffusers

    network, classes, guidance = generator.network, generator.classes, generator.params.guidance
    schedule: Any = getattr(diffusers, kind)(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        **({"clip_sample": False} if kind == "DDPMScheduler" else {}),
    )

    def sample(draws: Draws) -> np.ndarray:
        n = len(draws)
        labels = torch.zeros(n, len(classes))
        labels[torch.arange(n), [classes.index(str(d.condition.emotion)) for d in draws]] = 1.0
        both = {"emotion": torch.cat([labels, labels])}
        drop = torch.arange(2 * n) >= n
        schedule.set_timesteps(steps)
        rng = torch.Generator().manual_seed(draws[0].seed)
        with torch.no_grad():
            x = noise([d.seed for d in draws], (network.space.channels, *network.space.grid))
            for t in schedule.timesteps:
                asked, free = network.core(torch.cat([x, x]), t.float().expand(2 * n), both, drop).chunk(2)
                more = {"generator": rng} if kind == "DDPMScheduler" else {}
                x = schedule.step(free + guidance * (asked - free), t, x, **more).prev_sample
            out = network.normaliser.inverse(network.unfold(x, {"emotion": labels}))
        return out.numpy().reshape(n, *generator.spec.shape)

    return sample


def components(real: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Features that KID looks at: principal components of real arrays, 95 % of the variance, of spread 1 together."""
    flat = real.reshape(len(real), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    _, s, basis = np.linalg.svd(flat - mean, full_matrices=False)
    kept = int(np.searchsorted(np.cumsum(s**2) / np.sum(s**2), 0.95)) + 1
    scale = math.sqrt(np.sum(s[:kept] ** 2) / len(flat) / kept)
    return lambda arrays: (arrays.reshape(len(arrays), -1) - mean) @ basis[:kept].T / scale


def half_width(estimate: Discrepancy) -> float:
    return (estimate.high - estimate.low) / 2


def gap_of(ours: np.ndarray, theirs: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    """Mean difference of KID over blocks of paired draws, and the upper end of its 95 % interval."""
    from scipy.stats import t

    parts = zip(np.array_split(ours, BLOCKS), np.array_split(theirs, BLOCKS), strict=True)
    gaps = np.array([kid(a, real).value - kid(b, real).value for a, b in parts])
    reach = t.ppf(0.975, BLOCKS - 1) * gaps.std(ddof=1) / math.sqrt(BLOCKS)
    return float(gaps.mean()), float(gaps.mean() + reach)


def value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="shapes")
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--ddpm-n", type=int, default=64)
    parser.add_argument("--chunk", type=int, default=256)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--margin", type=float, default=0.1)
    parser.add_argument("--cpu-seconds", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="parameters of ours")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    data = train_data(args.data, max(2 * args.n, 600))
    kind, fixed = generator_class("diffusion"), {"width": args.width}
    fitted = kind(data.spec, data.classes, **fixed)
    for _ in fitted.fit(data, steps=args.steps, seed=0, device=CPU):
        pass
    chosen = dict(pair.split("=", 1) for pair in args.set)
    ours = kind(data.spec, data.classes, **fixed, **{name: value(text) for name, text in chosen.items()})
    ours.network = fitted.network
    loops: dict[str, tuple[Sample, int]] = {
        "ours": (lambda draws: ours.sample(draws, device=CPU), args.n),
        "dpm20": (plain_loop(fitted, "DPMSolverMultistepScheduler", 20), args.n),
        "ddpm1000": (plain_loop(fitted, "DDPMScheduler", 1000), args.ddpm_n),
    }
    clock = time.process_time if args.cpu_seconds else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    drawn_by: dict[str, list[np.ndarray]] = {name: [] for name in loops}
    for name, (sample, _) in loops.items():  # once to warm up, not for the long one
        if name != "ddpm1000":
            sample([Draw(Condition(data.classes[0]), 0)])
    for start in range(0, args.n, args.chunk):
        for name, (sample, wanted) in loops.items():
            size = min(args.chunk, wanted - start)
            if size <= 0:
                continue
            seeds = range(start, start + size)
            draws = [Draw(Condition(data.classes[s % len(data.classes)]), s) for s in seeds]
            before = clock()
            drawn_by[name].append(sample(draws))
            seconds[name].append((clock() - before) / size)
    real = data.arrays[data.held_out]
    classes = np.array(data.emotions)[data.held_out]
    even = min(int((classes == name).sum()) for name in data.classes)  # samples have all classes equally often
    rows = np.concatenate([np.flatnonzero(classes == name)[:even] for name in data.classes])
    project = components(data.arrays[~data.held_out])
    features = project(real[rows])
    quality = {name: kid(project(np.concatenate(parts)), features) for name, parts in drawn_by.items()}
    shuffled = np.random.default_rng(0).permutation(len(features))
    floor = kid(features[shuffled[::2]], features[shuffled[1::2]])
    margin = max(args.margin * quality["dpm20"].value, half_width(floor))
    gap, upper = gap_of(*(project(np.concatenate(drawn_by[name])) for name in ("ours", "dpm20")), features)
    each = {name: float(np.median(times)) for name, times in seconds.items()}
    result = {
        "machine": {"cpu": platform.processor(), "threads": torch.get_num_threads(), "torch": torch.__version__},
        "data": args.data,
        "n": args.n,
        "real": len(features),
        "ours": {k: v for k, v in ours.params.model_dump().items() if "guid" in k or "samp" in k or k == "spacing"},
        "seconds_a_sample": each,
        "times_faster": {name: each[name] / each["ours"] for name in loops if name != "ours"},
        "kid": {name: {"value": q.value, "low": q.low, "high": q.high} for name, q in quality.items()},
        "kid_of_real": {"value": floor.value, "low": floor.low, "high": floor.high},
        "gap": {"value": gap, "upper": upper, "margin": margin, "non_inferior": bool(upper < margin)},
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.out is not None:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
