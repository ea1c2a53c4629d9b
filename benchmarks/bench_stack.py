"""What Prefect, Ray and DVC cost together: `emoforge run` on a tiny run against the same stages as plain functions.

    python benchmarks/bench_stack.py --repeats 3

Each repeat clones the project into a fresh folder, writes the same tiny params.yaml twice, and builds the release once
as plain functions in one process (no Ray, imports included), once with `emoforge run` (2 actors). Release hashes must
be equal. `again` is the second `emoforge run`, with nothing to do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
PARAMS = """
numerics: {draw_list: 4, fit_threads: 1}
demo: {tiny: {reader: fer2013, subjects: 0, seed: 1, per_class: {happiness: 40, anger: 30, neutral: 24}}}
corpora: {tiny: {reader: fer2013, shards: 2}}
runs:
  tiny:
    corpora: [tiny]
    representation: {name: pixels, size: 32}
    generator: {name: cvae, steps: 20, params: {width: 8, latent: 4}}
    gates:
      agreement: {limit: {absolute: 0.0}}
      copies: {limit: {absolute: 0.0}}
      frechet: {params: {embedding: hog, dims: 8}}
    policy: {on_fail: flag}
    evaluation: {bootstrap: 100}
"""
PLAIN = """
from pathlib import Path
from flows.stages.run import PLANNED, run_stage
for verb in ("fake", "reader", "ingest", "plan", *PLANNED):
    run_stage(verb, "tiny", repo=Path.cwd())
"""


def timed(command: list[str], folder: Path, **environment: str) -> float:
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{command} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return time.perf_counter() - begun


def release_hash(folder: Path) -> str:
    return json.loads((folder / "data/runs/tiny/release/manifest.json").read_text())["release_hash"]


def once(work: Path) -> dict[str, float]:
    folders = {}
    for name in ("plain", "stack"):
        folders[name] = work / name
        subprocess.run(["git", "clone", "-q", str(REPO), str(folders[name])], check=True)
        (folders[name] / "params.yaml").write_text(PARAMS)
    run = [sys.executable, "-W", "ignore", "-m", "emoforge", "run", "tiny"]
    seconds = {
        "plain": timed([sys.executable, "-W", "ignore", "-c", PLAIN], folders["plain"], EMOFORGE_ACTORS="0"),
        "stack": timed(run, folders["stack"], EMOFORGE_ACTORS="2"),
        "again": timed(run, folders["stack"], EMOFORGE_ACTORS="2"),
    }
    assert release_hash(folders["plain"]) == release_hash(folders["stack"])
    return seconds | {"fixed_cost": seconds["stack"] - seconds["plain"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    rows = []
    for _ in range(args.repeats):
        with tempfile.TemporaryDirectory() as work:
            rows.append(once(Path(work).resolve()))
    print(
        json.dumps(
            {
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                "python": platform.python_version(),
                "versions": {p: version(p) for p in ("prefect", "ray", "dvc", "torch")},
                "repeats": args.repeats,
                "seconds": {
                    k: [round(f([r[k] for r in rows]), 1) for f in (min, statistics.median, max)] for k in rows[0]
                },
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
