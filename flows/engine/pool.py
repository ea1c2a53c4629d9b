"""The dispatcher over long-lived Ray actors: every item is done whatever dies on the way.

Actors are plain Ray actors without Ray's own retries (these hang when a node is lost). An item whose actor or node
dies, or which is silent for too long, goes back to the head of the queue; one that takes its actor down again and
again is an error that names it. An error that a worker raises is an answer: never retried, raised here as it was.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import corpora.quiet  # noqa: F401  (first in every actor: no telemetry, nothing beyond loopback)
from corpora.errors import ResourceError
from flows.engine.cluster import connected, places, plainly, term_interrupts
from flows.engine.executor import ItemFailedError, OnDone, Patience, Resources, Worker, WorkItem
from flows.engine.worker import WorkerHost, environment, rebuild_error

log = logging.getLogger(__name__)

POLL_S = 1.0


@dataclass(slots=True)
class _Task:
    item: WorkItem
    attempts: int = 0
    cause: str = ""


@dataclass(slots=True)
class _Slot:
    """One actor and what it is at. `ref` is None: idle."""

    actor: Any
    ref: Any
    since: float
    ready: bool = False
    task: _Task | None = None


class RayPool:
    """Actors that stay alive over several `run` calls; an `Executor`.

    A cluster's nodes need this environment and this repository at the same path, or emoforge installed. An item is
    given up after `patience.attempts` dead actors. Entering raises `ResourceError` where the cluster does not answer or
    has not what is asked for.
    """

    def __init__(self, worker: Worker, resources: Resources, patience: Patience) -> None:
        if resources.actors < 1:
            raise ValueError("a pool has at least one actor; `executor` does the work in this process for none")
        self.worker, self.resources, self.patience = worker, resources, patience
        self._exit = ExitStack()
        self._slots: list[_Slot] = []
        self._failed_starts = 0
        self._limit = 0
        self._ray: Any = None
        self._kind: Any = None

    def __enter__(self) -> RayPool:
        needs = self.resources
        env = environment(needs.threads)
        with ExitStack() as stack:
            connection = stack.enter_context(connected(needs.address, cpus=needs.actors, env=env))
            stack.callback(self._end_actors)
            self._ray = connection.ray
            # of a Ray of our own the workers have the environment already: nothing to set up, a second saved
            options: dict[str, Any] = {} if connection.local else {"runtime_env": {"env_vars": env}}
            if needs.memory_mb:
                options["memory"] = needs.memory_mb << 20
            cpus = 1 if connection.local else needs.threads
            self._limit = min(needs.actors, places(self._ray.nodes(), cpus, needs.gpus, needs.memory_mb))
            if self._limit < needs.actors:
                log.warning("the cluster has place for %d of %d actors; goes on with these", self._limit, needs.actors)
            self._kind = self._ray.remote(WorkerHost).options(
                num_cpus=cpus,
                num_gpus=needs.gpus,
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy="SPREAD",
                **options,
            )
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def run(self, items: Iterable[WorkItem], on_done: OnDone) -> None:
        """See `Executor.run`."""
        if self._kind is None:
            raise RuntimeError("enter the pool before run: `with RayPool(...) as pool:`")
        with term_interrupts():
            try:
                self._run_on_actors(items, on_done)
            except BaseException:
                for slot in [s for s in self._slots if s.ref is not None]:
                    self._end(slot)
                raise

    def _run_on_actors(self, items: Iterable[WorkItem], on_done: OnDone) -> None:
        source = (_Task(item) for item in items)  # pulled as actors get free: may be long, or made on the way
        waiting: deque[_Task] = deque()
        while True:
            while len(waiting) < self._limit and (task := next(source, None)) is not None:
                waiting.append(task)
            if not waiting and not any(slot.task for slot in self._slots):
                return
            for slot in self._slots:
                if waiting and slot.ready and slot.task is None:
                    slot.task = waiting.popleft()
                    slot.task.attempts += 1
                    slot.ref, slot.since = slot.actor.run.remote(dict(slot.task.item.payload)), time.monotonic()
            starting = sum(not slot.ready for slot in self._slots)
            while len(self._slots) < self._limit and len(waiting) > starting:
                self._start()
                starting += 1
            by_ref = {slot.ref: slot for slot in self._slots if slot.ref is not None}
            done, _ = self._ray.wait(list(by_ref), num_returns=1, timeout=min(POLL_S, self.patience.stall_s / 4))
            for ref in done:
                self._settle(by_ref[ref], waiting, on_done)
            if not done:
                self._look_for_stalls(waiting)

    def _start(self) -> None:
        actor = self._kind.remote(self.worker.name, dict(self.worker.kwargs), self.resources.threads)
        self._slots.append(_Slot(actor, actor.prepare.remote(), time.monotonic()))

    def _settle(self, slot: _Slot, waiting: deque[_Task], on_done: OnDone) -> None:
        """One actor answered, or is known to be dead."""
        ray = self._ray
        try:
            answer = ray.get(slot.ref)
        except ray.exceptions.RuntimeEnvSetupError as error:
            raise ResourceError(f"Ray could not make the environment of an actor: {error}") from error
        except ray.exceptions.RayTaskError as error:  # not from the worker (whose errors are answers): our own defect
            raise RuntimeError(f"an actor of {self.worker.name} failed outside the worker: {error}") from error
        except ray.exceptions.RayError as error:  # actor, process, node or object lost
            self._lose(slot, f"{type(error).__name__}: {str(error).strip()[:500]}", waiting)
            return
        if "error" in answer:
            raised = rebuild_error(answer["error"])
            if slot.task:
                raised.add_note(f"Work item: {slot.task.item.key}")
            slot.ref = slot.task = None  # the actor is well
            raise raised
        task, slot.ref, slot.task = slot.task, None, None
        if task is None:
            slot.ready, self._failed_starts = True, 0
        else:
            on_done(task.item, answer["ok"])

    def _lose(self, slot: _Slot, cause: str, waiting: deque[_Task]) -> None:
        """The actor is gone; its item goes back to the head of the queue. Raises if that was once too often."""
        self._end(slot)
        if slot.task is None:
            self._failed_starts += 1
            if self._failed_starts >= self.patience.attempts:
                raise ResourceError(
                    f"actors of {self.worker.name} died {self._failed_starts} times in a row while starting "
                    f"(last: {cause}). Look for too little memory, or set fewer actors in machine.yaml."
                )
            return
        task = slot.task
        task.cause = cause
        if task.attempts >= self.patience.attempts:
            raise ItemFailedError(
                f"the work item {task.item.key!r} took its actor down {task.attempts} times (last: {cause}). "
                "Look for too little memory (fewer actors in machine.yaml) or a crash in a library; actors = 0 runs "
                "it in this process."
            )
        log.warning("an actor was lost on %s (attempt %d): %s", task.item.key, task.attempts, cause)
        waiting.appendleft(task)

    def _look_for_stalls(self, waiting: deque[_Task]) -> None:
        now = time.monotonic()
        for slot in list(self._slots):
            if slot.ref is None or now - slot.since < self.patience.stall_s:
                continue
            if slot.task is not None:
                self._lose(slot, f"silent for {self.patience.stall_s:g} s (stall_s in machine.yaml)", waiting)
            elif not any(s.ready for s in self._slots):
                needs, free = self.resources, plainly(self._ray.available_resources())
                whole = plainly(self._ray.cluster_resources())
                raise ResourceError(
                    f"no actor of {self.worker.name} could start within {self.patience.stall_s:g} s: each wants "
                    f"{needs.threads} CPU, {needs.gpus:g} GPU. The cluster has {whole}, of which free: "
                    f"{free}. Wait for others, or ask for less in machine.yaml."
                )

    def _end(self, slot: _Slot) -> None:
        self._slots.remove(slot)
        with suppress(self._ray.exceptions.RayError):  # dead already
            self._ray.kill(slot.actor, no_restart=True)

    def _end_actors(self) -> None:
        for slot in list(self._slots):
            self._end(slot)
        self._kind = None
