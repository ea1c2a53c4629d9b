"""A version built again in a clone of its own: the same, another, cut short, from raw files or from what was read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from corpora.errors import CorpusError, InterruptedRunError, UnknownNameError
from corpora.schema import Sample
from flows.conduct.publish import publish
from flows.rebuilding import rebuild as module
from flows.rebuilding.rebuild import rebuild
from tests.flows.releases.published import Published
from tests.small_release import made, real, write_release
from tests.toy import Toy

PARAMS = """corpora:
  toy: {reader: ravdess}
demo: {}
runs:
  tiny: {corpora: [toy], seed: 1, representation: {name: world}, generator: {name: transfer}}
"""
SAMPLES = [*map(real, range(4)), made(0)]


def write_run(project: Published, samples: list[Sample], seed: int) -> None:
    run = project.folder / "data/runs/tiny"
    for part in ("release", "plan"):
        shutil.rmtree(run / part, ignore_errors=True)
    write_release(run / "release", samples)
    (run / "plan").mkdir()
    (run / "plan" / "augment.json").write_text(f'{{"params": {{"seed": {seed}}}, "code": {{}}}}')
    (run / "plan" / "release.json").write_text('{"params": {}, "code": {}}')
    project.built(run)


@pytest.fixture
def project(tmp_path: Path) -> Published:
    """tiny@v1.0.0 over a linked corpus, then another state of the folder and of params.yaml."""
    published = Published(tmp_path / "project")
    (published.folder / "params.yaml").write_text(PARAMS)
    (tmp_path / "raw").mkdir()
    (published.folder / "data/raw").mkdir(parents=True)
    (published.folder / "data/raw/toy").symlink_to(tmp_path / "raw")
    write_run(published, SAMPLES, 1)
    published.version(published.folder / "data/runs/tiny", "v1.0.0")
    (published.folder / "params.yaml").write_text(PARAMS.replace("seed: 1", "seed: 9"))
    (published.folder / "machine.yaml").write_text("store: /nowhere/shared\nactors: 0\n")
    return published


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Stands for the stages: says what `release` of the clone comes to be; -> a list of those that ran."""

    def stand_in(samples: list[Sample], seed: int = 1, cut_at: str = "") -> list[str]:
        ran: list[str] = []

        def run(stage: str, *, repo: Path, on_line: object) -> None:
            if stage == cut_at:
                raise InterruptedRunError("cut short")
            ran.append(stage)
            if stage in ("plan@tiny", "release@tiny"):
                clone = Published.__new__(Published)
                clone.folder, clone.remote = repo, repo / ".remote"
                write_run(clone, samples, seed)
            assert "seed: 1" in (repo / "params.yaml").read_text(), "the version's own parameters"
            assert (repo / "data/raw/toy").resolve().name == "raw"
            assert "store" not in (repo / "machine.yaml").read_text()

        monkeypatch.setattr(module, "stages_of", lambda params, runs: ["ingest@toy", "plan@tiny", "release@tiny"])
        monkeypatch.setattr(module, "needed", lambda stages, repo: [s for s in stages if s not in ran])
        monkeypatch.setattr(module, "repro", run)
        return ran

    return stand_in


def test_the_same_again_leaves_nothing(project: Published, stages: Callable[..., list[str]]) -> None:
    ran = stages(SAMPLES)
    status = project.git("status", "--porcelain")
    done = rebuild("tiny@latest", repo=project.folder)
    assert done.same and done.got == done.wanted and "is the same again" in done.sentence
    assert ran == ["ingest@toy", "plan@tiny", "release@tiny"] and done.folder is None and not done.fetched
    assert not list((project.folder / ".emoforge/rebuilt").glob("tiny@*"))
    assert project.git("status", "--porcelain") == status
    with pytest.raises(UnknownNameError, match="unknown version"):
        rebuild("tiny@v9.0.0", repo=project.folder)


def test_another_one_says_where_and_why_and_stays(project: Published, stages: Callable[..., list[str]]) -> None:
    stages([*SAMPLES, made(1)], seed=2)
    done = rebuild("tiny@v1.0.0", repo=project.folder)
    assert not done.same and done.difference is not None and done.difference.stage == "release@tiny"
    assert "made another release" in done.sentence and done.got != done.wanted
    assert done.folder is not None and (Path(done.folder) / "data/runs/tiny/release").is_dir()


def test_plans_alone(project: Published, stages: Callable[..., list[str]]) -> None:
    ran = stages(SAMPLES, seed=2)
    done = rebuild("tiny@v1.0.0", repo=project.folder, plans=True)
    assert ran == ["ingest@toy", "plan@tiny"] and done.got is None and not done.same
    assert done.sentence.endswith("augment@tiny was planned otherwise: runs.tiny.seed (1 -> 2)")


def test_cut_short_it_goes_on(project: Published, stages: Callable[..., list[str]]) -> None:
    stages(SAMPLES, cut_at="release@tiny")
    with pytest.raises(InterruptedRunError):
        rebuild("tiny@v1.0.0", repo=project.folder)
    clone = next((project.folder / ".emoforge/rebuilt").glob("tiny@*"))
    (clone / "kept").touch()
    stages(SAMPLES)
    done = rebuild("tiny@v1.0.0", repo=project.folder, keep=True)
    assert done.same and done.folder is not None and (Path(done.folder) / "kept").exists()


def test_a_corpus_that_is_nowhere(project: Published, stages: Callable[..., list[str]]) -> None:
    stages(SAMPLES)
    (project.folder / "data/raw/toy").unlink()
    with pytest.raises(CorpusError, match=r"corpus 'toy', which is not here: link it \(emoforge link toy PATH\)"):
        rebuild("tiny@v1.0.0", repo=project.folder)


@pytest.mark.slow
def test_stages_that_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through DVC: the same in a second clone; then another one, as a stage is not what it was."""
    toy = Toy(tmp_path / "toy")
    for name in ("PYTHONPATH", "HOME", "PATH", "GIT_CONFIG_NOSYSTEM"):
        monkeypatch.setenv(name, toy.env[name])
    toy.repro()
    publish("toy", repo=toy.folder)
    toy.git("clone", "-q", str(toy.folder), str(tmp_path / "clone"))
    remote = str(toy.folder / ".emoforge/remote")
    toy.sh("dvc", "--cd", str(tmp_path / "clone"), "remote", "modify", "--local", "local", "url", remote)
    done = rebuild("toy@v1.0.0", repo=tmp_path / "clone")
    assert done.same and done.got == done.wanted

    toy.set_seed(2)
    for stage, out in (("fit@toy", "model"), ("release@toy", "release")):  # what no other clone does
        place = f'repo / "data/runs/toy/{out}"'
        toy.behave(stage, f'({place}).mkdir(parents=True, exist_ok=True); ({place} / "x.txt").write_text("x")')
    toy.repro()
    publish("toy", repo=toy.folder)
    done = rebuild("toy@latest", repo=toy.folder)
    assert not done.same and done.difference is not None and done.difference.stage == "fit@toy"
