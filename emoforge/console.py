"""What the door prints: tables and lines for people, JSON for machines. Results on stdout, the rest on stderr."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from corpora.store.removed import notice_of

# no emoji: the person a:b of a corpus is no ":a:", and what is shown is what the next command is given
out = Console(soft_wrap=True, highlight=False, emoji=False)
err = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
_COUNTED = re.compile(r"\b(\d+) of (\d+)\b(?! candidates passed)")


def print_json(value: Any) -> None:
    """One JSON document on stdout, nothing else."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def complain(message: str) -> None:
    """The one message of an error."""
    err.print(f"[bold red]error:[/] {escape(message)}")


def say(message: str) -> None:
    """A line for the person who waits; not part of the result."""
    err.print(escape(message))


def warn_retracted(release: Path) -> None:
    """What of a release was retracted since, for whoever takes something out of it."""
    for line in notice_of(release):
        say(f"RETRACTED: {line}")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Columns named in `right` hold numbers. A log gets 160 columns, so that nothing is cut."""
    grid = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        grid.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(escape("" if cell is None else str(cell)) for cell in row))
    target = out if out.is_terminal else Console(width=160, soft_wrap=True, highlight=False, emoji=False)
    target.print(grid)


def verdict_text(verdict: str) -> str:
    """A verdict as tables show it: a failed one in capitals, any other as it is."""
    return {"pass": "pass", "fail": "FAIL", "undecided": "undecided"}.get(verdict, verdict)


def share(part: float, whole: float) -> str:
    """0.25 -> '25 %'; no share of nothing."""
    return f"{100 * part / whole:.0f} %" if whole else "-"


class StageLines:
    """What stages print: plain lines in a log; on a terminal "N of M" becomes a bar with rate and remaining time."""

    def __init__(self, target: Console = err) -> None:
        self._console = target
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        # FORCE_COLOR (notebooks, CI) asks for colours of what is no terminal: a bar there is thousands of lines
        if target.is_terminal and target.file.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                _Rate(),
                TimeRemainingColumn(),
            )
            self._bars = Progress(*columns, console=target, transient=True)

    def __enter__(self) -> StageLines:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def show(self, record: logging.LogRecord) -> bool:
        """A log filter that shows a record of the flow and lets it pass on to Prefect's own handlers. The error that
        ends a run is told once, by who raises it to the command; the stage has said it as well."""
        if record.levelno >= logging.ERROR and record.module in ("pipeline", "task_engine", "flow_engine"):
            return True
        if record.module in ("dvcrun", "pipeline") or record.levelno >= logging.WARNING:
            stage = str(getattr(record, "task_run_name", None) or getattr(record, "flow_run_name", ""))
            self.line(stage, record.getMessage())
        return True

    def line(self, stage: str, message: str) -> None:
        """One message of a stage: a bar on a terminal where it counts "N of M", else a plain line."""
        counted = _COUNTED.search(message)
        if self._bars and counted:
            what = f"{stage} {message.partition(':')[0] if ':' in message else ''}".strip()
            done, total = int(counted.group(1)), int(counted.group(2))
            if what not in self._tasks:
                self._end()
                self._tasks[what] = self._bars.add_task(escape(what), total=total)
            self._bars.update(self._tasks[what], completed=done, total=total)
            return
        if message.startswith("Running stage "):
            self._end()
        self._console.print(f"[dim]{escape(stage):<24}[/] {escape(message)}", highlight=False)

    def _end(self) -> None:
        for task in self._tasks.values():
            if self._bars:
                self._bars.remove_task(task)
        self._tasks = {}


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="dim")


def flat(values: Mapping[str, Any]) -> str:
    """{'a': 1, 'b': 2} -> 'a 1, b 2'."""
    return ", ".join(f"{key} {value}" for key, value in values.items())
