"""How long the whole stage `evaluate` takes: 2,000 spoken candidates, 1,000 faces.

    OMP_NUM_THREADS=1 python benchmarks/bench_evaluate.py [--faces FER2013.csv] [--candidates 2000] [--profile]

Assembles what the stage reads (shards, indexes, scores of the agreement gate) in a temporary folder, with real and
synthetic samples from one distribution, and calls `flows.stages.evaluate.run` with the default set gates and their
default limits. Speech is synthetic: half-second tones of 24 speakers in 6 classes; the stage computes their functionals
and log-mel images itself, which is part of the time. Faces are rows of FER2013, each its own group.
Prints JSON: wall seconds and seconds of the processor; `--profile` adds the 25 functions that cost most.
"""

# ruff: noqa: E402  (threads are set before numpy is imported)
from __future__ import annotations

import argparse
import cProfile
import csv
import io
import json
import os
import platform
import pstats
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa

from corpora.codecs import encode_png, encode_wav
from corpora.schema import SCORES, SPLITS, Sample
from corpora.store.atomic import write_json
from corpora.store.shards import write_shards, write_table
from flows.artifacts.augmented import Augmented
from flows.params import DEFAULT_GATES, Evaluation, Machine
from flows.paths import Layout
from flows.stages.evaluate import run
from flows.stages.plan.plans import EvaluateCompute, EvaluatePlan, PlannedGate
from tests.flows.typed import SUMMARY, balance, tally
from validators.gate import SAMPLE_GATES, SET_GATES, default_limit, gate_class

RATE = 16000
FER = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")  # the corpus' codes 0 to 6
Made = tuple[str, str, bytes]  # emotion, group, payload


