"""`emoforge schedule`: the flows by the clock, on a server of one's own, or on one that lives as long as this.

What runs when stands in the project's prefect.yaml, and nowhere else; `serve` alone takes a cron of the command line.
"""

from __future__ import annotations

import json
import logging
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora.errors import ResourceError, UserError
from corpora.store.atomic import write_json
from flows.conduct.leash import handed_down
from flows.params import load_machine
from flows.paths import Layout
from flows.projects.init import FILES

if TYPE_CHECKING:
    from prefect.cli.deploy._models import DeploymentConfig

log = logging.getLogger(__name__)
NIGHTLY = "nightly-rebuild"  # as in prefect.yaml
POOL = "emoforge"


def serve(runs: Sequence[str], *, cron: str | None, publish: bool, repo: Path, every: bool = False) -> None:
    """Serves `nightly-rebuild` until interrupted: `runs` are rebuilt, and published if `publish`. cron: None takes that
    of prefect.yaml. every: all other deployments of prefect.yaml as well.

    Each run that fires is a process of its own with `repo` as its folder. Raises `UserError` for a cron or prefect.yaml
    that cannot be read, `ResourceError` if no server answers.
    """
    from prefect.settings import get_current_settings

    from flows.conduct.server import server

    own_file = repo / "prefect.yaml"
    deployments = _deployments(own_file if own_file.is_file() else FILES / "prefect.yaml")
    chosen = [one for one in deployments if every or one.name == NIGHTLY]
    times = {str(one.name): _cron(one) for one in chosen} | ({NIGHTLY: cron} if cron else {})
    for given in times.values():
        _require_cron(given)
    alone = get_current_settings().api.url is None and serving(repo) is None
    with server("all") as url:
        os.environ["PREFECT_API_URL"] = url  # for the processes of the runs
        os.chdir(repo)
        _ready(repo, alone=alone)
        from prefect import serve as serve_all

        own = {NIGHTLY: {"runs": list(runs), "publish": publish}}
        served = [_served(one, times[str(one.name)], own.get(str(one.name), {})) for one in chosen]
        said = ", ".join(f"{name} ({times[name]})" for name in times)
        sys.stderr.write(f"serving {said} for {', '.join(runs)}; server {url}; stop with Ctrl-C\n")
        with _address_kept(repo, url):
            # one at a time: they use the same folder
            serve_all(*served, limit=1, pause_on_shutdown=True, print_starting_message=False)


def start(repo: Path) -> None:
    """On a server that stays: makes the work pool where there is none, deploys prefect.yaml, and is the worker until
    interrupted. Runs whose process is gone are marked as crashed first: they would keep others from starting.

    Raises `UserError` without a server's address or where Prefect refuses prefect.yaml, `ResourceError` if it does not
    answer.
    """
    from prefect.settings import get_current_settings

    if not get_current_settings().api.url:
        raise UserError(
            "no Prefect server that stays is named. Start one (prefect server start) and set PREFECT_API_URL, for "
            "example to http://127.0.0.1:4200/api; without one: emoforge schedule serve"
        )
    from flows.conduct.heartbeats import sweeping
    from flows.conduct.server import server

    _deployments(repo / "prefect.yaml")
    with server() as url:
        _ready(repo)
        _prefect(repo, "work-pool", "create", "--type", "process", "--overwrite", POOL)
        _prefect(repo, "deploy", "--all", "--no-prompt")
        sys.stderr.write(f"worker of the pool {POOL!r} on {url}; stop with Ctrl-C\n")
        leashed = [sys.executable, "-m", "flows.conduct.leash", "flows.nightly.schedule", "worker", "start"]
        with sweeping(repo, log.warning):
            worker = subprocess.run([*leashed, "--pool", POOL], cwd=repo, env=_environment(repo) | handed_down())
        if worker.returncode not in (0, 130, -2, -15):
            raise ResourceError(f"Prefect's worker ended with code {worker.returncode}")


