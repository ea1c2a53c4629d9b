"""The weekly check: its arguments, what it may empty, and which versions it names. The check itself takes minutes."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.main import get_command

from benchmarks import unpinned
from emoforge.cli import app


def test_its_arguments(tmp_path: Path) -> None:
    given = unpinned.parsed([str(tmp_path), "--torch", "torch==2.13.0"])
    assert (given.folder, given.torch, given.keep) == (tmp_path, "torch==2.13.0", False)
    with pytest.raises(SystemExit):
        unpinned.parsed([])


def test_it_empties_what_it_wrote_and_nothing_else(tmp_path: Path) -> None:
    folder = unpinned.fresh(tmp_path / "a")
    (folder / "venv").mkdir()
    assert [path.name for path in unpinned.fresh(folder).iterdir()] == [unpinned.MARK]
    with pytest.raises(SystemExit, match="lies in the clone"):
        unpinned.fresh(unpinned.REPO / ".bench" / "unpinned")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(SystemExit, match="is not empty"):
        unpinned.fresh(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").exists()


def test_which_versions_moved() -> None:
    pins = unpinned.pinned()
    assert pins["numpy"] and "great-expectations" in pins
    frozen = f"numpy=={pins['numpy']}\nGreat_Expectations==99.0\nnot-pinned==1\nemoforge @ file:///x\n"
    assert unpinned.moved(frozen) == {"great-expectations": (pins["great-expectations"], "99.0")}


def test_its_commands_exist() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert {words[0] for words in unpinned.SMOKE} - {"--version"} <= commands.keys()
