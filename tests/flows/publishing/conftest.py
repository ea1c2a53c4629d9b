"""A project with one version and something new, whose publishing runs no stage and asks no DVC to push."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corpora.schema import Sample
from flows.conduct import publish as conduct
from flows.publishing.leaving import Out
from flows.releases.fetched import fetched
from flows.releases.versions import version_of
from tests.flows.publishing.hub_server import TOKEN, Hub, serving
from tests.flows.releases.published import Published
from tests.small_release import made, real, write_release, write_stub_report

PARAMS = """corpora:
  toy: {reader: ravdess}
demo:
  toy: {reader: ravdess, per_class: {fear: 2}}
runs:
  tiny: {corpora: [toy], seed: 1, representation: {name: world}, generator: {name: transfer}}
"""
STAGES = "# by hand\nstages: {}  # none\n"


@pytest.fixture(scope="module")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> Published:
    project = Published(tmp_path_factory.mktemp("once") / "project")
    (project.folder / "params.yaml").write_text(PARAMS)
    (project.folder / "dvc.yaml").write_text(STAGES)
    run = project.folder / "data/runs/tiny"
    write_release(run / "release", [real(i) for i in range(4)])
    project.version(run, "v1.0.0")
    fetched(version_of("tiny@v1.0.0", project.folder), project.folder, whole=False)
    rebuilt(project, [*map(real, range(5)), made(0)])
    return project


def rebuilt(project: Published, samples: list[Sample]) -> None:
    """Another release of the run, as `emoforge run` leaves it."""
    run = project.folder / "data/runs/tiny"
    shutil.rmtree(run / "release", ignore_errors=True)
    write_release(run / "release", samples)
    write_stub_report(run)
    (run / "metrics.json").write_text(f'{{"n": {len(samples)}}}')
    project.built(run)


@pytest.fixture
def copied(published_once: Published, quick: None, tmp_path: Path) -> Callable[[str], Published]:
    """A copy of it, by a name of its own; what is slow is left out."""

    def copy(name: str) -> Published:
        shutil.copytree(published_once.folder.parent, tmp_path / name)
        project = object.__new__(Published)
        project.folder, project.remote = tmp_path / name / "project", tmp_path / name / "remote"
        return project

    return copy


@pytest.fixture
def project(copied: Callable[[str], Published]) -> Published:
    return copied("one")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is up to date and whole, and pushing does nothing; dates and names are the same every time."""
    monkeypatch.setattr(conduct, "stages_of", lambda params, runs: ["evaluate@tiny", "release@tiny"])
    monkeypatch.setattr(conduct.checks, "whole", lambda run, stages, repo: [])
    monkeypatch.setattr(conduct, "require_intact", lambda stages, pushed, repo: [])
    outs = [
        Out("data/runs/tiny/metrics.json", "evaluate@tiny", False, True),
        Out("data/runs/tiny/release", "release@tiny", True, True),
    ]
    monkeypatch.setattr(conduct, "outs_of", lambda stages, repo: outs)
    monkeypatch.setattr(conduct.remotes, "push", lambda paths, remote, repo: None)
    monkeypatch.setattr(conduct, "_today", lambda: "2026-11-30")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "t")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "t@localhost")
        monkeypatch.setenv(f"GIT_{who}_DATE", "2026-11-30T12:00:00Z")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A stand-in of a Hub on loopback, and the token that it takes."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
