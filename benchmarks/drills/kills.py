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
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.drills.project import PUBLISH, STAGES, Project

LOOK_S = 0.01  # between two looks for a first file


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill. writing: it waited for the first file; at_s: into the stage, by the clock; landed: the stage had not
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
    """Of one stage. seconds: by the clock; hashes: of what it leaves; names: what stands in the folders afterwards."""

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
        seconds = project.finish(stage)
        built[stage] = Undisturbed(seconds, project.hashes(stage), project.names())
        print(f"{stage}: {seconds:.1f} s undisturbed", flush=True)
    return built


def entries(project: Project) -> int:
    """Files and folders of project and remote. What goes while it is counted is passed over."""
    return sum(len(folders) + len(files) for _, folders, files in os.walk(project.place))


def kill(project: Project, stage: str, wait_s: float, *, writing: bool) -> tuple[float, bool]:
    """Starts the stage and kills it with all that it started. -> seconds into it, and whether it was still running."""
    before = entries(project) if writing else 0
    running, begun = project.start(stage), time.perf_counter()
    while writing and running.poll() is None and entries(project) <= before:
        time.sleep(LOOK_S)
    with suppress(subprocess.TimeoutExpired):  # it still runs
        running.wait(wait_s)
    landed, at_s = running.poll() is None, time.perf_counter() - begun
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    return at_s, landed


def first_files(project: Project, states: Path, stages: Sequence[str]) -> dict[str, float]:
    """Stage -> seconds from its first file to its end, undisturbed and without a work store."""
    lasts = {}
    for stage in stages:
        project.put_back(states / stage, store=False)
        before = entries(project)
        running = project.start(stage)
        while running.poll() is None and entries(project) <= before:
            time.sleep(LOOK_S)
        begun = time.perf_counter()
        running.wait()
        lasts[stage] = time.perf_counter() - begun
    return lasts


def drill(
    kills: int, seed: int, work: Path, stages: Sequence[str] = STAGES, done: Callable[[Kill], None] = print
) -> list[Kill]:
    """The undisturbed build, then `kills` kills, one stage after the other, again and again."""
    project, states = Project(work / "place"), work / "states"
    plain = undisturbed(project, states)
    writes = first_files(project, states, stages)
    rng, every = random.Random(seed), []
    for number in range(kills):
        stage = stages[number % len(stages)]
        project.put_back(states / stage, store=rng.random() < 0.5)
        writing = rng.random() < 0.5
        wait_s = rng.uniform(0.0, writes[stage] if writing else plain[stage].seconds)
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
