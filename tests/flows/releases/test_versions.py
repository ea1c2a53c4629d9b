"""Versions: listed, named, fetched out of the cache and out of the remote."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corpora.errors import CorpusError, IntegrityError, ResourceError, UnknownNameError, UserError
from corpora.store.release import open_release
from corpora.store.verify import check_release
from flows.releases.fetched import fetched, lock_of
from flows.releases.history import history
from flows.releases.places import find_release
from flows.releases.versions import bump_between, facts_in, latest_tag, version_of, versions_of
from tests.flows.releases.published import Published
from tests.small_release import made, real, write_release


@pytest.fixture
def project(tmp_path: Path) -> Published:
    """tiny@v0.9.0 (no facts), v1.0.0, v1.1.0 (a sample more)."""
    published = Published(tmp_path / "project")
    first = [*map(real, range(8)), *map(made, range(4))]
    for number, samples in (("v0.9.0", first), ("v1.0.0", first), ("v1.10.0", [*first, real(8)])):
        run = tmp_path / number
        write_release(run / "release", samples, verdicts=[{}, {"group": "anger", "verdict": "undecided"}])
        (run / "plan").mkdir()
        (run / "plan" / "fit.json").write_text("{}")
        published.version(run, number, facts=number != "v0.9.0")
    published.git("tag", "tiny#prod")
    published.git("tag", "tiny@v1.2.0-rc1")
    return published


def test_versions_in_their_order_with_what_each_was(project: Published) -> None:
    assert [v.tag for v in versions_of("tiny", project.folder)] == ["tiny@v0.9.0", "tiny@v1.0.0", "tiny@v1.10.0"]
    second, first, plain = history("tiny", project.folder)
    assert second.facts is not None and (second.facts.real, second.facts.synthetic) == (9, 4)
    assert second.facts.verdicts == {"pass": 1, "undecided": 1}
    assert [entry.bump for entry in (second, first, plain)] == ["minor", "major", "first"]
    assert plain.facts == first.facts, "out of the cache, where the message has none"
    assert latest_tag("tiny", project.folder) == "tiny@v1.10.0" and latest_tag("other", project.folder) is None
    assert version_of("tiny@latest", project.folder) == second.version
    assert second.version.commit == project.git("rev-parse", "tiny@v1.10.0^{}")
    with pytest.raises(UnknownNameError, match="Did you mean"):
        version_of("tiny@v1.1.1", project.folder)
    with pytest.raises(UnknownNameError, match="Published: tiny"):
        history("toy", project.folder)


def test_a_version_comes_out_of_the_cache_or_the_remote_or_says_who_to_ask(project: Published) -> None:
    version = version_of("tiny@v1.0.0", project.folder)
    tables = fetched(version, project.folder, whole=False)
    assert not (tables / "release/shards").exists() and (tables / "plan/fit.json").is_file()
    assert open_release(tables / "release").release_hash == version.facts.release_hash  # type: ignore[union-attr]
    project.forget()
    assert history("tiny", project.folder)[-1].facts is None, "a log asks no remote"
    whole = fetched(version, project.folder, whole=True)
    assert check_release(whole / "release").intact and len(list(open_release(whole / "release").samples())) == 12
    shutil.rmtree(project.remote)
    assert fetched(version, project.folder, whole=True) == whole, "it is there"
    project.forget()
    with pytest.raises(ResourceError, match=r"neither DVC's cache nor a remote has data/runs/tiny/release\."):
        fetched(version, project.folder, whole=False)


def test_plans_that_nobody_has_are_left_out(project: Published) -> None:
    shutil.rmtree(project.remote)
    for path in (project.folder / ".dvc/cache").rglob("*"):
        if path.is_file() and path.read_bytes() == b"{}":
            path.unlink()
    run = fetched(version_of("tiny@v1.0.0", project.folder), project.folder, whole=False)
    assert (run / "release").is_dir() and not (run / "plan").exists()


def test_a_damaged_object_is_named_and_nothing_half_written_is_left(project: Published) -> None:
    version = version_of("tiny@v1.0.0", project.folder)
    index = (fetched(version, project.folder, whole=False) / "release/index.parquet").read_bytes()
    shutil.rmtree(project.folder / ".emoforge")
    damaged = [p for p in (project.folder / ".dvc/cache").rglob("*") if p.is_file() and p.read_bytes() == index]
    damaged[0].write_bytes(index[:-1] + b"x")
    with pytest.raises(IntegrityError, match="is damaged"):
        fetched(version, project.folder, whole=False)
    assert not list((project.folder / ".emoforge").rglob("release"))


def test_a_release_is_named_by_folder_run_or_version(project: Published, tmp_path: Path) -> None:
    run = project.folder / "data/runs/tiny"
    shutil.copytree(tmp_path / "v1.0.0", run)
    for given, repo in ((str(run / "release"), None), (str(run), None), ("tiny", project.folder)):
        place = find_release(given, repo)
        assert place.release.resolve() == run / "release" and place.run == run and place.version is None
    place = find_release("tiny@latest", project.folder, whole=False)
    assert place.shown == "tiny@v1.10.0" and open_release(place.release).index.num_rows == 13
    shutil.copytree(run / "release", tmp_path / "alone")
    assert find_release(str(tmp_path / "alone"), None).run is None
    with pytest.raises(UnknownNameError, match="Did you mean 'tiny'"):
        find_release("tiney", project.folder)
    with pytest.raises(CorpusError, match="no release"):
        find_release("/nowhere", project.folder)
    with pytest.raises(UserError, match="in the project's folder"):
        find_release("tiny@v1.0.0", None)


def test_a_list_that_leads_out_of_its_folder_is_refused(project: Published) -> None:
    for path in (project.folder / ".dvc/cache").rglob("*.dir"):
        path.write_text(path.read_text().replace('"README.md"', '"../../README.md"'))
    with pytest.raises(IntegrityError):
        fetched(version_of("tiny@v1.0.0", project.folder), project.folder, whole=True)


def test_which_number_went_up() -> None:
    pairs = {("v1.0.0", "v2.0.0"): "major", ("v1.9.3", "v1.10.0"): "minor", ("v1.0.0", "v1.0.1"): "patch"}
    assert {pair: bump_between(*pair) for pair in pairs} == pairs
    assert facts_in("Release of toy") is None and facts_in("Facts: {}") is None


def test_a_version_of_another_project_in_the_same_git_is_named_as_that(tmp_path: Path) -> None:
    """Tags are of the whole repository; dvc.lock is of one folder in it."""
    one = Published(tmp_path / "lab")
    write_release(tmp_path / "run" / "release", [real(0)])
    one.version(tmp_path / "run", "v1.0.0")
    other = tmp_path / "lab" / "second"
    other.mkdir()
    with pytest.raises(UserError, match=r"no dvc\.lock in .*second.*another folder of this git repository.*rename"):
        lock_of(version_of("tiny@v1.0.0", other), other)
