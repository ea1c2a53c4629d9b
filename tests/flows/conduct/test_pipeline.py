"""The flow adds what DVC has not: retries, cancellation, artifacts, and it leaves nothing RUNNING for ever."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect import tags as prefect_tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import ArtifactFilter
from prefect.client.schemas.schedules import CronSchedule
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Failed, Running
from prefect.testing.utilities import prefect_test_harness

from corpora.errors import GateError, InterruptedRunError, LockedError, ResourceError, UserError
from flows.conduct import pipeline
from flows.conduct.dvcrun import needed, stages_of
from flows.conduct.errorfile import StageFailedError
from flows.conduct.processes import run_locks
from flows.nightly.flows import verify_releases, watch_corpus
from flows.nightly.notices import notify, require_block
from flows.nightly.status import status
from flows.params import load_params
from flows.upkeep.flowruns import old_flow_runs
from tests.flows.conduct.test_dvcrun import SLEEPER, gone, sleepers
from tests.small_release import real, write_release
from tests.toy import ALL, Toy


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    made = Toy(tmp_path / "toy")
    for name in ("PYTHONPATH", "HOME", "PATH"):
        monkeypatch.setenv(name, made.env[name])
    return made


def test_the_flow_builds_what_is_needed_and_shows_it(toy: Toy) -> None:
    pipeline.conduct(["toy"], toy.folder)
    assert toy.calls() == ALL
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(artifact_filter=ArtifactFilter.model_validate({}))
    found = {a.key: a.data for a in artifacts}
    assert json.loads(found["balance-toy"])[0]["class"] == "fear"  # type: ignore[arg-type]
    assert "report.html" in str(found["report-toy"])
    toy.set_seed(2)
    pipeline.conduct(["toy"], toy.folder)
    assert toy.calls() == ["plan@toy", "fit@toy", "augment@toy", "evaluate@toy", "release@toy", "report@toy"]
    assert not list((toy.folder / ".emoforge" / "heartbeats").iterdir())


def test_a_killed_stage_is_tried_again(toy: Toy) -> None:
    flaky = "flag = repo / 'flag'\nif not flag.exists():\n    flag.touch(); import os; os.kill(os.getpid(), 9)"
    toy.behave("fake@toy", flaky)
    toy.behave("ingest@toy", "from corpora.errors import GateError; raise GateError('far enough')")
    with pytest.raises(GateError, match="far enough"):
        pipeline.conduct(["toy"], toy.folder)
    assert toy.calls() == ["fake@toy", "fake@toy", "reader@toy", "ingest@toy"]


def test_how_often_is_the_machines_own_affair(toy: Toy) -> None:
    (toy.folder / "machine.yaml").write_text("retries: {stage: 1, delays_s: [0]}\n")
    toy.behave("fake@toy", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(StageFailedError):
        pipeline.conduct(["toy"], toy.folder)
    assert toy.calls() == ["fake@toy", "fake@toy"]


@pytest.mark.parametrize("kind", [GateError, UserError])
def test_a_no_and_bad_input_are_never_tried_again(toy: Toy, kind: type[Exception]) -> None:
    toy.behave("fake@toy", f"from corpora.errors import {kind.__name__}; raise {kind.__name__}('fear')")
    with pytest.raises(kind, match="fear"):
        pipeline.conduct(["toy"], toy.folder)
    assert toy.calls() == ["fake@toy"]


def second_run(toy: Toy) -> None:
    params = toy.folder / "params.yaml"
    text = params.read_text()
    for part in ("corpora", "demo"):
        line = next(x for x in text.split(f"{part}:\n")[1].splitlines() if x.startswith("  toy:"))
        text = text.replace(line, f"{line}\n{line.replace('toy:', 'other:')}", 1)
    run = text.split("runs:\n")[1]
    params.write_text(text + run.replace("toy", "other"))


@pytest.mark.slow
def test_two_runs_are_both_up_to_date_afterwards_and_a_broken_corpus_costs_only_its_own(toy: Toy) -> None:
    second_run(toy)
    toy.behave("ingest@other", "from corpora.errors import CorpusError; raise CorpusError('other is empty')")
    with pytest.raises(UserError, match="other is empty"):
        pipeline.conduct(["other", "toy"], toy.folder)
    assert toy.calls() == [
        *("fake@other", "fake@toy", "reader@other", "ingest@other"),
        *ALL[1:],
    ]
    toy.behave("ingest@other", None)
    pipeline.conduct(["other", "toy"], toy.folder)
    assert "plan@other" in toy.calls()
    assert needed(stages_of(load_params(toy.folder / "params.yaml"), ["toy", "other"]), repo=toy.folder) == []


def test_cancelling_through_the_api_ends_the_children(toy: Toy) -> None:
    toy.behave("fake@toy", SLEEPER)

    def cancel() -> None:
        sleepers(toy)
        run = UUID(next((toy.folder / ".emoforge" / "heartbeats").iterdir()).stem)
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run, Cancelling(), force=True)

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(InterruptedRunError):
        pipeline.conduct(["toy"], toy.folder)
    thread.join()
    assert gone(sleepers(toy))
    assert toy.calls() == ["fake@toy"]


def test_a_stage_goes_on_while_the_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "this_flow_run", SimpleNamespace(id=str(uuid4())))
    asked = pipeline._cancel_asked()
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert asked() is False


def test_a_server_that_stays_away_is_said_in_a_sentence(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = httpx.ConnectError("All connection attempts failed")

    def raises(*_: object, **__: object) -> None:
        raise lost

    said = "did not answer any more .*same command goes on"
    for stand_in in (raises, lambda *_, **__: Failed(data=lost)):
        monkeypatch.setattr(pipeline, "rebuild", stand_in)
        with pytest.raises(ResourceError, match=said):
            pipeline.conduct(["toy"], toy.folder)


def test_a_run_can_be_seen_to_be_dead_from_its_first_moment_on(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    beating: list[int] = []

    def first(path: Path) -> Any:
        beating.append(len(list((toy.folder / ".emoforge" / "heartbeats").glob("*.json"))))
        raise UserError("what follows takes seconds")

    monkeypatch.setattr(pipeline, "load_params", first)
    with pytest.raises(UserError, match="takes seconds"):
        pipeline.conduct(["toy"], toy.folder)
    assert beating == [1]


def test_two_runs_of_one_name_do_not_meet(toy: Toy) -> None:
    with run_locks(toy.folder / ".emoforge" / "locks", ["toy"]), pytest.raises(LockedError, match="pid"):
        pipeline.conduct(["toy"], toy.folder)
    assert toy.calls() == []


@pytest.fixture
def told() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """-> (notification block that posts to a server on loopback, what that was posted)."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    posted: list[dict[str, str]] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Ear) as ear:
        threading.Thread(target=ear.serve_forever, daemon=True).start()
        CustomWebhookNotificationBlock(
            name="lab",
            url=f"http://127.0.0.1:{ear.server_port}/hook",
            json_data={"subject": "{{subject}}", "body": "{{body}}"},
        ).save("lab", overwrite=True)
        yield "custom-webhook/lab", posted
        ear.shutdown()


