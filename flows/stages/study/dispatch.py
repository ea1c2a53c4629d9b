"""The cells of a study as work items: those that the store has not, view by view; and what it keeps of each.

Shared by studies of classes and of other targets, whose workers differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import JsonValue

from corpora.errors import IntegrityError, InterruptedRunError, ResourceError
from corpora.fingerprint import hash_json
from flows.engine.executor import Worker, WorkItem, executor
from flows.engine.progress import Pace, progress
from flows.engine.store import MissingItemError, WorkStore
from flows.machine import Machine
from flows.stages.study.views import View

HERE_BELOW = 60  # cells: fewer are done in this process, before actors would have started
THREADS = 1  # of a worker: more would change the last digits of a sum
# What says nothing of an arm: a full disk, a storage that is down, an interruption. A cell that kept one of these as
# its answer would never be tried again.
NO_ANSWER = (ResourceError, InterruptedRunError, MissingItemError)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One cell that a study asks for. view: its place in the list of views."""

    key: str
    arm: str
    classifier: str
    view: int


@dataclass(frozen=True, slots=True)
class KeptCell:
    """What the store keeps of one cell. row: of CELLS; arrays, meta: of its item."""

    row: dict[str, JsonValue]
    arrays: Mapping[str, np.ndarray]
    meta: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Whether there are answers."""
        return bool(self.meta["status"] == "ok")


def compute_cells(
    cells: Sequence[Wanted],
    views: Sequence[View],
    worker: Worker,
    payload_of: Callable[[View, str, list[Wanted]], Mapping[str, JsonValue]],
    machine: Machine,
    store: WorkStore,
) -> None:
    """Does the cells that the store has not. payload_of: (view, store key of its rows, its missing cells) -> what the
    worker is asked, with a list "jobs"."""
    missing: dict[int, list[Wanted]] = {}
    for cell in cells:
        if not store.has(cell.key):
            missing.setdefault(cell.view, []).append(cell)
    n = sum(len(own) for own in missing.values())
    progress(f"study: {len(cells)} cells, {len(cells) - n} of them known")
    if not n:
        return
    items = []
    for number, own in missing.items():
        view = views[number]
        rows = {"train": view.train, "gone": view.gone, "test": view.test}
        key = f"studies/views/{hash_json([part.tolist() for part in rows.values()])[:40]}"
        store.put_arrays(key, rows, {})
        items.append(WorkItem(f"view {number}", payload_of(view, key, own)))
    pace = Pace("study", "cells", n)
    needs = machine.resources(threads=THREADS, here=n < HERE_BELOW)
    with executor(worker, needs, machine.patience()) as pool:
        pool.run(items, lambda item, _: pace.add(len(item.payload["jobs"])))
    pace.end()


def kept_cell(wanted: Wanted, number: int, view: View, store: WorkStore) -> KeptCell:
    """number: its place in the study, which tells cells of one content apart. Raises `IntegrityError` where the store
    lost it."""
    try:
        arrays, meta = store.get_arrays(wanted.key)
    except MissingItemError:
        raise IntegrityError(
            f"the work store {store.url} lost the cell {wanted.key!r}; run the same command again"
        ) from None
    row: dict[str, JsonValue] = {
        "cell": f"{wanted.key.rsplit('/', 1)[1][:32]}{number:08x}",
        "arm": wanted.arm,
        "classifier": wanted.classifier,
        "condition": view.condition,
        "pruned": view.pruned,
        "fold": view.fold,
        "seed": view.seed,
        **{key: meta[key] for key in ("status", "reason", "n_real", "n_added", "seconds")},
    }
    return KeptCell(row, arrays, meta)
