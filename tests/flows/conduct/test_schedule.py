"""A real server and the clock: the flow fires, publishes, and does nothing when nothing changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from corpora.errors import ResourceError
from flows.conduct.server import server
from tests.toy import ALL, Toy

REPO = Path(__file__).resolve().parents[3]


def test_a_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setattr(time, "monotonic", iter(range(0, 10_000, 5)).__next__)
    nobody = temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"})
    with nobody, pytest.raises(ResourceError, match=r"127\.0\.0\.1:9.*PREFECT_API_URL"), server():
        pass


def wait_for(what: Callable[[], bool], within_s: float, child: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert child.poll() is None, child.communicate()[0]
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.5)


def flow_runs(toy: Toy, url: str, state: str) -> int:
    code = (
        "from prefect.client.orchestration import get_client\n"
        "with get_client(sync_client=True) as c:\n"
        f"    print(sum(r.state is not None and r.state.name == {state!r} for r in c.read_flow_runs(limit=200)))"
    )
    return int(toy.sh(sys.executable, "-c", code, PREFECT_API_URL=url).stdout)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_schedule_fires_publishes_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    toy = Toy(tmp_path / "toy")
    toy.env["PREFECT_HOME"] = str(tmp_path / "prefect")
    log = tmp_path / "log"
    with log.open("w") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", "emoforge", "schedule", "--cron", "* * * * *", "toy"],
            cwd=toy.folder,
            env=toy.env,
            text=True,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        wait_for(lambda: "server http" in log.read_text(), 180, child)
        url = log.read_text().split("server ")[1].split(";")[0]
        assert url.startswith("http://127.0.0.1:")
        wait_for(lambda: toy.git("tag") == "toy@v1.0.0", 240, child)
        assert toy.calls() == ALL
        done = flow_runs(toy, url, "Completed")
        wait_for(lambda: flow_runs(toy, url, "Completed") > done, 180, child)
        assert toy.calls() == [] and toy.git("tag") == "toy@v1.0.0"
        assert flow_runs(toy, url, "Failed") == 0
    finally:
        os.killpg(child.pid, signal.SIGINT)
        try:
            child.wait(60)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
    assert child.returncode in (0, 3), log.read_text()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_prefect_yaml_is_a_deployment_for_a_process_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its comment says it: pool, deploy, worker; one run on demand rebuilds and publishes the toy."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    toy = Toy(tmp_path / "toy")
    (toy.folder / "prefect.yaml").write_text((REPO / "prefect.yaml").read_text(encoding="utf-8"))
    (toy.folder / "flows").symlink_to(REPO / "flows")
    toy.git("add", "-A")
    toy.git("commit", "-qm", "deployment")  # what is not committed is not published
    with server("all") as url:
        env = {"PREFECT_API_URL": url, "PREFECT_HOME": os.environ["PREFECT_HOME"]}
        toy.sh("prefect", "work-pool", "create", "--type", "process", "emoforge", **env)
        toy.sh("prefect", "deploy", "--name", "nightly-rebuild", "--no-prompt", **env)
        told = toy.sh("prefect", "deployment", "inspect", "rebuild/nightly-rebuild", **env).stdout
        assert "0 3 * * *" in told and "emoforge" in told
        toy.sh("prefect", "deployment", "run", "rebuild/nightly-rebuild", **env)
        worker = toy.sh("prefect", "worker", "start", "--pool", "emoforge", "--run-once", **env)
        deadline = time.monotonic() + 120
        while toy.git("tag") != "toy@v1.0.0" and time.monotonic() < deadline:
            time.sleep(1)
    assert toy.git("tag") == "toy@v1.0.0", worker.stderr[-4000:]
    assert toy.calls() == ALL
