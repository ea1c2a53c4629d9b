"""Bars on a terminal, plain lines in a log."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from emoforge import console
from emoforge.console import StageLines


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def spoken(*, terminal: bool, **environ: str) -> str:
    file = Screen() if terminal else io.StringIO()
    with StageLines(Console(file=file, width=100, _environ=environ)) as lines:
        lines.line("fit@toy", "Running stage 'fit@toy':")
        for step in (1, 5, 10):
            lines.line("fit@toy", f"fit: step {step} of 10, loss 0.5")
        lines.line("fit@toy", "kept [the] best")
    return file.getvalue()


def test_a_log_gets_every_line_as_it_is() -> None:
    said = spoken(terminal=False)
    assert [line.split(maxsplit=1)[1] for line in said.splitlines() if "step" in line] == [
        f"fit: step {step} of 10, loss 0.5" for step in (1, 5, 10)
    ]
    assert "kept [the] best" in said and "\x1b" not in said


def test_the_error_that_ends_a_run_is_left_to_who_raises_it() -> None:
    file = io.StringIO()
    with StageLines(Console(file=file, width=100)) as lines:
        for module, level, message in (
            ("dvcrun", logging.INFO, "error: too few"),
            ("pipeline", logging.WARNING, "a file is gone"),
            ("pipeline", logging.ERROR, "toy: too few"),
            ("task_engine", logging.ERROR, "Finished in state Failed: too few"),
            ("flow_engine", logging.ERROR, "Encountered exception: too few"),
            ("dispatch", logging.ERROR, "a disk is full"),
        ):
            record = logging.LogRecord("prefect", level, f"/x/{module}.py", 1, message, None, None)
            assert lines.show(record), "Prefect's own handlers get it"
    said = file.getvalue()
    assert said.count("too few") == 1 and "a file is gone" in said and "a disk is full" in said


def test_a_log_that_wants_colours_gets_no_bar() -> None:
    said = spoken(terminal=False, FORCE_COLOR="1", TERM="xterm-color")
    assert said.count("loss 0.5") == 3 and "\x1b[2m" in said and "━" not in said and "\x1b[1A" not in said


def test_a_terminal_gets_a_bar() -> None:
    said = spoken(terminal=True)
    assert "10/10" in said and "━" in said and "loss" not in said
    assert "kept [the] best" in said


def test_ids_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Rich writes 🅰 for ":a:", and whoever copies that id is told that nobody has it."""
    console.out.print("What stands on lab:a:b", markup=False)
    console.say("lab:heart:1 is out")
    console.complain("no subject lab:x:1")
    console.table("people", ["id"], [["lab:b:2"]])
    said = "".join(capsys.readouterr())
    assert all(name in said for name in ("lab:a:b", "lab:heart:1", "lab:x:1", "lab:b:2")), said
