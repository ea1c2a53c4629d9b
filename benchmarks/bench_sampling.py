"""Sampling of diffusion against diffusers' loops on the same fitted network, in one interleaved run, at which KID.

    OMP_NUM_THREADS=1 python -m benchmarks.bench_sampling --data FER2013.csv --n 5000 --ddpm-n 64 --model FOLDER \
        [--steps 1500] [--student] [--also "sample_steps=6" ...] [--set "sampler=dpmpp;..."] [--out sampling.json]

ours:        `generator.sample` as a run calls it, with the generator's defaults and whatever --set changes.
dpm20:       diffusers' DPMSolverMultistepScheduler, 20 steps, classifier-free guidance at every step, the loop that a
             pipeline runs: a scheduler object, conditions embedded at each step, both passes as one batch.
ddpm1000:    diffusers' DDPMScheduler, 1,000 steps, guided likewise; --ddpm-n samples.
--also A=B:  ours with these parameters instead, several joined by semicolons.
--student:   a second fit with as many steps, tuned into a consistency model; drawn in 1, 2 and 4 steps.
limit:       nothing but the multiplications of ours, as products of large matrices.

All take turns on lists of --chunk draws (16: what a run puts into one list), so that they meet the same load of the
machine; seconds are the processor's. Goals: 2.5 times dpm20 and 100 times ddpm1000 at equal KID.

Quality: KID (validators/maths/kernel.py) between samples and all held-out real arrays, whose classes samples share in
frequency, once in principal components of real train arrays (95 % of the variance), for faces also in hog. All start
from the same noise, so the gap between two ways is that of the differences over ten blocks of draws (95 % interval,
Student's t; KID has no bias in the size of a block). Non-inferior: its upper end is below `--margin` times the KID of
dpm20, or below the half width of the KID of real against real, whichever is larger. And how many are of the class that
was asked for: the share that a logistic regression, fitted on the features of the real train arrays, names so; of real
held-out arrays beside. Guidance buys that share with KID, so one without the other says little.

--data: shapes, ring (made here), FER2013.csv (rows of Training, every other one held out) or FILE.npz: arrays [N, 1, H,
W] in [-1, 1] or [N, D], emotions [N] (strings), held_out [N] (booleans). --model: where the fitted network is kept for
the next run; made where it is not there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import corpora.quiet  # noqa: F401
from benchmarks.rows import OURS, Row, row, table, write_rows
from benchmarks.sampling_data import train_data
from features.faces.hog import hog_features
from generators.generator import Condition, Device, Draw, TrainData, generator_class
from training.seeds import noise
from validators.maths.kernel import Discrepancy, kid

CPU = Device()
BLOCKS = 10
GOALS = {"dpm20": 2.5, "ddpm1000": 100.0}
LIMIT = "limit"
SQUARE = 768  # side of the matrices that stand for the machine's limit
Draws = list[Draw]
Sample = Callable[[Draws], np.ndarray]
Features = Callable[[np.ndarray], np.ndarray]


def fitted(data: TrainData, steps: int, folder: Path | None, params: Mapping[str, Any]) -> Any:
    """The generator that lies in `folder`, or a new one, which is put there."""
    kind = generator_class("diffusion")
    if folder is not None and (folder / "config.json").is_file():
        return kind.load(folder, device=CPU)
    generator = kind(data.spec, data.classes, **params)
    for _ in generator.fit(data, steps=steps, seed=0, device=CPU):
        pass
    if folder is not None:
        generator.save(folder)
    return generator


def with_params(generator: Any, changed: Mapping[str, Any]) -> Any:
    """The same network under other parameters of sampling."""
    other = type(generator)(generator.spec, generator.classes, **{**generator.params.model_dump(), **changed})
    other.network, other.fields = generator.network, generator.fields
    return other


def drawing(generator: Any) -> Sample:
    """As a run calls it."""
    return lambda draws: np.asarray(generator.sample(draws, device=CPU))


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


def multiplications(sample: Sample, draws: Draws) -> Sample:
    """As many multiplications as `sample` does for each draw, as products of square matrices."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        sample(draws)
    each = counter.get_total_flops() / len(draws)
    square = torch.randn(SQUARE, SQUARE)

    def multiply(some: Draws) -> np.ndarray:
        for _ in range(max(1, round(each * len(some) / (2 * SQUARE**3)))):
            square @ square
        return np.empty(0)

    return multiply


