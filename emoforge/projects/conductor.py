"""`run` and `check`: asks DVC what is to be done, and starts the conductor only if something is."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emoforge import console
from emoforge.summary import leak_lines
from flows.conduct.dvcrun import reasons, stages_of
from flows.conduct.machine import require_disk, survey
from flows.conduct.processes import run_locks
from flows.params import load_machine, load_params
from flows.paths import Layout

if TYPE_CHECKING:
    from flows.stages.augment.forecast import ClassForecast, RunForecast
    from flows.stages.plan.feasible import Outlook


def bring_up_to_date(runs: Sequence[str], repo: Path) -> bool:
    """Builds what DVC would build; -> whether there was anything. Raises what the stages raise."""
    params, machine = load_params(repo / "params.yaml"), load_machine(repo / "machine.yaml")
    require_disk(repo, machine)
    with run_locks(Layout(repo).scratch / "locks", list(runs)):  # fails at once, not after a server was started
        why = reasons(stages_of(params, runs), repo=repo)
    if not why:
        console.say(f"nothing to do: {', '.join(runs)} up to date")
        return False
    console.say(f"to do: {', '.join(why)}")
    # the lines of stages go to the terminal as they are; Prefect's own only where something is wrong
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    from flows.conduct.pipeline import conduct

    begun = time.monotonic()
    with console.StageLines() as lines:
        for name in ("prefect.task_runs", "prefect.flow_runs"):
            logging.getLogger(name).addFilter(lines.show)
        conduct(runs, repo)
    console.say(f"done in {time.monotonic() - begun:.0f} s: {', '.join(runs)}")
    return True


def check_runs(runs: Sequence[str], repo: Path, *, as_json: bool) -> bool:
    """Prints what `run` would do, what sampling is expected to take, what is missing, what rankers of intensity are
    worth, and what labels and groups alone say of the way; -> whether it can go on. Changes nothing."""
    from flows.conduct.judged import judged

    params, machine = load_params(repo / "params.yaml"), load_machine(repo / "machine.yaml")
    about = judged(params, machine, Layout(repo), runs)
    findings = survey(params, machine, repo, runs, about.encoders)
    stages = stages_of(params, runs)
    why = reasons(stages, repo=repo)
    first = {run: next((s for s in stages_of(params, [run]) if s in why), None) for run in runs}
    outlooks = {name: about.outlooks[name] for name in runs if name in about.outlooks}
    forecasts, orders = about.forecasts, about.orders
    fine = all(finding.state != "missing" for finding in findings) and not any(o.stops for o in outlooks.values())
    if as_json:
        console.print_json(
            {
                "ok": fine,
                "findings": [f.as_dict() for f in findings],
                "stages": why,
                "starts_at": first,
                "forecast": {forecast.run: forecast.as_dict() for forecast in forecasts},
                "intensity": {order.run: order.as_dict() for order in orders},
                "outlook": {name: outlook.as_dict() for name, outlook in outlooks.items()},
            }
        )
        return fine
    console.table("Machine and corpora", ["", "what", "detail"], [[f.state, f.what, f.detail] for f in findings])
    if why:
        rows = [
            [stage, "; ".join(causes[:3]) + (f" (+{len(causes) - 3})" if len(causes) > 3 else "")]
            for stage, causes in why.items()
        ]
        console.table("Stages that would run, and those after them if outputs change", ["stage", "why"], rows)
    else:
        console.out.print(f"nothing to do: {', '.join(runs)} up to date")
    for forecast in forecasts:
        _print_forecast(forecast)
        for line in about.advice[forecast.run]:
            console.out.print(f"{forecast.run}: {line}", markup=False)
    for order in orders:
        console.out.print(order.line, markup=False)
    for name, outlook in outlooks.items():
        _print_outlook(name, outlook)
    return fine


def _print_outlook(run: str, outlook: Outlook) -> None:
    """What will end the run, what its gates can never say, and what leaks take."""
    rows = [["STOPS" if p.stops else "note", p.stage, p.text] for p in outlook.problems]
    if rows:
        console.table(f"{run}: outlook, from labels and groups alone", ["", "stage", "what"], rows)
    if outlook.advice:
        console.out.print(outlook.advice)
    for line in leak_lines({split: leak.to_json() for split, leak in outlook.leaks.items()}):
        console.out.print(f"{run}: {line}")


def _print_forecast(forecast: RunForecast) -> None:
    """What sampling is expected to take, if all of it were to be drawn: what the work store has costs nothing."""
    from generators.draws.balance import STOPS

    if not forecast.classes:
        console.out.print(f"{forecast.run}: no forecast of sampling, {forecast.reason}")
        return
    rows = [
        [
            c.emotion,
            c.real,
            c.target,
            c.missing,
            *_acceptance(c),
            c.draws,
            c.rounds,
            "-" if c.seconds is None else f"{c.seconds:.0f}",
            "too few to tell" if c.warning else STOPS[c.stopped],
        ]
        for c in forecast.classes
    ]
    seconds = [c.seconds for c in forecast.classes if c.seconds is not None]
    total = f", about {sum(seconds):.0f} s" if seconds else ", seconds are known after a first run"
    numbers = ["real", "target", "missing", "acceptance", "draws", "rounds", "seconds"]
    console.table(
        f"{forecast.run}: {sum(c.draws for c in forecast.classes)} draws expected{total} "
        f"(counts: {forecast.counts_from})",
        ["class", "real", "target", "missing", "acceptance", "by", "draws", "rounds", "seconds", "expected end"],
        rows,
        right=numbers,
    )
    for c in forecast.classes:
        if c.warning:
            console.out.print(f"{forecast.run}: {c.emotion} has {c.warning}", markup=False)


def _acceptance(c: ClassForecast) -> tuple[str, str]:
    """What to expect, and how that is known. The prior is no guess for a class that nothing can be learned from."""
    guessed = c.warning and c.known_from != "last run"
    return ("-", "not known") if guessed else (f"{c.acceptance:.0%}", c.known_from)
