"""The dispatcher: every item done once, whatever dies; the worker's errors come back as they were; nothing is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import corpora.quiet
from corpora.errors import PayloadError, ResourceError
from flows.engine.cluster import connected, places
from flows.engine.executor import Executor, ItemFailedError, Patience, Resources, Worker, WorkItem, executor
from flows.engine.worker import WorkerError, describe_error, environment, limited_threads, rebuild_error

WORKERS = "tests.flows.engine.pool_workers"


def items(n: int, **more: Any) -> list[WorkItem]:
    return [WorkItem(f"list/{i}", {"n": i, **more}) for i in range(n)]


def pool_of(worker: str, kwargs: dict[str, Any], attempts: int = 3, stall_s: float = 600.0, **needs: Any) -> Executor:
    return executor(Worker(worker, kwargs), Resources(**needs), Patience(attempts, stall_s))


def results(pool: Executor, work: list[WorkItem]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}

    def done(item: WorkItem, result: dict[str, Any]) -> None:
        assert item.key not in found
        found[item.key] = result

    pool.run(iter(work), done)
    return found


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """One local Ray for this module; pools find it and leave it as it is."""
    with connected("local", cpus=2, env=environment(1)) as connection:
        yield connection.ray


@pytest.mark.parametrize("actors", [0, 1, 2])
def test_the_number_of_actors_changes_nothing(ray: Any, actors: int) -> None:
    with pool_of(f"{WORKERS}:Square", {"offset": 1}, actors=actors) as pool:
        found = results(pool, items(20))
        again = results(pool, items(3))
    assert {key: r["square"] for key, r in found.items()} == {f"list/{i}": i * i + 1 for i in range(20)}
    assert all(r["pair"] == [1, 2] for r in found.values())
    pids = {r["pid"] for r in found.values()}
    pids |= {r["pid"] for r in again.values()}  # actors live on over rounds: no more of them than asked for
    assert (os.getpid() in pids) == (actors == 0)
    assert len(pids) <= max(actors, 1)
    assert results(pool, []) == {} if actors == 0 else True


def test_two_actors_share_the_work(ray: Any) -> None:
    with pool_of(f"{WORKERS}:Square", {}, actors=2) as pool:
        results(pool, items(2, sleep=0.5))  # both are up
        answers = list(results(pool, items(8, sleep=0.25)).values())
    assert len({r["pid"] for r in answers}) == 2
    spans = [(r["pid"], *r["span"]) for r in answers]
    assert any(p != q and a < d and c < b for p, a, b in spans for q, c, d in spans), "never both at once"


def test_items_are_pulled_as_actors_get_free(ray: Any) -> None:
    pulled: list[int] = []
    done: list[str] = []

    def endless() -> Iterator[WorkItem]:
        for i in range(50):
            assert i <= len(done) + 4
            pulled.append(i)
            yield WorkItem(str(i), {"n": i})

    with pool_of(f"{WORKERS}:Square", {}, actors=2) as pool:
        pool.run(endless(), lambda item, _: done.append(item.key))
    assert sorted(done, key=int) == [str(i) for i in range(50)]


@pytest.mark.parametrize("actors", [0, 1])
def test_threads_and_packages_of_a_worker(ray: Any, actors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")  # set here by the user; Ray itself was started with PASSIVE
    with pool_of(f"{WORKERS}:Process", {}, actors=actors, threads=1) as pool:
        found = results(pool, items(1))["list/0"]
    assert found["torch"] == 1
    assert set(found["blas"]) == {1}
    assert found["repo"] == str(corpora.quiet.REPO)
    assert found["usage"] == "0"
    assert found["waits"] == "ACTIVE"


def test_workers_wait_as_this_process_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment(1)["OMP_WAIT_POLICY"] == os.environ["OMP_WAIT_POLICY"]
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.delenv("KMP_BLOCKTIME", raising=False)
    assert environment(1)["GOMP_SPINCOUNT"] == "7" and "KMP_BLOCKTIME" not in environment(1)


def test_threads_in_this_process_are_put_back() -> None:
    import torch

    before = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    with limited_threads(3):
        assert torch.get_num_threads() == 3
        assert os.environ["OMP_NUM_THREADS"] == "3"
    assert (torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")) == before


@pytest.mark.parametrize("actors", [0, 2])
def test_a_workers_error_is_an_answer(ray: Any, actors: int, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    with pool_of(f"{WORKERS}:Raises", {"calls": str(calls)}, actors=actors) as pool:
        with pytest.raises(PayloadError, match="too-short: 12 samples") as caught:
            results(pool, [WorkItem("bad one", {"kind": "payload"})])
        assert str(caught.value) == "too-short: 12 samples"
        assert (caught.value.reason, caught.value.detail) == ("too-short", "12 samples")
        if actors:
            assert any("bad one" in note for note in caught.value.__notes__)
        with pytest.raises(ValueError, match="seven is not even"):
            results(pool, [WorkItem("b", {"kind": "value"})])
        assert calls.read_text() == "xx"  # never retried
        if actors:
            with pytest.raises(WorkerError, match="OddError: cannot be imported"):
                results(pool, [WorkItem("c", {"kind": "local"})])
        assert results(pool, [WorkItem("d", {"kind": "none"})]) == {"d": {}}  # the pool goes on
    with (
        pool_of(f"{WORKERS}:Square", {"fail": True}, actors=actors) as pool,
        pytest.raises(ValueError, match="be built"),
    ):
        results(pool, items(1))


def test_errors_are_rebuilt_without_their_constructor() -> None:
    for error in (PayloadError("a-slug", "detail"), OSError(28, "No space left"), KeyError("x"), ResourceError("no")):
        rebuilt = rebuild_error(json.loads(json.dumps(describe_error(error))))
        assert type(rebuilt) is type(error)
        assert str(rebuilt) == str(error)
    strange = {"type": "os:system", "args": ["true"], "state": {}, "text": "t", "traceback": ""}
    assert isinstance(rebuild_error(strange), WorkerError)


def test_killed_actors_do_not_lose_work(ray: Any, tmp_path: Path) -> None:
    work = items(12)
    for i in (0, 5, 6):
        work[i].payload["mode"] = "once"
    with pool_of(f"{WORKERS}:Mortal", {"folder": str(tmp_path)}, actors=2) as pool:
        found = results(pool, work)
        assert found == {f"list/{i}": {"square": i * i} for i in range(12)}
        assert results(pool, items(3)) == {f"list/{i}": {"square": i * i} for i in range(3)}


def test_an_item_that_kills_is_named(ray: Any, tmp_path: Path) -> None:
    work = items(4)
    work[1].payload["mode"] = "always"
    with pool_of(f"{WORKERS}:Mortal", {"folder": str(tmp_path)}, actors=1) as pool:
        with pytest.raises(ItemFailedError, match="'list/1' took its actor down 3 times"):
            results(pool, work)
        assert len(results(pool, items(2))) == 2


@pytest.mark.slow
def test_a_silent_actor_is_replaced(ray: Any, tmp_path: Path) -> None:
    work = items(3)
    work[1].payload["mode"] = "hang"
    with pool_of(f"{WORKERS}:Mortal", {"folder": str(tmp_path)}, actors=1, stall_s=15) as pool:
        assert len(results(pool, work)) == 3


def test_actors_that_cannot_start_are_an_error(ray: Any) -> None:
    with (
        pool_of(f"{WORKERS}:DiesAtStart", {}, actors=1, attempts=2) as pool,
        pytest.raises(ResourceError, match="died 2 times in a row while starting"),
    ):
        results(pool, items(1))


def test_an_absent_gpu_is_named(ray: Any) -> None:
    if ray.cluster_resources().get("GPU"):
        pytest.skip("this machine has a GPU")
    for actors in (0, 1):
        with (
            pytest.raises(ResourceError, match=r"CUDA|no node of the Ray cluster has that \(nodes: 2 CPU, 0 GPU"),
            pool_of(f"{WORKERS}:Square", {}, actors=actors, device="cuda", gpus_per_actor=0.5),
        ):
            pass


def test_places() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0, "memory": 4.0 * 2**30}},
        {"Alive": True, "Resources": {"CPU": 4.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    assert places(nodes, 2, 0.0, None) == 6
    assert places(nodes, 1, 0.25, None) == 8
    assert places(nodes, 1, 0.1, None) == 8  # CPUs run out first
    assert places(nodes, 1, 1.0, None) == 2
    assert places(nodes, 1, 0.0, 1024) == 4
    with pytest.raises(ResourceError, match=r"4 GPU.*8 CPU, 2 GPU, 4 GiB memory; 4 CPU, 0 GPU"):
        places(nodes, 1, 4.0, None)


# ------------------------------------------------------------------------------ Rays in processes of their own

DRIVER = f"""
import sys
from flows.engine.executor import Resources, Worker, WorkItem, executor
with executor(Worker("{WORKERS}:Square"), Resources(actors=2)) as pool:
    pool.run([WorkItem(str(i), {{"n": i}}) for i in range(2)], lambda *_: None)
    print("up", flush=True)
    pool.run([WorkItem(str(i), {{"n": i, "sleep": 60}}) for i in range(2)], lambda *_: None)