def components(real: np.ndarray) -> Features:
    """Principal components of real arrays, 95 % of the variance, of spread 1 together."""
    flat = real.reshape(len(real), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    _, s, basis = np.linalg.svd(flat - mean, full_matrices=False)
    kept = int(np.searchsorted(np.cumsum(s**2) / np.sum(s**2), 0.95)) + 1
    scale = math.sqrt(np.sum(s[:kept] ** 2) / len(flat) / kept)
    return lambda arrays: (arrays.reshape(len(arrays), -1) - mean) @ basis[:kept].T / scale


def gradients(real: np.ndarray) -> Features:
    """hog of pictures in [-1, 1], about its mean over real ones, of spread 1 together."""

    def plain(arrays: np.ndarray) -> np.ndarray:
        return hog_features(np.rint((arrays[:, 0].clip(-1, 1) + 1) * 127.5).astype(np.uint8)).astype(np.float64)

    own = plain(real)
    mean, scale = own.mean(axis=0), own.std(axis=0).mean()
    return lambda arrays: (plain(arrays) - mean) / scale


def gap_of(one: np.ndarray, other: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """Mean difference of KID over blocks of paired draws, and its 95 % interval."""
    from scipy.stats import t

    n = min(len(one), len(other))
    parts = zip(np.array_split(one[:n], BLOCKS), np.array_split(other[:n], BLOCKS), strict=True)
    gaps = np.array([kid(a, real).value - kid(b, real).value for a, b in parts])
    reach = float(t.ppf(0.975, BLOCKS - 1) * gaps.std(ddof=1) / math.sqrt(BLOCKS))
    return {"n": n, "value": float(gaps.mean()), "low": float(gaps.mean()) - reach, "high": float(gaps.mean()) + reach}


def quality(drawn: Mapping[str, np.ndarray], real: np.ndarray, look: Features, margin: float) -> dict[str, Any]:
    """KID of each, of real against real, and the gap between ours and each peer; of what has too few samples for two in
    each block, nothing."""
    points = {name: look(arrays) for name, arrays in drawn.items() if len(arrays) >= 2 * BLOCKS}
    of_real = look(real)
    order = np.random.default_rng(0).permutation(len(of_real))
    floor = kid(of_real[order[::2]], of_real[order[1::2]])
    scores = {name: kid(some, of_real) for name, some in points.items()}
    allowed = max(margin * scores["dpm20"].value, (floor.high - floor.low) / 2)
    gaps = {name: gap_of(points[OURS], points[name], of_real) for name in points if name != OURS}
    said = {name: gap | {"margin": allowed, "non_inferior": gap["high"] < allowed} for name, gap in gaps.items()}
    return {"kid": {name: spread(s) for name, s in scores.items()}, "kid of real": spread(floor), "ours less": said}


def recognised(
    drawn: Mapping[str, np.ndarray], asked: Sequence[str], real: TrainData, look: Features
) -> dict[str, dict[str, float]]:
    """Share of each that is named by the class that was asked for, with its 95 % interval (Wilson)."""
    from sklearn.linear_model import LogisticRegression

    from validators.maths.intervals import wilson_interval

    emotions, held_out = np.array(real.emotions), real.held_out
    judge = LogisticRegression(C=0.1, max_iter=1000).fit(look(real.arrays[~held_out]), emotions[~held_out])

    def share(arrays: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
        right = int((judge.predict(look(arrays)) == wanted).sum())
        low, high = wilson_interval(right, len(arrays))
        return {"value": right / len(arrays), "low": low, "high": high}

    every = np.array(asked)
    enough = {name: some for name, some in drawn.items() if len(some) >= 2 * BLOCKS}
    shares = {name: share(some, np.resize(every, len(some))) for name, some in enough.items()}
    return shares | {"real": share(real.arrays[held_out], emotions[held_out])}


def spread(estimate: Discrepancy) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def settings(text: str) -> dict[str, Any]:
    """ "a=1;b=[2,3]" -> values as JSON where they are."""
    out: dict[str, Any] = {}
    for pair in text.split(";"):
        name, _, value = pair.partition("=")
        try:
            out[name] = json.loads(value)
        except ValueError:
            out[name] = value
    return out


def taking_turns(
    contenders: Mapping[str, tuple[Sample, int]], emotions: list[str], chunk: int, minutes: float
) -> tuple[dict[str, list[float]], dict[str, np.ndarray]]:
    """-> seconds a sample of each list of draws, and what was drawn. After so many minutes by the clock no further list
    is begun: what was drawn until then is what there is."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in contenders}
    most, ends = max(wanted for _, wanted in contenders.values()), time.monotonic() + 60 * minutes
    for start in range(0, most, chunk):
        if time.monotonic() > ends:
            break
        order: Iterable[str] = list(contenders)[:: 1 if start // chunk % 2 == 0 else -1]
        for name in order:
            sample, wanted = contenders[name]
            size = min(chunk, wanted - start)
            if size <= 0:
                continue
            draws = [Draw(Condition(emotions[s % len(emotions)]), s) for s in range(start, start + size)]
            before = time.process_time()
            drawn[name].append(sample(draws))
            seconds[name].append((time.process_time() - before) / size)
    return seconds, {name: np.concatenate(parts) for name, parts in drawn.items() if name != LIMIT}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="shapes")
    parser.add_argument("--n", type=int, default=5000, help="draws of each; at least 20")
    parser.add_argument("--ddpm-n", type=int, default=64, help="0: without it")
    parser.add_argument("--chunk", type=int, default=16)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--margin", type=float, default=0.1)
    parser.add_argument("--set", default="", metavar="NAME=VALUE;...", help="parameters of ours")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=VALUE;...", help="another of ours")
    parser.add_argument("--student", action="store_true")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no further list after so many")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    data = train_data(args.data, max(2 * args.n, 600))
    base = fitted(data, args.steps, args.model, {"width": args.width})
    ours = with_params(base, settings(args.set) if args.set else {})
    real_emotions = [data.emotions[i] for i in np.flatnonzero(data.held_out)]
    emotions = [real_emotions[i] for i in np.random.default_rng(0).permutation(len(real_emotions))]
    contenders: dict[str, tuple[Sample, int]] = {
        OURS: (drawing(ours), args.n),
        "dpm20": (plain_loop(base, "DPMSolverMultistepScheduler", 20), args.n),
    }
    if args.ddpm_n:
        contenders["ddpm1000"] = (plain_loop(base, "DDPMScheduler", 1000), args.ddpm_n)
    for text in args.also:
        contenders[text] = (drawing(with_params(base, settings(text))), args.n)
    if args.student:
        folder = None if args.model is None else args.model.with_name(args.model.name + "-student")
        student = fitted(data, args.steps, folder, {"width": args.width, "student_steps": 2, "guidance": 1.0})
        for steps in (1, 2, 4):
            contenders[f"student {steps}"] = (drawing(with_params(student, {"student_steps": steps})), args.n)
    few = [Draw(Condition(emotion), i) for i, emotion in enumerate(data.classes[:2])]
    contenders[LIMIT] = (multiplications(contenders[OURS][0], few), args.n)
    for name in contenders:  # once to warm up, not for the long one
        if name != "ddpm1000":
            contenders[name][0](few)
    seconds, drawn = taking_turns(contenders, emotions, args.chunk, args.minutes)
    real, train = data.arrays[data.held_out], data.arrays[~data.held_out]
    looks = {"components": components(train)} | ({"hog": gradients(train)} if train.shape[-1] == 48 else {})
    name = args.data.rpartition("/")[2]
    work = f"diffusion sample, {name} {list(data.spec.shape)}, n = {len(drawn[OURS])}"
    rows: list[Row] = [row(work, seconds, name, goal=GOALS.get(name), limit=LIMIT) for name in drawn if name != OURS]
    facts = {
        "ours": {k: v for k, v in ours.params.model_dump().items() if "guid" in k or "samp" in k or k == "spacing"},
        "fit steps": args.steps,
        "n": {name: len(some) for name, some in drawn.items()} | {"real": len(real)},
        "quality": {
            name: quality(drawn, real, look, args.margin) | {"recognised": recognised(drawn, emotions, data, look)}
            for name, look in looks.items()
        },
    }
    print(json.dumps(facts, indent=1))
    print(table(rows))
    if args.out is not None:
        machine = {"cpu": platform.machine(), "threads": str(torch.get_num_threads()), "torch": torch.__version__}
        write_rows(args.out, rows, machine=machine, facts=facts)


if __name__ == "__main__":
    main()
