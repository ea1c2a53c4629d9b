"""A flow run that nobody is at work on is seen, one that somebody is at work on is left alone, wherever that is."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions, FlowRun, State
from prefect.plugins import load_prefect_collections
from prefect.states import Pending, Running, Scheduled
from prefect.testing.utilities import prefect_test_harness
from prefect.utilities.dispatch import lookup_type
from prefect.workers.base import BaseWorker
from prefect.workers.process import ProcessWorker

from flows.conduct import heartbeats
from flows.conduct.heartbeats import DEAD_AFTER_S, FLOW_RUN_ID, heartbeat, stale_runs, sweep
from flows.nightly import worker as worker_module
from flows.nightly.worker import ProcessWorkerWithHeartbeat

RUN = "11111111-2222-3333-4444-555555555555"
NOBODY = 2**22 + 1  # no pid is as high


def left(repo: Path, **owner: Any) -> Path:
    """The file of RUN as a process that is gone left it, unless `owner` says otherwise."""
    path = repo / ".emoforge" / "heartbeats" / f"{RUN}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"pid": NOBODY, "born": 1.0, "host": socket.gethostname()} | owner))
    return path


@pytest.fixture
def starting() -> Iterator[None]:
    """A process of this host that works for RUN and has not said so yet."""
    words = [sys.executable, "-S", "-c", "input()"]
    process = subprocess.Popen(words, env=os.environ | {FLOW_RUN_ID: RUN}, stdin=subprocess.PIPE)
    yield
    process.kill()
    process.communicate()


def test_a_worker_answers_for_a_run_until_it_is_gone(tmp_path: Path) -> None:
    with heartbeat(tmp_path, RUN, worker=True):
        assert stale_runs(tmp_path) == []
        left(tmp_path, worker=True)
        assert stale_runs(tmp_path) == [RUN], "killed before the flow began"


def test_a_worker_is_gone_and_what_it_started_is_not(tmp_path: Path, starting: None) -> None:
    left(tmp_path, worker=True)
    assert stale_runs(tmp_path) == []
    left(tmp_path, worker=False)
    assert stale_runs(tmp_path) == [RUN], "the run's own process is gone: its children work for nobody"


def test_a_killed_process_that_nobody_waited_for_is_gone(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    owner = {"pid": process.pid, "born": psutil.Process(process.pid).create_time()}
    left(tmp_path, **owner)
    assert stale_runs(tmp_path) == []
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert stale_runs(tmp_path) == [RUN]
    process.communicate()


def test_a_run_that_dies_later_is_seen_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[list[str] | Exception] = [[], httpx.ConnectError("away"), [RUN]]
    said: list[str] = []
    swept = threading.Event()

    def once(repo: Path) -> None:
        answer = answers.pop(0) if answers else []
        if isinstance(answer, Exception):
            raise answer
        if answer:
            swept.set()

    monkeypatch.setattr(heartbeats, "SWEEP_S", 0.001)
    monkeypatch.setattr(heartbeats, "sweep", once)
    with heartbeats.sweeping(tmp_path, said.append):
        assert swept.wait(20)
        monkeypatch.setattr(heartbeats, "SWEEP_S", 60)
    assert "away" in said[0]


def test_what_another_host_does_is_seen_by_the_age_of_its_sign_alone(tmp_path: Path) -> None:
    path = left(tmp_path, host="elsewhere", worker=True)
    assert stale_runs(tmp_path) == []
    old = time.time() - DEAD_AFTER_S - 1
    os.utime(path, (old, old))
    assert stale_runs(tmp_path) == [RUN]


def test_a_flow_takes_the_place_of_its_worker_and_gives_it_back(tmp_path: Path) -> None:
    path = left(tmp_path, worker=True)
    of_worker = path.read_text()
    with heartbeat(tmp_path, RUN):
        assert json.loads(path.read_text()) == {
            "pid": os.getpid(),
            "born": psutil.Process().create_time(),
            "host": socket.gethostname(),
            "worker": False,
        }
    assert path.read_text() == of_worker
    path.unlink()
    with heartbeat(tmp_path, RUN):
        assert path.is_file()
    assert not path.exists()


def test_prefects_worker_of_processes_is_the_one_that_leaves_heartbeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, object]] = []

    async def run(*_: object) -> str:
        seen.append(json.loads((tmp_path / ".emoforge" / "heartbeats" / f"{RUN}.json").read_text()))
        return "ran"

    load_prefect_collections()  # as `prefect worker start` does, after `flows.nightly.worker` was imported
    assert lookup_type(BaseWorker, "process") is ProcessWorkerWithHeartbeat
    over: list[object] = []

    async def seen_over(_: object, flow_run: SimpleNamespace) -> None:
        over.append(flow_run.id)

    monkeypatch.setattr(ProcessWorker, "run", run)
    monkeypatch.setattr(ProcessWorkerWithHeartbeat, "_see_it_over", seen_over)
    monkeypatch.chdir(tmp_path)
    worker = ProcessWorkerWithHeartbeat(work_pool_name="emoforge")
    ran: Any = asyncio.run(worker.run(SimpleNamespace(id=RUN), SimpleNamespace()))  # type: ignore[arg-type]
    assert ran == "ran" and over == [RUN] and [(one["pid"], one["worker"]) for one in seen] == [(os.getpid(), True)]
    assert not list((tmp_path / ".emoforge" / "heartbeats").iterdir())


def test_a_worker_tells_a_server_that_was_away_that_a_run_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Client:
        """Away at first."""

        async def read_flow_run(self, flow_run: str) -> SimpleNamespace:
            asked.append("read")
            if len(asked) == 1:
                raise httpx.ConnectError("away")
            return SimpleNamespace(state=Running())

        async def set_flow_run_state(self, flow_run: str, state: State[Any], force: bool) -> None:
            asked.append(state.type.value)

    monkeypatch.setattr(worker_module, "WAITS_S", (0, 0))
    worker = ProcessWorkerWithHeartbeat(work_pool_name="emoforge")
    monkeypatch.setattr(ProcessWorkerWithHeartbeat, "client", Client())
    asyncio.run(worker._see_it_over(SimpleNamespace(id=RUN)))  # type: ignore[arg-type]
    assert asked == ["read", "read", "CRASHED"]


def test_that_it_stands_in_prefects_place_is_no_warning() -> None:
    words = [sys.executable, "-c", "import flows.nightly.worker"]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=120)
    assert "ProcessWorker" not in done.stderr


@pytest.fixture(scope="module")
def client() -> Iterator[SyncPrefectClient]:
    with prefect_test_harness(server_startup_timeout=120), get_client(sync_client=True) as client:
        yield client


@flow
def nightly() -> None:
    """Never run."""


def test_a_run_is_marked_as_crashed_where_its_process_is_gone(client: SyncPrefectClient, tmp_path: Path) -> None:
    dead = client.create_flow_run(nightly, state=Running())
    alive = client.create_flow_run(nightly, state=Running())
    folder = tmp_path / ".emoforge" / "heartbeats"
    with heartbeat(tmp_path, str(alive.id)):
        owner = json.loads((folder / f"{alive.id}.json").read_text())
        (folder / f"{dead.id}.json").write_text(json.dumps(owner | {"born": 1.0}))  # that pid is another process now
        assert sweep(tmp_path) == [str(dead.id)]
    state, other = client.read_flow_run(dead.id).state, client.read_flow_run(alive.id).state
    assert state is not None and state.is_crashed()
    assert other is not None and other.is_running()
    assert not list(folder.iterdir())


def test_the_place_of_a_run_that_never_began_is_freed_on_a_server_of_ones_own(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    one_at_a_time = ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
    deployment = client.create_deployment(
        client.create_flow(nightly), f"nightly-{uuid4()}", concurrency_limit=1, concurrency_options=one_at_a_time
    )

    def taken() -> tuple[FlowRun, State[Any]]:
        """A run as a worker takes it: PENDING, which takes the deployment's place."""
        run = client.create_flow_run_from_deployment(deployment, state=Scheduled())
        client.set_flow_run_state(run.id, Pending())
        state = client.read_flow_run(run.id).state
        assert state is not None
        return run, state

    lost, state = taken()
    assert state.is_pending() and taken()[1].is_cancelled()
    assert sweep(tmp_path) == [], "on a server of others it may be at work elsewhere"
    with heartbeat(tmp_path, str(lost.id), worker=True):
        assert str(lost.id) not in sweep(tmp_path, alone=True)
    assert taken()[1].is_cancelled()
    assert str(lost.id) in sweep(tmp_path, alone=True)
    assert taken()[1].is_pending(), "its place is free"
