"""`emoforge schedule`: the flow by the clock. With a Prefect server of one's own, or one that lives as long as this."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from corpora.errors import UserError

DEPLOYMENT = "nightly-rebuild"  # as in prefect.yaml


def serve(runs: Sequence[str], *, cron: str, publish: bool, repo: Path) -> None:
    """Serves the deployment `nightly-rebuild` until interrupted: `runs` are rebuilt, and published if `publish`.

    Each run that fires is a process of its own with `repo` as its folder. Raises `UserError` for a cron that cannot be
    read, `ResourceError` if no server answers.
    """
    from prefect.client.schemas.schedules import CronSchedule

    from flows.conduct.server import server

    try:
        CronSchedule(cron=cron)
    except ValueError:
        wanted = "five fields are wanted: minute hour day month weekday, e.g. '0 3 * * *'"
        raise UserError(f"cron is {cron!r}; {wanted}") from None
    with server("all") as url:
        os.environ["PREFECT_API_URL"] = url  # for the processes of the runs
        os.chdir(repo)
        from flows.conduct.pipeline import rebuild

        sys.stderr.write(f"serving {DEPLOYMENT} ({cron}) for {', '.join(runs)}; server {url}; stop with Ctrl-C\n")
        rebuild.serve(
            name=DEPLOYMENT,
            cron=cron,
            parameters={"runs": list(runs), "publish": publish},
            tags=["emoforge"],
            limit=1,
            pause_on_shutdown=True,
            print_starting_message=False,
        )
