"""What a command that only looks costs: `emoforge check`, and `emoforge demo` where nothing is to be done.

    python -m benchmarks.bench_commands PROJECT [--before EMOFORGE] [--repeats 5] [--out rows.json]

PROJECT is a folder in which the demo was built. Processor seconds of the command and all that it starts, imports
included, after one round that is not counted (`check` remembers what it worked out). --before: the `emoforge` of
another installation, asked in turn in the same folder; without it the goals alone stand beside.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rows import OURS, interleaved, row, table, write_rows

GOALS = {"check": 1.5, "demo": 2.0}  # processor seconds


def command(emoforge: str, name: str, project: Path) -> Callable[[], object]:
    """A call that runs it and raises where it cannot."""

    def run() -> None:
        done = subprocess.run([emoforge, name], cwd=project, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{emoforge} {name} ended with {done.returncode}: {(done.stdout + done.stderr)[-500:]}")

    return run


def children_s() -> float:
    """Processor seconds of all children that ended."""
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--before")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    ours = str(Path(sys.executable).with_name("emoforge"))
    rows = []
    for name, goal in GOALS.items():
        contenders = {OURS: command(ours, name, options.project)}
        if options.before:
            contenders["before"] = command(options.before, name, options.project)
            contenders["before"]()
        times = dict(interleaved(contenders, repeats=options.repeats, clock=children_s))
        work = f"`emoforge {name}`, nothing to do"
        rows.append(row(work, {**times, "allowed": [goal] * len(times[OURS])}, "allowed", goal=1.0))
        if options.before:
            rows.append(row(work, times, "before"))
    print(table(rows))
    if options.out is not None:
        write_rows(options.out, rows)


if __name__ == "__main__":
    main()