"""


def rays_of(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGTERM, signal.SIGINT))]
)
def test_nothing_is_left_of_a_driver_that_ends(number: signal.Signals) -> None:
    before = set(Path(tempfile.gettempdir()).glob("emoforge-ray-*"))
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=corpora.quiet.REPO,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    assert driver.stdout is not None and driver.stdout.readline() == "up\n"
    ours = rays_of(driver.pid)
    assert {"raylet", "gcs_server"} <= {p.name() for p in ours}
    listening = {c.laddr.ip.removeprefix("::ffff:") for p in ours for c in p.net_connections() if c.status == "LISTEN"}
    assert listening == {"127.0.0.1"}
    driver.send_signal(number)
    _, errors = driver.communicate(timeout=60)
    if number == signal.SIGTERM:
        assert "InterruptedRunError: ended by SIGTERM" in errors
    _, alive = psutil.wait_procs(ours, timeout=20)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    deadline = time.monotonic() + 10
    while set(Path(tempfile.gettempdir()).glob("emoforge-ray-*")) - before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert set(Path(tempfile.gettempdir()).glob("emoforge-ray-*")) - before == set()


def run_driver(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=corpora.quiet.REPO,
        env={**os.environ, **env},
        timeout=120,
    )


@pytest.mark.parametrize("listens", [False, True])
def test_a_cluster_that_does_not_answer(listens: bool) -> None:
    """In a process of its own: this one is connected already."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        if listens:
            port.listen()
        address = f"127.0.0.1:{port.getsockname()[1]}"
        done = run_driver(
            "from flows.engine.executor import Resources, Worker, executor\n"
            f"with executor(Worker('{WORKERS}:Square'), Resources(actors=1)): pass",
            RAY_ADDRESS=address,
        )
    assert "ResourceError: no Ray cluster answers at" in done.stderr and address in done.stderr


def test_a_thread_may_run_a_pool(ray: Any) -> None:
    found: dict[str, dict[str, Any]] = {}

    def work() -> None:
        with pool_of(f"{WORKERS}:Square", {}, actors=1) as pool:
            found.update(results(pool, items(3)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert len(found) == 3
