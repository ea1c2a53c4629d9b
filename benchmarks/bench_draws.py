"""What a sample costs in each layout, against a peer's loop and the time that it may take; memory of an actor.

    OMP_NUM_THREADS=1 python -m benchmarks.bench_draws [--only vector signals text memory] [--n 320] [--repeats 3]
        [--out draws.json]

vector:   88 columns, `diffusion` as it is by default (perceptron, 8 steps); peer: diffusers' DPM-Solver++ with 20 steps
          on the same network. Allowed: 10,000 samples in 5 s.
signals:  10 s of 4 channels at 64 Hz, `diffusion` (U-Net over time); the same peer. Allowed: 1,000 windows in 60 s.
text:     `small_lm` as it is by default, on lines of 20 words; peer: `generate` of transformers with a GPT-2 of the
          same size, as many pieces a line as ours drew on average (top_p 0.95, keys and values kept). Allowed: 1,000
          lines in 60 s.
memory:   peak MiB of a fresh process that loads a generator and draws one list, as an actor does, and its processor
          seconds from nothing to the first list: imports, load, list.

Seconds are the processor's, of one sample, drawn in lists of --list (16: what a run puts into one list), all in turn.
Fits are short: what a sample costs does not depend on what was learned (a line's length does, so `small_lm` learns
until its lines have about as many words as train's).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import corpora.quiet
from benchmarks.rows import OURS, Row, Times, interleaved, row, table, write_rows
from features.representation import Spec, make_representation
from generators.generator import Condition, Device, Draw, TrainData, generator_class

CPU = Device()
CLASSES = ("anger", "fear", "neutral")
Work = Callable[[], object]
ALLOWED = "the time it may take"
MEMORY = """
import json, sys, time
from pathlib import Path
def peak():  # of this program: what getrusage says begins with the memory of the process that started it
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
import corpora.quiet
from generators.generator import Condition, Device, Draw, generator_class
marks = {"start": [time.process_time(), peak()]}
kind = generator_class(sys.argv[1])
generator = kind.load(Path(sys.argv[2]), device=Device())
marks["loaded"] = [time.process_time(), peak()]
generator.sample([Draw(Condition("anger"), seed) for seed in range(int(sys.argv[3]))], device=Device())
marks["first list"] = [time.process_time(), peak()]
print(json.dumps(marks))
"""


def data_of(spec: Spec, arrays: np.ndarray) -> TrainData:
    n = len(arrays)
    emotions, ids = tuple(CLASSES[i % 3] for i in range(n)), tuple(f"bench/{i}" for i in range(n))
    return TrainData(spec, CLASSES, arrays, emotions, ids, ids, (None,) * n, np.arange(n) % 8 == 7)


def vectors() -> TrainData:
    """88 columns, as many as eGeMAPS has functionals."""
    spec = Spec("bench-vector", (88,), layout="vector", rows=tuple(map(str, range(88))), units=("",) * 88)
    return data_of(spec, np.random.default_rng(0).normal(size=(240, 88)).astype(np.float32))


def signals() -> TrainData:
    names = ("bvp", "eda", "temp", "acc")
    spec = Spec("bench-signals", (4, 640), layout="rows", rate_hz=64.0, rows=names, units=("",) * 4)
    return data_of(spec, np.random.default_rng(0).normal(size=(120, 4, 640)).astype(np.float32))


def pictures() -> TrainData:
    spec = Spec("bench-faces", (1, 48, 48), bounds=(-1.0, 1.0))
    return data_of(spec, np.random.default_rng(0).uniform(-1, 1, (64, 1, 48, 48)).astype(np.float32))


def lines() -> TrainData:
    """20 words each, of 400 made-up words; each class has favourites."""
    from generators.language.lines import arrays_of

    rng = np.random.default_rng(0)
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    words = ["".join(rng.choice(syllables, rng.integers(1, 4))) for _ in range(400)]
    spec = make_representation("utf8", {"max_bytes": 256}).spec
    said = [" ".join(words[int(400 * rng.beta(1 + i % 3, 3))] for _ in range(20)) for i in range(1200)]
    return data_of(spec, arrays_of(said, spec))


def fitted(name: str, data: TrainData, steps: int, **params: Any) -> Any:
    generator = generator_class(name)(data.spec, data.classes, **params)
    for _ in generator.fit(data, steps=steps, seed=0, device=CPU):
        pass
    return generator


def lists(n: int, length: int) -> list[list[Draw]]:
    draws = [Draw(Condition(CLASSES[i % 3]), i) for i in range(n)]
    return [draws[i : i + length] for i in range(0, n, length)]


def through(sample: Callable[[list[Draw]], object], parts: list[list[Draw]]) -> Work:
    def work() -> None:
        for part in parts:
            sample(part)

    return work


def per_sample(times: Times, n: int, allowed: float) -> dict[str, list[float]]:
    each = {name: [seconds / n for seconds in some] for name, some in times.items()}
    return each | {ALLOWED: [allowed] * len(each[OURS])}


def diffusion_rows(work: str, data: TrainData, n: int, length: int, repeats: int, allowed: float) -> list[Row]:
    from benchmarks.bench_sampling import LIMIT, multiplications, plain_loop

    generator = fitted("diffusion", data, 3)
    parts = lists(n, length)

    def ours(draws: list[Draw]) -> np.ndarray:
        return np.asarray(generator.sample(draws, device=CPU))

    peer = plain_loop(generator, "DPMSolverMultistepScheduler", 20)
    limit = multiplications(ours, parts[0][:2])
    times = interleaved(
        {OURS: through(ours, parts), "dpm20": through(peer, parts), LIMIT: through(limit, parts)}, repeats=repeats
    )
    each = per_sample(times, n, allowed)
    return [
        row(f"{work}, diffusion sample", each, "dpm20", goal=2.5, limit=LIMIT),
        row(f"{work}, diffusion sample", each, ALLOWED, goal=1.0, limit=LIMIT),
    ]


def gpt2(pieces: int, places: int, params: Any) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=pieces,
        n_positions=places + 2,
        n_embd=params.width,
        n_layer=params.layers,
        n_head=params.heads,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    return GPT2LMHeadModel(config).eval()


def text_rows(n: int, length: int, repeats: int) -> tuple[list[Row], dict[str, float]]:
    import torch

    from generators.language.lines import lines_of

    generator = fitted("small_lm", lines(), 250)
    parts = lists(n, length)
    drawn = lines_of(np.concatenate([generator.sample(part, device=CPU) for part in parts[:2]]))
    counts = [len(row) for row in generator.pieces.ids(drawn)]
    pieces = max(1, round(float(np.mean(counts))))
    network, p = generator.network, generator.params
    peer = gpt2(network.size.pieces, network.size.places, p)

    def theirs(draws: list[Draw]) -> None:
        with torch.inference_mode():
            start = torch.ones(len(draws), 1, dtype=torch.long)
            peer.generate(
                start,
                attention_mask=torch.ones_like(start),
                do_sample=True,
                top_p=p.top_p,
                top_k=0,
                min_new_tokens=pieces,
                max_new_tokens=pieces,
            )

    def ours(draws: list[Draw]) -> object:
        return generator.sample(draws, device=CPU)

    times = interleaved({OURS: through(ours, parts), "generate": through(theirs, parts)}, repeats=repeats)
    each = per_sample(times, n, 60 / 1000)
    work = f"text, small_lm, a line, n = {n}"
    facts = {"words a line": float(np.mean([len(line.split()) for line in drawn])), "pieces a line": float(pieces)}
    return [row(work, each, "generate"), row(work, each, ALLOWED, goal=1.0)], facts


def memory(name: str, generator: Any, draws: int) -> dict[str, float]:
    """Of a fresh process: see the module."""
    with tempfile.TemporaryDirectory() as folder:
        generator.save(Path(folder))
        env = os.environ | {"PYTHONPATH": str(corpora.quiet.REPO)}
        command = [sys.executable, "-W", "ignore", "-c", MEMORY, name, folder, str(draws)]
        done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    marks = json.loads(done.stdout.splitlines()[-1])
    begun, loaded, first = (marks[key] for key in ("start", "loaded", "first list"))
    return {
        "start_s": round(begun[0], 2),
        "import_and_load_s": round(loaded[0] - begun[0], 2),
        "first_list_s": round(first[0] - loaded[0], 2),
        "peak_loaded_mib": round(loaded[1]),
        "peak_mib": round(first[1]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = ["vector", "signals", "text", "memory"]
    parser.add_argument("--only", nargs="+", choices=what, default=what)
    parser.add_argument("--n", type=int, default=320)
    parser.add_argument("--list", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    size = (args.n, args.list, args.repeats)
    rows: list[Row] = []
    facts: dict[str, Any] = {}
    if "vector" in args.only:
        rows += diffusion_rows("vector of 88", vectors(), *size, 5 / 10_000)
    if "signals" in args.only:
        rows += diffusion_rows("10 s x 4 channels", signals(), *size, 60 / 1000)
    if "text" in args.only:
        own, facts["text"] = text_rows(*size)
        rows += own
    if "memory" in args.only:
        models = {"vector": ("diffusion", vectors()), "signals": ("diffusion", signals())}
        models |= {"faces": ("diffusion", pictures()), "text": ("small_lm", lines())}
        facts["actor"] = {what: memory(name, fitted(name, data, 1), args.list) for what, (name, data) in models.items()}
    print(json.dumps(facts, indent=1))
    print(table(rows))
    if args.out is not None:
        machine = {"cpu": platform.machine(), "threads": str(torch.get_num_threads()), "torch": torch.__version__}
        write_rows(args.out, rows, machine=machine, facts=facts)


if __name__ == "__main__":
    main()
