"""`rebuild` and `push-hub` at the door: what a person reads, JSON and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import emoforge.releases.hub
import emoforge.releases.rebuilding
from emoforge.cli import app
from flows.publishing.hub import OnHub
from flows.rebuilding.difference import Difference
from flows.rebuilding.rebuild import Rebuilt
from flows.releases.plans import Change

CHANGE = Change("parameter", "runs.a.seed", 1, 2, ("fit",))
OTHER = Rebuilt(
    "a@v1.0.0",
    "x1",
    "x2",
    Difference("fit@a", "made another model", ("runs.a.seed (1 -> 2)",), (CHANGE,)),
    (),
    "/clone",
)
SAME = Rebuilt("a@v1.0.0", "x1", "x1", None, ("reader@c", "ingest@c"), None)
SENT = OnHub("a@v1.0.0", "lab/a", "http://hub/datasets/lab/a", "v1.0.0", "0f", False, 9, True)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)


def test_rebuild_says_what_differs_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def stand_in(tag: str, *, repo: Path, plans: bool, keep: bool, on_line: object) -> Rebuilt:
        asked.append((tag, plans, keep))
        return OTHER if plans else SAME

    monkeypatch.setattr(emoforge.releases.rebuilding, "do", stand_in)
    done = CliRunner().invoke(app, ["rebuild", "a@v1.0.0", "--plans"])
    assert done.exit_code == 1 and "First that differs: fit@a made another model: runs.a.seed (1 -> 2)" in done.stdout
    assert "parameter" in done.stdout and "built in /clone" in done.stdout
    told = json.loads(CliRunner().invoke(app, ["rebuild", "a@v1.0.0", "--plans", "--json"]).stdout)
    assert told["same"] is False and told["difference"]["changes"][0]["what"] == "runs.a.seed"
    done = CliRunner().invoke(app, ["rebuild", "a@v1.0.0", "--keep"])
    assert done.exit_code == 0 and "is the same again: release hash x1" in done.stdout
    assert "corpus c: its raw files are not here" in done.stdout
    assert asked[-1] == ("a@v1.0.0", False, True)


def test_push_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emoforge.releases.hub, "do", lambda tag, address, repo, private: SENT)
    done = CliRunner().invoke(app, ["push-hub", "a@v1.0.0", "hf://datasets/lab/a"])
    assert done.exit_code == 0 and "a@v1.0.0 -> http://hub/datasets/lab/a (public, revision v1.0.0)" in done.stdout
    told = CliRunner().invoke(app, ["push-hub", "a@v1.0.0", "hf://datasets/lab/a", "--json"]).stdout
    assert json.loads(told)["files"] == 9
