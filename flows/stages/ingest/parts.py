"""Reading a corpus: in this process or in parts side by side, and from where a killed run left off.

What comes out is the same whatever the number of parts: shards and tables are sorted, and an id that two parts met
stays with the item that the reader's order puts first.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from corpora.fingerprint import hash_json
from corpora.near.prints import Prints
from corpora.readers import make_corpus
from corpora.readers.described.corpus import Described
from corpora.records.bounds import out_of_bounds
from corpora.records.turns import CorpusChangedError, Turn, reading
from corpora.schema import Corpus, Reject
from corpora.store.spill import Spill, without_repeats
from flows.engine.executor import Worker, WorkItem, executor
from flows.engine.progress import Pace
from flows.params import Machine
from flows.stages.ingest.retracted import Filter, reject_of
from flows.stages.plan.code import INERT_FOR_READING, source_hash

Tell = Callable[[str], None]
Share = Callable[
    ["ReadTask", Path, Tell], int
]  # reads all parts somewhere, each into <work>/<part>; -> number of parts
# Below, starting a local Ray and its actors (some 12 s) takes longer than half of the reading.
SHARED_FROM_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class ReadTask:
    """What is read: all that decides what comes out, but for the code."""

    name: str
    reader: str
    options: dict[str, Any]
    root: str
    shards: int
    license: str
    base: str = "."  # what a card's path is relative to
    card_sha256: str | None = None  # of the card, where one describes the corpus
    retracted: tuple[str, ...] = ()  # hashed ids and payloads that never come in (flows/stages/ingest/retracted.py)

    def journal(self, part: int, parts: int) -> str:
        """Names this reading: another corpus, option, code that reads it or number of parts begins anew. The code of
        other readers, of splits, audits and near copies is none of it. Code by its bytes: hashing syntax trees costs
        more than most parts, and an edit between a crash and the next reading is rare."""
        corpus = make_corpus(self.reader, self.options, base=Path(self.base))
        code = source_hash([__name__, *reader_modules(corpus)], without=INERT_FOR_READING)
        return hash_json({**asdict(self), "part": part, "parts": parts, "code": code})


def reader_modules(corpus: Corpus) -> list[str]:
    """The modules that read a corpus: its reader's, of a described corpus also its layout's."""
    modules = [type(corpus).__module__]
    return [*modules, corpus.layout_module] if isinstance(corpus, Described) else modules


def read_corpus(
    task: ReadTask,
    work: Path,
    *,
    keep: bool,
    share: Share | None = None,
    tell: Tell | None = None,
    prints: Prints | None = None,
) -> list[Spill]:
    """Reads all of the corpus into folders below `work`. `keep`: they outlive a crash and are gone on with. `prints`:
    takes in what this process reads."""
    tell = tell or (lambda line: None)
    if share is None:
        spills = [read_part(task, work / "0", 0, 1, keep=keep, tell=tell, prints=prints)]
    else:
        parts = share(task, work, tell)
        spills = [Spill(work / str(part), task.shards, task.journal(part, parts)) for part in range(parts)]
        without_repeats(spills)
    n, rejected = sum(spill.n for spill in spills), sum(len(spill.rejects) for spill in spills)
    tell(f"{task.name}: {n} samples, {rejected} rejected files")
    return spills


def read_part(
    task: ReadTask, folder: Path, part: int, parts: int, *, keep: bool, tell: Tell, prints: Prints | None = None
) -> Spill:
    """One part, in this process. Raises what the reader raises."""
    journal = task.journal(part, parts) if keep or parts > 1 else None
    try:
        return _fill(Spill(folder, task.shards, journal), task, Turn(part, parts), tell, prints)
    except CorpusChangedError as error:
        tell(f"{task.name}: {error}; reading it anew")
        shutil.rmtree(folder)
        if prints is not None:
            prints.clear()
        return _fill(Spill(folder, task.shards, journal), task, Turn(part, parts), tell, prints)


def _fill(spill: Spill, task: ReadTask, turn: Turn, tell: Tell, prints: Prints | None) -> Spill:
    turn.done = spill.done
    if not spill.numbered:
        raise CorpusChangedError("its reader numbers no items, so nothing can be gone on with")
    if spill.done:
        tell(f"{task.name}: {len(spill.done)} files or rows were read before, going on behind them")
    pace, taken_out = Pace(task.name, "samples read", tell=tell), Filter(task.retracted)
    for item in _items(task, turn):
        if not turn.asked and turn.part > 0:
            break  # a reader that does not go through `read_items`: the first part reads it all
        place = (turn.number, turn.name, turn.state)
        if not isinstance(item, Reject) and (odd := out_of_bounds(item)) is not None:
            item = Reject(task.name, turn.name or item.sample_id, *odd)
        if not isinstance(item, Reject) and taken_out.covers(item):
            item = reject_of(task.name)
        if isinstance(item, Reject):
            spill.refuse(item, *place)
            continue
        spill.add(item if item.license == task.license else replace(item, license=task.license), *place)
        if prints is not None:
            prints.add(item)
        pace.add(1, lambda: f"{len(spill.rejects)} files rejected")
    if spill.done and max(spill.done) > turn.number:
        raise CorpusChangedError("files that were read are no longer there")
    return spill


def _items(task: ReadTask, turn: Turn) -> Iterator[Any]:
    corpus = make_corpus(task.reader, task.options, base=Path(task.base))
    with reading(turn):
        yield from corpus.read(Path(task.root), task.name)


def bytes_below(root: Path) -> int:
    """Size of all files of a raw corpus."""
    total, seen = 0, set()
    for folder, below, names in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:
            below.clear()  # a link back to where we were
            continue
        seen.add(place)
        for name in names:
            with suppress(OSError):
                total += (Path(folder) / name).stat().st_size
    return total


class PartReader:
    """The worker: one part of a corpus into its folder. See flows.engine.executor."""

    def __init__(self, task: dict[str, Any], work: str, parts: int) -> None:
        self.task, self.work, self.parts = ReadTask(**task), Path(work), parts

    def run(self, payload: dict[str, Any]) -> dict[str, Any]:
        part = int(payload["part"])
        spill = read_part(self.task, self.work / str(part), part, self.parts, keep=True, tell=lambda line: None)
        spill.close()
        return {"samples": spill.n, "rejects": len(spill.rejects)}


def shared_out(machine: Machine) -> Share:
    """A `Share` over `machine.actors` processes on this machine or cluster (which must see the corpus' folder)."""

    def share(task: ReadTask, work: Path, tell: Tell) -> int:
        parts = machine.actors
        items = [WorkItem(f"{task.name}: part {part + 1} of {parts}", {"part": part}) for part in range(parts)]
        kwargs = {"task": asdict(task), "work": str(work.resolve()), "parts": parts}
        reader = Worker("flows.stages.ingest.parts:PartReader", kwargs)
        with executor(reader, machine.resources(threads=1), machine.patience()) as pool:
            pool.run(items, lambda item, done: tell(f"{item.key}: {done['samples']} samples"))
        return parts

    return share
