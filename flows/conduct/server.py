"""The Prefect server of a run: the user's own, or one on loopback that ends when the run ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Literal

from corpora.errors import ResourceError
from flows.conduct.leash import handed_down
from flows.conduct.processes import end_group

TRIES = 3  # a free port may be taken by someone else before the server binds it


@contextlib.contextmanager
def server(services: Literal["none", "all"] = "none", *, wait_s: float = 120.0) -> Iterator[str]:
    """-> URL of the API that Prefect's settings name (PREFECT_API_URL, a profile), else of a server started here.

    `services`: "all" for schedules; "none" starts faster. Raises `ResourceError` if no server answers.
    """
    from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

    given = get_current_settings().api.url
    if given:
        _answers(given, time.monotonic() + 10, None)
        yield given
        return
    child, url = _started(services, wait_s)
    try:
        with temporary_settings({PREFECT_API_URL: url}):
            try:
                yield url
            finally:
                _send_the_rest()
    finally:
        end_group(child, grace_s=5.0)


def _send_the_rest() -> None:
    """Logs and events that still wait: at exit Prefect would try for minutes to reach a server that is gone."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=15)
    EventsWorker.drain_all(timeout=15)


def _started(services: str, wait_s: float) -> tuple[subprocess.Popen[str], str]:
    for attempt in range(TRIES):
        port = _free_port()
        child = subprocess.Popen(
            [sys.executable, "-m", "flows.conduct.leash", "flows.conduct.server", str(port), services],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | handed_down(),
            start_new_session=True,
        )
        url = f"http://127.0.0.1:{port}/api"
        try:
            _answers(url, time.monotonic() + wait_s, child)
        except BaseException as error:
            end_group(child, grace_s=0.0)
            if isinstance(error, ResourceError) and attempt + 1 < TRIES:
                continue
            raise
        return child, url
    raise AssertionError("unreachable")


def _answers(url: str, deadline: float, child: subprocess.Popen[str] | None) -> None:
    why = "it does not answer"
    while time.monotonic() < deadline and (child is None or child.poll() is None):
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError) as error:
            why = str(error)
        time.sleep(0.1)
    if child is not None and child.poll() is not None and child.stderr is not None:
        why = child.stderr.read()[-800:].strip() or f"it ended with code {child.returncode}"
    raise ResourceError(
        f"no Prefect server at {url} ({why}). Start one: prefect server start; or unset PREFECT_API_URL."
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(arguments: list[str]) -> None:
    """`python -m flows.conduct.leash flows.conduct.server PORT SERVICES`: Prefect's own application on loopback."""
    port, services = int(arguments[0]), arguments[1]
    import corpora.quiet  # noqa: F401

    os.environ["PREFECT_UI_ENABLED"] = "0"
    os.environ["PREFECT__SERVER_FINAL"] = "1"
    if services == "none":
        os.environ["PREFECT__SERVER_EPHEMERAL"] = "1"
    import uvicorn

    uvicorn.run("prefect.server.api.server:create_app", factory=True, host="127.0.0.1", port=port, log_level="error")