_PREFECT = (sys.executable, "-m", "prefect")


def _prefect(repo: Path, *arguments: str) -> None:
    done = subprocess.run(
        [*_PREFECT, *arguments],
        cwd=repo,
        env=_environment(repo),
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-1500:]
        raise UserError(f"prefect {' '.join(arguments[:2])} refused: {said}")


def main(arguments: Sequence[str]) -> None:
    """`python -m flows.conduct.leash flows.nightly.schedule ...` is `prefect ...` that ends with its parent, and whose
    worker leaves heartbeats."""
    import flows.nightly.worker  # noqa: F401

    sys.argv = ["prefect", *arguments]
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


def _environment(repo: Path) -> dict[str, str]:
    own = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join([own, os.environ.get("PATH", os.defpath)]), "PWD": str(repo)}


def _ready(repo: Path, *, alone: bool = False) -> None:
    """Looks at the block of notices, and frees what dead runs hold, before something is to start at night. alone: the
    server is this process's own."""
    from flows.conduct.heartbeats import sweep
    from flows.nightly.notices import require_block

    if name := load_machine(repo / "machine.yaml").notify:
        require_block(name)
    sweep(repo, alone=alone)


def _deployments(path: Path) -> list[DeploymentConfig]:
    """What a prefect.yaml says. Raises `UserError`: none there, or Prefect cannot read it."""
    from prefect.cli.deploy._models import PrefectYamlModel
    from pydantic import ValidationError
    from ruamel.yaml import YAML, YAMLError

    try:
        model = PrefectYamlModel.model_validate(YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {})
    except FileNotFoundError:
        raise UserError(f"no {path}: `emoforge init` writes one, or take it from git") from None
    except (YAMLError, ValidationError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    if NIGHTLY not in [one.name for one in model.deployments]:
        raise UserError(f"{path} has no deployment {NIGHTLY!r}, which emoforge starts by that name")
    return list(model.deployments)


def _cron(deployment: DeploymentConfig) -> str:
    crons = [str(cron) for one in deployment.schedules or [] if (cron := getattr(one, "cron", None))]
    if not crons:
        raise UserError(f"prefect.yaml: {deployment.name} has no schedule with a cron; name one")
    return crons[0]


def _require_cron(cron: str) -> None:
    from prefect.client.schemas.schedules import CronSchedule

    try:
        CronSchedule(cron=cron)
    except ValueError:
        wanted = "five fields are wanted: minute hour day month weekday, e.g. '0 3 * * *'"
        raise UserError(f"cron is {cron!r}; {wanted}") from None


def _served(deployment: DeploymentConfig, cron: str, parameters: Mapping[str, object]) -> Any:
    """A deployment of prefect.yaml as Prefect's runner takes it."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig
    from prefect.flows import EntrypointType, load_flow_from_entrypoint

    limit: Any = deployment.concurrency_limit
    if limit is not None and not isinstance(limit, int):
        limit = ConcurrencyLimitConfig.model_validate(limit.model_dump(exclude_none=True))

    flow: Any = load_flow_from_entrypoint(str(deployment.entrypoint), use_placeholder_flow=False)
    return flow.to_deployment(
        name=str(deployment.name),
        cron=cron,
        parameters={**deployment.parameters, **parameters},
        tags=deployment.tags,
        description=deployment.description,
        concurrency_limit=limit,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


@contextmanager
def _address_kept(repo: Path, url: str) -> Iterator[None]:
    """While this serves, `emoforge schedule status` finds its server."""
    path = serving_file(repo)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"url": url, "pid": os.getpid()})
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def serving_file(repo: Path) -> Path:
    """Where `serve` says which server it is at."""
    return Layout(repo).scratch / "serving.json"


def serving(repo: Path) -> str | None:
    """The server of an `emoforge schedule serve` at work in the project."""
    try:
        told = json.loads(serving_file(repo).read_text(encoding="utf-8"))
        os.kill(int(told["pid"]), 0)
        return str(told["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
