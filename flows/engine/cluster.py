"""The Ray that work runs on: the user's cluster, or one of our own on loopback that ends with this process."""

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from corpora.errors import InterruptedRunError, ResourceError
from flows.engine import reaper
from flows.engine.worker import environ

CONNECT_S = 5.0
GONE_S = 10.0
MIN_OBJECT_STORE_MB = 100  # results are small; Ray takes 30 % of the memory by default


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


def places(nodes: list[dict[str, Any]], cpus: float, gpus: float, memory_mb: int | None) -> int:
    """How many actors fit on the nodes that are alive. Raises `ResourceError` that lists the nodes if none does."""
    want = {"CPU": float(cpus), "GPU": gpus, "memory": float((memory_mb or 0) << 20)}
    want = {name: n for name, n in want.items() if n}
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    places = sum(int(min(has.get(name, 0.0) / n + 1e-9 for name, n in want.items())) for has in alive)
    if places == 0:
        listed = "; ".join(plainly(has) for has in alive) or "no node"
        raise ResourceError(
            f"an actor wants {plainly(want)}, and no node of the Ray cluster has that (nodes: {listed}). "
            "Set numerics.device: cpu, ask for less (gpus_per_actor in machine.yaml), or use a cluster that has it."
        )
    return places


def plainly(resources: Mapping[str, float]) -> str:
    """CPU, GPU and memory in words."""
    shown = {name: resources.get(name, 0.0) for name in ("CPU", "GPU")}
    if resources.get("memory"):
        shown["GiB memory"] = round(resources["memory"] / 2**30, 1)
    return ", ".join(f"{n:g} {name}" for name, n in shown.items())
