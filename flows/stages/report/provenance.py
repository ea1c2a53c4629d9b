"""Where a release came from: code, libraries, machine and timings. Beside the release, never inside its hash."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import distributions

from pydantic import Field

from corpora.errors import IntegrityError
from corpora.formats.jsonfile import read_json
from flows.artifacts.base import Record
from flows.artifacts.released import Released
from flows.artifacts.studied import studies_about
from flows.paths import Layout
from flows.stages.plan.plans import PLANS, Plan, PreparePlan

STAGES = ("prepare", "fit", "augment", "evaluate", "release")


class Provenance(Record):
    """provenance.json. code: stage -> module -> hash of its code. corpora: content hashes. seconds: of the last time
    that each stage ran in this folder. A value that cannot be had is null."""

    run: str
    release_hash: str
    git_commit: str | None
    git_dirty: bool
    code: dict[str, dict[str, str]]
    corpora: dict[str, str]
    python: str
    platform: str
    cpu_count: int | None
    libraries: dict[str, str]
    seconds: dict[str, float | None]
    studies: dict[str, str] = Field(default_factory=dict)  # study of the same corpora -> hash of what it asked


def provenance(plan: Plan, layout: Layout) -> Provenance:
    """What a person needs to make the release again. Raises `IntegrityError` where there is no release."""
    return Provenance(
        run=plan.run,
        release_hash=Released.open(layout.run(plan.run) / "release").manifest().release_hash,
        git_commit=_git(layout, "rev-parse", "HEAD"),
        git_dirty=bool(_git(layout, "status", "--porcelain", "--untracked-files=no")),
        code={s: PLANS[s].read(layout, plan.run).code for s in STAGES},
        corpora=PreparePlan.read(layout, plan.run).corpora,
        python=platform.python_version(),
        platform=platform.platform(),
        cpu_count=os.cpu_count(),
        libraries=dict(sorted((str(d.metadata["Name"]), str(d.version)) for d in distributions())),
        seconds={s: _seconds(layout, plan.run, s) for s in STAGES},
        studies=_studies(layout, plan.run),
    )


def changed_studies(layout: Layout, run: str) -> list[str]:
    """Why the report of a run would say something else of studies than it does; [] where it would not, or where there
    is no report. DVC cannot know: a study may come, change or go at any time."""
    path = layout.run(run) / "provenance.json"
    if not path.is_file():
        return []
    try:
        said, now = read_json(path).get("studies", {}), _studies(layout, run)
    except IntegrityError:
        return []  # a damaged result is the business of the stage that reads it
    return [f"study {name} says something new" for name in sorted({*said, *now}) if said.get(name) != now.get(name)]


def _studies(layout: Layout, run: str) -> dict[str, str]:
    corpora = PreparePlan.read(layout, run).corpus_names
    return {name: studied.about().asked for name, studied in studies_about(layout.studies, corpora).items()}


def _git(layout: Layout, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=layout.repo, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _seconds(layout: Layout, run: str, stage: str) -> float | None:
    """Of the last time that the stage ran in this folder; null where its outs came from a remote."""
    path = layout.timing_file(stage, run)
    try:
        return read_json(path).get("seconds")
    except IntegrityError:  # none, or damaged: scratch
        return None
