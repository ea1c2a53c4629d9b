"""Old flow runs of a project in Prefect's database, removed by Prefect's own API."""

from __future__ import annotations

import contextlib
import datetime
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from flows.nightly.schedule import serving

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

TAG = "emoforge"
TABLES = ("flow_run", "flow_run_state", "task_run", "task_run_state", "log")
PAGE = 200  # flow runs that the API hands out at once
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def old_flow_runs(repo: Path, keep_days: float, *, dry: bool) -> tuple[int, int | None, str]:
    """-> (flow runs, bytes, note) that went, or with `dry` would. Bytes: about, in a dry run; None on a server of
    one's own, whose database is its own business. Raises `ResourceError` where a server that is named does not answer.
    """
    from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

    from flows.conduct.server import server

    settings = get_current_settings()
    url = settings.api.url or serving(repo)
    database = Path(settings.home) / "prefect.db"
    if url is None and not database.is_file():
        return 0, 0, "no database here"
    before = database.stat().st_size if url is None else 0
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=keep_days)
    named = temporary_settings({PREFECT_API_URL: url}) if url else contextlib.nullcontext()
    with named, server():
        n, of = _removed(repo, since, every=url is None, dry=dry)
    if url is not None:
        return n, None, f"on {url}, which keeps {of - n} runs; it gives the space back itself"
    if dry:
        held, how = bytes_of_runs(database)
        return n, round(held * n / of) if of else 0, f"{how}; {database} holds {of} runs in {before / 1e6:.1f} MB"
    if n:
        with contextlib.closing(sqlite3.connect(database)) as connection:  # the server that had it open has ended
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return n, max(before - database.stat().st_size, 0), f"{of - n} runs stay"


def bytes_of_runs(database: Path) -> tuple[int, str]:
    """-> (bytes of the database that are flow runs, task runs, their states and logs; "about", or "at most" where this
    SQLite cannot tell and it is the whole file)."""
    held = (
        "SELECT SUM(d.pgsize) FROM dbstat d JOIN sqlite_master m ON m.name = d.name WHERE m.tbl_name IN (?, ?, ?, ?, ?)"
    )
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute(held, TABLES).fetchone()[0] or 0), "about"
        except sqlite3.OperationalError:  # built without dbstat
            return database.stat().st_size, "at most"


def _removed(repo: Path, since: datetime.datetime, *, every: bool, dry: bool) -> tuple[int, int]:
    """-> (runs that ended before `since`, all that ended). every: the database is the project's own."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        folders = _folders_of(client)
        runs = [run for run in _ended(client) if every or _is_of(run, repo, folders)]
        old = [run for run in runs if (run.end_time or run.expected_start_time or since) < since]
        for run in [] if dry else old:
            client.delete_flow_run(run.id)
        return len(old), len(runs)


def _ended(client: SyncPrefectClient) -> list[FlowRun]:
    from prefect.client.schemas.filters import FlowRunFilter

    wanted = FlowRunFilter.model_validate({"tags": {"all_": [TAG]}, "state": {"type": {"any_": list(ENDED)}}})
    runs: list[FlowRun] = []
    while page := client.read_flow_runs(flow_run_filter=wanted, limit=PAGE, offset=len(runs)):
        runs += page
    return runs


def _is_of(run: FlowRun, repo: Path, folders: Callable[[UUID | None], list[str]]) -> bool:
    """On a server that several projects share: whether the run worked in this folder."""
    named = run.parameters.get("repo")
    return str(repo.resolve()) in (folders(run.deployment_id) if named is None else [str(named)])


def _folders_of(client: SyncPrefectClient) -> Callable[[UUID | None], list[str]]:
    """Deployment -> the folders in which its runs work; each is asked for once."""

    from prefect.exceptions import ObjectNotFound

    @cache
    def folders(deployment_id: UUID | None) -> list[str]:
        if deployment_id is None:
            return []
        try:
            deployment = client.read_deployment(deployment_id)
        except ObjectNotFound:  # it was removed; whose its runs were is not known any more
            return []
        steps = [step for one in deployment.pull_steps or [] for step in one.values()]
        return [str(place) for place in (*(step.get("directory") for step in steps), deployment.path) if place]

    return folders
