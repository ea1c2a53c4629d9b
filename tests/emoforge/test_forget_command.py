"""`emoforge forget` at the door, and what every other command then says of an old version."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from corpora.errors import GateError, UserError
from emoforge.cli import app
from flows.conduct.retraction.certificate import certificate_file
from flows.paths import Layout
from tests.flows.conduct.retraction.project_of_faces import project


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = project(tmp_path)
    monkeypatch.chdir(made.folder)
    return made.folder


def call(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def asked(*words: str) -> Any:
    return json.loads(call(*words, "--json")[1])


@pytest.mark.filterwarnings("ignore::corpora.store.removed.RetractedWarning")
def test_a_person_is_forgotten_and_every_command_says_so(repo: Path) -> None:
    with pytest.raises(UserError, match="name one thing"):
        call("forget")
    code, text = call("forget", "--subject", "c:s0", "--dry-run")
    assert (
        code == 0
        and "would be retracted" in text
        and "samples: 2, near copies: 3" in text
        and "emoforge run tiny both" in text
    )
    told = asked("forget", "--subject", "c:s0", "--reason", "asked to")
    assert told["samples"] == 2 and told["run"] == ["tiny", "both", "other"] and not told["known"]
    assert [v["tag"] for v in told["versions"]] == ["tiny@v1.0.0"] and Path(told["file"]).is_file()
    code, text = call("log", "tiny")
    assert code == 0 and "asked to" in text
    removed = {entry["tag"]: entry["removed"] for entry in asked("log", "tiny")}
    assert removed["tiny@v1.1.0"] == [] and removed["tiny@v1.0.0"][0]["holds"]["real"] == 3
    code, text = call("verify", "tiny@v1.0.0")
    assert code == 0 and "RETRACTED: a subject of c was retracted" in text and "intact" in text
    assert len(asked("checkout", "tiny@v1.0.0", "old")["removed"]) == 1 and (repo / "old/RETRACTED.json").is_file()
    for command in (["pack", "tiny@v1.0.0", "paper"], ["export", "tiny@v1.0.0", "audio"], ["study-kit", "tiny@v1.0.0"]):
        told_on_the_way = CliRunner().invoke(app, command).stderr  # that a kit of so few is refused is another matter
        assert "RETRACTED: a subject of c was retracted" in told_on_the_way, command
    with pytest.raises(UserError, match=r"tiny@v1\.0\.0 is not built again.*\(asked to\).*emoforge run tiny"):
        call("rebuild", "tiny@v1.0.0")
    with pytest.raises(GateError, match=r"tiny@v1\.0\.0 is sent nowhere any more: a subject of c was"):
        call("push-hub", "tiny@v1.0.0", "hf://datasets/lab/tiny")
    sides = asked("diff", "tiny@v1.0.0", "tiny@v1.1.0")["removed"]
    assert len(sides["before"]) == 1 and sides["after"] == []
    # what was checked out into the project's folder is somebody's: named and left, until they remove it
    code, text = call("forget", "--subject", "c:s0", "--purge")
    assert code == 1 and "left: old/" in text and "(payload)" in text, text
    shutil.rmtree(repo / "old")
    code, text = call("forget", "--subject", "c:s0", "--purge")
    assert code == 0 and "certificate: data/certificates/" in text, text
    assert certificate_file(Layout(repo), told["retraction"]).is_file()
    code, text = call("forget", "--audit", told["retraction"])
    assert code == 0 and "remote here" in text and "not reached: the raw files" in text
