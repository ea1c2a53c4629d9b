"""How a stage tells how far it is."""

from __future__ import annotations


def progress(line: str) -> None:
    """A plain line for the log, which the stage's caller streams to whoever watches."""
    print(line, flush=True)  # noqa: T201
