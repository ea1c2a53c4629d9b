"""DVC is asked and driven as it says: what runs, why, how it fails, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from corpora.errors import GateError, InterruptedRunError, LockedError, ResourceError, UnknownNameError, UserError
from flows.conduct.dvcrun import free_dead_locks, needed, reasons, repro, stages_of
from flows.conduct.errorfile import StageFailedError
from flows.params import load_params
from tests.toy import ALL, Toy


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    made = Toy(tmp_path / "projet é 1")
    for name in ("PYTHONPATH", "HOME", "PATH"):
        monkeypatch.setenv(name, made.env[name])
    return made


def build(toy: Toy, stage: str, **options: object) -> list[str]:
    lines: list[str] = []
    repro(stage, repo=toy.folder, on_line=lines.append, **options)  # type: ignore[arg-type]
    return lines


def test_stages_walk_from_corpus_to_report(toy: Toy) -> None:
    assert stages_of(load_params(toy.folder / "params.yaml"), ["toy"]) == ALL


def test_only_what_changed_is_needed_and_the_reason_is_told(toy: Toy) -> None:
    assert needed(ALL, repo=toy.folder) == ALL
    toy.repro()
    assert needed(ALL, repo=toy.folder) == []
    toy.set_seed(2)
    assert reasons(ALL, repo=toy.folder) == {"plan@toy": ["parameter runs.toy is modified"]}
    build(toy, "plan@toy")
    assert needed(ALL, repo=toy.folder) == ["fit@toy"]


def test_unknown_stage_and_broken_dvc_yaml_are_bad_input(toy: Toy) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'fit@toy'"):
        needed(["fit@toi"], repo=toy.folder)
    (toy.folder / "dvc.yaml").write_text("stages: [")
    with pytest.raises(UserError, match=r"dvc\.yaml"):
        needed(["fit@toy"], repo=toy.folder)


@pytest.mark.parametrize(
    ("code", "kind", "exit_code"),
    [
        ("from corpora.errors import GateError; raise GateError('fear is too far')", GateError, 1),
        ("from corpora.errors import CorpusError; raise CorpusError('fear is empty')", UserError, 2),
        ("raise OSError(28, 'No space left on device', 'fear.tar')", ResourceError, 2),
        ("raise RuntimeError('fear is a defect')", StageFailedError, 1),
    ],
)
def test_a_stage_fails_with_its_own_error(toy: Toy, code: str, kind: type[Exception], exit_code: int) -> None:
    toy.behave("fake@toy", code)
    with pytest.raises(kind, match="fear") as raised:
        build(toy, "fake@toy")
    assert raised.value.exit_code == exit_code  # type: ignore[attr-defined]
    assert toy.error("fake@toy")["exit_code"] == exit_code
    assert not (toy.folder / "data" / "raw" / "toy").exists()
    assert not getattr(raised.value, "transient", False)


def test_a_killed_stage_may_be_tried_again_and_an_old_error_is_forgotten(toy: Toy) -> None:
    toy.behave("fake@toy", "from corpora.errors import GateError; raise GateError('no')")
    with pytest.raises(GateError):
        build(toy, "fake@toy")
    toy.behave("fake@toy", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(StageFailedError) as raised:
        build(toy, "fake@toy")
    assert raised.value.transient
    toy.behave("fake@toy", None)
    build(toy, "fake@toy")
    assert needed(["fake@toy"], repo=toy.folder) == []


def test_a_missing_corpus_says_how_to_link_it(toy: Toy) -> None:
    with pytest.raises(UserError, match="emoforge link toy PATH"):
        build(toy, "ingest@toy")


SLEEPER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
(repo / "pids").write_text(f"{__import__('os').getpid()} {child.pid}")
print("sleeping", flush=True)
time.sleep(60)
"""


def sleepers(toy: Toy) -> list[int]:
    path = toy.folder / "pids"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and len(path.read_text().split()) == 2:
            return [int(pid) for pid in path.read_text().split()]
        time.sleep(0.05)
    raise AssertionError("the stage did not begin")


def gone(pids: list[int], within_s: float = 10) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        alive = [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE]
        if not alive:
            return True
        time.sleep(0.05)
    return False


def test_cancelling_ends_all_that_the_stage_started(toy: Toy) -> None:
    toy.behave("fake@toy", SLEEPER)
    lines: list[str] = []
    with pytest.raises(InterruptedRunError):
        repro("fake@toy", repo=toy.folder, on_line=lines.append, cancelled=lambda: "sleeping" in lines, poll_s=0.1)
    assert gone(sleepers(toy))
    assert toy.error("fake@toy")["exit_code"] == 3
    held = json.loads((toy.folder / ".dvc" / "tmp" / "rwlock").read_text())
    assert not held.get("write")


def test_a_time_limit_ends_the_stage(toy: Toy) -> None:
    toy.behave("fake@toy", SLEEPER)
    with pytest.raises(StageFailedError, match="longer than"):
        build(toy, "fake@toy", timeout_s=6, poll_s=0.1)
    assert gone(sleepers(toy))


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh"])  # dash, unlike bash, stays between DVC and its command
def test_a_lock_names_its_holder_and_a_killed_holder_blocks_nobody(toy: Toy, shell: str) -> None:
    toy.behave("fake@toy", SLEEPER)
    other = subprocess.Popen(
        [sys.executable, "-m", "flows.conduct.dvcrun", "repro", "-s", "fake@toy"],
        cwd=toy.folder,
        env=toy.env | {"SHELL": shell},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        pids = sleepers(toy)
        with pytest.raises(LockedError, match=f"pid {other.pid}"):
            needed(["fake@toy"], repo=toy.folder)
        with pytest.raises(LockedError, match=f"pid {other.pid}"):
            build(toy, "fake@toy")
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    assert gone(pids[:1]), "a stage outlived the DVC that started it"
    os.kill(pids[1], signal.SIGKILL)
    toy.behave("fake@toy", None)
    build(toy, "fake@toy")


def test_a_lock_whose_pid_was_given_to_another_process_is_dropped(toy: Toy) -> None:
    path = toy.folder / ".dvc" / "tmp" / "rwlock"
    entry = {"pid": os.getpid(), "cmd": "dvc repro -s something-else"}
    path.write_text(json.dumps({"write": {str(toy.folder / "data/raw/toy"): entry}, "read": {}}))
    build(toy, "fake@toy")
    path.write_text('{"write": {"cut sho')
    free_dead_locks(toy.folder)
    assert needed(["fake@toy"], repo=toy.folder) == []


def test_the_question_takes_little_and_imports_neither_prefect_nor_ray(toy: Toy) -> None:
    toy.repro()
    code = (
        "import sys, emoforge; from pathlib import Path; from flows.conduct.dvcrun import needed;"
        f"print(needed({ALL!r}, repo=Path.cwd()), {{'prefect', 'ray', 'torch'}} & set(sys.modules))"
    )
    done = toy.sh(sys.executable, "-c", code)
    assert done.stdout.strip() == "[] set()"
