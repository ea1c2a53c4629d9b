"""Work items and who does them: this process, or long-lived actors on a Ray cluster. The results are the same.

Which process does an item, in which order, and how often it was tried never changes what comes out: items are fixed,
threads are fixed, results of any size go into the work store, and a worker's result depends on its payload only. Only
flows/engine/{cluster,pool,train}.py know Ray.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from corpora.errors import EmoforgeError, ResourceError
from flows.engine.worker import call, limited_threads, load_object


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One piece of work. `key` names it in messages and results; `payload` is JSON-able."""

    key: str
    payload: Mapping[str, Any]


OnDone = Callable[[WorkItem, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Worker:
    """What does the items: "module:Class", built with `kwargs` (JSON-able) once in each process; it has `run(payload)
    -> result`."""

    name: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resources:
    """What the items need, as data. actors: processes; 0 does the work in this one, without Ray.

    threads: exact number in each process. device: "cpu" | "cuda"; with cuda every actor takes `gpus_per_actor` of a GPU
    (fractions share one). memory_mb: what Ray reserves for an actor, for placing it. address: of a Ray cluster; None:
    environment RAY_ADDRESS, and without that one of our own.
    """

    actors: int = 0
    threads: int = 1
    device: str = "cpu"
    gpus_per_actor: float = 0.0
    memory_mb: int | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if self.actors < 0 or self.threads < 1:
            raise ValueError(f"actors is {self.actors}, threads {self.threads}; at least 0 and 1 are wanted")

    @property
    def gpus(self) -> float:
        """Of a GPU, for each actor; 0 on the CPU."""
        return (self.gpus_per_actor or 1.0) if self.device.startswith("cuda") else 0.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How often an item is tried, and how long an actor may be silent on one before it is taken for dead (seconds)."""

    attempts: int = 3
    stall_s: float = 600.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or not self.stall_s > 0:
            raise ValueError(f"attempts is {self.attempts}, stall_s {self.stall_s}; at least 1 and above 0 are wanted")


class ItemFailedError(EmoforgeError):
    """An item whose actor died or fell silent each time that it was tried; names the item and the last cause."""


class Executor(AbstractContextManager["Executor"], Protocol):
    """Does work items; a context manager whose processes stay alive over several `run` calls."""

    def run(self, items: Iterable[WorkItem], on_done: OnDone) -> None:
        """Does every item once; `on_done(item, result)` is called in this thread, in the order in which they end.

        Raises what a worker raised (of its own type where possible), `ItemFailedError` for an item that takes its
        actors down, `ResourceError` if actors cannot start; results that came before were handed to `on_done`.
        """
        ...


class InProcess:
    """The items one after the other, in this process."""

    def __init__(self, worker: Worker, resources: Resources) -> None:
        self.worker, self.resources = worker, resources
        self._built: Any = None

    def __enter__(self) -> InProcess:
        _require_gpu_here(self.resources.gpus)
        return self

    def __exit__(self, *failure: object) -> None:
        self._built = None

    def run(self, items: Iterable[WorkItem], on_done: OnDone) -> None:
        """See `Executor.run`."""
        for item in items:
            with limited_threads(self.resources.threads):
                if self._built is None:
                    self._built = load_object(self.worker.name)(**self.worker.kwargs)
                result = call(self._built, item.payload)
            on_done(item, result)


def executor(worker: Worker, resources: Resources, patience: Patience | None = None) -> Executor:
    """`InProcess` for no actors, else a `RayPool` (`patience` is for actors that die)."""
    if resources.actors == 0:
        return InProcess(worker, resources)
    from flows.engine.pool import RayPool

    return RayPool(worker, resources, patience or Patience())


def _require_gpu_here(gpus: float) -> None:
    if not gpus:
        return
    import torch

    if not torch.cuda.is_available():
        raise ResourceError(
            f"numerics.device asks for CUDA, and torch {torch.__version__} sees no CUDA device here. "
            "Set numerics.device: cpu, or run where there is one."
        )
