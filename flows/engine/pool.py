"""The one dispatcher: work items go to long-lived Ray actors, and every item is done whatever dies on the way.

Which actor does an item, in which order, and how often it was tried never changes what comes out: items are fixed,
threads are fixed, results of any size go into the work store, and a worker's result depends on its payload only.

Actors are plain Ray actors without Ray's own retries (these hang when a node is lost). An item whose actor or node
dies, or which is silent for too long, goes back to the head of the queue; one that takes its actor down again and
again is an error that names it. An error that a worker raises is an answer: never retried, raised here as it was.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any

import corpora.quiet  # noqa: F401  (first in every actor: no telemetry, nothing beyond loopback)
from corpora.errors import EmoforgeError, InterruptedRunError, ResourceError
from flows.engine import reaper
from flows.engine.worker import WorkerHost, call, environ, environment, limited_threads, load_object, rebuild_error

log = logging.getLogger(__name__)

POLL_S = 1.0
CONNECT_S = 5.0
GONE_S = 10.0
MIN_OBJECT_STORE_MB = 100  # results are small; Ray takes 30 % of the memory by default

OnDone = Callable[["WorkItem", dict[str, Any]], None]


class ItemFailedError(EmoforgeError):
    """An item whose actor died or fell silent each time that it was tried; names the item and the last cause."""


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One piece of work. `key` names it in messages and results; `payload` is JSON-able."""

    key: str
    payload: dict[str, Any]


# -------------------------------------------------------------------------------------------------------- the cluster


@dataclass(frozen=True, slots=True)
class Connection:
    """`local`: this process started the Ray that it talks to, and ends it."""

    ray: Any
    local: bool


@contextmanager
def connected(
    address: str | None, *, cpus: int, env: Mapping[str, str], show_output: bool = False
) -> Iterator[Connection]:
    """Ray at `address` (None: environment RAY_ADDRESS, and without that, or "local": one of our own, on loopback).

    A Ray that this process is connected to already is used and left as it is. One of our own has `cpus` logical CPUs
    and workers with the variables `env`; it is ended on the way out, and also when this process is killed. Call it from
    a thread that lives as long: Linux ends Ray's processes with the thread that started them. show_output: what
    workers print comes out here. Raises `ResourceError` where nothing answers.
    """
    import ray

    if ray.is_initialized():
        yield Connection(ray, local=False)
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    quiet: dict[str, Any] = {"log_to_driver": show_output, "logging_level": logging.ERROR}
    if address != "local":
        _require_answer(address)
        with _same_signals():
            try:
                ray.init(address=address, **quiet)
            except (ConnectionError, RuntimeError, ValueError, TimeoutError, SystemExit) as error:
                raise ResourceError(_unreachable(address, error)) from error
        try:
            yield Connection(ray, local=False)
        finally:
            ray.shutdown()
        return
    base = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="emoforge-ray-", dir=base if len(base) < 30 else "/tmp")  # socket paths are short
    watch = subprocess.Popen(
        [sys.executable, "-I", reaper.__file__], stdin=subprocess.PIPE, text=True, start_new_session=True
    )
    assert watch.stdin is not None
    try:
        print("folder", folder, file=watch.stdin, flush=True)
        try:
            with environ(env), _same_signals():
                ray.init(
                    address="local",
                    num_cpus=cpus,
                    include_dashboard=False,
                    object_store_memory=MIN_OBJECT_STORE_MB << 20,
                    _temp_dir=folder,
                    _node_ip_address="127.0.0.1",
                    **quiet,
                )
            for pid in _descendants(os.getpid(), but=watch.pid):
                print(pid, reaper.start_time(pid), file=watch.stdin, flush=True)
            yield Connection(ray, local=True)
        finally:
            with _same_signals():
                ray.shutdown()
    finally:
        watch.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            watch.wait(GONE_S)
        shutil.rmtree(folder, ignore_errors=True)


