"""What the audit finds of planted copies, and what it costs: docs/audit.md holds the tables that this writes.

    python benchmarks/bench_audit.py [--data ../shared/data] [--out docs/audit.json] [--only recall|cost] [--seeds 2]

Recall: in each corpus a third of the samples is test, and of 1, 5 or 20 % of it a corrupted copy goes to train
(benchmarks/leaks.py). Cost: fingerprints and pairs of 9,000, 18,000 and 36,000 faces in a process of its own each;
8,000 are FER2013's, the others are blends of two of them in another crop, so that no two are the same photo. A tenth
of each set are corrupted copies.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from benchmarks.leaks import CORRUPTIONS, copies_of_itself, plant  # noqa: E402
from corpora.codecs import decode_image, encode_png  # noqa: E402
from corpora.near.pairs import FINGERPRINTS, near_pairs, write_fingerprints  # noqa: E402
from corpora.readers import make_corpus  # noqa: E402
from corpora.schema import Sample  # noqa: E402
from corpora.store.shards import read_table, write_shards  # noqa: E402

REAL = ("fer2013", "ravdess", "goemotions", "stress_predict")
MADE_UP: dict[str, dict[str, Any]] = {
    "fer2013": {"subjects": 0, "per_class": {"anger": 250, "happiness": 250, "neutral": 250}},
    "ravdess": {"subjects": 24, "per_class": {"anger": 150, "neutral": 90}},
    "goemotions": {"subjects": 0, "per_class": {"anger": 600, "fear": 600}},
    "deap": {"subjects": 6, "per_class": 200},
}
SHARES = (0.01, 0.05, 0.2)
SIZES = (9000, 18000, 36000)


def read(name: str, root: Path) -> list[Sample]:
    """Distinct payloads only."""
    found = [s for s in make_corpus(name).read(root, name) if isinstance(s, Sample)]
    return list({s.payload: s for s in found}.values())


def recall(samples: list[Sample], seeds: int) -> dict[str, Any]:
    """Sums over seeds and shares; `own`: samples that have a copy in the corpus as it is."""
    own = copies_of_itself(samples)
    planted: Counter[str] = Counter()
    found: Counter[str] = Counter()
    clean = wrong = 0
    by_share: dict[str, list[float]] = {}
    for share in SHARES:
        told = [plant(samples, share, seed, own) for seed in range(1, seeds + 1)]
        for one in told:
            planted += one.planted
            found += one.found
            clean, wrong = clean + one.clean, wrong + one.wrong
        by_share[f"{share:g}"] = [min(t.recall("exact") for t in told), min(t.near_recall for t in told)]
    return {
        "n": len(samples),
        "own": len(own),
        "kinds": {kind: [found[kind], planted[kind]] for kind in planted},
        "lowest_by_share": by_share,
        "clean": clean,
        "wrong": wrong,
    }


def faces(n: int, data: Path, seed: int = 0) -> list[Sample]:
    """n pictures of 48 x 48, a tenth of them corrupted copies of others."""
    rng = np.random.default_rng(seed)
    real = [decode_image(s.payload).astype(np.float32) for s in read("fer2013", data / "fer2013")]
    kinds = [f for kind, f in CORRUPTIONS["face"].items() if kind != "exact"]
    payloads = [encode_png(a.astype(np.uint8)) for a in real[: n - n // 10]]
    while len(payloads) < n - n // 10:
        first, second = (real[int(k)] for k in rng.integers(len(real), size=2))
        blend = rng.uniform(0.4, 0.6) * (first - second[:, ::-1]) + second[:, ::-1]
        size = int(rng.integers(36, 46))
        y, x = rng.integers(0, 48 - size, 2)
        payloads.append(encode_png(np.clip(blend[y : y + size, x : x + size], 0, 255).astype(np.uint8)))
    while len(payloads) < n:
        payloads.append(kinds[len(payloads) % len(kinds)](payloads[int(rng.integers(n - n // 10))], rng))
    return [Sample(f"c/{i:06d}", "c", "face", p, "png", "CC0-1.0", f"c/{i}") for i, p in enumerate(payloads)]


def cost(n: int, data: Path) -> dict[str, Any]:
    """Runs in a process of its own; what it takes to make the pictures is not counted."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        index = write_shards(faces(n, data), folder, 8, "shards/c")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun, cpu = time.perf_counter(), time.process_time()
        write_fingerprints(folder, index, folder / "near.parquet")
        prints_s = time.perf_counter() - begun
        pairs = near_pairs(read_table(folder / "near.parquet", FINGERPRINTS))
        return {
            "n": n,
            "fingerprints_s": round(prints_s, 1),
            "pairs_s": round(time.perf_counter() - begun - prints_s, 1),
            "cpu_s": round(time.process_time() - cpu, 1),
            "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "peak_before_mib": round(before / 1024),
            "near_mib": round((folder / "near.parquet").stat().st_size / 2**20, 1),
            "pairs": pairs.num_rows,
        }


def table(report: dict[str, Any]) -> str:
    """The tables of docs/audit.md."""
    lines = ["| corpus | samples | copy | found |", "|---|---:|---|---:|"]
    for name, told in report.get("recall", {}).items():
        for kind, (found, planted) in told["kinds"].items():
            lines.append(f"| {name} | {told['n']} | {kind} | {found} of {planted} ({found / planted:.1%}) |")
        told_wrong = f"{told['wrong']} of {told['clean']} ({told['wrong'] / max(1, told['clean']):.2%})"
        lines.append(f"| {name} | {told['n']} | **none: false alarms** | {told_wrong} |")
    head = ("faces", "fingerprints, s", "pairs, s", "CPU, s", "peak, MiB", "pairs found")
    keys = ("n", "fingerprints_s", "pairs_s", "cpu_s", "peak_mib", "pairs")
    lines += ["", f"| {' | '.join(head)} |", "|---:" * len(head) + "|"]
    lines += [f"| {' | '.join(str(row[key]) for key in keys)} |" for row in report.get("cost", [])]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=REPO.parent / "shared" / "data")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", choices=["recall", "cost"])
    parser.add_argument("--corpora", nargs="*", help="recall on these alone; fake:NAME: the fake one")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--size", type=int, help="(internal) one measurement of cost, in this process")
    args = parser.parse_args()
    if args.size:
        print(json.dumps(cost(args.size, args.data)))
        return
    report: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
    }
    if args.only != "cost":
        report["recall"] = {}
        made_up = {n: o for n, o in MADE_UP.items() if not args.corpora or {n, f"fake:{n}"} & set(args.corpora)}
        for name, options in made_up.items():
            with tempfile.TemporaryDirectory() as work:
                make_corpus(name).fake(Path(work), seed=1, **options)
                report["recall"][f"made up ({name})"] = recall(read(name, Path(work)), args.seeds)
        for name in (n for n in REAL if not args.corpora or n in args.corpora):
            report["recall"][name] = recall(read(name, args.data / name), args.seeds)
    if args.only != "recall":
        command = [sys.executable, __file__, "--data", str(args.data), "--size"]
        runs = [subprocess.run([*command, str(n)], check=True, capture_output=True, text=True) for n in SIZES]
        report["cost"] = [json.loads(run.stdout.splitlines()[-1]) for run in runs]
    print(table(report))
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
