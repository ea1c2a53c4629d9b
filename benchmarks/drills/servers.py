"""What a cluster is made of, as processes of this machine on loopback: Ray's nodes, PostgreSQL, Prefect's server.

Each ends with its `with`, and with all that it started. The S3 server is that of the tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.drills.project import ROOT, DrillError
from tests.flows.publishing.s3_server import KEYS, free_port

START_S = 180.0
OBJECT_STORE_BYTES = 100 << 20  # results are small
ASKED = 60  # times, at most
NO_POSTGRESQL = "PostgreSQL is not installed (initdb in PATH or /usr/lib/postgresql)"
STARTED = "Ray runtime started"
_RAY = [sys.executable, "-W", "ignore", "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
_RAY += ["--node-ip-address=127.0.0.1", f"--object-store-memory={OBJECT_STORE_BYTES}"]
_RAY += ["--min-worker-port=0", "--max-worker-port=0", "--include-log-monitor=false"]
# in a mount namespace of its own: what lies below $1 is not there, nor is shared memory; then the command, in $1/own
HIDDEN = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size=2g tmpfs "$1"
mount -t tmpfs -o size=1g tmpfs /dev/shm
mkdir "$1/own" "$1/tmp"
export HOME="$1/own" TMPDIR="$1/tmp"
cd "$1/own"
shift
exec "$@"
"""


def may_hide() -> bool:
    """Whether this user may mount in a namespace of its own."""
    tried = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(tried, capture_output=True).returncode == 0


def why_not(database: str) -> str:
    """What this machine lacks for the drill; "" where it lacks nothing."""
    if not may_hide():
        return "this user may not hide a folder from a process (unshare -m, mount)"
    if database == "postgresql" and postgresql_programs() is None:
        return NO_POSTGRESQL
    return ""


