"""`python -m benchmarks.drills kills`: stages are killed at random moments and built on.

A tiny run (94 fake faces, a cvae of 20 steps) is built once undisturbed, each stage a process of its own, and
published: that gives the hash of what every stage leaves and the time that each takes. Kills are spread evenly over the
stages. For each, the state before the stage is put back; it is started, killed with SIGKILL (with all that it
started), and started again. Half of the kills fall at any moment of the stage, half after it has begun to write, since
much of a short stage is imports. What it leaves must have the hash of the undisturbed build; what a killed stage leaves
beside its outs is counted. Half of the times the work store is thrown away first: else there is less to interrupt.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.drills.project import LOOK_S, PUBLISH, STAGES, Project, spent, wait_until_spent


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill. writing: it waited for the first file; at_s: processor seconds into it; landed: the stage had not
    ended before; same: what came out has the hash of the undisturbed build; left: files and folders beside the outs
    that the kill left and the next run did not clear up."""

    stage: str
    writing: bool
    at_s: float
    landed: bool
    same: bool
    left: int


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """Of one stage. first_s, seconds: of processor, to its first file and in all; hashes: of what it leaves; names:
    what stands in the folders afterwards."""

    first_s: float
    seconds: float
    hashes: list[str]
    names: set[str]


def undisturbed(project: Project, states: Path) -> dict[str, Undisturbed]:
    """Begins the project and builds it, each stage; states/STAGE is what was there before it."""
    project.begin()
    built = {}
    for stage in STAGES:
        if stage == PUBLISH:
            project.lock()
        project.keep(states / stage)
        first_s, seconds = project.measured(stage)
        built[stage] = Undisturbed(first_s, seconds, project.hashes(stage), project.names())
        print(f"{stage}: {seconds:.1f} s of processor undisturbed, {first_s:.1f} to its first file", flush=True)
    return built


def kill(project: Project, stage: str, wait_s: float, *, writing: bool) -> tuple[float, bool]:
    """Starts the stage and kills it with all that it started, `wait_s` processor seconds into it, or after its first
    file. -> processor seconds that it had used, and whether it was still running."""
    before = project.entries()
    running = project.start(stage)
    while writing and running.poll() is None and project.entries() <= before:
        time.sleep(LOOK_S)
    landed = wait_until_spent(running, wait_s + (spent(running) if writing else 0.0))
    at_s = spent(running)
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    return at_s, landed


def drill(
    kills: int, seed: int, work: Path, stages: Sequence[str] = STAGES, done: Callable[[Kill], None] = print
) -> list[Kill]:
    """The undisturbed build, then `kills` kills, one stage after the other, again and again."""
    project, states = Project(work / "place"), work / "states"
    plain = undisturbed(project, states)
    rng, every = random.Random(seed), []
    for number in range(kills):
        stage = stages[number % len(stages)]
        project.put_back(states / stage, store=rng.random() < 0.5)
        writing = rng.random() < 0.5
        wait_s = rng.uniform(0.0, plain[stage].seconds - (plain[stage].first_s if writing else 0.0))
        at_s, landed = kill(project, stage, wait_s, writing=writing)
        project.finish(stage)
        same = project.hashes(stage) == plain[stage].hashes
        every.append(Kill(stage, writing, round(at_s, 2), landed, same, len(project.names() - plain[stage].names)))
        done(every[-1])
    return every


def table(kills: Sequence[Kill]) -> str:
    """As docs/reliability.md has it."""
    lines = ["| stage | kills that landed | same hash | left beside |", "|---|---|---|---|"]
    for stage in STAGES:
        if own := [one for one in kills if one.stage == stage and one.landed]:
            lines.append(f"| {stage} | {len(own)} | {sum(o.same for o in own)} | {sum(o.left for o in own)} |")
    lines.append(f"{sum(one.landed for one in kills)} of {len(kills)} kills landed")
    return "\n".join(lines)
