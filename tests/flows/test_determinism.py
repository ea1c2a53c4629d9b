"""The same inputs give the same release, whoever does the work and whatever dies on the way."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

Project = Callable[[Path, dict[str, Any]], Path]


def release_hash(folder: Path) -> str:
    return json.loads((folder / "data/runs/tiny/release/manifest.json").read_text())["release_hash"]


def stage(folder: Path, verb: str, repo: Path, actors: int) -> subprocess.Popen[bytes]:
    environment = os.environ | {"EMOFORGE_ACTORS": str(actors), "PYTHONPATH": str(repo)}
    command = [sys.executable, "-m", "emoforge", "stage", verb, "tiny"]
    log = (folder / f"{verb}.log").open("ab")
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)


def finished_items(folder: Path) -> int:
    return sum(1 for p in (folder / ".emoforge/store/samples").rglob("*") if p.is_file())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_actors_one_of_them_killed_and_a_killed_run(
    tmp_path: Path, repo: Path, tiny_params: Any, project: Project, run_all: Any
) -> None:
    params = tiny_params("speech")
    params["demo"]["tiny"]["per_class"] = {"anger": 48, "neutral": 24, "sadness": 12}
    alone = project(tmp_path / "alone", params)
    run_all(alone, stages=("fake", "ingest", "plan", "prepare", "fit"))
    crowd = tmp_path / "crowd"
    shutil.copytree(alone, crowd, symlinks=True)
    shutil.rmtree(crowd / ".emoforge")
    shutil.copy(repo / "dvc.yaml", crowd)  # what the door knows a project by
    run_all(alone, stages=("augment", "evaluate", "release"))

    # two actors; once work is under way one actor is killed, then the whole run, as an unlucky night would do it
    process = stage(crowd, "augment", repo, actors=2)
    deadline = time.monotonic() + 240
    while finished_items(crowd) < 1 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for child in children:
        if "Actor" in child.name() or "ray::" in " ".join(child.cmdline() or [child.name()]):
            child.send_signal(signal.SIGKILL)
            break
    time.sleep(random.uniform(0.0, 1.0))
    if process.poll() is None:
        process.kill()
    process.wait()
    assert (crowd / "data/runs/tiny/augmented").exists() == (process.returncode == 0), "whole or not at all"

    again = stage(crowd, "augment", repo, actors=2)
    assert again.wait(timeout=300) == 0, (crowd / "augment.log").read_text()[-3000:]
    run_all(crowd, stages=("evaluate", "release"))
    assert release_hash(alone) == release_hash(crowd)
