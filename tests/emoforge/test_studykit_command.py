"""`emoforge study-kit`, as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpora.errors import UserError
from emoforge.cli import app
from flows.raters.records import ANSWERS_FORMAT, read_key
from tests.flows.raters.kit_release import release_in


def call(*words: str) -> str:
    done = CliRunner().invoke(app, ["study-kit", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_from_a_release_to_what_raters_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    release_in(tmp_path / "release")
    said = json.loads(
        call("release", "page.html", "--per-class", "2", "--tasks", "real,quality", "--seed", "1", "--json")
    )
    assert said["tasks"] == ["real", "quality"] and (said["page"], said["key"]) == ("page.html", "page-KEY.json")
    assert said["n_bytes"] == (tmp_path / "page.html").stat().st_size and said["left_out"] == {}
    with pytest.raises(UserError, match="there already"):
        call("release", "page.html")
    key = read_key(tmp_path / "page-KEY.json")
    answers = [
        {"trial": t.code, "answer": t.expected or ("real" if t.task == "real" else "4"), "ms": 1} for t in key.trials
    ]
    whole = {
        "format": ANSWERS_FORMAT,
        "kit": key.kit,
        "rater": 1,
        "consent": True,
        "finished": True,
        "answers": answers,
    }
    (tmp_path / "a.json").write_text(json.dumps(whole))
    text = call("analyse", "page-KEY.json", "a.json")
    assert "1 of 1 raters count" in text and "MOS" in text and "fewer than three" in text
    told = json.loads(call("analyse", "page-KEY.json", "a.json", "--json"))
    assert told["raters"][0]["checks_passed"] == 2 and told["release"] == "tiny"
    d = next(m for m in told["measured"] if m["name"] == "d'")
    assert d["estimate"]["value"] == 0 and d["estimate"]["n"] == 8


def test_help_shows_both_ways() -> None:
    text = call("--help")
    assert "analyse" in text and "make" in text and "RELEASE" in text
