"""Are conditions honoured? Each generator family against judges that saw real data alone.

    python benchmarks/conditions.py ravdess PATH --generators cvae transfer --steps cvae=3000 --out results.json

For each family: fitted on the train split, and again on the same split with its labels shuffled. From both, N samples
of each class are drawn without any gate. Recall = share that the cross-fitted judges (the gate `agreement`) call by the
class that was asked for; Wilson 95 % intervals. A class is honoured where the lower bound is at least 0.7 x the judges'
recall on real samples of people they never saw, and above the upper bound of the shuffled generator.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import corpora.quiet  # noqa: F401

RUNS: dict[str, dict[str, Any]] = {
    "ravdess": {"representation": {"name": "world", "max_s": 3.2}},
    "fer2013": {"representation": {"name": "pixels", "size": 48}, "view": "official"},
}
SHARE = 0.7  # of the recall on real held-out samples that the lower bound has to reach


def measure(
    folder: Path, corpus: str, family: str, steps: int, params: dict[str, Any], n: int, seed: int, shuffle: bool
) -> dict[str, Any]:
    """-> {"recall": {class: [value, low, high]}, "real": {class: value}, "seconds": fit + sampling}."""
    import numpy as np

    from corpora.errors import PayloadError
    from corpora.fingerprint import hash_bytes
    from features.representation import make_representation
    from flows.artifacts.prepared import Prepared
    from flows.engine.store import WorkStore
    from flows.paths import Layout
    from flows.stages.augment.batches import Form, Stored, batch_of
    from flows.stages.augment.candidates import draw_sources
    from flows.stages.augment.gating import fit_gates
    from flows.stages.evaluate import agrees
    from flows.stages.fit.fit import load_train
    from flows.stages.plan.plans import AugmentPlan, FitPlan
    from generators.draws.targets import Cell
    from generators.generator import Device, generator_class
    from training.seeds import derive_seed
    from validators.maths.intervals import wilson_interval

    layout = Layout(folder)
    plan = AugmentPlan.read(layout, corpus)
    prepared = Prepared.open(layout.run(corpus) / "prepared")
    summary = prepared.summary()
    gate = fit_gates(plan, layout, prepared, summary, WorkStore(layout.store))["agreement"]
    fit = FitPlan.read(layout, corpus)
    data = load_train(prepared, fit)
    if shuffle:
        order = np.random.default_rng(seed).permutation(len(data.emotions))
        data = replace(data, emotions=tuple(data.emotions[i] for i in order))
    device = Device()
    begun = time.perf_counter()
    model = generator_class(family)(data.spec, data.classes, **params)
    for _ in model.fit(data, steps=steps, seed=seed, device=device):
        pass
    shape = dict(fit.params["representation"])
    representation = make_representation(shape.pop("name"), shape)
    source = draw_sources(seed, prepared.path, model.takes)
    rows = {s: i for i, s in enumerate(data.ids)}
    recall = {}
    for emotion in data.classes:
        draws = source.draws(Cell(emotion, None, 0, n), 0, n)
        sources = np.stack([data.arrays[rows[d.sources["from"]]] for d in draws]) if model.takes else None
        payloads = []
        for array in model.sample(draws, sources, device=device):
            try:
                payloads.append(representation.decode(array).data)
            except PayloadError:
                payloads.append(b"")
        stored = Stored(
            [d.key() for d in draws],
            [emotion] * n,
            payloads,
            [hash_bytes(p) for p in payloads],
            source_ids=[d.source_ids for d in draws],
        )
        batch = batch_of(stored, Form(summary.modality, summary.rate_hz))
        hits = sum(agrees(float(v)) for v in gate.gate.score(batch))
        recall[emotion] = [hits / n, *wilson_interval(hits, n)]
    real = {
        c: [float(np.mean([agrees(float(v)) for v in values])), len(values)]
        for c, values in gate.gate.reference().items()
    }
    seconds = time.perf_counter() - begun
    return {"recall": recall, "real": real, "seconds": round(seconds, 1), "seed": derive_seed("conditions", seed)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=sorted(RUNS))
    parser.add_argument("path", type=Path)
    parser.add_argument("--generators", nargs="+", default=["transfer", "cvae", "cgan", "diffusion"])
    parser.add_argument("--steps", nargs="*", default=[], help="family=steps")
    parser.add_argument("--params", type=json.loads, default={}, help='JSON: {"family": {"width": 32}}')
    parser.add_argument("-n", type=int, default=60, help="samples of each class")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    steps = {k: int(v) for k, v in (s.split("=") for s in args.steps)}
    os.environ.setdefault("EMOFORGE_ACTORS", str(os.cpu_count() or 1))

    import yaml

    from flows.stages.run import run_stage

    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work).resolve()
        (folder / "data/raw").mkdir(parents=True)
        (folder / "data/raw" / args.corpus).symlink_to(args.path.resolve())
        run = {"corpora": [args.corpus], "generator": {"name": "transfer", "steps": 0}, **RUNS[args.corpus]}
        wanted = {"corpora": {args.corpus: {"reader": args.corpus}}, "runs": {args.corpus: run}}
        (folder / "params.yaml").write_text(yaml.safe_dump(wanted))
        for verb in ("ingest", "plan", "prepare"):
            run_stage(verb, args.corpus, repo=folder)
        for family in args.generators:
            options = (steps.get(family, 2000), args.params.get(family, {}), args.n, args.seed)
            true = measure(folder, args.corpus, family, *options, shuffle=False)
            shuffled = measure(folder, args.corpus, family, *options, shuffle=True)
            table = {}
            for emotion, (value, low, high) in true["recall"].items():
                real, n_real = true["real"][emotion]
                bar = shuffled["recall"][emotion][2]
                table[emotion] = {
                    "recall": value,
                    "low": low,
                    "high": high,
                    "real": real,
                    "n_real": n_real,
                    "shuffled_high": bar,
                    "honoured": low >= SHARE * real and low > bar,
                }
                print(
                    f"{family:10} {emotion:10} {value:.2f} [{low:.2f}, {high:.2f}]  real {real:.2f}  "
                    f"shuffled up to {bar:.2f}  {'honoured' if table[emotion]['honoured'] else 'missed'}",
                    flush=True,
                )
            results[family] = {"classes": table, "seconds": true["seconds"], "steps": options[0], "params": options[1]}
    report = {
        "corpus": args.corpus,
        "n": args.n,
        "seed": args.seed,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "torch": version("torch"),
        "results": results,
    }
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
