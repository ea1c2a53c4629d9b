"""How the cost of each stage grows with the number of samples, and the first stage that does not hold.

    OMP_NUM_THREADS=1 python -m benchmarks.bench_scale [--modality text] [--sizes 1000 2000 4000 10000] [--out FILE]

A fake corpus of each size (three classes, one of them a fifth of the others; 40 samples a person), the run that
`emoforge link` proposes for the modality, each stage a process of its own, one thread, no Ray. Processor seconds and
the largest memory of the process. Slope: of log cost against log n, both beyond those of the smallest size (1: linear;
above 1.2 is marked). A stage that fails or takes longer than --most seconds ends the column, and is the first thing
that breaks.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flows.conduct.proposals import PROPOSALS
from flows.stages.run import PLANNED

VERBS = ("fake", "reader", "ingest", "plan", *PLANNED)
READERS = {"text": "goemotions", "face": "fer2013", "speech": "ravdess"}
CLASSES = {
    "text": ("happiness", "sadness", "fear"),
    "face": ("happiness", "sadness", "fear"),
    "speech": ("happiness", "sadness", "fear"),
}
STAGE = """
import resource, sys, time
from pathlib import Path
from flows.stages.run import run_stage
run_stage(sys.argv[1], "scale", repo=Path.cwd())
used = resource.getrusage(resource.RUSAGE_SELF)
print("USED", used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""
STEEP = 1.2


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one stage at one size; processor_s, peak_mib: None where it did not end, and `why`."""

    stage: str
    n: int
    processor_s: float | None
    peak_mib: float | None
    why: str = ""


def params_of(modality: str, n: int) -> dict[str, object]:
    """The parameters of a project with one fake corpus of n samples and its run."""
    common, rare = round(n * 5 / 11), max(n - 2 * round(n * 5 / 11), 1)
    per_class = dict(zip(CLASSES[modality], (common, common, rare), strict=True))
    demo = {
        "reader": READERS[modality],
        "subjects": 0 if modality == "face" else max(n // 40, 12),
        "seed": 1,
        "per_class": per_class,
    }
    run = {"corpora": ["scale"], "seed": 1, **PROPOSALS[modality].run, "policy": {"on_fail": "flag"}}
    return {
        "demo": {"scale": demo},
        "corpora": {"scale": {"reader": READERS[modality], "shards": 16}},
        "runs": {"scale": run},
    }


def measure(modality: str, n: int, most_s: float) -> list[Cost]:
    """Of every stage in turn, up to the first that does not end."""
    costs: list[Cost] = []
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work).resolve()
        (folder / "params.yaml").write_text(yaml.safe_dump(params_of(modality, n), sort_keys=False))
        environment = os.environ | {
            "EMOFORGE_ACTORS": "0",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        }
        for verb in VERBS:
            command = [sys.executable, "-W", "ignore", "-c", STAGE, verb]
            try:
                done = subprocess.run(
                    command, cwd=folder, env=environment, capture_output=True, text=True, timeout=most_s
                )
            except subprocess.TimeoutExpired:
                return [*costs, Cost(verb, n, None, None, f"longer than {most_s:g} s")]
            used = [line.split() for line in done.stdout.splitlines() if line.startswith("USED ")]
            if done.returncode or not used:
                return [
                    *costs,
                    Cost(verb, n, None, None, done.stderr.strip()[-300:] or f"ended with {done.returncode}"),
                ]
            costs.append(Cost(verb, n, float(used[-1][1]), float(used[-1][2])))
            print(f"{modality} n={n} {verb}: {costs[-1].processor_s:.1f} s, {costs[-1].peak_mib:.0f} MiB", flush=True)
    return costs


def slope(points: list[tuple[int, float]]) -> float | None:
    """Of log cost against log n, both beyond those of the smallest size; None for fewer than 3 sizes, or where nothing
    grows by a tenth of a second."""
    if not points:
        return None
    (least_n, least), *rest = sorted(points)
    grown = [(math.log(n - least_n), math.log(cost - least)) for n, cost in rest if cost - least > 0.1]
    if len(grown) < 2:
        return None
    mean_x, mean_y = (sum(axis) / len(grown) for axis in zip(*grown, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in grown)
    return sum((x - mean_x) * (y - mean_y) for x, y in grown) / spread


def page(costs: list[Cost]) -> str:
    """A Markdown table: stages by sizes, seconds and MiB, with the slope."""
    sizes = sorted({cost.n for cost in costs})
    lines = ["| stage | " + " | ".join(f"n = {n:,}" for n in sizes) + " | slope |", "|---" * (len(sizes) + 2) + "|"]
    for stage in VERBS:
        own = {cost.n: cost for cost in costs if cost.stage == stage}
        cells = []
        for n in sizes:
            cost = own.get(n)
            if cost is None:
                cells.append("")
            elif cost.processor_s is None or cost.peak_mib is None:
                cells.append(f"**{cost.why.splitlines()[-1][:60]}**")
            else:
                cells.append(f"{cost.processor_s:.1f} s, {cost.peak_mib:.0f} MiB")
        steep = slope([(n, c.processor_s) for n, c in own.items() if c.processor_s is not None]) if own else None
        shown = "" if steep is None else f"{steep:.2f}" + (" (steep)" if steep > STEEP else "")
        lines.append(f"| {stage} | " + " | ".join(cells) + f" | {shown} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modality", choices=sorted(READERS), default="text")
    parser.add_argument("--sizes", nargs="+", type=int, default=[1000, 2000, 4000, 10000])
    parser.add_argument("--most", type=float, default=900.0, help="seconds by the clock of one stage")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    costs = [cost for n in options.sizes for cost in measure(options.modality, n, options.most)]
    print(page(costs))
    if options.out is not None:
        machine = {"cores": os.cpu_count(), "python": platform.python_version(), "modality": options.modality}
        options.out.write_text(json.dumps({"machine": machine, "costs": [asdict(cost) for cost in costs]}, indent=1))


if __name__ == "__main__":
    main()
