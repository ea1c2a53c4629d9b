"""Whether a corpus' files are others than when it was taken in: sizes and times first, bytes only where those differ.

What was seen is kept in .emoforge/watch; safe to delete: the next look then asks DVC, which hashes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from corpora.errors import UnknownNameError
from corpora.fingerprint import hash_json
from corpora.store.atomic import write_json
from flows.conduct.dvcrun import reasons
from flows.params import Params
from flows.paths import Layout

State = Literal["as before", "changed", "changing", "not there"]
SETTLED_S = 120.0  # a file younger than this may still be copied


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a corpus. stamp: hash of names, sizes and times, to be kept when the corpus is taken in; why: of a
    change, DVC's reasons."""

    corpus: str
    state: State
    stamp: str = ""
    why: tuple[str, ...] = ()


def watched(params: Params, named: Sequence[str] | None) -> list[str]:
    """Corpora to look at: those named, else all that are not the demo's. Raises `UnknownNameError`."""
    for name in named or []:
        if name not in params.corpora:
            raise UnknownNameError.of("corpus", name, params.corpora)
    return list(named or [name for name in params.corpora if name not in params.demo])


def look(corpus: str, repo: Path, *, settled_s: float = SETTLED_S) -> Look:
    """Compares names, sizes and times with the last look; where they differ, DVC says whether bytes do.

    "changing": a file is younger than `settled_s` seconds; the next look will tell. Raises what `reasons` raises.
    """
    layout = Layout(repo)
    root = layout.raw(corpus)
    if not root.is_dir():
        return Look(corpus, "not there")
    listed, newest = _listing(root)
    stamp = hash_json(listed)
    if stamp == _seen(layout, corpus):
        return Look(corpus, "as before", stamp)
    if time.time() - newest < settled_s:
        return Look(corpus, "changing", stamp)
    stage = f"ingest@{corpus}"
    why = reasons([stage], repo=repo).get(stage, [])
    if why:
        return Look(corpus, "changed", stamp, tuple(why))
    keep(Look(corpus, "as before", stamp), repo)  # touched, moved, or never looked at
    return Look(corpus, "as before", stamp)


def keep(seen: Look, repo: Path) -> None:
    """Remembers a corpus as it was looked at: after it was taken in, not before."""
    path = _path(Layout(repo), seen.corpus)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"stamp": seen.stamp})


def runs_of(params: Params, corpora: Sequence[str]) -> list[str]:
    """Runs that read one of the corpora, in the order of params.yaml."""
    return [name for name, run in params.runs.items() if set(run.corpora) & set(corpora)]


def _listing(root: Path) -> tuple[list[list[str | int]], float]:
    """([path below the root, bytes, time of change in ns] of every file, sorted; unix time of the newest change)."""
    rows: list[list[str | int]] = []
    newest = 0.0
    for path in _files(root):
        stat = path.stat()
        rows.append([path.relative_to(root).as_posix(), stat.st_size, stat.st_mtime_ns])
        newest = max(newest, stat.st_mtime)
    return sorted(rows, key=lambda row: str(row[0])), newest


def _files(root: Path) -> Iterator[Path]:
    """Links are followed: a corpus may lie on several disks. A link that leads nowhere is passed over, as DVC does."""
    for base, _, names in os.walk(root, followlinks=True):
        yield from (path for name in names if (path := Path(base) / name).is_file())


def _seen(layout: Layout, corpus: str) -> str | None:
    try:
        return str(json.loads(_path(layout, corpus).read_text(encoding="utf-8"))["stamp"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _path(layout: Layout, corpus: str) -> Path:
    return layout.scratch / "watch" / f"{corpus}.json"
