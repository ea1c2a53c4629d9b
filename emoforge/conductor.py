"""`run` and `check`: asks DVC what is to be done, and starts the conductor only if something is."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

from emoforge import console
from flows.dvcrun import reasons, stages_of
from flows.machine import require_disk, survey
from flows.params import load_machine, load_params
from flows.paths import Layout
from flows.processes import run_locks


def bring_up_to_date(runs: Sequence[str], repo: Path) -> bool:
    """Builds what DVC would build; -> whether there was anything. Raises what the stages raise."""
    params, machine = load_params(repo / "params.yaml"), load_machine(repo / "machine.yaml")
    require_disk(repo, machine)
    with run_locks(Layout(repo).scratch / "locks", list(runs)):  # said at once, not after a server was started
        why = reasons(stages_of(params, runs), repo=repo)
    if not why:
        console.say(f"nothing to do: {', '.join(runs)} up to date")
        return False
    console.say(f"to do: {', '.join(why)}")
    # the lines of stages go to the terminal as they are; Prefect's own only where something is wrong
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    from flows.pipeline import conduct

    begun = time.monotonic()
    with console.StageLines() as lines:
        for name in ("prefect.task_runs", "prefect.flow_runs"):
            logging.getLogger(name).addFilter(lines.show)
        conduct(runs, repo)
    console.say(f"done in {time.monotonic() - begun:.0f} s: {', '.join(runs)}")
    return True


def check_runs(runs: Sequence[str], repo: Path, *, as_json: bool) -> bool:
    """Prints what `run` would do and what is missing; -> whether it can go on. Changes nothing."""
    params, machine = load_params(repo / "params.yaml"), load_machine(repo / "machine.yaml")
    findings = survey(params, machine, repo, runs)
    stages = stages_of(params, runs)
    why = reasons(stages, repo=repo)
    first = {run: next((s for s in stages_of(params, [run]) if s in why), None) for run in runs}
    fine = all(finding.state != "missing" for finding in findings)
    if as_json:
        console.print_json({"ok": fine, "findings": [f.as_dict() for f in findings], "stages": why, "starts_at": first})
        return fine
    console.table("Machine and corpora", ["", "what", "found"], [[f.state, f.what, f.detail] for f in findings])
    if why:
        rows = [[s, "; ".join(told[:3]) + (f" (+{len(told) - 3})" if len(told) > 3 else "")] for s, told in why.items()]
        console.table("Stages that would run, and those after them if outputs change", ["stage", "why"], rows)
    else:
        console.out.print(f"nothing to do: {', '.join(runs)} up to date")
    return fine
