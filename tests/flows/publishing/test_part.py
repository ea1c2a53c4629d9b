"""`publish RUN --only ...`: pushed, committed, tagged; found again in another clone; all of it or nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from corpora.errors import GateError, ResourceError, UnknownNameError, UserError
from corpora.store.release import open_release
from corpora.store.verify import check_release
from flows.conduct import publish_part as conduct
from flows.conduct.publish import publish
from flows.conduct.publish_part import publish_part
from flows.conduct.retraction.states import states
from flows.publishing import commits, remotes
from flows.rebuilding.rebuild import rebuild
from flows.releases.fetched import POINTER, fetched
from flows.releases.history import history, published
from flows.releases.places import built_runs, find_release
from flows.releases.versions import is_tag, version_of
from flows.upkeep.cached import version_is_cached
from tests.flows.describing.tiny import CARD, write_described
from tests.flows.releases.published import Published
from tests.small_release import write_stub_report

NC = {**CARD, "license": "CC-BY-NC-SA-4.0", "may_redistribute": False}
PARAMS = """corpora:
  c: {reader: ravdess}
runs:
  tiny: {corpora: [c], seed: 1, representation: {name: world}, generator: {name: transfer}}
"""
TAG = "tiny-synthetic@v1.0.0"
RELEASE = "data/parts/tiny-synthetic/release"


def build(project: Published, card: dict[str, Any] = NC, **more: Any) -> None:
    run = project.folder / "data/runs/tiny"
    shutil.rmtree(run, ignore_errors=True)
    write_described(run / "release", name="tiny", corpora=[{"id": "c", "card": card}], **more)
    write_stub_report(run)
    project.built(run)


@pytest.fixture
def project(quick: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Published:
    """With a release of a corpus whose recordings may not go; a push copies what DVC would send."""
    made = Published(tmp_path / "one" / "project")
    (made.folder / "params.yaml").write_text(PARAMS)
    (made.folder / ".gitignore").write_text("/data/runs\n/.emoforge\n")
    build(made)
    made.git("add", "-A")
    made.git("commit", "-q", "-m", "begin")
    monkeypatch.setattr(conduct, "require_intact", lambda stages, pushed, repo: [])

    def push(paths: list[str], remote: remotes.Remote, repo: Path) -> None:
        assert paths == [RELEASE] and (repo / RELEASE).with_name(POINTER).is_file()
        shutil.copytree(repo / ".dvc/cache/files", made.remote / "files", dirs_exist_ok=True)

    monkeypatch.setattr(remotes, "push", push)
    return made


def test_a_part_is_published_where_the_whole_may_not_go(project: Published) -> None:
    done = publish_part("tiny", "synthetic", repo=project.folder)
    assert done.tag == TAG and done.pushed == [RELEASE] and done.withheld == {}
    assert project.git("status", "--porcelain") == ""
    listed = project.git("ls-tree", "-r", "--name-only", "HEAD", "data/parts").splitlines()
    beside = (".gitignore", "CHANGELOG.md", "croissant.json", POINTER)
    assert listed == [f"data/parts/tiny-synthetic/{name}" for name in beside]
    said = (project.folder / "data/parts/tiny-synthetic/CHANGELOG.md").read_text()
    assert f"## {TAG} (2026-11-30)" in said and "taken from the release tiny, hash" in said
    assert 'path: "data/parts/tiny-synthetic/release"' in (project.folder / "dvc.yaml").read_text()
    assert (published(project.folder), built_runs(project.folder)) == (["tiny-synthetic"], ["tiny", "tiny-synthetic"])
    facts = history("tiny-synthetic", project.folder)[0].facts
    assert facts is not None and (facts.real, facts.synthetic) == (0, 3)


def test_dvc_itself_knows_it(project: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc.repo import Repo

    publish_part("tiny", "synthetic", repo=project.folder)
    monkeypatch.chdir(project.folder)  # where DVC looks for targets
    with Repo(str(project.folder)) as dvc:
        assert dvc.status(targets=[f"data/parts/tiny-synthetic/{POINTER}"]) == {}
        assert dvc.artifacts.read()["dvc.yaml"]["tiny-synthetic"].path == RELEASE


def test_it_is_found_by_its_tag_in_another_clone(project: Published, tmp_path: Path) -> None:
    publish_part("tiny", "synthetic", repo=project.folder)
    clone = tmp_path / "clone"
    project.git("clone", "-q", str(project.folder), str(clone))
    assert is_tag(TAG) and is_tag("tiny-synthetic@latest") and not is_tag("tiny-whole@v1.0.0")
    place = find_release("tiny-synthetic@latest", clone)
    assert check_release(place.release).intact and place.shown == TAG
    here = open_release(project.folder / RELEASE).release_hash
    assert open_release(place.release).release_hash == here
    version = version_of(TAG, clone)
    assert fetched(version, clone, whole=True) / "release" == place.release
    assert version_is_cached(f"{TAG}-{version.commit[:12]}", clone)


def test_nothing_new_nothing_published_and_what_changes_is_the_next_version(project: Published) -> None:
    publish_part("tiny", "synthetic", repo=project.folder)
    again = publish_part("tiny", "synthetic", repo=project.folder)
    assert (again.tag, again.latest) == (None, TAG)
    build(project, synthetic=4)
    third = publish_part("tiny", "synthetic", repo=project.folder)
    assert (third.tag, third.bump) == ("tiny-synthetic@v1.1.0", "minor")
    assert "samples: 0 real and 1 synthetic came" in third.because


def test_whole_and_part_have_versions_of_their_own(project: Published) -> None:
    build(project, card=CARD)
    publish_part("tiny", "synthetic", repo=project.folder)
    remotes.push = lambda paths, remote, repo: None  # type: ignore[assignment]  # the fixture puts it back
    assert publish("tiny", repo=project.folder).tag == "tiny@v1.0.0"
    assert [entry.version.tag for entry in history("tiny", project.folder)] == ["tiny@v1.0.0"]
    assert published(project.folder) == ["tiny", "tiny-synthetic"]


def test_a_refusal_leaves_everything_as_it_was(project: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    build(project, card={**CARD, "license": "LicenseRef-DEAP-EULA", "may_redistribute": False})
    monkeypatch.setattr(remotes, "push", lambda *a: pytest.fail("it was pushed"))
    before = project.git("rev-parse", "HEAD")
    with pytest.raises(GateError, match=r"LicenseRef-DEAP-EULA of c does not say .*permits: \{c: \{synthetic: WHO"):
        publish_part("tiny", "synthetic", repo=project.folder)
    assert project.git("rev-parse", "HEAD") == before and project.git("tag") == ""
    assert not (project.folder / "data/parts").exists()


def test_a_stated_permission_of_params_lets_it_go(project: Published) -> None:
    build(project, card={**CARD, "license": "LicenseRef-DEAP-EULA", "may_redistribute": False})
    said = "its owner, letter of 2026-11-02"
    (project.folder / "params.yaml").write_text(PARAMS + f"publish: {{permits: {{c: {{synthetic: '{said}'}}}}}}\n")
    assert publish_part("tiny", "synthetic", repo=project.folder).tag == TAG
    assert said in (project.folder / RELEASE / "LICENSE.md").read_text()


def test_what_gates_refused_has_no_part(project: Published) -> None:
    build(project, publishable=False, reasons=("frechet (all): fail",))
    with pytest.raises(GateError, match="frechet"):
        publish_part("tiny", "synthetic", repo=project.folder)


def test_a_part_that_nobody_knows(project: Published) -> None:
    with pytest.raises(UnknownNameError, match="synthetic"):
        publish_part("tiny", "syntetic", repo=project.folder)
    with pytest.raises(UserError, match=r"no features\.parquet"):
        publish_part("tiny", "features", repo=project.folder)


def test_a_remote_that_fails_leaves_no_version_and_the_same_command_goes_on(
    project: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = remotes.push

    def fails(*_: Any) -> None:
        raise ResourceError("the remote is down")

    monkeypatch.setattr(remotes, "push", fails)
    with pytest.raises(ResourceError, match="down"):
        publish_part("tiny", "synthetic", repo=project.folder)
    assert project.git("tag") == "" and not (project.folder / RELEASE).with_name(POINTER).exists()
    assert "artifacts" not in (project.folder / "dvc.yaml").read_text()
    monkeypatch.setattr(remotes, "push", working)
    assert publish_part("tiny", "synthetic", repo=project.folder).tag == TAG
    assert project.git("status", "--porcelain") == ""


@pytest.mark.parametrize("where", ["commit", "tag"])
def test_cut_short_the_same_command_ends_as_if_undisturbed(
    where: str, project: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def cut(*_: Any, **__: Any) -> None:
        raise Killed

    working = getattr(commits, where)
    monkeypatch.setattr(commits, where, cut)
    with pytest.raises(Killed):
        publish_part("tiny", "synthetic", repo=project.folder)
    assert project.git("tag") == ""
    monkeypatch.setattr(commits, where, working)
    again = publish_part("tiny", "synthetic", repo=project.folder)
    assert (again.tag or again.resumed) == TAG and again.resumed == (TAG if where == "tag" else None)
    assert project.git("log", "--format=%s").splitlines() == [f"Publish {TAG}", "begin"]
    assert project.git("status", "--porcelain") == ""


def test_a_part_stands_on_the_release_that_it_was_taken_from(project: Published) -> None:
    """What a purge must find: in the folder, and in every commit."""
    publish_part("tiny", "synthetic", repo=project.folder)
    build(project, synthetic=4)
    publish_part("tiny", "synthetic", repo=project.folder)
    own = [one for one in states(project.folder, project.folder / "none") if one.stage == "part@tiny-synthetic"]
    assert len(own) == 2 and len({one.outs[RELEASE] for one in own}) == 2
    assert len({one.deps["data/runs/tiny/release"] for one in own}) == 2
    lock = (project.folder / "dvc.lock").read_text()
    assert any(one.deps["data/runs/tiny/release"] in lock for one in own)


def test_a_part_is_not_rebuilt_but_taken_again(project: Published) -> None:
    publish_part("tiny", "synthetic", repo=project.folder)
    with pytest.raises(UserError, match="emoforge publish tiny --only synthetic"):
        rebuild(TAG, repo=project.folder)


def test_every_byte_is_looked_at_before_it_leaves(project: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object of the cache that was damaged is written anew, and not sent as it is."""
    publish_part("tiny", "synthetic", repo=project.folder)
    project.git("tag", "-d", TAG)
    project.git("reset", "-q", "--hard", "HEAD~1")
    shutil.rmtree(project.remote)
    objects = [path for path in (project.folder / ".dvc/cache/files").rglob("*") if path.is_file()]
    for path in objects:
        path.chmod(0o644)
        path.write_bytes(b"x" + path.read_bytes()[1:])
    publish_part("tiny", "synthetic", repo=project.folder)
    project.forget()
    assert check_release(find_release(TAG, project.folder).release).intact


