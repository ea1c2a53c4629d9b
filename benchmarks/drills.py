"""Kills stages at random moments and builds on: does the release come out the same?

    python -m benchmarks.drills --kills 100 [--seed 1] [--out FILE.json]

A tiny run (94 fake faces, a cvae of 20 steps) is built once undisturbed, each stage a process of its own: that gives
the hash of every stage's outs and the time that each takes. Then, for each kill, a moment of that whole time is chosen
by the seed: the state before the stage in which it falls is put back, the stage is started, killed with SIGKILL at that
moment (with all that it started), and started again as often as it takes to end. What it leaves must have the hash of
the undisturbed build; what a killed stage leaves beside its outs is counted. The work store is kept over the kills of
one round, as it would be.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.bench_stack import PARAMS
from corpora.fingerprint import hash_file, hash_folder
from flows.stages.run import PLANNED

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("fake", "reader", "ingest", "plan", *PLANNED)
RUN = "data/runs/tiny"
OUTS = {
    "fake": ["data/raw/tiny"],
    "reader": ["data/readers/tiny.json"],
    "ingest": ["data/corpora/tiny"],
    "plan": [f"{RUN}/plan"],
    "prepare": [f"{RUN}/prepared"],
    "fit": [f"{RUN}/model"],  # fit.json says how long it took
    "augment": [f"{RUN}/augmented"],
    "evaluate": [f"{RUN}/evaluation"],
    "release": [f"{RUN}/release"],
    "report": [],  # its page says when it was made
}


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill. at_s: into the stage, by the clock; landed: the stage had not ended before; same: what came out has the
    hash of the undisturbed build; left: files and folders beside the outs that the kill left and the next run did not
    clear up."""

    stage: str
    at_s: float
    landed: bool
    same: bool
    left: int


def start(stage: str, folder: Path) -> subprocess.Popen[bytes]:
    """The stage in a process group of its own, without Ray."""
    environment = os.environ | {
        "EMOFORGE_ACTORS": "0",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-W", "ignore", "-m", "emoforge", "stage", stage, "tiny"]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(stage: str, folder: Path) -> float:
    """Runs it to its end; -> seconds by the clock. Raises `SystemExit` where it fails."""
    begun = time.perf_counter()
    running = start(stage, folder)
    said, _ = running.communicate()
    if running.returncode:
        raise SystemExit(f"{stage} ended with {running.returncode}:\n{said.decode()[-2000:]}")
    return time.perf_counter() - begun


def hashes(stage: str, folder: Path) -> list[str]:
    """Of its outs."""
    return [hash_folder(folder / out) if (folder / out).is_dir() else hash_file(folder / out) for out in OUTS[stage]]


def names(folder: Path) -> set[str]:
    """Entries of the folders in which outs stand."""
    places = [folder / place for place in ("data/raw", "data/readers", "data/corpora", RUN)]
    return {str(entry.relative_to(folder)) for place in places if place.is_dir() for entry in place.iterdir()}


def kill(stage: str, at_s: float, folder: Path) -> bool:
    """Starts the stage and kills it with all that it started; -> False where it had ended before."""
    running = start(stage, folder)
    time.sleep(at_s)
    landed = running.poll() is None
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    return landed


def drill(kills: int, seed: int, work: Path) -> list[Kill]:
    """The undisturbed build, then `kills` kills in the order of stages, so that one state is put back for each."""
    folder, states = work / "project", work / "states"
    folder.mkdir()
    (folder / "params.yaml").write_text(PARAMS)
    shutil.copy(ROOT / "dvc.yaml", folder)  # by which a folder is known as a project
    (folder / "data" / "cards").mkdir(parents=True)
    seconds, wanted, there = {}, {}, {}
    for stage in STAGES:
        shutil.copytree(folder / "data", states / stage)
        seconds[stage] = finish(stage, folder)
        wanted[stage], there[stage] = hashes(stage, folder), names(folder)
        print(f"{stage}: {seconds[stage]:.1f} s undisturbed", flush=True)
    rng = random.Random(seed)
    chosen = rng.choices(STAGES, [seconds[stage] for stage in STAGES], k=kills)
    done = []
    for stage in sorted(chosen, key=STAGES.index):
        shutil.rmtree(folder / "data")
        shutil.copytree(states / stage, folder / "data")
        if rng.random() < 0.5:  # else what is finished lies in the work store, and there is less to interrupt
            shutil.rmtree(folder / ".emoforge", ignore_errors=True)
        at_s = rng.uniform(0.0, seconds[stage])
        landed = kill(stage, at_s, folder)
        finish(stage, folder)
        same = hashes(stage, folder) == wanted[stage]
        done.append(Kill(stage, round(at_s, 2), landed, same, len(names(folder) - there[stage])))
        print(f"{len(done)}: {done[-1]}", flush=True)
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        done = drill(options.kills, options.seed, Path(work).resolve())
    landed = [one for one in done if one.landed]
    print("| stage | kills that landed | same hash | left beside |\n|---|---|---|---|")
    by_stage = Counter(one.stage for one in landed)
    for stage in STAGES:
        if own := [one for one in landed if one.stage == stage]:
            print(f"| {stage} | {by_stage[stage]} | {sum(o.same for o in own)} | {sum(o.left for o in own)} |")
    print(f"{len(landed)} of {len(done)} kills landed, {sum(one.same for one in landed)} came out the same")
    if options.out is not None:
        machine = {"cores": os.cpu_count(), "python": platform.python_version()}
        options.out.write_text(json.dumps({"machine": machine, "kills": [asdict(one) for one in done]}, indent=1))
    if not all(one.same for one in done):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
