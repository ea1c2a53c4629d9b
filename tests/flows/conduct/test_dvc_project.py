"""The project as a DVC user meets it: repro, params, metrics, plots, experiments; no server anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.conduct.dvcrun import needed

Project = Callable[[Path, dict[str, Any]], Path]


@pytest.fixture
def clone(tmp_path: Path, repo: Path, tiny_params: Any, project: Project) -> Path:
    """A clone of this repository with the tiny run in place of the demo's, committed."""
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(repo), str(folder)], check=True)
    # what is not committed yet is tested too
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=repo, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (repo / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((repo / name).read_bytes())
    params = tiny_params("faces")
    params["runs"]["tiny"]["generator"] = {"name": "cvae", "steps": 20, "params": {"width": 8, "latent": 4}}
    project(folder, params)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Tiny run")
    return folder


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True)


def dvc(folder: Path, *words: str) -> str:
    environment = os.environ | {
        "EMOFORGE_ACTORS": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PREFECT_API_URL": "http://127.0.0.1:9/api",  # nothing may ask for it
        "GIT_AUTHOR_NAME": "test",
        "GIT_AUTHOR_EMAIL": "test@example.org",
        "GIT_COMMITTER_NAME": "test",
        "GIT_COMMITTER_EMAIL": "test@example.org",
    }
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"dvc {' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def release_hash(folder: Path) -> str:
    return json.loads((folder / "data/runs/tiny/release/manifest.json").read_text())["release_hash"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_repro_reruns_exactly_what_changed(
    clone: Path, tmp_path: Path, tiny_params: Any, project: Project, run_all: Any
) -> None:
    dvc(clone, "repro")
    plain = tiny_params("faces")
    plain["runs"]["tiny"]["generator"] = {"name": "cvae", "steps": 20, "params": {"width": 8, "latent": 4}}
    run_all(project(tmp_path / "plain", plain))
    assert release_hash(clone) == release_hash(tmp_path / "plain"), "dvc repro and plain functions agree"
    assert "Data and pipelines are up to date" in dvc(clone, "repro")

    def ran(output: str) -> set[str]:
        return {line.split("'")[1].split("@")[0] for line in output.splitlines() if line.startswith("Running stage")}

    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "Built")
    # a card of another corpus, and an edit in a reader that this one does not use: looked at, and nothing is read again
    (clone / "data/cards/other.yaml").write_text("title: Other\n")
    other = clone / "corpora/readers/speech/cafe.py"
    other.write_text(other.read_text() + "\n# an edit\n")
    assert needed(["reader@tiny", "ingest@tiny"], repo=clone) == []
    assert not {"fake", "ingest", "prepare"} & ran(dvc(clone, "repro"))
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "A card")
    # an edit in a generator that this run does not use: plan looks, and nothing else runs
    gan = clone / "generators/gan/gan.py"
    gan.write_text(gan.read_text() + "\n# an edit\n")
    assert ran(dvc(clone, "repro")) == {"plan"}
    # a gate's limit: nothing is fitted again
    params = (clone / "params.yaml").read_text()
    (clone / "params.yaml").write_text(params.replace("absolute: 0.0", "absolute: 0.01"))
    changed = ran(dvc(clone, "repro"))
    assert "augment" in changed and not {"fake", "ingest", "prepare", "fit"} & changed
    assert "absolute" in dvc(clone, "params", "diff")
    assert "uar_real" in dvc(clone, "metrics", "show")
    dvc(clone, "plots", "show", "--json")
    assert "fit@tiny" in dvc(clone, "dag")
    before = release_hash(clone)
    dvc(clone, "exp", "run", "-S", "runs.tiny.seed=11")
    assert release_hash(clone) != before
    assert "runs.tiny.seed" in dvc(clone, "exp", "diff") or "seed" in dvc(clone, "params", "diff")
