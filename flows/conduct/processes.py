"""Groups of processes that are ended whole, and one run of a name at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from corpora.errors import LockedError
from flows.paths import checked


def end_group(child: subprocess.Popen[str], *, grace_s: float = 20.0) -> None:
    """Ends `child` and all of its process group: SIGINT (DVC then rolls back and frees its locks), TERM, KILL.

    `child` was started with `start_new_session=True` or its own process group; returns when nothing of it is left.
    """
    for number, patience in ((signal.SIGINT, grace_s), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if child.poll() is not None and not group_alive(child.pid):
                return
            time.sleep(0.05)


def group_alive(group: int) -> bool:
    """Whether any process that is not a zombie still belongs to the process group."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


@contextlib.contextmanager
def run_locks(folder: Path, names: list[str]) -> Iterator[None]:
    """Holds one lock file for each of `names` (sorted, so that two runs cannot block each other for ever).

    The kernel frees them when the process ends, also by kill -9. Raises `LockedError` that names the holder,
    `UnknownNameError` for what cannot be a name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        for name in sorted(set(names)):
            file = held.enter_context((folder / f"run-{checked('run', name)}.lock").open("a+", encoding="utf-8"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise LockedError(
                    f"run {name!r} is being built by another process ({_holder(file.read())}). "
                    "Wait for it, or end it; what it finished is kept."
                ) from None
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "command": " ".join(sys.argv)}))
            file.flush()
        yield


def _holder(text: str) -> str:
    try:
        known = json.loads(text)
        return f"pid {known['pid']}: {known['command']}"
    except (ValueError, KeyError, TypeError):
        return "pid unknown"
