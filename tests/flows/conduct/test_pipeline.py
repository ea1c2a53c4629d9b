"""The flow adds what DVC has not: retries, cancellation, artifacts, and it leaves nothing RUNNING for ever."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter
from prefect.states import Cancelling, Running
from prefect.testing.utilities import prefect_test_harness

from corpora.errors import GateError, InterruptedRunError, LockedError, UserError
from flows.conduct import pipeline
from flows.conduct.dvcrun import needed, stages_of
from flows.conduct.errorfile import StageFailedError
from flows.conduct.processes import run_locks
from flows.params import load_params
from tests.flows.conduct.test_dvcrun import SLEEPER, gone, sleepers
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


def test_a_run_whose_process_is_gone_is_marked_as_crashed(toy: Toy) -> None:
    with get_client(sync_client=True) as client:
        dead = client.create_flow_run(pipeline.rebuild, state=Running())
        alive = client.create_flow_run(pipeline.rebuild, state=Running())
        folder = toy.folder / ".emoforge" / "heartbeats"
        with pipeline.heartbeat(toy.folder, str(alive.id)):
            told = json.loads((folder / f"{alive.id}.json").read_text())
            (folder / f"{dead.id}.json").write_text(json.dumps(told | {"born": 1.0}))  # that pid is another process now
            assert pipeline.sweep(toy.folder) == [str(dead.id)]
        state, other = client.read_flow_run(dead.id).state, client.read_flow_run(alive.id).state
    assert state is not None and state.is_crashed()
    assert other is not None and other.is_running()
    assert not list(folder.iterdir())


def test_two_runs_of_one_name_do_not_meet(toy: Toy) -> None:
    with run_locks(toy.folder / ".emoforge" / "locks", ["toy"]), pytest.raises(LockedError, match="pid"):
        pipeline.conduct(["toy"], toy.folder)
    assert toy.calls() == []
