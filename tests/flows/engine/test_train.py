"""A fit in two processes: the same losses on both, the same model again, also when a worker was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import corpora.quiet
from corpora.errors import ParamsError, PayloadError, ResourceError
from flows.engine.cluster import connected
from flows.engine.executor import Patience, Resources
from flows.engine.train import WorkerLostError, fit_in_group
from flows.engine.worker import environment
from generators.generator import Device
from tests.flows.engine.train_functions import registered, registered_case
from training import ddp

FUNCTIONS = "tests.flows.engine.train_functions"


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    with connected("local", cpus=2, env=environment(1)) as connection:
        yield connection.ray


def fit(name: str, folder: Path, world_size: int = 2, **more: Any) -> None:
    kwargs = {"folder": str(folder), **more.pop("kwargs", {})}
    attempts = more.pop("max_attempts", 3)
    fit_in_group(f"{FUNCTIONS}:{name}", kwargs, Resources(actors=world_size, **more), Patience(attempts))


def model_bytes(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (folder / "model").iterdir()}


@pytest.mark.slow
def test_two_workers_agree_and_repeat_themselves(ray: Any, tmp_path: Path) -> None:
    fit("fit_twice", tmp_path)
    ranks = [json.loads((tmp_path / "a" / f"rank-{r}.json").read_text()) for r in (0, 1)]
    assert ranks[0] == ranks[1]
    assert ranks[0]["world"] == 2 and ranks[0]["threads"] == 1
    assert ranks[0]["waits"] == os.environ["OMP_WAIT_POLICY"]
    assert [step for step, _ in ranks[0]["losses"]] == list(range(1, 13))
    assert model_bytes(tmp_path / "a") == model_bytes(tmp_path / "b")
    # another group, whose worker is killed after a checkpoint, ends at the same bytes
    fit("fit_toy", tmp_path / "c", kwargs={"kill_at": 6})
    assert (tmp_path / "c" / "killed").exists()
    assert model_bytes(tmp_path / "a") == model_bytes(tmp_path / "c")
    assert json.loads((tmp_path / "c" / "rank-0.json").read_text()) == ranks[0]


@pytest.mark.slow
def test_every_generator_that_trains_can_be_fitted_by_two_and_goes_on_after_an_end(ray: Any, tmp_path: Path) -> None:
    names, kill = registered(), ["cgan", "small_lm"]  # every group costs seconds: the others are only broken off
    fit("fit_registered", tmp_path / "whole", kwargs={"names": names})
    fit("fit_registered", tmp_path / "cut", kwargs={"names": names, "cut": True, "kill": kill})
    assert [name for name in names if (tmp_path / "cut" / name / "killed").exists()] == kill
    for name in names:
        first, second, *cut = (
            json.loads((tmp_path / way / name / f"rank-{rank}.json").read_text())
            for way in ("whole", "cut")
            for rank in (0, 1)
        )
        assert first["world"] == 2
        assert first == second, f"{name}: the workers of one fit end apart"
        assert cut == [first, second], f"{name}: a fit that goes on ends elsewhere"


@pytest.mark.parametrize("name", registered())
def test_every_generator_that_trains_refuses_workers_that_cannot_share_its_batch(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ddp, "world_size", lambda: 3)
    model, data = registered_case(name)
    with pytest.raises(ParamsError, match=r"batch_size \d+ cannot be shared by 3 workers; use a multiple of it"):
        next(iter(model.fit(data, steps=2, seed=0, device=Device())))


@pytest.mark.slow
def test_a_workers_error_ends_the_group(ray: Any, tmp_path: Path) -> None:
    with pytest.raises(PayloadError, match="too-short: 12 samples") as caught:
        fit("fail_on_one", tmp_path)
    assert caught.value.reason == "too-short"
    assert (tmp_path / "calls").read_text() == "x"  # not tried again


@pytest.mark.slow
def test_a_group_that_dies_again_and_again(ray: Any, tmp_path: Path) -> None:
    with pytest.raises(WorkerLostError, match="lost a worker 2 times"):
        fit("die", tmp_path, max_attempts=2)


@pytest.mark.slow
def test_a_group_that_has_no_place(ray: Any, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"asks for 3 workers.*place for 2"):
        fit("fit_toy", tmp_path, world_size=3)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_fit_is_not_done(number: signal.Signals, tmp_path: Path) -> None:
    code = (
        "from flows.engine.executor import Resources\nfrom flows.engine.train import fit_in_group\n"
        f"fit_in_group('{FUNCTIONS}:wait_long', {{'folder': 'x'}}, Resources(actors=1, address='local'))"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=corpora.quiet.REPO,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    assert driver.stdout is not None
    for line in driver.stdout:
        if "waits" in line:
            break
    ours = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(number)
    output, _ = driver.communicate(timeout=60)
    assert driver.returncode != 0, output
    _, alive = psutil.wait_procs(ours, timeout=20)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