def _require_answer(address: str) -> None:
    """Ray itself tries for two minutes, then ends the process."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S):
            pass
    except (OSError, ValueError, OverflowError) as error:
        raise ResourceError(_unreachable(address, error)) from error
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return
    import grpc

    with grpc.insecure_channel(f"{host}:{port}") as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=CONNECT_S)
        except grpc.FutureTimeoutError as error:
            raise ResourceError(_unreachable(address, "something else than Ray listens there")) from error


def _unreachable(address: str, cause: object) -> str:
    return (
        f"no Ray cluster answers at {address!r} ({cause}). Start one (`ray start --head`), mend ray_address in "
        "machine.yaml or RAY_ADDRESS (host:port), or unset both for a Ray of our own."
    )


def _descendants(pid: int, *, but: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True) if child.pid != but]


@contextmanager
def _same_signals() -> Iterator[None]:
    """Ray puts a SIGTERM handler of its own over the stage's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def term_interrupts() -> Iterator[None]:
    """While we wait for Ray, SIGTERM is an interrupt: another exception in a signal handler is lost inside Ray's wait.

    Afterwards the handler that stood before has its turn; without one, `InterruptedRunError` is raised.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, seen = signal.getsignal(signal.SIGTERM), False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        seen = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        if not seen:
            raise
        if callable(before):
            before(signal.SIGTERM, None)
        raise InterruptedRunError("ended by SIGTERM; what was finished is kept, run the same command again") from None
    finally:
        signal.signal(signal.SIGTERM, before)


# ------------------------------------------------------------------------------------------------------- the dispatcher


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


class Pool:
    """Actors that stay alive over several `run` calls; use it as a context manager.

    worker, kwargs: "module:Class" and what it is built with (JSON-able), once in each actor. actors: processes; 0 does
    the work in this process without Ray, with the same results. threads: exact number in each process. device: "cpu" |
    "cuda"; with cuda every actor takes `gpus_per_actor` of a GPU (fractions share one). address: of a Ray cluster (see
    `connected`); its nodes need this environment and this repository at the same path, or emoforge installed.
    memory_mb: what Ray reserves for an actor, for placing it. An item is given up after `max_attempts` dead actors;
    an actor that is silent on one item for `stall_s` seconds is taken for dead. Entering raises `ResourceError` where
    the cluster does not answer or has not what is asked for.
    """

    def __init__(
        self,
        worker: str,
        kwargs: Mapping[str, Any],
        *,
        actors: int,
        threads: int = 1,
        device: str = "cpu",
        gpus_per_actor: float = 0.0,
        address: str | None = None,
        memory_mb: int | None = None,
        max_attempts: int = 3,
        stall_s: float = 600.0,
    ) -> None:
        if actors < 0 or threads < 1 or max_attempts < 1 or not stall_s > 0:
            raise ValueError(f"{actors=} >= 0, {threads=} >= 1, {max_attempts=} >= 1 and {stall_s=} > 0 are wanted")
        self.worker, self.kwargs, self.threads = worker, dict(kwargs), threads
        self.actors, self.max_attempts, self.stall_s = actors, max_attempts, stall_s
        self.gpus = (gpus_per_actor or 1.0) if device.startswith("cuda") else 0.0
        self.address, self.memory_mb = address, memory_mb
        self._exit = ExitStack()
        self._slots: list[_Slot] = []
        self._failed_starts = 0
        self._in_process: Any = None
        self._ray: Any = None
        self._kind: Any = None

    def __enter__(self) -> Pool:
        if self.actors == 0:
            _require_gpu_here(self.gpus)
            return self
        env = environment(self.threads)
        with ExitStack() as stack:
            connection = stack.enter_context(connected(self.address, cpus=self.actors, env=env))
            stack.callback(self._end_actors)
            self._ray = connection.ray
            # of a Ray of our own the workers have the environment already: nothing to set up, a second saved
            options: dict[str, Any] = {} if connection.local else {"runtime_env": {"env_vars": env}}
            if self.memory_mb:
                options["memory"] = self.memory_mb << 20
            cpus = 1 if connection.local else self.threads
            self._limit = min(self.actors, places(self._ray.nodes(), cpus, self.gpus, self.memory_mb))
            if self._limit < self.actors:
                log.warning("the cluster has place for %d of %d actors; goes on with these", self._limit, self.actors)
            self._kind = self._ray.remote(WorkerHost).options(
                num_cpus=cpus,
                num_gpus=self.gpus,
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
        self._in_process = None
        self._exit.close()

    def run(self, items: Iterable[WorkItem], on_done: OnDone) -> None:
        """Does every item once; `on_done(item, result)` is called in this thread, in the order in which they end.

        Raises what a worker raised (of its own type where possible), `ItemFailedError` for an item that takes its
        actors down, `ResourceError` if actors cannot start; results that came before were handed to `on_done`.
        """
        if self.actors == 0:
            self._run_here(items, on_done)
            return
        if self._kind is None:
            raise RuntimeError("enter the pool before run: `with Pool(...) as pool:`")
        with term_interrupts():
            try:
                self._run_on_actors(items, on_done)
            except BaseException:
                for slot in [s for s in self._slots if s.ref is not None]:
                    self._end(slot)
                raise

    def _run_here(self, items: Iterable[WorkItem], on_done: OnDone) -> None:
        for item in items:
            with limited_threads(self.threads):
                if self._in_process is None:
                    self._in_process = load_object(self.worker)(**self.kwargs)
                result = call(self._in_process, item.payload)
            on_done(item, result)

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
                    slot.ref, slot.since = slot.actor.run.remote(slot.task.item.payload), time.monotonic()
            starting = sum(not slot.ready for slot in self._slots)
            while len(self._slots) < self._limit and len(waiting) > starting:
                self._start()
                starting += 1
            by_ref = {slot.ref: slot for slot in self._slots if slot.ref is not None}
            done, _ = self._ray.wait(list(by_ref), num_returns=1, timeout=min(POLL_S, self.stall_s / 4))
            for ref in done:
                self._settle(by_ref[ref], waiting, on_done)
            if not done:
                self._look_for_stalls(waiting)

    def _start(self) -> None:
        actor = self._kind.remote(self.worker, self.kwargs, self.threads)
        self._slots.append(_Slot(actor, actor.prepare.remote(), time.monotonic()))

    def _settle(self, slot: _Slot, waiting: deque[_Task], on_done: OnDone) -> None:
        """One actor answered, or is known to be dead."""
        ray = self._ray
        try:
            answer = ray.get(slot.ref)
        except ray.exceptions.RuntimeEnvSetupError as error:
            raise ResourceError(f"Ray could not make the environment of an actor: {error}") from error
        except ray.exceptions.RayTaskError as error:  # not from the worker (whose errors are answers): our own defect
            raise RuntimeError(f"an actor of {self.worker} failed outside the worker: {error}") from error
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
            if self._failed_starts >= self.max_attempts:
                raise ResourceError(
                    f"actors of {self.worker} died {self._failed_starts} times in a row while starting "
                    f"(last: {cause}). Look for too little memory, or set fewer actors in machine.yaml."
                )
            return
        task = slot.task
        task.cause = cause
        if task.attempts >= self.max_attempts:
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
            if slot.ref is None or now - slot.since < self.stall_s:
                continue
            if slot.task is not None:
                self._lose(slot, f"silent for {self.stall_s:g} s (stall_s in machine.yaml)", waiting)
            elif not any(s.ready for s in self._slots):
                raise ResourceError(
                    f"no actor of {self.worker} could start within {self.stall_s:g} s: each wants {self.threads} CPU, "
                    f"{self.gpus:g} GPU. The cluster has {_plainly(self._ray.cluster_resources())}, of which free: "
                    f"{_plainly(self._ray.available_resources())}. Wait for others, or ask for less in machine.yaml."
                )

    def _end(self, slot: _Slot) -> None:
        self._slots.remove(slot)
        with suppress(self._ray.exceptions.RayError):  # dead already
            self._ray.kill(slot.actor, no_restart=True)

    def _end_actors(self) -> None:
        for slot in list(self._slots):
            self._end(slot)
        self._kind = None


def places(nodes: list[dict[str, Any]], cpus: float, gpus: float, memory_mb: int | None) -> int:
    """How many actors fit on the nodes that are alive. Raises `ResourceError` that lists the nodes if none does."""
    want = {"CPU": float(cpus), "GPU": gpus, "memory": float((memory_mb or 0) << 20)}
    want = {name: n for name, n in want.items() if n}
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    places = sum(int(min(has.get(name, 0.0) / n + 1e-9 for name, n in want.items())) for has in alive)
    if places == 0:
        listed = "; ".join(_plainly(has) for has in alive) or "no node"
        raise ResourceError(
            f"an actor wants {_plainly(want)}, and no node of the Ray cluster has that (nodes: {listed}). "
            "Set numerics.device: cpu, ask for less (gpus_per_actor in machine.yaml), or use a cluster that has it."
        )
    return places


def _plainly(resources: Mapping[str, float]) -> str:
    shown = {name: resources.get(name, 0.0) for name in ("CPU", "GPU")}
    if resources.get("memory"):
        shown["GiB memory"] = round(resources["memory"] / 2**30, 1)
    return ", ".join(f"{n:g} {name}" for name, n in shown.items())


def _require_gpu_here(gpus: float) -> None:
    if not gpus:
        return
    import torch

    if not torch.cuda.is_available():
        raise ResourceError(
            f"numerics.device asks for CUDA, and torch {torch.__version__} sees no CUDA device here. "
            "Set numerics.device: cpu, or run where there is one."
        )
