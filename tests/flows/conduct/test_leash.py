"""Whoever is killed, and whenever: nothing that it started goes on, and no out appears afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows.conduct.leash import PARENT, handed_down
from flows.engine.reaper import start_time
from tests.flows.conduct.test_dvcrun import gone
from tests.toy import Toy

CONDUCTOR = (
    "from pathlib import Path; from flows.conduct.dvcrun import repro; repro('fake@toy', repo=Path(), on_line=print)"
)
SLOW = "import time; time.sleep(2)"  # a stage that would have written its out, had nobody ended it
STARTS = {"conductor": [sys.executable, "-c", CONDUCTOR], "dvc": [sys.executable, "-m", "dvc", "repro", "fake@toy"]}


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    made = Toy(tmp_path / "toy")
    made.behave("fake@toy", SLOW)
    return made


def below(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def is_stage(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return "tool.py" in process.cmdline()
    return False


def killed(toy: Toy, command: list[str], shell: str, when: str, delay_s: float) -> list[int]:
    """Starts `command`, kills it with SIGKILL `delay_s` after its child ("child") or the stage ("stage") appeared."""
    top = subprocess.Popen(
        command, cwd=toy.folder, env=toy.env | {"SHELL": shell}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    seen = psutil.Process(top.pid)
    deadline = time.monotonic() + 60
    while not (found := [p for p in below(seen) if when == "child" or is_stage(p)]):
        assert time.monotonic() < deadline and top.poll() is None, "nothing was started"
        time.sleep(0.002)
    time.sleep(delay_s)
    started = {p.pid for p in [*found, *below(seen)]}
    os.kill(top.pid, signal.SIGKILL)
    top.wait()
    return sorted(started)


def check(toy: Toy, start: str, shell: str, when: str, delay_s: float) -> None:
    started = killed(toy, STARTS[start], shell, when, delay_s)
    here = [p.pid for p in psutil.process_iter() if _cwd(p) == str(toy.folder)]  # born after the last look as well
    assert gone([*started, *here]), f"{start}, {shell}: something outlived it, killed {delay_s} s after the {when}"
    assert not (toy.folder / "data" / "raw" / "toy").exists(), "an out was written when nobody waited for it any more"


def _cwd(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return process.cwd()
    return ""


@pytest.mark.parametrize(("start", "shell"), [("conductor", "/bin/sh"), ("dvc", "/bin/bash")])
def test_a_starting_stage_ends_with_who_started_it(toy: Toy, start: str, shell: str) -> None:
    check(toy, start, shell, "stage", 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.parametrize("start", ["conductor", "dvc"])
def test_whenever_it_is_killed(toy: Toy, start: str, shell: str) -> None:
    moments = [("child", d) for d in (0.0, 0.05, 0.3) if start == "conductor"]
    for when, delay_s in [*moments, *(("stage", d) for d in (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8))]:
        check(toy, start, shell, when, delay_s)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_shell_between_does_not_hide_that_the_parent_ended(toy: Toy, wrapped: bool) -> None:
    """A dvc.yaml without `exec`, under a shell that stays: the stage's own parent lives on."""
    file = toy.folder / "dvc.yaml"
    file.write_text(
        file.read_text().replace("exec python tool.py stage fake ${key}", "python tool.py stage fake ${key}; true")
    )
    check(toy, "conductor" if wrapped else "dvc", "/bin/sh", "stage", 0.3)


HELD = "from flows.conduct.leash import hold; hold(); import time; time.sleep(30)"


def held(env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HELD], env={"PATH": os.environ["PATH"]} | env, text=True, cwd=Path(__file__).parents[3]
    )


def test_a_parent_that_is_gone_already_ends_the_child_at_once() -> None:
    before = subprocess.Popen(["true"])
    before.wait()
    assert held({PARENT: f"{before.pid} 123"}).wait(20) == -signal.SIGTERM
    # the pid lives, as another process than the one that was meant
    assert held({PARENT: f"{os.getpid()} 1"}).wait(20) == -signal.SIGTERM


# a root without a lock: that of the project says who runs there, or that nobody does any more
@pytest.mark.parametrize("env", [{}, {"DVC_STAGE": "fit@toy", "DVC_ROOT": os.devnull}, None])
def test_a_parent_that_lives_is_left_alone(env: dict[str, str] | None) -> None:
    child = held(handed_down() if env is None else env)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(1.0)
    child.kill()
    child.wait()


def test_the_name_of_the_parent_is_not_passed_on() -> None:
    code = "import os; from flows.conduct.leash import hold; hold(); print(os.environ.get('EMOFORGE_PARENT'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | handed_down(),
        text=True,
        capture_output=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.strip() == "None", done.stderr
    assert handed_down() == {PARENT: f"{os.getpid()} {start_time(os.getpid())}"}
