"""Processes that end with the one that started them, however that one ended, and from their first line on.

A parent can be killed while its child still imports, when it is too late to ask the kernel for a signal: the child is
given whose child it is meant to be (`handed_down`), asks, and then looks whether that process is still there. Standard
library only, as it comes before all other imports. `python -m flows.conduct.leash MODULE ARGUMENTS` runs
`MODULE.main` on it.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import select
import signal
import sys
import threading
import time
from pathlib import Path

from flows.engine.reaper import start_time

PARENT = "EMOFORGE_PARENT"  # environment: "pid start-time" of the process that this one is to end with
PR_SET_PDEATHSIG = 1  # linux/prctl.h
_held = threading.Event()  # once for a process is enough
GRACE_S = 20.0  # an interrupted stage frees its locks and its Ray in this time; what is left then is killed


def handed_down() -> dict[str, str]:
    """Environment that makes a child `hold` on to this process."""
    return {PARENT: f"{os.getpid()} {start_time(os.getpid())}"}


def hold(number: int = signal.SIGTERM) -> None:
    """This process gets signal `number` when its parent ends, at once if that has ended already; SIGKILL after a while.

    The parent is the process that `PARENT` names (taken out of the environment: it speaks of this process alone), else,
    under DVC, the DVC that runs the stage, though a shell may stand between them. With neither, or on another system
    than Linux, nothing happens.
    """
    parent_and_birth = os.environ.pop(PARENT, "").split()
    if _held.is_set() or not sys.platform.startswith("linux"):
        return
    if len(parent_and_birth) == 2 and parent_and_birth[0].isdecimal():
        parent, born = int(parent_and_birth[0]), parent_and_birth[1]
    elif "DVC_STAGE" in os.environ:
        parent = _dvc()
        born = start_time(parent)
    else:
        return
    _held.set()
    shell = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    watched = _opened(parent)
    if start_time(parent) != born or not born or _ended(parent, watched, 0) or os.getppid() != shell:
        os.kill(os.getpid(), number)
    threading.Thread(target=_watch, args=(parent, watched, number), name="leash", daemon=True).start()


def _dvc() -> int:
    """pid of the DVC that started this process: the one above it that holds DVC's lock on outs. 0: it is gone."""
    parent = os.getppid()
    try:
        lock = Path(os.environ.get("DVC_ROOT", ""), ".dvc", "tmp", "rwlock").read_text(encoding="utf-8")
        holders = {int(entry["pid"]) for entry in json.loads(lock)["write"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return parent  # no lock to be read: whoever is the parent now
    above = parent
    while above > 0:
        if above in holders:
            return above
        above = _parent_of(above)
    return 0


def _parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def _opened(pid: int) -> int | None:
    """A file descriptor that can be read from when the process has ended; None where the kernel has none to give."""
    try:
        return os.pidfd_open(pid)
    except (OSError, ValueError):
        return None


def _ended(pid: int, watched: int | None, wait_s: float | None) -> bool:
    """Whether the process ends within `wait_s` seconds (None: waits for it)."""
    if watched is not None:
        looked = select.poll()
        looked.register(watched, select.POLLIN)
        return bool(looked.poll(None if wait_s is None else 1000 * wait_s))
    born, deadline = start_time(pid), None if wait_s is None else time.monotonic() + wait_s
    while start_time(pid) == born != "":
        if deadline is not None and time.monotonic() >= deadline:
            return False
        time.sleep(0.2)
    return True


def _watch(parent: int, watched: int | None, number: int) -> None:
    _ended(parent, watched, None)
    os.kill(os.getpid(), number)
    time.sleep(GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """[module, its arguments]: runs the `main` of the module in a process that ends with the one that started it."""
    hold()
    module = importlib.import_module(arguments[0])
    sys.exit(module.main(arguments[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
