"""A real server and the clock: the flow fires, publishes, and does nothing when nothing changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.drills import servers
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
            [sys.executable, "-m", "emoforge", "schedule", "serve", "--all", "--cron", "* * * * *", "toy"],
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
        others = ("watch-corpus (*/15 * * * *)", "study-refresh (0 5 * * 0)", "verify-releases (0 6 * * 6)")
        assert all(other in log.read_text() for other in others)
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


class Lab:
    """A toy project with the clone's prefect.yaml, its server, and an `emoforge schedule start` that can be killed."""

    def __init__(self, toy: Toy, url: str) -> None:
        self.toy, self.url = toy, url
        self.toy.env |= {"PREFECT_API_URL": url, "PYTHONUNBUFFERED": "1"}
        self.log = toy.folder.parent / "log"
        self.child: subprocess.Popen[str] | None = None

    def start(self) -> None:
        words = [sys.executable, "-m", "emoforge", "schedule", "start"]
        with self.log.open("w") as file:
            self.child = subprocess.Popen(
                words,
                cwd=self.toy.folder,
                env=self.toy.env,
                text=True,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        child = self.child
        wait_for(lambda: "worker of the pool" in self.log.read_text(), 120, child)

    def kill(self) -> None:
        """kill -9 of the worker and of all that it started, which tells nobody anything."""
        assert self.child is not None
        root = psutil.Process(self.child.pid)
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):  # many end by themselves when what started them is gone
                process.kill()
        self.child.wait()

    def stop(self) -> None:
        if self.child is not None and self.child.poll() is None:
            root = psutil.Process(self.child.pid)
            below = root.children(recursive=True)
            os.killpg(self.child.pid, signal.SIGINT)
            try:
                self.child.wait(60)
            finally:
                for process in [root, *below]:
                    with suppress(psutil.NoSuchProcess):
                        process.kill()

    def fire(self, name: str) -> str:
        """-> id of the flow run."""
        deployment = self.asked(f"deployments/name/{name}")
        run = self.asked(f"deployments/{deployment['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
        return str(run["id"])

    def asked(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return servers.asked(self.url, path, body)

    def state(self, run: str) -> tuple[str, str]:
        state = self.asked(f"flow_runs/{run}")["state"] or {}
        return str(state.get("name")), str(state.get("message"))

    def ended(self, run: str, within_s: float = 180) -> tuple[str, str]:
        assert self.child is not None
        over = ("Completed", "Failed", "Crashed", "Cancelled")
        wait_for(lambda: self.state(run)[0] in over, within_s, self.child)
        return self.state(run)

    def events(self, name: str) -> list[str]:
        answer = self.asked("events/filter", {"filter": {"event": {"name": [name]}}})
        return [one["resource"]["prefect.resource.id"] for one in answer["events"]]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    toy = Toy(tmp_path / "toy")
    (toy.folder / "prefect.yaml").write_text((REPO / "prefect.yaml").read_text(encoding="utf-8"))
    toy.git("add", "-A")
    toy.git("commit", "-qm", "deployments")
    with server("all") as url:
        made = Lab(toy, url)
        try:
            yield made
        finally:
            made.stop()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_worker_publishes_once_obeys_gates_and_is_taken_up_when_killed(lab: Lab) -> None:
    toy, nightly = lab.toy, "rebuild/nightly-rebuild"
    lab.start()
    told = toy.sh("prefect", "deployment", "inspect", nightly).stdout
    assert "0 3 * * *" in told and "CANCEL_NEW" in told
    state, message = lab.ended(lab.fire(nightly))
    assert state == "Completed", message
    assert toy.git("tag") == "toy@v1.0.0" and toy.calls() == ALL
    assert lab.ended(lab.fire(nightly))[0] == "Completed" and toy.calls() == []
    assert toy.git("tag") == "toy@v1.0.0", "nothing new: nothing"

    toy.set_seed(2)
    (toy.folder / "blocked").write_text("frechet (all): fail, too far")
    state, message = lab.ended(lab.fire(nightly))
    assert state == "Failed" and "frechet (all): fail, too far" in message
    assert toy.git("tag") == "toy@v1.0.0", "a gate says no: nothing is published"

    (toy.folder / "blocked").unlink()
    toy.set_seed(3)
    toy.calls()
    toy.behave("augment@toy", "import time; (repo / 'asleep').touch(); time.sleep(600)")
    killed = lab.fire(nightly)
    assert lab.child is not None
    wait_for((toy.folder / "asleep").exists, 120, lab.child)
    lab.kill()
    toy.behave("augment@toy", None)
    assert toy.calls() == ["plan@toy", "fit@toy", "augment@toy"] and lab.state(killed)[0] == "Running"
    rows = json.loads(toy.emoforge("schedule", "status", "--json").stdout)["deployments"]
    assert [row["stale"] for row in rows if row["name"] == "nightly-rebuild"] == [True]
    lab.start()
    assert lab.state(killed)[0] == "Crashed"
    assert lab.ended(lab.fire(nightly))[0] == "Completed"
    assert toy.calls() == ["augment@toy", "evaluate@toy", "release@toy", "report@toy"], "what was finished is kept"
    assert toy.git("tag").split() == ["toy@v1.0.0", "toy@v1.1.0"]
    events = "prefect.asset.materialization.succeeded"
    wait_for(lambda: len(lab.events(events)) > 1, 60, lab.child)  # a worker sends them in its own time
    assert lab.events(events) == ["emoforge://toy"] * 2

    rows = json.loads(toy.emoforge("schedule", "status", "--json").stdout)["deployments"]
    assert [row["name"] for row in rows] == ["nightly-rebuild", "study-refresh", "verify-releases", "watch-corpus"]
    assert rows[0]["state"] == "Completed" and rows[0]["next"] and not rows[0]["stale"]
    assert lab.ended(lab.fire("verify-releases/verify-releases"))[0] == "Completed"
    assert lab.ended(lab.fire("study-refresh/study-refresh")) == ("Completed", "nothing new")


STARTS_SLOWLY = """
import os, time
from pathlib import Path
place = Path(__file__).parent
if "PREFECT__FLOW_RUN_ID" in os.environ and (place / "slowly").exists():
    (place / "starting").touch()
    time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_worker_killed_while_a_run_starts_keeps_no_place(lab: Lab, tmp_path: Path) -> None:
    toy, nightly, place = lab.toy, "rebuild/nightly-rebuild", tmp_path / "site"
    place.mkdir()
    (place / "sitecustomize.py").write_text(STARTS_SLOWLY)
    (place / "slowly").touch()
    toy.env["PYTHONPATH"] = os.pathsep.join([str(place), toy.env["PYTHONPATH"]])
    lab.start()
    lost = lab.fire(nightly)
    assert lab.child is not None
    wait_for((place / "starting").exists, 120, lab.child)
    lab.kill()
    (place / "slowly").unlink()
    assert lab.state(lost)[0] == "Submitting" and toy.calls() == []
    lab.start()
    assert lab.state(lost) == ("Crashed", "its process is gone")
    assert lab.ended(lab.fire(nightly))[0] == "Completed", "its place is free at once"
    # the worker's goes when it has seen the end of the process
    wait_for(lambda: not list((toy.folder / ".emoforge" / "heartbeats").iterdir()), 60, lab.child)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_linked_corpus_that_changes_is_rebuilt(lab: Lab) -> None:
    toy, watch = lab.toy, "watch-corpus/watch-corpus"
    head, _, rest = (toy.folder / "params.yaml").read_text().partition("demo:\n")
    (toy.folder / "params.yaml").write_text(f"{head}demo: {{}}\n{rest[rest.index('runs:') :]}")
    corpus = toy.folder.parent / "disk"
    corpus.mkdir()
    (corpus / "a.txt").write_text("a")
    (toy.folder / "data" / "raw").mkdir(parents=True)
    (toy.folder / "data" / "raw" / "toy").symlink_to(corpus)
    (toy.folder / "prefect.yaml").write_text(
        (toy.folder / "prefect.yaml").read_text().replace("{publish: false}", "{publish: false, settled_s: 0}")
    )
    lab.start()
    state, message = lab.ended(lab.fire(watch))
    assert (state, toy.calls()) == ("Completed", ALL[1:]), message
    state, message = lab.ended(lab.fire(watch))
    assert (state, message, toy.calls()) == ("Completed", "nothing new: toy as before", [])
    os.utime(corpus / "a.txt", (1, 1))
    assert lab.ended(lab.fire(watch))[1] == "nothing new: toy as before" and toy.calls() == []
    (corpus / "b.txt").write_text("b")
    state, message = lab.ended(lab.fire(watch))
    assert (state, message) == ("Completed", "rebuilt toy: toy changed") and "ingest@toy" in toy.calls()
    assert toy.git("tag") == "", "it is not asked to publish"