def test_tables_of_features_of_a_run_of_recordings_are_published_alone(
    project: Published, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    working = remotes.push

    def push(paths: list[str], remote: remotes.Remote, repo: Path) -> None:
        assert paths == ["data/parts/tiny-features/release"]
        shutil.copytree(repo / ".dvc/cache/files", project.remote / "files", dirs_exist_ok=True)

    monkeypatch.setattr(remotes, "push", push)
    with pytest.raises(UserError, match=r"Add to params.yaml runs: \{tiny: \{release: \{features: \[functionals\]"):
        publish_part("tiny", "features", repo=project.folder)
    build(project, beside=True)
    done = publish_part("tiny", "features", repo=project.folder)
    assert done.tag == "tiny-features@v1.0.0" and project.git("status", "--porcelain") == ""
    assert publish_part("tiny", "features", repo=project.folder).tag is None
    facts = history("tiny-features", project.folder)[0].facts
    assert facts is not None and (facts.real, facts.synthetic) == (8, 3)
    clone = tmp_path / "clone"
    project.git("clone", "-q", str(project.folder), str(clone))
    place = find_release("tiny-features@latest", clone)
    assert check_release(place.release).intact and not list(place.release.rglob("*.tar"))
    assert open_release(place.release).features("functionals").num_rows == 11
    build(project, beside=True, synthetic=4)
    assert publish_part("tiny", "features", repo=project.folder).bump == "minor"
    monkeypatch.setattr(remotes, "push", working)
    assert publish_part("tiny", "synthetic", repo=project.folder).tag == TAG
