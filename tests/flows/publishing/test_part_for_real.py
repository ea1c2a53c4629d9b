"""A part by the command line, with DVC itself: pushed to a folder, and got again by its tag with dvc alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpora.errors import GateError
from corpora.store.verify import check_release
from emoforge.cli import app
from flows.conduct import publish as conduct
from tests.flows.describing.tiny import CARD, write_described
from tests.flows.publishing.test_part import NC, PARAMS, TAG
from tests.flows.releases.published import Published

pytestmark = pytest.mark.slow


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Published:
    made = Published(tmp_path / "one" / "project")
    (made.folder / "params.yaml").write_text(PARAMS)
    (made.folder / ".gitignore").write_text("/data/runs\n/.emoforge\n")
    run = made.folder / "data/runs/tiny"
    write_described(run / "release", name="tiny", corpora=[{"id": "c", "card": NC}])
    made.built(run)
    made.git("add", "-A")
    made.git("commit", "-q", "-m", "begin")
    shutil.rmtree(made.remote)
    monkeypatch.setattr(conduct, "stages_of", lambda params, runs: [])  # of a run that was written by hand
    monkeypatch.chdir(made.folder)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    return made


def test_published_logged_checked_out_and_got_by_dvc(project: Published, tmp_path: Path) -> None:
    told = json.loads(CliRunner().invoke(app, ["publish", "tiny", "--only", "synthetic", "--json"]).stdout)
    assert told["tag"] == TAG and told["pushed"] == ["data/parts/tiny-synthetic/release"]
    assert project.git("status", "--porcelain") == ""
    again = CliRunner().invoke(app, ["publish", "tiny", "--only", "synthetic"])
    assert f"nothing to publish: tiny-synthetic has not changed since {TAG}" in " ".join(again.stdout.split())
    log = json.loads(CliRunner().invoke(app, ["log", "tiny-synthetic", "--json"]).stdout)
    assert [(one["tag"], one["real"], one["synthetic"]) for one in log] == [(TAG, 0, 3)]
    for path in project.remote.rglob("*"):
        assert not path.is_file() or b"RIFF" not in path.read_bytes() or b"syn/9e1d" in path.read_bytes()
    project.forget()
    done = CliRunner().invoke(app, ["checkout", TAG, str(tmp_path / "out")])
    assert done.exit_code == 0 and check_release(tmp_path / "out").intact
    words = [sys.executable, "-m", "dvc", "get", "-q", str(project.folder), "data/parts/tiny-synthetic/release"]
    subprocess.run([*words, "--rev", TAG, "-o", str(tmp_path / "got")], check=True, cwd=tmp_path)
    assert check_release(tmp_path / "got").intact
    traced = CliRunner().invoke(app, ["trace", "syn/9e1d/20", "--release", TAG])
    assert traced.exit_code == 0 and "9e1d" in traced.stdout


def test_a_refusal_is_one_message(project: Published) -> None:
    run = project.folder / "data/runs/tiny"
    shutil.rmtree(run / "release")
    card = {**CARD, "license": "CC-BY-NC-ND-4.0", "may_redistribute": True}
    write_described(run / "release", name="tiny", corpora=[{"id": "c", "card": card}])
    with pytest.raises(GateError, match="but not Share, Adapted Material"):
        CliRunner().invoke(app, ["publish", "tiny", "--only", "synthetic"], catch_exceptions=False)
