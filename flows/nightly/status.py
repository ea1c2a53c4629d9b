"""What of a project runs when, and how it last went: asked of the Prefect server, changing nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora.errors import UserError
from flows.nightly.schedule import serving

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

TAG = "emoforge"


@dataclass(frozen=True, slots=True)
class Deployed:
    """One deployment. schedule: crons, joined; next and last: ISO 8601 in UTC, "" for none; state and message: of the
    last run; stale: that run is said to be at work, but its process in this project is gone."""

    name: str
    schedule: str
    next: str
    last: str
    state: str
    message: str
    stale: bool = False

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def status(repo: Path) -> tuple[str, list[Deployed]]:
    """-> (the server's address, deployments tagged "emoforge", by name). Raises `UserError` where no server is named,
    `ResourceError` where it does not answer."""
    from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

    from flows.conduct.server import server

    url = get_current_settings().api.url or serving(repo)
    if not url:
        raise UserError(
            "no Prefect server is named, and no `emoforge schedule serve` is at work here. Set PREFECT_API_URL"
        )
    with temporary_settings({PREFECT_API_URL: url}), server():
        return url, _asked(repo)


def _asked(repo: Path) -> list[Deployed]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter

    from flows.conduct.heartbeats import stale_runs

    gone = set(stale_runs(repo))
    with get_client(sync_client=True) as client:
        wanted = DeploymentFilter.model_validate({"tags": {"all_": [TAG]}})
        deployments = client.read_deployments(deployment_filter=wanted, limit=200)
        told = [_deployed(client, one, gone) for one in deployments]
    return sorted(told, key=lambda one: one.name)


def _deployed(client: Any, deployment: Any, gone: set[str]) -> Deployed:
    from prefect.client.schemas.sorting import FlowRunSort

    def first(sort: FlowRunSort, *states: str) -> FlowRun | None:
        from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter

        runs = client.read_flow_runs(
            deployment_filter=DeploymentFilter.model_validate({"id": {"any_": [deployment.id]}}),
            flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": list(states)}}}),
            sort=sort,
            limit=1,
        )
        return runs[0] if runs else None

    ahead = first(FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC, "SCHEDULED")
    ended = ("RUNNING", "COMPLETED", "FAILED", "CRASHED", "CANCELLED", "CANCELLING", "PENDING")
    last = first(FlowRunSort.EXPECTED_START_TIME_DESC, *ended)
    crons = [getattr(one.schedule, "cron", str(one.schedule)) for one in deployment.schedules if one.active]
    state = last.state if last is not None else None
    return Deployed(
        name=str(deployment.name),
        schedule=", ".join(crons),
        next=_iso(ahead.next_scheduled_start_time if ahead else None),
        last=_iso((last.start_time or last.expected_start_time) if last else None),
        state=str(state.name) if state else "",
        message=str(state.message or "") if state else "",
        stale=last is not None and str(last.id) in gone,
    )


def _iso(when: Any) -> str:
    return "" if when is None else when.isoformat(timespec="seconds")
