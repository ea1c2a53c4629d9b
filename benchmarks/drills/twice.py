"""`python -m benchmarks.drills twice`: every stage is started twice at the same moment, in one folder.

By hand, that is: `emoforge run` and `dvc repro` hold locks. One of the two may refuse or lose; what is there afterwards
must be whole and have the hash of the undisturbed build. Publishing twice must come to one version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.drills.project import PUBLISH, STAGES, Project


@dataclass(frozen=True, slots=True)
class Twice:
    """One stage. codes: exits of the two; left: files beside the outs; same: the undisturbed hash."""

    stage: str
    codes: tuple[int, int]
    left: int
    same: bool


def drill(work: Path, done: Callable[[Twice], None] = print) -> list[Twice]:
    """Every stage once alone, then twice at once from the state before it."""
    project, every = Project(work / "place"), []
    project.begin()
    for number, stage in enumerate(STAGES):
        if stage == PUBLISH:
            project.lock()
        project.keep(work / str(number))
        project.finish(stage)
        wanted, there = project.hashes(stage), project.names()
        project.put_back(work / str(number), store=False)
        both = [project.start(stage) for _ in range(2)]
        codes = (both[0].wait(), both[1].wait())
        if all(codes):
            project.finish(stage)  # each was in the way of the other; the next one is not
        same = project.hashes(stage) == wanted
        every.append(Twice(stage, codes, len(project.names() - there), same))
        done(every[-1])
    return every