def voices(n: int, seed: int, speakers: range) -> Iterator[Made]:
    """Harmonics with the pitch, vibrato and tilt of the class and of the speaker."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        emotion, who = i % 6, speakers[i // 6 % len(speakers)]
        t = np.arange(int(rng.uniform(0.4, 0.6) * RATE)) / RATE
        f0 = (120 + 25 * emotion) * (1 + 0.15 * np.sin(who)) * rng.uniform(0.93, 1.07)
        phase = (
            2 * np.pi * np.cumsum(f0 * (1 + 0.02 * (emotion + 1) * np.sin(2 * np.pi * rng.uniform(2, 5) * t))) / RATE
        )
        tilt = 0.8 + 0.12 * emotion + 0.1 * np.cos(who) + 0.1 * rng.normal()
        wave = sum(np.sin(k * phase + rng.uniform(0, 6)) / k**tilt for k in range(1, 13))
        wave = wave * (0.2 + np.sin(np.pi * rng.uniform(1.5, 4) * t / t[-1]) ** 2) + 0.03 * rng.standard_normal(t.size)
        yield FER[emotion], f"s{who}", encode_wav(0.3 * wave / np.abs(wave).max(), RATE)


def faces(path: Path) -> Iterator[Made]:
    with path.open(newline="") as rows:
        for i, row in enumerate(csv.DictReader(rows)):
            pixels = np.array(row["pixels"].split(), dtype=np.uint8).reshape(48, 48)
            yield FER[int(row["emotion"])], f"f{i}", encode_png(pixels)


def samples(made: list[Made], modality: str, start: str) -> list[Sample]:
    codec = "wav" if modality == "speech" else "png"
    return [
        Sample(
            f"{start}/{i}", "bench", modality, payload, codec, "CC0-1.0", f"bench:{group}", f"bench:{group}", emotion=e
        )
        for i, (e, group, payload) in enumerate(made)
    ]


def assemble(folder: Path, modality: str, parts: dict[str, list[Made]], candidates: list[Made]) -> list[str]:
    """Writes prepared/ and augmented/ as the stages before do. -> the classes."""
    prepared, augmented = folder / "prepared", folder / "augmented"
    prepared.mkdir(parents=True)
    augmented.mkdir()
    tables = {
        split: write_shards(samples(made, modality, split), prepared, 4, f"shards/{split}-real")
        for split, made in parts.items()
    }
    write_table(prepared / "index.parquet", pa.concat_tables(tables.values()))
    rows = [
        {"view": "bench", "sample_id": i, "split": split}
        for split, table in tables.items()
        for i in table.column("sample_id").to_pylist()
    ]
    write_table(prepared / "splits.parquet", pa.Table.from_pylist(rows, schema=SPLITS))
    classes = sorted({emotion for emotion, _, _ in parts["train"]})
    rate = RATE if modality == "speech" else None
    summary = SUMMARY | {"representation": {"name": "bench"}, "modality": modality, "rate_hz": rate}
    write_json(prepared / "summary.json", summary | {"classes": classes})
    own = samples([(e, f"c{i}", payload) for i, (e, _, payload) in enumerate(candidates)], modality, "syn")
    write_table(augmented / "index.parquet", write_shards(own, augmented, 4, "shards/train-synthetic"))
    rng = np.random.default_rng(0)
    scored = [
        {
            "sample_id": s.sample_id,
            "emotion": s.emotion,
            "round": 0,
            "gate": "agreement",
            "value": float(value),
            "limit": 0.5,
            "passed": value > 0.5,
            "reason": None,
            "judge": "bench/0",
        }
        for s, value in zip(own, np.minimum(1.0, rng.uniform(0.4, 1.6, len(own))), strict=True)
    ]
    write_table(augmented / "scores.parquet", pa.Table.from_pylist(scored, schema=SCORES))
    write_json(augmented / "reference.json", {"agreement": {c: [1.0, 0.7, 1.0] * 20 for c in classes}})
    n = {"candidates": len(own), "accepted": len(own)}
    Augmented(augmented).write_balance(balance(*(tally(c, True, **n) for c in classes)))
    return classes


def defaults(names: tuple[str, ...]) -> dict[str, PlannedGate]:
    return {name: PlannedGate(limit=default_limit(gate_class(name)), params={}) for name in names}


def measured(modality: str, parts: dict[str, list[Made]], candidates: list[Made], profile: bool) -> dict[str, Any]:
    quick = tuple(name for name in DEFAULT_GATES if name in SAMPLE_GATES and gate_class(name).fits_at_once)
    gates = tuple(name for name in DEFAULT_GATES if name in SET_GATES)
    with tempfile.TemporaryDirectory() as place:
        layout = Layout(Path(place))
        assemble(layout.run("bench"), modality, parts, candidates)
        plan = EvaluatePlan(
            run="bench",
            modality=modality,
            corpora={},
            code={},
            compute=EvaluateCompute(fit_threads=1),
            evaluation=Evaluation(bootstrap=1000),
            seed=0,
            gates=defaults(gates),
            sample_gates=defaults(quick),
            class_gate="agreement",
        )
        profiler = cProfile.Profile()
        begun, used = time.perf_counter(), time.process_time()
        if profile:
            profiler.runcall(run, plan, layout, Machine())
        else:
            run(plan, layout, Machine())
        wall, cpu = time.perf_counter() - begun, time.process_time() - used
        verdicts = json.loads((layout.run("bench") / "metrics.json").read_text(encoding="utf-8"))
    if profile:
        text = io.StringIO()
        pstats.Stats(profiler, stream=text).sort_stats("cumulative").print_stats(
            r"validators|flows|training|features", 40
        )
        sys.stderr.write(text.getvalue())
    sizes = {split: len(made) for split, made in parts.items()} | {"candidates": len(candidates)}
    return {"seconds": round(wall, 1), "cpu": round(cpu, 1), "n": sizes, "metrics": verdicts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, help="fer2013.csv; none: no faces")
    parser.add_argument("--candidates", type=int, default=2000, help="of speech; half as many faces")
    parser.add_argument("--no-speech", action="store_true")
    parser.add_argument("--profile", action="store_true", help="to the standard error")
    asked = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    found: dict[str, Any] = {"machine": {"cpu": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()}}
    n = asked.candidates
    if not asked.no_speech:
        parts = {
            "train": list(voices(n // 2, 1, range(14))),
            "dev": list(voices(n // 8, 2, range(14, 19))),
            "test": list(voices(n // 8, 3, range(19, 24))),
        }
        found["speech"] = measured("speech", parts, list(voices(n, 4, range(30, 31))), asked.profile)
    if asked.faces:
        rows, half = list(faces(asked.faces)), n // 2
        cuts = np.cumsum([2 * half, half // 2, half // 2, half])
        train, dev, test, candidates = (list(part) for part in np.split(np.array(rows, object)[: cuts[-1]], cuts[:-1]))
        shown = {"train": train, "dev": dev, "test": test}
        found["faces"] = measured("face", shown, candidates, asked.profile)
    found["machine"]["load at the end"] = os.getloadavg()
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