def postgresql_programs() -> Path | None:
    """The folder of initdb and postgres; Debian keeps them out of PATH."""
    places = [Path(found).parent for found in [shutil.which("initdb")] if found]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: int(place.parent.name), reverse=True)
    return next((place for place in places if (place / "initdb").is_file() and (place / "postgres").is_file()), None)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL of it and of all that it started, which tells nobody anything."""
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(process.pid)
        for one in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
    process.wait()


@contextmanager
def running(command: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own; what it prints goes to `log`."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield process
    finally:
        end(process)


def wait(until: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Raises `DrillError` where the process ends before, or it takes too long."""
    deadline = time.monotonic() + START_S
    while not until():
        if process.poll() is not None or time.monotonic() > deadline:
            raise DrillError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def asked(url: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """What Prefect's API answers; a body is posted. A server whose database is locked or away is asked again."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/{path}", data, {"Content-Type": "application/json"})
    for again in range(ASKED):
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if error.code < 500 or again == ASKED - 1:
                raise
            time.sleep(1)


def store_env(s3_port: int) -> dict[str, str]:
    """By which fsspec reaches the bucket, in the driver and on every node."""
    keys = {name.upper(): value for name, value in KEYS.items()}
    return keys | {"FSSPEC_S3_ENDPOINT_URL": f"http://127.0.0.1:{s3_port}", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def ray_cluster(
    work: Path, env: Mapping[str, str], n: int, *, hidden: bool = True
) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """-> address and worker nodes of one CPU each; the head, which sees `work`, has no CPU. hidden: the nodes see
    nothing below `work`."""
    port, own = free_port(), _ray_env(env)
    head = [*_RAY, "--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false"]
    head += [f"--temp-dir={work / 'ray'}", f"--ray-client-server-port={free_port()}"]
    (work / "head").mkdir()
    log = work / "head.log"
    with running(head, work / "head", own, log) as first:
        wait(partial(_says, log, STARTED), first, log)
        address = f"127.0.0.1:{port}"
        with ExitStack() as stack:
            names, nodes = [f"worker-{i}" for i in range(n)], []
            for name in names:  # one after the other: nodes that see each other's folder share a session in it
                nodes.append(stack.enter_context(_node(work, env, address, name, hidden=hidden)))
                wait(partial(_says, work / f"{name}.log", STARTED), nodes[-1], work / f"{name}.log")
            yield address, nodes


@contextmanager
def ray_node(work: Path, env: Mapping[str, str], address: str, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """One more worker node, which sees all that this process does."""
    log = work / f"{name}.log"
    with _node(work, env, address, name, hidden=False) as node:
        wait(partial(_says, log, STARTED), node, log)
        yield node


def _node(
    work: Path, env: Mapping[str, str], address: str, name: str, *, hidden: bool
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    apart = ["unshare", "-m", "sh", "-c", HIDDEN, "sh", str(work)] if hidden else []
    command = [*apart, *_RAY, f"--address={address}", "--num-cpus=1"]
    return running(command, Path("/"), _ray_env(env), work / f"{name}.log")


def _ray_env(env: Mapping[str, str]) -> dict[str, str]:
    # a node that is lost is missed after 4 s, not 30
    quick = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500, "health_check_failure_threshold": 8}
    quick["raylet_start_wait_time_s"] = int(START_S)  # on a busy machine
    own = dict(env) | {f"RAY_{name}": str(value) for name, value in quick.items()} | {"PYTHONPATH": str(ROOT)}
    # ours is 0 in processes that import emoforge: loopback alone
    return own | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}


def _says(log: Path, words: str) -> bool:
    return words in log.read_text(errors="replace")


def actors_on(node: subprocess.Popen[bytes]) -> int:
    """Sampling processes of a node."""
    return len(actors_of(node))


def actors_of(node: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The sampling processes themselves."""
    with suppress(psutil.NoSuchProcess):
        below = psutil.Process(node.pid).children(recursive=True)
        return [process for process in below if "WorkerHost" in " ".join(_words(process))]
    return []


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


class Postgresql:
    """A server of an empty database, which can be lost. url: as Prefect takes it."""

    def __init__(self, url: str, command: Sequence[str], log: Path, stack: ExitStack) -> None:
        self.url, self._command, self._log, self._stack = url, command, log, stack
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        process = self._stack.enter_context(running(self._command, Path("/"), os.environ, self._log))
        wait(partial(_says, self._log, "ready to accept connections"), process, self._log)
        return process

    def lose(self, away_s: float) -> None:
        """SIGKILL of all of it; `away_s` seconds later it is started again on its files and port."""
        end(self._process)
        time.sleep(away_s)
        self._process = self._started()


@contextmanager
def postgresql(work: Path) -> Iterator[Postgresql]:
    """Raises `DrillError` where there is no PostgreSQL."""
    programs = postgresql_programs()
    if programs is None:
        raise DrillError(NO_POSTGRESQL)
    # it refuses to run as root: then as the user that Debian makes for it
    other = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="emoforge-postgresql-") as place:  # `work` may be closed to that user
        if other:
            shutil.chown(place, "postgres")
        data, port = str(Path(place) / "data"), free_port()
        make = [*other, str(programs / "initdb"), "-D", data, "-U", "prefect", "-A", "trust", "--no-sync"]
        made = subprocess.run(make, cwd="/", capture_output=True, text=True)
        if made.returncode:
            raise DrillError(f"initdb failed:\n{made.stdout[-1000:]}{made.stderr[-1000:]}")
        command = [*other, str(programs / "postgres"), "-D", data, "-h", "127.0.0.1", "-p", str(port)]
        # without fsync: what a process had written stays, killed or not
        command += ["-c", "unix_socket_directories=", "-c", "fsync=off"]
        url = f"postgresql+asyncpg://prefect@127.0.0.1:{port}/postgres"
        with ExitStack() as stack:
            yield Postgresql(url, command, work / "postgresql.log", stack)


@contextmanager
def prefect_server(work: Path, env: Mapping[str, str], database: str | None, port: int | None = None) -> Iterator[str]:
    """-> URL of its API; database None: on SQLite, as it comes; port None: a free one."""
    port = port or free_port()
    with running(*prefect_command(work, env, database, port)) as server:
        url, log = f"http://127.0.0.1:{port}/api", work / "prefect.log"
        wait(lambda: answers(f"{url}/health"), server, log)
        yield url


def prefect_command(
    work: Path, env: Mapping[str, str], database: str | None, port: int
) -> tuple[list[str], Path, dict[str, str], Path]:
    """What `running` takes for a Prefect server whose home is `work`/prefect."""
    own = dict(env) | {"PREFECT_HOME": str(work / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    own |= {"PREFECT_API_DATABASE_CONNECTION_URL": database} if database else {}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    return [*command, "--no-ui"], work, own, work / "prefect.log"
