"""The conductor: the Prefect flow `rebuild`, one task for each DVC stage.

DVC decides whether a stage runs; the flow adds retries, a time limit, logs, cancellation, artifacts and a schedule. It
holds nothing: no result is persisted or cached, and a stage run by hand with `dvc repro` leaves the same bytes. A
worker imports this module to list its flows, so nothing heavier than Prefect is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect import flow, get_run_logger, tags, task
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.assets import Asset, AssetProperties, add_asset_metadata, materialize
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run as this_flow_run
from prefect.states import Cancelled
from prefect.tasks import Task

from corpora.errors import EmoforgeError, IntegrityError, InterruptedRunError, ResourceError
from flows.conduct.dvcrun import needed, repro, stages_of
from flows.conduct.errorfile import StageFailedError
from flows.conduct.heartbeats import heartbeat, sweep
from flows.conduct.intact import Damage, Known, damaged_inputs, drop
from flows.conduct.machine import require_disk
from flows.conduct.processes import run_locks
from flows.conduct.server import server
from flows.machine import Machine
from flows.nightly.notices import notify, tell_failure
from flows.params import load_machine, load_params
from flows.paths import Layout

CANCEL_POLL_S = 2.0


class RunsFailedError(EmoforgeError):
    """More than one run failed; `exit_code` is the highest of theirs."""

    def __init__(self, failures: dict[str, EmoforgeError]) -> None:
        super().__init__("\n".join(f"{run}: {error}" for run, error in failures.items()))
        self.exit_code = max(error.exit_code for error in failures.values())


def worth_retrying(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Only what can come out differently: a killed process, a lost connection. Never a gate's no or bad input."""
    error = state.data if isinstance(state.data, BaseException) else getattr(state.data, "result", None)
    return isinstance(error, StageFailedError) and error.transient


@task(
    task_run_name="{stage}",
    retry_condition_fn=worth_retrying,
    persist_result=False,
    cache_policy=NO_CACHE,
)
def build(stage: str, repo: Path, timeout_s: float) -> None:
    """One stage through DVC; its lines become the task's log."""
    logger = get_run_logger()
    repro(
        stage,
        repo=repo,
        on_line=logger.info,
        timeout_s=timeout_s,
        cancelled=_cancel_asked(),
        poll_s=CANCEL_POLL_S,
    )


@task(task_run_name="publish@{run}", persist_result=False, cache_policy=NO_CACHE)
def release(run: str, repo: Path) -> str | None:
    """Publishes a run; says so and does nothing if it has not changed since its last tag. -> the new tag, or None."""
    from flows.conduct.publish import publish_held

    outcome = publish_held(run, repo=repo)
    get_run_logger().info(outcome.sentence)
    if outcome.tag is not None:
        notify(repo, f"emoforge: {outcome.tag} in {repo.name}", outcome.sentence, get_run_logger().warning)
    return outcome.tag


def show_asset(run: str, tag: str) -> None:
    """Tells Prefect that the asset emoforge://RUN is another one now: what other flows may wait for."""
    key = f"emoforge://{run}"

    @materialize(
        Asset(key=key, properties=AssetProperties(name=run, description=f"Releases of {run} by emoforge")),
        by="emoforge",
        task_run_name=f"asset {tag}",
        persist_result=False,
        cache_policy=NO_CACHE,
    )
    def published() -> None:
        add_asset_metadata(key, {"version": tag})

    published()


@flow(
    name="rebuild",
    flow_run_name="rebuild {runs}",
    persist_result=False,
    validate_parameters=True,
    on_failure=[tell_failure],
    on_crashed=[tell_failure],
)
def rebuild(runs: list[str] | None = None, repo: Path | None = None, publish: bool = False) -> State[Any] | None:
    """Brings `runs` (none named: all of params.yaml) up to date.

    A run that fails does not keep the others from being built; its typed error is raised at the end
    (`RunsFailedError` for several). With `publish`, each run that is up to date and may be published is.
    """
    home = (repo or Path.cwd()).resolve()
    failures: dict[str, EmoforgeError] = {}
    with ExitStack() as held:
        # first of all: of a run that is killed before this nobody knows that it is dead, and its place stays taken
        held.enter_context(heartbeat(home, this_flow_run.id))
        params = load_params(home / "params.yaml")
        machine = load_machine(home / "machine.yaml")
        names = list(dict.fromkeys(runs or params.runs))
        require_disk(home, machine)
        shared = [stage for stage in stages_of(params, names) if _is_of_corpus(stage)]
        held.enter_context(run_locks(Layout(home).scratch / "locks", names))
        sweep(home)
        try:
            # all corpora first: `plan` looks at data/corpora, and would be out of date when a later run added to it
            known = Known()
            broken = _take_in(shared, home, machine, known)
            for run in names:
                try:
                    for corpus in params.run(run).corpora:
                        if corpus in broken:
                            raise broken[corpus]
                    stages = stages_of(params, [run])
                    taken_in = [stage for stage in stages if stage in shared]
                    _walk([s for s in stages if s not in shared], home, machine, known, taken_in)
                    if publish and (tag := release(run, home)):
                        show_asset(run, tag)
                except InterruptedRunError:
                    raise
                except EmoforgeError as error:
                    failures[run] = error
                    get_run_logger().error("%s: %s", run, error)
                show(run, home)
        except InterruptedRunError as error:
            return Cancelled(message=str(error))
    if len(failures) > 1:
        raise RunsFailedError(failures)
    for failure in failures.values():
        raise failure
    return None


