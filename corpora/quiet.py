"""Environment that must stand before the big libraries are imported: no telemetry, loopback only, no spinning threads.

Imported first by the door, the tests and every Ray worker. A value that the user has set wins over each of these.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent  # where the code lies: a clone, or site-packages


def _home() -> Path:
    """Where libraries may keep files of their own: the clone, else the project around the current folder, else the
    user's cache. Never beside installed packages, which may belong to root."""
    if (REPO / "dvc.yaml").is_file():
        return REPO
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the current folder was removed
        here = Path("/")
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return folder
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "emoforge"


HOME = _home()

DEFAULTS = {
    "PREFECT_HOME": str(HOME / ".prefect"),
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 20 s, the default, is too short on two cores
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",  # what a server says whose database is away for a moment
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # keeps a local Ray on loopback
    "RAY_AUTH_MODE": "disabled",  # of a local Ray that listens on loopback only
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # Threads that wait for their siblings sleep instead of spinning: on a machine that does something else as well, a
    # training step with two threads took up to ten times as long otherwise. Changes no result.
    "OMP_WAIT_POLICY": "PASSIVE",
    "NUMBA_CACHE_DIR": str(HOME / ".emoforge" / "numba"),  # librosa compiles for up to half a minute otherwise
}

for _name, _value in DEFAULTS.items():
    os.environ.setdefault(_name, _value)

if os.environ["OMP_WAIT_POLICY"].upper() == "PASSIVE":
    os.environ.setdefault("KMP_BLOCKTIME", "0")  # ms; Intel's OpenMP, in torch from conda, spins for 200 ms regardless


@contextmanager
def imports_set_aside() -> Iterator[None]:
    """Inside, the garbage collector passes over what is there already: what big libraries leave at import stays as long
    as the process, and a corpus of many rows has it looked through again and again."""
    ours = gc.get_freeze_count() == 0
    if ours:
        gc.freeze()
    try:
        yield
    finally:
        if ours:
            gc.unfreeze()
