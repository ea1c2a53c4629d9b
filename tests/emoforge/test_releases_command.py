"""What a person does with releases, at the door: tables, JSON and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from corpora.errors import UserError
from corpora.store.release import open_release
from emoforge.cli import app
from tests.flows.releases.published import Published
from tests.small_release import made, real, write_release, write_stub_report


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """tiny@v1.0.0, tiny@v1.1.0 with a sample more, and the second as the run's release."""
    place = tmp_path_factory.mktemp("project")
    published = Published(place / "project")
    samples = [*map(real, range(8)), *map(made, range(4))]
    run = published.folder / "data/runs/tiny"
    for number, of in (("v1.0.0", samples), ("v1.1.0", [*samples, made(5)])):
        write_release(run / "release", of, verdicts=[{}])
        published.version(run, number)
    return published


def call(project: Published, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str]:
    monkeypatch.chdir(project.folder)
    done = CliRunner().invoke(app, list(words))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def asked(project: Published, monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    _, text = call(project, monkeypatch, *words, "--json")
    return json.loads(text)


def test_log(project: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    told = asked(project, monkeypatch, "log", "tiny")
    assert [(v["tag"], v["real"], v["synthetic"], v["bump"]) for v in told] == [
        ("tiny@v1.1.0", 8, 5, "minor"),
        ("tiny@v1.0.0", 8, 4, "first"),
    ]
    code, text = call(project, monkeypatch, "log", "tiny")
    assert code == 0 and "tiny@v1.0.0" in text and "pass 1" in text and told[0]["release_hash"][:12] in text


def test_verify(project: Published, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for named in ("tiny", "tiny@v1.0.0", "data/runs/tiny/release", "data/runs/tiny"):
        assert asked(project, monkeypatch, "verify", named)["intact"], named
    folder = write_release(tmp_path / "other", [real(1), real(2)])
    tar = next(folder.glob("shards/*.tar"))
    data = bytearray(tar.read_bytes())
    data[700] ^= 4
    tar.write_bytes(bytes(data))
    (folder / "mine.txt").write_text("mine")
    code, text = call(project, monkeypatch, "verify", str(folder))
    sample = asked(project, monkeypatch, "verify", str(folder))["problems"][0]["samples"][0]
    assert code == 1 and sample["part"] == "payload" and sample["sample_id"] in text
    assert f"shards/{tar.name}" in text and "not of the release: mine.txt" in text
    code, text = call(project, monkeypatch, "inspect", str(project.folder / "data/runs/tiny/release"))
    assert code == 0 and "intact" in text
    assert call(project, monkeypatch, "inspect", "tiny") == (code, text), "a run stands for its release"


def test_a_run_ends_with_where_its_release_is(project: Published, capsys: pytest.CaptureFixture[str]) -> None:
    from emoforge.summary import print_end

    print_end("tiny", project.folder)
    printed = capsys.readouterr().out.replace("\n", "")
    assert f"Release: {project.folder / 'data/runs/tiny/release'}, " in printed
    assert printed.endswith("Next: emoforge inspect tiny")


def test_checkout(project: Published, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    target = tmp_path / "old"
    told = asked(project, monkeypatch, "checkout", "tiny@v1.0.0", str(target))
    assert open_release(target).release_hash == told["release_hash"]
    assert len(list(open_release(target).samples())) == 12
    with pytest.raises(UserError, match="is there already"):
        call(project, monkeypatch, "checkout", "tiny@v1.0.0", str(target))
    with pytest.raises(UserError, match="is no version"):
        call(project, monkeypatch, "checkout", "tiny", str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == [target]


def test_diff_and_its_page(project: Published, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = asked(project, monkeypatch, "diff", "tiny@v1.0.0", "tiny", "--html", str(tmp_path / "d.html"))
    assert told["bump"] == "minor" and told["because"] == ["samples: 0 real and 1 synthetic came"]
    assert [(one["what"], one["kind"], one["n"]) for one in told["moved"]] == [("came", "synthetic", 1)]
    assert any("no plans lie beside it" in note for note in told["notes"])
    assert "tiny@v1.0.0 → tiny" in (tmp_path / "d.html").read_text(encoding="utf-8")
    code, text = call(project, monkeypatch, "diff", "tiny@v1.0.0", "tiny@v1.1.0")
    assert code == 0 and "1 came" in text and "bump: minor" in text
    code, text = call(project, monkeypatch, "diff", "tiny", "tiny@latest")
    assert code == 0 and "are the same" in text
    with pytest.raises(UserError, match=r"ends in \.html"):
        call(project, monkeypatch, "diff", "tiny", "tiny@latest", "--html", "page.txt")


def test_the_report_with_what_changed(project: Published, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = write_stub_report(project.folder / "data/runs/tiny")
    told = asked(project, monkeypatch, "report", "tiny", "--against", "tiny@v1.0.0", "--out", str(tmp_path / "r.html"))
    assert told == {
        "page": str(tmp_path / "r.html"),
        "release": "tiny",
        "title": "What changed since tiny@v1.0.0",
        "said": "synthetic samples: 1 came",
    }
    written = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert '<section id="changed">' in written and "synthetic samples: 1 came" in written
    code, text = call(project, monkeypatch, "report", "tiny", "--out", str(tmp_path / "same.html"))
    assert code == 0 and "this is the same release as tiny@v1.1.0" in " ".join(text.split())
    folder = str(project.folder / "data/runs/tiny/release")
    assert asked(project, monkeypatch, "report", "tiny", "--against", folder, "--out", str(tmp_path / "b.html"))["page"]
    with pytest.raises(UserError, match=r"ends in \.html"):
        call(project, monkeypatch, "report", "tiny", "--out", "page.txt")
    with pytest.raises(UserError, match=r"names no report\.html"):
        call(project, monkeypatch, "report", "tiny@v1.0.0")
    page.unlink()
    with pytest.raises(UserError, match="has no report"):
        call(project, monkeypatch, "report", "tiny")
