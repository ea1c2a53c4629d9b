"""Many versions in a row, published under a clock that jumps back and forward: each is the one after the last, and git
is not asked more often when many versions are there."""

from __future__ import annotations

import random
import re
import resource
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from corpora.store.release import open_release
from flows.conduct import publish as conduct
from flows.conduct.publish import publish
from flows.releases.fetched import fetched
from flows.releases.versions import latest_tag, version_of, versions_of
from tests.flows.publishing.conftest import rebuilt
from tests.flows.releases.published import Published
from tests.small_release import made, real


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one publish. seconds: of processor, git's included; processes: of git."""

    tag: str
    seconds: float
    processes: int


def processor_s() -> float:
    """Used so far by this process and by what it has started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def published_often(project: Published, n: int, monkeypatch: pytest.MonkeyPatch, seed: int = 1) -> list[Cost]:
    """n versions after the first, each with a sample more, on days that are years apart in no order."""
    rng, started = random.Random(seed), [0]
    run = subprocess.run

    def counted(*args: Any, **more: Any) -> Any:
        started[0] += 1
        return run(*args, **more)

    monkeypatch.setattr(subprocess, "run", counted)
    costs = []
    for number in range(n):
        day = datetime.fromtimestamp(rng.randrange(0, 4_000_000_000), UTC)  # 1970 to 2096
        monkeypatch.setattr(conduct, "_today", day.date().isoformat)
        for who in ("AUTHOR", "COMMITTER"):
            monkeypatch.setenv(f"GIT_{who}_DATE", day.isoformat())
        rebuilt(project, [*map(real, range(5 + number)), made(number % 100)])
        started[0], begun = 0, processor_s()
        outcome = publish("tiny", repo=project.folder)
        assert outcome.tag is not None
        costs.append(Cost(outcome.tag, processor_s() - begun, started[0]))
    return costs


@pytest.mark.parametrize("n", [5, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_many_versions_in_a_row(project: Published, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    own = f"['remote \"here\"']\n    url = {project.remote}\n"  # not that of the project it was copied from
    (project.folder / ".dvc/config.local").write_text(own, encoding="utf-8")
    costs = published_often(project, n, monkeypatch)
    tags = [f"tiny@v1.{number}.0" for number in range(1, n + 1)]
    assert [cost.tag for cost in costs] == tags
    assert latest_tag("tiny", project.folder) == tags[-1], "the latest is the highest, whatever the clock said"
    assert [version.tag for version in versions_of("tiny", project.folder)] == ["tiny@v1.0.0", *tags]
    text = (project.folder / "data/runs/tiny/CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[?(?:tiny@)?v(\d+\.\d+\.\d+)", text, re.MULTILINE)
    assert [f"tiny@v{number}" for number in headings][:n] == tags[::-1], "the newest first, each once"
    project.forget()  # out of the remote
    for number, tag in enumerate(tags):
        release = open_release(fetched(version_of(tag, project.folder), project.folder, whole=True) / "release")
        release.verify()
        assert len(release.index) == 6 + number
    assert {cost.processes for cost in costs[1:]} <= {*range(costs[0].processes + 1)}, "git is not asked more often"
    assert publish("tiny", repo=project.folder).tag is None, "nothing new"
