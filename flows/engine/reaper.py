"""Ends a local Ray whose driver was killed with a signal that no one can catch.

Ray's own processes notice it late: an agent lives on for two minutes and the session's folder stays for ever. This file
is run as a process of its own (standard library only, its own session) with a pipe as stdin. Each line names a process
("pid start-time") or the folder ("folder /tmp/emoforge-ray-..."). At the end of the pipe everything named is ended and
removed; after a regular shutdown there is nothing left to do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

GRACE_S = 3.0  # raylet and GCS die with their parent by themselves; what is left is ended after this


def start_time(pid: int) -> str:
    """The kernel's start time of a process (clock ticks since boot), which tells a reused pid; "" if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def main() -> None:
    """Reads lines "folder PATH" and "PID START" of stdin; at its end waits `GRACE_S`, then ends what still runs."""
    processes: list[tuple[int, str]] = []
    folder = None
    for line in sys.stdin:
        name, _, value = line.rstrip("\n").partition(" ")
        if name == "folder":
            folder = value
        else:
            processes.append((int(name), value))
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline and any(start_time(p) == born for p, born in processes):
        time.sleep(0.1)
    for pid, born in processes:
        if born and start_time(pid) == born:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
