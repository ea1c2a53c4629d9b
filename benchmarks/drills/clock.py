"""`python -m benchmarks.drills clock`: the clock is set back and forward between stages, and in the middle of them.

A tiny run is built once undisturbed. Then each stage runs with a clock that is years away (libfaketime, for what the
stage starts as well), another one for each stage, and jumps again once while the stage works. What a stage leaves must
have the hash of the undisturbed build. The clock that counts since the machine started is left alone, as it is where
people or a time server set the time.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.drills.project import PUBLISH, STAGES, DrillError, Project, wait_until_spent

YEARS = 20
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Jump:
    """One stage under a clock that is wrong. begun_at, then: days off, before and after the jump; after_s: seconds of
    processor into it when it jumped; jumped: the stage was still running; same: what came out has the undisturbed
    hash."""

    stage: str
    begun_at: int
    then: int
    after_s: float
    jumped: bool
    same: bool


def library() -> Path | None:
    """libfaketime for programs with threads, where Debian puts it."""
    names = ("libfaketimeMT.so.1", "libfaketime.so.1")
    roots = [place for place in (Path("/usr/lib"), Path("/usr/local/lib")) if place.is_dir()]
    return next((path for name in names for root in roots for path in sorted(root.glob(f"**/faketime/{name}"))), None)


def why_not() -> str:
    """ "" where the drill can be done."""
    return "" if library() else "libfaketime is not installed (apt install libfaketime)"


def wrong(clock: Path, days: int) -> dict[str, str]:
    """Environment under which time is read from the file `clock`, at every look; it is so many days off now."""
    found = library()
    if found is None:
        raise DrillError(why_not())
    clock.write_text(f"{days * DAY_S:+d}")
    return {
        "LD_PRELOAD": str(found),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def under(project: Project, stage: str, clock: Path, days: tuple[int, int], after_s: float) -> bool:
    """Runs the stage with the clock off by days[0], from `after_s` on by days[1]. -> whether it was still running then.

    Raises `DrillError` where it fails."""
    running = project.start(stage, **wrong(clock, days[0]))
    jumped = wait_until_spent(running, after_s)
    fresh = clock.with_suffix(".new")
    fresh.write_text(f"{days[1] * DAY_S:+d}")
    fresh.replace(clock)
    if running.wait():
        raise DrillError(f"{stage} ended with {running.returncode} under a clock that was {days} days off")
    return jumped


def drill(seed: int, work: Path, done: Callable[[Jump], None] = print) -> list[Jump]:
    """Every stage once; publish is compared without its commit and tag, which have the day in CHANGELOG.md."""
    rng = random.Random(seed)
    project, plain, built = Project(work / "place"), work / "plain", work / "built"
    project.begin()
    project.keep(plain)
    wanted, seconds = {}, {}
    for stage in STAGES:
        if stage == PUBLISH:
            project.lock()
            project.keep(built)
        _, seconds[stage] = project.measured(stage)
        wanted[stage] = project.hashes(stage)
    project.put_back(plain, store=False)
    shutil.rmtree(project.folder / ".emoforge", ignore_errors=True)
    every = []
    for stage in STAGES:
        if stage == PUBLISH:  # of the undisturbed build: provenance.json, which is pushed, has seconds of every stage
            project.put_back(built, store=False)
        days = (rng.randint(-YEARS * 365, YEARS * 365), rng.randint(-YEARS * 365, YEARS * 365))
        after_s = rng.uniform(0.2, 0.9) * seconds[stage]
        jumped = under(project, stage, work / "clock", days, after_s)
        found, due = project.hashes(stage), wanted[stage]
        same = found[2:] == due[2:] if stage == PUBLISH else found == due
        every.append(Jump(stage, *days, round(after_s, 2), jumped, same))
        done(every[-1])
    return every
