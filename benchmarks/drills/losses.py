"""`python -m benchmarks.drills losses`: actors, nodes, Prefect's server and its worker are killed while a run goes.

A tiny run is built up to `fit` and kept. What follows is built on a Ray cluster of this machine (a head without CPUs,
two workers) and a Prefect server, all on loopback: once undisturbed, then once for each kill from that state,
without what the work store holds. In turn and with SIGKILL, at a moment that the seed draws:

actor    one sampling process, after it has begun
node     a Ray worker with all that it started, actors and raylet; another one joins for the next kill
server   the Prefect server, which is started again on its port and database some seconds later
worker   the Prefect worker (`emoforge schedule start`) with the flow run that it holds; then it is started again
database PostgreSQL, which Prefect's server is on where this kind is asked for (else on SQLite), while a flow run of the
         deployment goes on; it is started again on its files some seconds later

The run goes on, or is started again by the same command (`emoforge run`; for the worker, the deployment is fired
again). Its release must have the hash of the undisturbed one.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from benchmarks.drills import servers
from benchmarks.drills.cluster import LOOK_S, NODES, release_hash
from benchmarks.drills.project import DVC, EMOFORGE, DrillError, Project
from tests.flows.publishing.s3_server import free_port

KINDS = ("actor", "node", "server", "worker", "database")
ON_SQLITE = KINDS[:-1]
NIGHTLY = "deployments/name/rebuild/nightly-rebuild"
BEGUN = ("PENDING", "RUNNING")
OVER = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
AWAY_S = 3.0  # that the Prefect server or its database is not there
LIMIT_S = 400.0  # of one run; one that takes longer hangs
TRIES = 3  # of the same command, afterwards
LEASE_S = 330.0  # Prefect keeps the place of a run that died before it could be seen to be dead for five minutes
PAUSE_S = 15.0  # between two tries in that time


@dataclass(frozen=True, slots=True)
class Loss:
    """One kill. at_s: seconds into the run; landed: what was killed was there; went_on: the disturbed run came to its
    end by itself; again: how often the same command was given afterwards; same: the undisturbed release_hash."""

    kind: str
    at_s: float
    landed: bool
    went_on: bool
    again: int
    seconds: float
    same: bool


class Lab:
    """The cluster, the servers and the project. Whatever it starts ends with `stack`."""

    def __init__(self, work: Path, stack: ExitStack, *, postgresql: bool) -> None:
        self.work, self.stack, self.port = work, stack, free_port()
        self.api = f"http://127.0.0.1:{self.port}/api"
        self.project = Project(work / "driver", {"EMOFORGE_ACTORS": str(NODES), "PYTHONUNBUFFERED": "1"})
        self.project.begin()
        deployments = self.project.folder / "prefect.yaml"
        text = deployments.read_text(encoding="utf-8")
        deployments.write_text(text.replace("{publish: true}", "{publish: false}"), encoding="utf-8")
        (self.project.folder / "machine.yaml").write_text("{stall_s: 120}\n", encoding="utf-8")
        self.project.sh(*DVC, "repro", "--quiet", "fit@tiny")
        self.project.keep(work / "state")
        self.database = stack.enter_context(servers.postgresql(work)) if postgresql else None
        self.server = self._start_server()
        self.address, self.nodes = stack.enter_context(servers.ray_cluster(work, self.project.env, NODES, hidden=False))
        self.joined = 0
        home = str(work / "driver/prefect")
        self.there = {"RAY_ADDRESS": self.address, "PREFECT_API_URL": self.api, "PREFECT_HOME": home}

    def put_back(self) -> None:
        """The state before `augment`, with nothing that was drawn."""
        self.project.put_back(self.work / "state", store=True)
        shutil.rmtree(self.project.folder / ".emoforge/store", ignore_errors=True)

    def _start_server(self) -> subprocess.Popen[bytes]:
        url = self.database.url if self.database else None
        what = servers.prefect_command(self.work, self.project.env, url, self.port)
        server = self.stack.enter_context(servers.running(*what))
        servers.wait(lambda: servers.answers(f"{self.api}/health"), server, what[-1])
        return server

    def actors(self) -> list[psutil.Process]:
        """Sampling processes on all workers."""
        return [one for node in self.nodes for one in servers.actors_of(node)]

    @contextmanager
    def command(self) -> Iterator[subprocess.Popen[bytes]]:
        """`emoforge run tiny`."""
        env, log = self.project.env | self.there, self.work / "run.log"
        with servers.running([*EMOFORGE, "run", "tiny"], self.project.folder, env, log) as process:
            yield process

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """`emoforge schedule start`, when it waits for runs."""
        env, log = self.project.env | self.there, self.work / "schedule.log"
        words = [*EMOFORGE, "schedule", "start"]
        with servers.running(words, self.project.folder, env, log) as process:
            servers.wait(lambda: "Worker 'ProcessWorker" in log.read_text(errors="replace"), process, log)
            yield process

    def fire(self) -> str:
        """-> id of a flow run of the deployment."""
        deployment = servers.asked(self.api, NIGHTLY)
        path = f"deployments/{deployment['id']}/create_flow_run"
        return str(servers.asked(self.api, path, {"state": {"type": "SCHEDULED"}})["id"])

    def state(self, flow_run: str) -> str:
        """Its type: PENDING while its process starts, RUNNING, COMPLETED, ..."""
        return str((servers.asked(self.api, f"flow_runs/{flow_run}")["state"] or {}).get("type"))

    def lose(self, kind: str, rng: random.Random) -> bool:
        """Kills one of the kind. -> whether it was there."""
        if kind == "database" and self.database:
            self.database.lose(AWAY_S)
            return True
        if kind == "server":
            servers.end(self.server)
            time.sleep(AWAY_S)
            self.server = self._start_server()
            return True
        busy = [node for node in self.nodes if servers.actors_on(node)]
        if not busy:
            return False
        node = rng.choice(busy)
        if kind == "actor":
            with suppress(psutil.NoSuchProcess, IndexError):
                rng.choice(servers.actors_of(node)).kill()
                return True
            return False
        servers.end(node)
        self.nodes.remove(node)
        return True

    def join(self) -> None:
        """As many workers as there were."""
        while len(self.nodes) < NODES:
            self.joined += 1
            node = servers.ray_node(self.work, self.project.env, self.address, f"joined-{self.joined}")
            self.nodes.append(self.stack.enter_context(node))


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """seconds: of the run; drawing: seconds into it from which to which actors were seen; hash: of its release."""

    seconds: float
    drawing: tuple[float, float]
    hash: str


def undisturbed(lab: Lab) -> Undisturbed:
    """Raises `DrillError` where it fails, or no actor was seen."""
    seen: list[float] = []
    with lab.command() as process:
        begun = time.monotonic()
        while process.poll() is None:
            if lab.actors():
                seen.append(time.monotonic() - begun)
            time.sleep(LOOK_S)
    if process.returncode or not seen:
        raise DrillError(f"undisturbed: {process.returncode}, {len(seen)} looks saw an actor\n{_tail(lab.work)}")
    return Undisturbed(time.monotonic() - begun, (seen[0], seen[-1]), release_hash(lab.project))


def lost(lab: Lab, kind: str, plain: Undisturbed, rng: random.Random) -> Loss:
    """One kill, and the way back. Raises `DrillError` where the same command does not end well."""
    lab.put_back()
    lab.join()
    begun = time.monotonic()
    tried = {"worker": _of_worker, "database": _of_database}.get(kind, _of_command)
    at_s, landed, went_on, again = tried(lab, kind, plain, rng)
    seconds = round(time.monotonic() - begun, 1)
    return Loss(kind, round(at_s, 1), landed, went_on, again, seconds, release_hash(lab.project) == plain.hash)


def _of_command(lab: Lab, kind: str, plain: Undisturbed, rng: random.Random) -> tuple[float, bool, bool, int]:
    drawing = plain.drawing[1] - plain.drawing[0]
    wait_s = rng.uniform(0.0, drawing) if kind != "server" else rng.uniform(0.05, 0.9) * plain.seconds
    with lab.command() as process:
        begun = time.monotonic()
        while kind != "server" and process.poll() is None and not lab.actors():
            time.sleep(LOOK_S)
        with suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)
        at_s, landed = time.monotonic() - begun, process.poll() is None and lab.lose(kind, rng)
        with suppress(subprocess.TimeoutExpired):
            process.wait(LIMIT_S)
        went_on = process.poll() == 0
    return at_s, landed, went_on, 0 if went_on else _again(partial(_once, lab), lab)


def _once(lab: Lab) -> bool:
    with lab.command() as process, suppress(subprocess.TimeoutExpired):
        process.wait(LIMIT_S)
    return process.returncode == 0


def _of_worker(lab: Lab, kind: str, plain: Undisturbed, rng: random.Random) -> tuple[float, bool, bool, int]:
    with lab.worker() as worker:
        flow_run, begun = _some_way_into(lab, plain, rng)
        at_s, landed = time.monotonic() - begun, lab.state(flow_run) in BEGUN
        servers.end(worker)
    with lab.worker():  # which says first that the run whose process is gone has crashed
        went_on = lab.state(flow_run) == "COMPLETED"
        return at_s, landed, went_on, 0 if went_on else _again(partial(_fired, lab), lab, LEASE_S)


def _of_database(lab: Lab, kind: str, plain: Undisturbed, rng: random.Random) -> tuple[float, bool, bool, int]:
    with lab.worker():
        flow_run, begun = _some_way_into(lab, plain, rng)
        at_s, landed = time.monotonic() - begun, lab.state(flow_run) in BEGUN
        lab.lose(kind, rng)
        went_on = _ended(lab, flow_run) == "COMPLETED"
        return at_s, landed, went_on, 0 if went_on else _again(partial(_fired, lab), lab, LEASE_S)


def _some_way_into(lab: Lab, plain: Undisturbed, rng: random.Random) -> tuple[str, float]:
    """Fires the deployment and waits. -> the flow run, whose process may be starting yet; when it was fired."""
    flow_run, begun = lab.fire(), time.monotonic()
    while lab.state(flow_run) not in (*BEGUN, *OVER) and time.monotonic() - begun < LIMIT_S:
        time.sleep(LOOK_S)
    time.sleep(rng.uniform(0.0, 0.9) * plain.seconds)
    return flow_run, begun


def _ended(lab: Lab, flow_run: str) -> str:
    """-> the state in which it is over, or is after `LIMIT_S`."""
    begun = time.monotonic()
    while (state := lab.state(flow_run)) not in OVER and time.monotonic() - begun < LIMIT_S:
        time.sleep(LOOK_S)
    return state


def _fired(lab: Lab) -> bool:
    return _ended(lab, lab.fire()) == "COMPLETED"


def _again(command: Callable[[], bool], lab: Lab, within_s: float = 0.0) -> int:
    """-> how often it was given until it ended well: `TRIES` times, or for so many seconds."""
    begun, again = time.monotonic(), 1
    while not command():
        if again >= TRIES and time.monotonic() - begun > within_s:
            raise DrillError(f"the same command failed {again} times\n{_tail(lab.work)}")
        again += 1
        time.sleep(PAUSE_S if within_s else 0.0)
    return again


def _tail(work: Path) -> str:
    logs = [work / name for name in ("run.log", "schedule.log") if (work / name).is_file()]
    return "\n".join(log.read_text(errors="replace")[-1500:] for log in logs)


def drill(
    kills: int, seed: int, work: Path, kinds: Sequence[str] = ON_SQLITE, done: Callable[[Loss], None] = print
) -> list[Loss]:
    """Kills of `kinds` in turn. `work` is a short path: Ray's sockets have to lie below it."""
    if "database" in kinds and servers.postgresql_programs() is None:
        raise DrillError(servers.NO_POSTGRESQL)
    rng, every = random.Random(seed), []
    with ExitStack() as stack:
        lab = Lab(work, stack, postgresql="database" in kinds)
        plain = undisturbed(lab)
        print(f"undisturbed: {plain.seconds:.0f} s, actors from {plain.drawing[0]:.0f} to {plain.drawing[1]:.0f} s")
        for number in range(kills):
            every.append(lost(lab, kinds[number % len(kinds)], plain, rng))
            done(every[-1])
    return every
