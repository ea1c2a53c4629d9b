"""Who is at work on a flow run: a file of each, so that a dead run can be told from a slow one.

The worker that takes a flow run writes the file before it starts a process (`flows/nightly/worker.py`); the flow puts
itself in its place as its first act, and gives it back at its end. A run that no living process answers for keeps its
place at Prefect, which `sweep` frees.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

import httpx
import psutil
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run as this_flow_run
from prefect.states import Crashed

from corpora.store.atomic import write_bytes, write_json
from flows.paths import Layout

HEARTBEAT_S = 10.0
SWEEP_S = 15.0
DEAD_AFTER_S = 60.0  # of a run on another host, whose process cannot be looked at
FLOW_RUN_ID = "PREFECT__FLOW_RUN_ID"  # in the environment of a flow run's process, from its first moment on
BEGUN = ("PENDING", "RUNNING", "CANCELLING")  # states in which a run has a place among those of its deployment


@contextmanager
def heartbeat(repo: Path, run_id: str | None, *, worker: bool = False) -> Iterator[None]:
    """Keeps a file that says which process answers for this flow run. worker: it is not the run's own process, but the
    one that starts it. What another one left there before is put back at the end."""
    if run_id is None:
        yield
        return
    path = _heartbeats(repo) / f"{run_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    before = _read(path)
    born = psutil.Process().create_time()
    write_json(path, {"pid": os.getpid(), "born": born, "host": socket.gethostname(), "worker": worker})

    def beat() -> None:
        with suppress(FileNotFoundError):  # never an empty one where a flow and its worker end at once
            os.utime(path)

    try:
        with _meanwhile(beat, HEARTBEAT_S):
            yield
    finally:
        if before is None:
            path.unlink(missing_ok=True)
        else:
            write_bytes(path, before)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


@contextmanager
def sweeping(repo: Path, warn: Callable[[str], object]) -> Iterator[None]:
    """Sweeps every `SWEEP_S` seconds meanwhile: a run may die, or its death be seen, after others were to start. A
    server that does not answer is a warning, and is asked again."""

    def look() -> None:
        try:
            sweep(repo)
        except (httpx.HTTPError, OSError) as error:
            warn(f"flow runs were not looked at, the Prefect server said: {error}")

    with _meanwhile(look, SWEEP_S):
        yield


@contextmanager
def _meanwhile(act: Callable[[], None], every_s: float) -> Iterator[None]:
    """Does it every so many seconds, in a thread that ends with the block. One that is waiting for a server then is not
    waited for longer than that: it ends with the process."""
    over = threading.Event()

    def again() -> None:
        while not over.wait(every_s):
            act()

    thread = threading.Thread(target=again, name=act.__name__, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(every_s)


def sweep(repo: Path, *, alone: bool = False) -> list[str]:
    """Marks flow runs of this folder that nobody is at work on (kill -9 leaves them RUNNING) as crashed; -> their ids.

    alone: the Prefect server is this project's own, so that runs of deployments of which there is neither heartbeat nor
    process are dead too. On a server of others they may be at work elsewhere, and are left to Prefect.
    """
    swept: list[str] = []
    gone = stale_runs(repo)
    if not (gone or alone):
        return swept
    with get_client(sync_client=True) as client:
        if alone:
            begun = {"state": {"type": {"any_": list(BEGUN)}}, "deployment_id": {"is_null_": False}}
            runs = client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(begun), limit=200)
            gone += sorted(str(run.id) for run in runs if _unseen(repo, str(run.id)))
        for run_id in gone:
            with suppress(ObjectNotFound):  # it was another server's
                state = client.read_flow_run(UUID(run_id)).state
                if state is not None and not state.is_final():
                    client.set_flow_run_state(UUID(run_id), Crashed(message="its process is gone"), force=True)
                    swept.append(run_id)
            (_heartbeats(repo) / f"{run_id}.json").unlink(missing_ok=True)
    return swept


def stale_runs(repo: Path) -> list[str]:
    """Ids of flow runs of this folder that nobody is at work on, sorted; not the one that asks."""
    beats = sorted(_heartbeats(repo).glob("*.json"))
    return [path.stem for path in beats if path.stem != this_flow_run.id and not _alive(path)]


def _alive(path: Path) -> bool:
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        if owner["host"] != socket.gethostname():
            return time.time() - path.stat().st_mtime < DEAD_AFTER_S
        process = psutil.Process(owner["pid"])
        # what was killed is a zombie until its new parent looks, which some never do (PID 1 of a container)
        if process.create_time() == owner["born"] and process.status() != psutil.STATUS_ZOMBIE:
            return True
    except FileNotFoundError:
        return False
    except psutil.NoSuchProcess:
        pass
    # a worker may be gone and the process that it started just about to say that it is there
    return bool(owner.get("worker")) and _is_starting(path.stem)


def _unseen(repo: Path, run_id: str) -> bool:
    return (
        run_id != this_flow_run.id and not (_heartbeats(repo) / f"{run_id}.json").exists() and not _is_starting(run_id)
    )


def _is_starting(run_id: str) -> bool:
    """Whether a process of this host (and of this user) works for the flow run."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(FLOW_RUN_ID) == run_id:
                return True
    return False


def _heartbeats(repo: Path) -> Path:
    return Layout(repo).scratch / "heartbeats"
