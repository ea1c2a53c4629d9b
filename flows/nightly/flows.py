"""The flows of prefect.yaml beside `rebuild`: a corpus that changed, studies that are out of date, releases that rot.

A worker imports this module to list its flows, so nothing heavier than Prefect is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run as this_flow_run
from prefect.states import Cancelled, Completed

from corpora.errors import EmoforgeError, IntegrityError, LockedError
from flows.conduct.heartbeats import heartbeat, sweep
from flows.conduct.pipeline import RunsFailedError, rebuild
from flows.nightly.notices import notify, tell_failure
from flows.nightly.watch import SETTLED_S, keep, look, runs_of, watched
from flows.params import load_params


@contextmanager
def _alive(home: Path) -> Iterator[None]:
    with heartbeat(home, this_flow_run.id):
        sweep(home)
        yield


def _tell(home: Path, subject: str, body: str) -> None:
    notify(home, f"emoforge: {subject} in {home.name}", body, get_run_logger().warning)


@flow(
    name="watch-corpus",
    persist_result=False,
    validate_parameters=True,
    on_failure=[tell_failure],
    on_crashed=[tell_failure],
)
def watch_corpus(
    corpora: list[str] | None = None, repo: Path | None = None, publish: bool = False, settled_s: float = SETTLED_S
) -> State[Any]:
    """Rebuilds the runs of linked corpora (none named: all) whose files changed; nothing new: nothing.

    A corpus in which a file is younger than `settled_s` seconds is left for the next time: it may still be copied.
    """
    home = (repo or Path.cwd()).resolve()
    logger = get_run_logger()
    with _alive(home):
        params = load_params(home / "params.yaml")
        looks = [look(corpus, home, settled_s=settled_s) for corpus in watched(params, corpora)]
        for one in looks:
            logger.info("%s: %s%s", one.corpus, one.state, f" ({'; '.join(one.why)})" if one.why else "")
        changed = [one for one in looks if one.state == "changed"]
        if not changed:
            return Completed(message="nothing new: " + (", ".join(f"{one.corpus} {one.state}" for one in looks) or "-"))
        runs = runs_of(params, [one.corpus for one in changed])
        if not runs:
            return Completed(message=f"no run reads {', '.join(one.corpus for one in changed)}")
        state = rebuild(runs, home, publish, return_state=True)
        outcome = state.result(raise_on_failure=False) if not state.is_cancelled() else None
        if isinstance(outcome, LockedError):
            return Cancelled(message=str(outcome))
        if isinstance(outcome, BaseException):
            raise outcome
        if state.is_cancelled():
            return state
        for one in changed:
            keep(one, home)
        return Completed(message=f"rebuilt {', '.join(runs)}: {', '.join(one.corpus for one in changed)} changed")


@flow(
    name="study-refresh",
    persist_result=False,
    validate_parameters=True,
    on_failure=[tell_failure],
    on_crashed=[tell_failure],
)
def study_refresh(studies: list[str] | None = None, repo: Path | None = None) -> State[Any]:
    """Brings studies (none named: all of params.yaml) up to date; one that fails does not keep the others."""
    from flows.artifacts.studied import Studied
    from flows.conduct.studies import bring_study_up_to_date
    from flows.paths import Layout

    home = (repo or Path.cwd()).resolve()
    logger = get_run_logger()
    failures: dict[str, EmoforgeError] = {}
    said: list[str] = []
    with _alive(home):
        params = load_params(home / "params.yaml")
        names = studies or list(params.studies)
        for name in names:
            params.study(name)  # an unknown one is refused before any of them takes hours
        for name in names:
            try:
                ran = bring_study_up_to_date(name, home, logger.info)
            except EmoforgeError as error:
                failures[name] = error
                logger.error("%s: %s", name, error)
                continue
            if ran:
                said.append(f"{name}: {Studied.open(Layout(home).study(name) / 'result').verdict()}")
    if said:
        _tell(home, "studies say something new", "\n".join(said))
    if len(failures) > 1:
        raise RunsFailedError(failures)
    for failure in failures.values():
        raise failure
    return Completed(message="\n".join(said) or "nothing new")


@flow(
    name="verify-releases",
    persist_result=False,
    validate_parameters=True,
    on_failure=[tell_failure],
    on_crashed=[tell_failure],
)
def verify_releases(repo: Path | None = None) -> State[Any]:
    """Reads every release of the project, and the latest version of each, against their hashes. Fails on damage."""
    from flows.nightly.verified import damage_in, verify_all

    home = (repo or Path.cwd()).resolve()
    with _alive(home):
        verified = verify_all(home, get_run_logger().info)
        if damage := damage_in(verified):
            raise IntegrityError(damage)
        absent = [one.release for one in verified if one.outcome == "not at hand"]
        return Completed(
            message=f"{len(verified) - len(absent)} releases intact"
            + (f"; not at hand: {', '.join(absent)}" if absent else "")
        )
