"""Publishing: what is allowed leaves once, what a licence holds back stays, an old tag can be read again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from corpora.errors import GateError, LockedError, ResourceError, UserError
from flows.conduct.processes import run_locks
from flows.conduct.publish import publish
from flows.publishing.facts import facts_now
from flows.releases.versions import versions_of
from tests.flows.releases.published import Published
from tests.small_release import real, write_release
from tests.toy import Toy


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    made = Toy(tmp_path_factory.mktemp("built") / "toy")
    made.repro()
    return made


@pytest.fixture
def toy(built: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    made = Toy(tmp_path / "toy", built)
    for name in ("PYTHONPATH", "HOME", "PATH", "GIT_CONFIG_NOSYSTEM"):
        monkeypatch.setenv(name, made.env[name])
    return made


def test_what_is_not_built_or_not_up_to_date_does_not_leave(toy: Toy) -> None:
    shutil.move(toy.folder / "data/runs/toy/release", toy.folder / "aside")
    with pytest.raises(UserError, match="no release yet"):
        publish("toy", repo=toy.folder)
    shutil.move(toy.folder / "aside", toy.folder / "data/runs/toy/release")
    toy.set_seed(2)
    with pytest.raises(UserError, match=r"not up to date .*runs\.toy is modified"):
        publish("toy", repo=toy.folder)
    with pytest.raises(UserError, match="allowed: auto, patch, minor, major"):
        publish("toy", repo=toy.folder, bump="huge")
    assert toy.git("tag") == ""


def test_a_no_of_a_gate_keeps_it_here(toy: Toy) -> None:
    (toy.folder / "blocked").write_text("frechet (all): fail, too far")
    toy.sh("dvc", "repro", "-q", "--force", "--single-item", "release@toy")
    toy.sh("dvc", "repro", "-q", "report@toy")
    with pytest.raises(GateError, match="frechet"):
        publish("toy", repo=toy.folder)
    assert toy.git("tag") == "" and not (toy.folder / ".emoforge" / "remote").exists()


def test_publish_tags_once_and_an_old_tag_is_read_again(toy: Toy) -> None:
    (toy.folder / "notes.txt").write_text("mine")
    toy.git("add", "notes.txt")  # staged by the user: not ours to commit
    first = publish("toy", repo=toy.folder)
    assert first.tag == "toy@v1.0.0" and not first.withheld
    assert toy.git("log", "-1", "--format=%ae %s") == "emoforge@localhost Publish toy@v1.0.0"
    assert toy.git("diff", "--cached", "--name-only") == "notes.txt"
    again = publish("toy", repo=toy.folder)
    assert again.tag is None and "nothing to publish" in again.sentence
    v1 = (toy.folder / "data/runs/toy/release/a.txt").read_text()

    toy.set_seed(2)
    toy.repro()
    with pytest.raises(UserError, match=r"bump patch is too low: since toy@v1\.0\.0 files: a\.txt changed"):
        publish("toy", repo=toy.folder, bump="patch")
    second = publish("toy", repo=toy.folder)
    assert second.tag == "toy@v1.1.0" and "minor: files: a.txt changed" in second.sentence
    facts = [version.facts for version in versions_of("toy", toy.folder)]
    assert [told.bump for told in facts if told] == ["first", "minor"]
    manifest = json.loads((toy.folder / "data/runs/toy/release/manifest.json").read_text())
    assert facts[1] is not None and facts[1].release_hash == manifest["release_hash"]
    assert publish("toy", repo=toy.folder).tag is None
    pages = [toy.folder / f"data/runs/toy/reports/toy@v1.{minor}.0.html" for minor in (0, 1)]
    assert [first.page, second.page] == [page.relative_to(toy.folder).as_posix() for page in pages]
    assert (pages[0].parent / ".gitignore").read_text() == "*\n", "git add -A would commit what people said"
    assert "No version was published before" in pages[0].read_text()
    assert "What changed since toy@v1.0.0" in pages[1].read_text() and manifest["release_hash"] in pages[1].read_text()
    assert toy.git("status", "--porcelain") == "A  notes.txt"
    v2 = (toy.folder / "data/runs/toy/release/a.txt").read_text()
    assert v1 != v2

    clone = toy.folder.parent / "clone"
    toy.git("clone", "-q", "--branch", "toy@v1.0.0", str(toy.folder), str(clone))
    toy.sh(
        "dvc", "--cd", str(clone), "remote", "modify", "--local", "local", "url", str(toy.folder / ".emoforge/remote")
    )
    toy.sh("dvc", "--cd", str(clone), "pull", "-q", "release@toy")
    assert (clone / "data/runs/toy/release/a.txt").read_text() == v1
    assert "seed: 1 " in (clone / "params.yaml").read_text()


def real_corpus(toy: Toy, tmp_path: Path) -> None:
    """The toy's corpus no longer made up: a linked folder under RAVDESS' licence."""
    params = toy.folder / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace("demo:\n  toy: {reader: ravdess, per_class: {fear: 2}}\n", "demo: {}\n"))
    (tmp_path / "ravdess").mkdir()
    (tmp_path / "ravdess" / "a.txt").write_text("a")
    shutil.rmtree(toy.folder / "data/raw/toy")
    (toy.folder / "data/raw/toy").symlink_to(tmp_path / "ravdess")


def test_what_a_licence_holds_back_goes_to_a_private_remote_or_stays(toy: Toy, tmp_path: Path) -> None:
    real_corpus(toy, tmp_path)
    toy.repro()
    outcome = publish("toy", repo=toy.folder)
    assert outcome.pushed == ["data/readers/toy.json", "data/runs/toy/plan", "data/runs/toy/evaluation"]
    assert set(outcome.withheld) == {
        "data/corpora/toy",
        *(
            f"data/runs/toy/{out}"
            for out in ("prepared", "model", "augmented", "release", "report.html", "provenance.json")
        ),
    }
    assert "CC-BY-NC-SA-4.0" in outcome.withheld["data/runs/toy/release"]

    toy.sh("dvc", "remote", "add", "vault", str(tmp_path / "vault"))
    (toy.folder / "machine.yaml").write_text("private_remote: vault\n")
    toy.set_seed(2)
    toy.repro()
    outcome = publish("toy", repo=toy.folder)
    assert not outcome.withheld and "data/runs/toy/release" in outcome.pushed
    lock = (toy.folder / "dvc.lock").read_text()
    vault = {p.parent.name + p.name for p in (tmp_path / "vault").rglob("*") if p.is_file()}
    public = {p.parent.name + p.name for p in (toy.folder / ".emoforge/remote").rglob("*") if p.is_file()}
    release = lock.split("data/runs/toy/release\n")[-1].split("md5: ")[1].split()[0]
    assert release in vault and release not in public


def test_a_report_without_a_place_for_what_changed_is_said_before_anything_leaves(toy: Toy) -> None:
    page = toy.folder / "data/runs/toy/report.html"
    page.chmod(0o644)
    page.write_text(page.read_text().replace("changed:nav", ""))
    toy.sh("dvc", "commit", "-q", "--force", "report@toy")
    with pytest.raises(UserError, match=r"report\.html of toy .*emoforge run toy writes it anew"):
        publish("toy", repo=toy.folder)
    assert toy.git("tag") == "" and not (toy.folder / ".emoforge" / "remote").exists()


def test_a_remote_that_fails_leaves_no_tag_and_a_lock_names_its_holder(toy: Toy) -> None:
    (toy.folder / ".emoforge").mkdir(exist_ok=True)
    (toy.folder / ".emoforge" / "remote").write_text("a file where the remote should be")
    with pytest.raises(ResourceError, match=r"pushing to DVC remote 'local' .* failed: a file stands where"):
        publish("toy", repo=toy.folder)
    assert toy.git("tag") == ""
    with run_locks(toy.folder / ".emoforge" / "locks", ["toy"]), pytest.raises(LockedError):
        publish("toy", repo=toy.folder)


def test_code_that_git_does_not_hold_is_not_published(toy: Toy) -> None:
    (toy.folder / "training").mkdir()
    (toy.folder / "training" / "__init__.py").write_text("")
    toy.git("add", "training")
    toy.git("commit", "-qm", "code")
    (toy.folder / "training" / "__init__.py").write_text("import this\n")
    with pytest.raises(UserError, match=r"training/__init__\.py"):
        publish("toy", repo=toy.folder)


def test_without_the_last_version_no_bump_is_guessed(tmp_path: Path) -> None:
    project = Published(tmp_path / "project")
    run = project.folder / "data/runs/tiny"
    write_release(run / "release", [real(i) for i in range(4)])
    tag = project.version(run, "v1.0.0")
    shutil.rmtree(run)
    write_release(run / "release", [real(i) for i in range(5)])

    def told(latest: str | None, bump: str) -> tuple[str, tuple[str, ...]]:
        facts = facts_now("tiny", latest, bump, project.folder)
        return facts.bump, facts.because

    assert told(tag, "auto") == ("minor", ("samples: 1 real and 0 synthetic came",))
    assert told(None, "auto") == ("first", ())
    project.forget()
    shutil.rmtree(project.remote)
    with pytest.raises(UserError, match=r"cannot be told.*--bump major is never too low"):
        told(tag, "auto")
    assert told(tag, "major") == ("major", ("tiny@v1.0.0 could not be read",))


def test_the_lock_file_speaks_of_its_process(tmp_path: Path) -> None:
    with run_locks(tmp_path, ["b", "a"]):
        told = json.loads((tmp_path / "run-a.lock").read_text())
    assert told["pid"] > 0