def _is_of_corpus(stage: str) -> bool:
    return stage.partition("@")[0] in ("fake", "reader", "ingest")


def _take_in(stages: Sequence[str], repo: Path, machine: Machine, known: Known) -> dict[str, EmoforgeError]:
    """Builds the corpora; -> those that failed, and why: only the runs that read them are lost."""
    broken: dict[str, EmoforgeError] = {}
    for stage in stages:
        corpus = stage.partition("@")[2]
        if corpus in broken:
            continue
        try:
            _walk([stage], repo, machine, known, [s for s in stages if s == f"fake@{corpus}" != stage])
        except InterruptedRunError:
            raise
        except EmoforgeError as error:
            broken[corpus] = error
    return broken


def _walk(stages: Sequence[str], repo: Path, machine: Machine, known: Known, before: Sequence[str] = ()) -> None:
    """What a stage writes decides whether the next is needed, so each is asked about when its turn comes.

    `before`: stages that were walked already, and whose outs these read. What a stage is to build on is read and hashed
    first. A damaged out goes, and the walk begins again, with `before`. Raises `IntegrityError` for one that is damaged
    again when it has been rebuilt.
    """
    gone: set[str] = set()
    while damaged := _pass(stages, repo, machine, known, before):
        if again := [one.sentence for one in damaged if one.out in gone]:
            raise IntegrityError(f"{'; '.join(again)}, and was so before it was rebuilt. Look at the disk.")
        gone |= {one.out for one in damaged}
        stages, before = [*before, *stages], ()


def _pass(stages: Sequence[str], repo: Path, machine: Machine, known: Known, before: Sequence[str]) -> list[Damage]:
    """-> damaged outs, which were removed; [] when all stages are up to date."""
    for i, stage in enumerate(stages):
        if not needed([stage], repo=repo):
            continue
        damaged = damaged_inputs(stage, [*before, *stages[:i]], repo=repo, known=known)
        for one in damaged:
            get_run_logger().warning("%s; it is rebuilt before %s", one.sentence, stage)
            drop(one, repo=repo)
            known.stages.discard(one.stage)
        if damaged:
            return damaged
        retries = machine.retries
        delays = [retries.delays_s[min(i, len(retries.delays_s) - 1)] for i in range(retries.stage)]
        task_of_stage = build.with_options(retries=retries.stage, retry_delay_seconds=delays or 0.0)
        task_of_stage(stage, repo, machine.stage_timeout_s)
        known.stages.add(stage)
    return []


def conduct(runs: Sequence[str], repo: Path) -> None:
    """Runs the flow in this process and raises what it failed with. Raises `InterruptedRunError` when cancelled,
    `ResourceError` where Prefect's server is lost for longer than its clients wait."""
    try:
        with server(), tags("emoforge"):
            state = rebuild(list(runs), repo, return_state=True)
    except (KeyboardInterrupt, TerminationSignal):
        raise InterruptedRunError(
            "interrupted; what was finished is kept, the same command goes on from there"
        ) from None
    except httpx.TransportError as error:
        raise _away(error) from error
    if state.is_cancelled():
        raise InterruptedRunError(state.message or "cancelled")
    outcome = state.result(raise_on_failure=False)
    if isinstance(outcome, httpx.TransportError):
        raise _away(outcome) from outcome
    if isinstance(outcome, BaseException):
        raise outcome


def _away(error: httpx.TransportError) -> ResourceError:
    return ResourceError(
        f"the Prefect server did not answer any more ({error}). What was finished is kept: start the server again, or "
        "unset PREFECT_API_URL, then the same command goes on from there"
    )


def show(run: str, repo: Path) -> None:
    """Artifacts: the table of classes before and after, and the way to the report."""
    from flows.artifacts.of_run import RunArtifacts  # schemas and gates: too heavy for a worker that lists its flows

    there = RunArtifacts(Layout(repo).run(run))
    slug = run.replace("_", "-")
    if there.augmented is not None:
        rows = [
            {
                "class": tally.named,
                "real": tally.real_train,
                "target": tally.target,
                "candidates": tally.candidates,
                "accepted": tally.accepted,
                "which count for": tally.effective,
                "rejected": sum(tally.rejected.values()),
                "filled": tally.filled,
            }
            for tally in there.augmented.balance().every
        ]
        create_table_artifact(rows, key=f"balance-{slug}", description=f"Class balance of {run}")
    if there.report.exists():
        create_link_artifact(there.report.as_uri(), key=f"report-{slug}", link_text=f"Report of {run}")


def _cancel_asked() -> Callable[[], bool]:
    """Whether somebody cancelled this flow run: Prefect only notes the wish, the process has to look."""
    own = this_flow_run.id

    def asked() -> bool:
        if own is None:
            return False
        try:
            with get_client(sync_client=True) as client:
                state = client.read_flow_run(UUID(own)).state
        except httpx.TransportError:  # a server that is away asks for nothing; the stage needs none, and goes on
            return False
        return bool(state and (state.is_cancelling() or state.is_cancelled()))

    return asked