def test_damage_is_told_and_what_is_intact_is_not(tmp_path: Path, told: tuple[str, list[dict[str, str]]]) -> None:
    block, posted = told
    (tmp_path / "machine.yaml").write_text(f"notify: {block}\n")
    release = write_release(tmp_path / "data" / "runs" / "toy" / "release", [real(i) for i in range(4)])
    assert verify_releases(tmp_path, return_state=True).message == "1 releases intact" and posted == []
    (release / "README.md").write_text("other\n")
    state = verify_releases(tmp_path, return_state=True)
    assert state.is_failed() and "README.md" in str(state.message)
    assert [one["subject"] for one in posted] == [f"emoforge: verify-releases failed in {tmp_path.name}"]
    assert "README.md" in posted[0]["body"]


def test_a_notice_that_cannot_be_sent_is_a_warning(tmp_path: Path, told: tuple[str, list[dict[str, str]]]) -> None:
    warned: list[str] = []
    assert not notify(tmp_path, "s", "b", warned.append) and warned == [], "nobody is to be told"
    (tmp_path / "machine.yaml").write_text("notify: custom-webhook/nobody\n")
    assert not notify(tmp_path, "s", "b", warned.append) and "custom-webhook/nobody" in warned[0]
    (tmp_path / "machine.yaml").write_text("notify: a b\n")
    assert not notify(tmp_path, "s", "b", warned.append) and "notify" in warned[1]
    with pytest.raises(UserError, match="which the server does not have"):
        require_block("slack-webhook/lab")


def test_nothing_new_starts_nothing_and_old_flow_runs_go(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("corpora: {a: {reader: ravdess}}\nruns: {a: {corpora: [a]}}\n")
    with prefect_tags("emoforge"):
        state = watch_corpus(repo=tmp_path, return_state=True)
        watch_corpus(repo=tmp_path / "elsewhere", return_state=True)
    assert state.is_completed() and state.message == "nothing new: a not there"
    n, n_bytes, note = old_flow_runs(tmp_path, 1, dry=False)
    assert (n, n_bytes) == (0, None) and "keeps 1 runs" in note, "the other is another project's"
    assert old_flow_runs(tmp_path, 0, dry=True)[0] == 1 == old_flow_runs(tmp_path, 0, dry=False)[0]
    assert old_flow_runs(tmp_path, 0, dry=True)[0] == 0 and old_flow_runs(tmp_path / "elsewhere", 0, dry=True)[0] == 1


def test_status_says_what_runs_when_and_how_it_went(tmp_path: Path) -> None:
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(verify_releases)
        for name, when in (("verify-releases", "0 6 * * 6"), ("watch-corpus", "*/15 * * * *")):
            schedule = DeploymentScheduleCreate(schedule=CronSchedule(cron=when, timezone="UTC"), active=True)
            last = client.create_deployment(flow_id, name, schedules=[schedule], tags=["emoforge"])
        client.create_deployment(flow_id, "somebody-elses", tags=["other"])
        run = client.create_flow_run_from_deployment(last, state=Running())
        beat = tmp_path / ".emoforge" / "heartbeats" / f"{run.id}.json"
        beat.parent.mkdir(parents=True)
        beat.write_text(json.dumps({"pid": 1, "born": 1.0, "host": socket.gethostname()}))
        url, rows = status(tmp_path)
        assert url.startswith("http://127.0.0.1") or url.startswith("http://localhost")
        assert [(row.name, row.schedule) for row in rows] == [
            ("verify-releases", "0 6 * * 6"),
            ("watch-corpus", "*/15 * * * *"),
        ]
        assert (rows[0].state, rows[0].last, rows[0].stale) == ("", "", False)
        assert (rows[1].state, rows[1].stale) == ("Running", True)
        client.set_flow_run_state(run.id, Failed(message="a gate said no"), force=True)
        assert [(row.state, row.message) for row in status(tmp_path)[1]][1] == ("Failed", "a gate said no")
