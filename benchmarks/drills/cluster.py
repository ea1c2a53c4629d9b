"""`python -m benchmarks.drills cluster`: a Ray head and two workers that share no disk make the laptop's release.

The release is built once as on a laptop (one process a stage, no Ray, no Prefect). Then with `emoforge run` on a
cluster of this machine: the driver beside the head, which has no CPU, so that all sampling is the workers'; each worker
in a mount namespace of its own, where the driver's folder, its temporary folder and shared memory are not there; the
work store a bucket on an S3 server; flow runs on a Prefect server with SQLite or PostgreSQL. Last, one worker is killed
while both draw. What every node has in common is the emoforge that is installed.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.drills import servers
from benchmarks.drills.project import EMOFORGE, RUN, STAGES, DrillError, Project
from tests.flows.publishing import s3_server

DATABASES = ("sqlite", "postgresql")
NODES = 2
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Built:
    """One release on the cluster. actors: the most that were seen on each worker; items: objects in the bucket
    afterwards; lost: whether a worker was killed, and items_then: how many objects there were; flow_runs: that Prefect
    has on record as completed; same: the laptop's release_hash."""

    database: str
    seconds: float
    actors: tuple[int, ...]
    items: int
    lost: bool
    items_then: int
    flow_runs: int
    release_hash: str
    same: bool


def release_hash(project: Project) -> str:
    """Of the run's manifest."""
    manifest = json.loads((project.folder / RUN / "release/manifest.json").read_text(encoding="utf-8"))
    return str(manifest["release_hash"])


def laptop(place: Path) -> str:
    """-> the release_hash without Ray, Prefect and bucket."""
    project = Project(place)
    project.begin()
    for stage in STAGES[: STAGES.index("report")]:
        project.finish(stage)
    return release_hash(project)


class Watch:
    """Looks at the workers while a run is built, and kills the last one when all draw and the bucket has samples."""

    def __init__(self, nodes: Sequence[subprocess.Popen[bytes]], bucket: Any, *, kill: bool) -> None:
        self.nodes, self.bucket, self.kill = nodes, bucket, kill
        self.actors = [0] * len(nodes)
        self.items_then: int | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            self.actors = [max(n, servers.actors_on(node)) for n, node in zip(self.actors, self.nodes, strict=True)]
            if self.kill and self.items_then is None and all(self.actors):
                drawn = [one for one in self.bucket.objects.all() if "/samples/" in one.key]
                if drawn:
                    servers.end(self.nodes[-1])
                    self.items_then = sum(1 for _ in self.bucket.objects.all())


def build(database: str, work: Path, wanted: str, *, kill: bool) -> Built:
    """Raises `DrillError` where the run fails, or a worker that was to be killed was not."""
    work.mkdir(mode=0o755)
    with ExitStack() as stack:
        s3_port = s3_server.free_port()
        stack.enter_context(s3_server.serving(s3_port))
        bucket = s3_server.bucket(s3_port)
        store = servers.store_env(s3_port)
        url = stack.enter_context(servers.postgresql(work)).url if database == "postgresql" else None
        project = Project(work / "driver", store | {"EMOFORGE_ACTORS": str(NODES)})
        api = stack.enter_context(servers.prefect_server(work, project.env, url))
        project.begin()
        (project.folder / "machine.yaml").write_text("{store: 's3://emo/work', stall_s: 120}\n", encoding="utf-8")
        address, nodes = stack.enter_context(servers.ray_cluster(work, project.env, NODES))
        begun = time.perf_counter()
        with Watch(nodes, bucket, kill=kill) as watch:
            there = {"RAY_ADDRESS": address, "PREFECT_API_URL": api, "PREFECT_HOME": str(work / "driver/prefect")}
            project.sh(*EMOFORGE, "run", "tiny", **there)
        seconds = time.perf_counter() - begun
        if kill and watch.items_then is None:
            raise DrillError("the run ended before both workers drew; no worker was killed")
        if (project.folder / ".emoforge/store").exists():
            raise DrillError("there is a work store in the project's folder beside the bucket")
        return Built(
            database=database,
            seconds=round(seconds, 1),
            actors=tuple(watch.actors),
            items=sum(1 for _ in bucket.objects.all()),
            lost=watch.items_then is not None,
            items_then=watch.items_then or 0,
            flow_runs=completed(project, api),
            release_hash=release_hash(project),
            same=release_hash(project) == wanted,
        )


def completed(project: Project, api: str) -> int:
    """Flow runs that Prefect's server has on record as completed."""
    code = (
        "from prefect.client.orchestration import get_client\n"
        "with get_client(sync_client=True) as client:\n"
        "    print(sum(run.state_name == 'Completed' for run in client.read_flow_runs()))"
    )
    return int(project.sh(EMOFORGE[0], "-W", "ignore", "-c", code, PREFECT_API_URL=api).split()[-1])


def drill(work: Path, databases: Sequence[str] = DATABASES, done: Callable[[Built], None] = print) -> list[Built]:
    """On each database, and once more on the last with a worker that is killed."""
    for database in databases:
        if why := servers.why_not(database):
            raise DrillError(f"the drill on {database} cannot be done here: {why}")
    wanted = laptop(work / "laptop")
    print(f"laptop: {wanted}", flush=True)
    every = []
    for number, (database, kill) in enumerate([*((name, False) for name in databases), (databases[-1], True)]):
        every.append(build(database, work / f"cluster-{number}", wanted, kill=kill))
        done(every[-1])
    return every
