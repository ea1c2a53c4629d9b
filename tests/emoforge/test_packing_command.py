"""`emoforge pack` at the door: files, questions for the author, JSON, and errors that people can read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpora.errors import IntegrityError, UserError
from emoforge.cli import app
from tests.flows.describing.tiny import write_described
from tests.small_release import real, write_release


def test_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_described(tmp_path / "release")
    done = CliRunner().invoke(app, ["pack", "release", "--json"])
    told = json.loads(done.stdout)
    assert done.exit_code == 0 and told["folder"] == "release-pack"
    assert sorted(told["files"]) == sorted(path.name for path in (tmp_path / "release-pack").iterdir())
    shown = CliRunner().invoke(app, ["pack", "release", "paper"]).stdout
    assert "main.tex puts them together" in shown
    assert all(question in shown for question in told["to_be_answered_by_the_author"])
    with pytest.raises(UserError, match="paper is there already"):
        CliRunner().invoke(app, ["pack", "release", "paper"], catch_exceptions=False)


def test_a_release_without_its_parameters_has_no_pack(tmp_path: Path) -> None:
    folder = write_release(tmp_path / "old", [real(0), real(1)])
    with pytest.raises(IntegrityError, match="json"):
        CliRunner().invoke(app, ["pack", str(folder), str(tmp_path / "paper")], catch_exceptions=False)
    assert not (tmp_path / "paper").exists()
