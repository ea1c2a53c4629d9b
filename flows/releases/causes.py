"""Why two releases differ: what happened, traced through the stages to what their plans differ in.

A thing that moved can only come of the stages that make it. Where a stage's work came out the same, whatever changed in
its plan is no cause of anything behind it: equal generators (their id names weights, parameters and code of sampling)
clear the fit, equal samples clear preparing and sampling. What is left are the causes; several at once cannot be told
apart without a run of each, and are all named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from corpora.errors import UserError
from flows.releases.git import git
from flows.releases.plans import Change

COMMITS = 3  # of each module
NAMED = 8  # changes in a sentence; all of them stand in `changes`
NOTHING = "no plan, library or commit that is known here differs: look at the machine and its numerics"


@dataclass(frozen=True, slots=True)
class Happened:
    """What moved, in words; "" where nothing did. redrawn: whether another generator drew."""

    real: str
    synthetic: str
    redrawn: bool
    verdicts: str
    uplift: str
    release: str


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that moved, and what can have made it move: changes, by their names. sure: there is but one.

    through: what moved before it and carried it, as the name of another `Cause`."""

    moved: str
    how: str
    changes: tuple[str, ...]
    through: tuple[str, ...]
    sure: bool

    @property
    def sentence(self) -> str:
        """For people."""
        shown = ", ".join(self.changes[:NAMED])
        more = len(self.changes) - NAMED
        parts = [shown + (f" and {more} more" if more > 0 else "")] if self.changes else []
        parts += [f"the {name} that moved" for name in self.through]
        if not parts:
            return NOTHING
        return parts[0] if self.sure else "one or more of: " + "; ".join(parts)


def caused(
    happened: Happened, changes: Sequence[Change], repo: Path | None, commits: tuple[str | None, str | None]
) -> tuple[list[Cause], list[Change]]:
    """-> what moved with its causes, and the changes with the commits that touched code between two releases."""
    known = [_with_commits(change, repo, commits) for change in changes]
    causes: list[Cause] = []

    def add(moved: str, how: str, stages: Sequence[str], through: Sequence[str]) -> None:
        if not how:
            return
        own = tuple(said_of(c) for c in known if c.kind != "library" and set(c.stages) & set(stages))
        carried = tuple(name for name in through if any(cause.moved == name for cause in causes))
        if not own and not carried:
            own = tuple(said_of(c) for c in known if c.kind == "library")
        causes.append(Cause(moved, how, own, carried, len(own) + len(carried) == 1))

    drawing = ("fit", "augment") if happened.redrawn else ("augment",)
    add("real samples", happened.real, ("prepare",), ())
    add("synthetic samples", happened.synthetic, drawing, ("real samples",))
    add("verdicts", happened.verdicts, ("evaluate",), ("real samples", "synthetic samples"))
    add("uplift", happened.uplift, ("evaluate",), ("real samples", "synthetic samples"))
    add("publication", happened.release, ("release",), ("verdicts", "real samples", "synthetic samples"))
    return causes, known


def said_of(change: Change) -> str:
    """ "runs.a.seed (1 -> 2)", "code training.loop (1a2b3c Faster)"."""
    if change.kind in ("parameter", "library"):
        return f"{change.what} ({_short(change.before)} -> {_short(change.after)})"
    commits = f" ({'; '.join(change.commits)})" if change.commits else ""
    return f"{change.kind} {change.what}{commits}"


def _short(value: object) -> str:
    shown = "nothing" if value is None else str(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _with_commits(change: Change, repo: Path | None, commits: tuple[str | None, str | None]) -> Change:
    """A change of code with the commits between both releases that touched the module; others as they are."""
    before, after = commits
    if change.kind != "code" or repo is None or before is None or after is None:
        return change
    stem = change.what.replace(".", "/")
    try:
        between = f"{before}..{after}"
        paths = [f"{stem}.py", f"{stem}/__init__.py"]
        log = git(repo, "log", "--format=%h %s", f"--max-count={COMMITS}", between, "--", *paths)
    except UserError:  # a commit that this clone does not have
        return change
    return replace(change, commits=tuple(log.splitlines()))
