"""`emoforge rebuild`: what it shows."""

from __future__ import annotations

from pathlib import Path

from emoforge import console
from flows.rebuilding.rebuild import Rebuilt
from flows.rebuilding.rebuild import rebuild as do


def rebuild(tag: str, repo: Path, *, plans: bool, keep: bool, as_json: bool) -> bool:
    """Prints what came of it; -> whether it is the same. Raises what `flows.rebuilding.rebuild.rebuild` raises."""
    done = do(tag, repo=repo, plans=plans, keep=keep, on_line=console.say)
    if as_json:
        console.print_json(done.as_dict())
    else:
        print_rebuilt(done)
    return done.same


def print_rebuilt(done: Rebuilt) -> None:
    """The answer first, then what differs, and where to look."""
    console.out.print(done.sentence, markup=False)
    if done.difference is not None and done.difference.changes:
        rows = [[c.kind, c.what, c.before, c.after, ", ".join(c.commits)] for c in done.difference.changes]
        console.table("what differs", ["kind", "what", "version", "here", "commits"], rows)
    for stage in done.fetched:
        if stage.startswith("ingest@"):
            corpus = stage.partition("@")[2]
            console.out.print(f"  corpus {corpus}: its raw files are not here, so it was taken as it had been read")
    if done.folder is not None:
        console.out.print(f"  built in {done.folder}; remove it when you have looked", markup=False)
