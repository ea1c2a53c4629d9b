"""The speed table: every benchmark with a peer or a limit beside it, in one command.

    make bench DATA=FOLDER      or      OMP_NUM_THREADS=1 python -m benchmarks.bench --data FOLDER --peers FOLDER

Runs each part in a process of its own, one after the other (about 25 minutes), prints ratios, shares of the machine's
limit and what was reached, and compares them with the last run: a ratio whose whole range lies below the last one's is
named. Rows go to benchmarks/speed.json, the table to docs/performance.md between its two marks. A part whose corpus,
release or peer is not there is left out, and says so; its rows of the last run are dropped, not repeated.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rows import Row, read_rows, table, write_rows

ROOT = Path(__file__).resolve().parents[1]
LAST = ROOT / "benchmarks" / "speed.json"
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- speed table: written by `make bench` -->", "<!-- end of the speed table -->"
MOST_S = 900  # of one part


@dataclass(frozen=True)
class Part:
    """One benchmark. arguments: of `python -m module`, without where rows go; needs: paths that must be there."""

    name: str
    module: str
    arguments: Sequence[str]
    needs: Sequence[Path] = ()
    rows: str = "--out"


def parts(data: Path, peers: Path) -> list[Part]:
    """In the order in which they run."""
    faces = data / "fer2013" / "fer2013.csv"
    releases = [ROOT / "data" / "runs" / run / "release" for run in ("demo_speech", "demo_faces")]
    sets = [
        "frechet",
        "wide",
        "kid",
        "kid-large",
        "prdc",
        "spectrum",
        "--repeats",
        "3",
        "--long",
        "--peers",
        str(peers),
    ]
    sampling = ["--data", str(faces), "--n", "128", "--ddpm-n", "2", "--steps", "200", "--minutes", "4"]
    ingest = ["--data", str(data), "--scales", "1", "--repeats", "1", "--corpora", "fer2013", "goemotions"]
    return [
        Part("sets", "benchmarks.bench_measures", sets, [peers]),
        Part(
            "mcd",
            "benchmarks.bench_mcd",
            [str(data / "ravdess"), "--peers", str(peers), "--pairs", "10"],
            [peers / "pymcd", data / "ravdess"],
        ),
        Part("sampling", "benchmarks.bench_sampling", sampling, [faces]),
        Part("fit", "benchmarks.bench_fit", ["steps", "--repeats", "5"]),
        Part("draws", "benchmarks.bench_draws", ["--only", "vector", "signals", "text", "--n", "64"]),
        Part("reading", "benchmarks.bench_reading", [str(r) for r in releases], releases, "--rows"),
        Part("ingest", "benchmarks.bench_ingest", ingest, [faces, data / "goemotions"], "--rows"),
    ]


def run(part: Part) -> list[Row] | str:
    """Its rows, or why there are none."""
    missing = [str(path) for path in part.needs if not path.exists()]
    if missing:
        return f"{', '.join(missing)} not there"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, "-m", part.module, *part.arguments, part.rows, str(out)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=MOST_S)
        except subprocess.TimeoutExpired:
            return f"took more than {MOST_S} s"
        if done.returncode:
            return f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-300:]}"
        return read_rows(out)


def slower(now: Sequence[Row], before: Sequence[Row]) -> Iterator[str]:
    """What the last run did clearly better: all of this run's ratios lie below all of that one's."""
    last = {(one.work, one.peer): one for one in before}
    for one in now:
        old = last.get((one.work, one.peer))
        if old is not None and one.high < old.low:
            yield f"{one.work}, {one.peer}: {one.ratio:.2f} [{one.low:.2f}, {one.high:.2f}], {old.ratio:.2f} before"


def beyond(rows: Sequence[Row]) -> Iterator[str]:
    """Goals that were missed and that the machine's limit forbids: who needs nothing but the multiplications would not
    reach them either."""
    for one in rows:
        if one.reached is False and one.limit_share is not None and one.ratio / one.limit_share < (one.goal or 0.0):
            yield (f"Out of reach here: {one.work},\n{one.peer}: at the limit {one.ratio / one.limit_share:.2f} times.")


def page(text: str, rows: Sequence[Row], left_out: Sequence[str], recorded: str) -> str:
    """The page with the table between its marks. Raises `ValueError` where a mark is missing."""
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"{PAGE} has no {BEGIN!r} and {END!r}")
    goals = [one for one in rows if one.goal is not None]
    reached = sum(bool(one.reached) for one in goals)
    lines = [recorded, f"Goals reached: {reached} of {len(goals)}.", *beyond(rows), *left_out]
    return f"{before}{BEGIN}\n\n{table(rows)}\n\n" + "\n".join(lines) + f"\n\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "raw")
    parser.add_argument("--peers", type=Path, default=ROOT / ".bench" / "peers")
    parser.add_argument("--only", nargs="+", default=[], help="names of parts; nothing is written then")
    options = parser.parse_args()
    every = parts(options.data.resolve(), options.peers.resolve())
    chosen = [part for part in every if part.name in options.only or not options.only]
    rows: list[Row] = []
    left_out: list[str] = []
    for part in chosen:
        begun = time.monotonic()
        result = run(part)
        print(f"{part.name}: {time.monotonic() - begun:.0f} s", flush=True)
        if isinstance(result, str):
            left_out.append(f"Left out: {part.name} ({result}).")
            print(left_out[-1], file=sys.stderr, flush=True)
        else:
            rows += result
            print(table(result), flush=True)
    for line in slower(rows, read_rows(LAST) if LAST.exists() else []):
        print(f"slower than the last run: {line}")
    if options.only:
        return
    import torch

    machine = {"cpu": platform.machine(), "cores": str(os.cpu_count()), "torch": torch.__version__}
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    load = f"{os.getloadavg()[2]:.1f}"
    recorded = (
        f"Recorded {day}: {machine['cpu']}, {machine['cores']} cores, torch {machine['torch']}, one thread, processor "
        f"seconds, mean load {load}."
    )
    write_rows(LAST, rows, machine=machine | {"load": load})
    PAGE.write_text(page(PAGE.read_text("utf-8"), rows, left_out, recorded), "utf-8")
    print(json.dumps({"rows": len(rows), "left_out": len(left_out)}))


if __name__ == "__main__":
    main()
