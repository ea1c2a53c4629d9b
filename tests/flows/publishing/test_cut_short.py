"""Publishing cut short: killed after every change that it makes, refused by git, in an awkward state. The same command
then gives what it gives undisturbed: one commit, one tag, one entry, of the same hashes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpora.errors import EmoforgeError, LockedError, ResourceError, UserError
from flows.conduct import publish as conduct
from flows.conduct.publish import publish
from flows.publishing import commits
from flows.publishing.pages import page_file
from flows.releases.versions import Facts, versions_of
from tests.flows.publishing.conftest import rebuilt
from tests.flows.releases.published import Published
from tests.small_release import real

Copied = Callable[[str], Published]
CHANGING = ("add", "commit", "rm", "tag")


def state(project: Published) -> dict[str, object]:
    """All that people can see of a version, without the moment of its tag."""
    versions = versions_of("tiny", project.folder)
    return {
        "commits": project.git("log", "--format=%H %s"),
        "tags": [(version.tag, version.commit, version.facts) for version in versions],
        "status": project.git("status", "--porcelain", "--untracked-files=all"),
        "changelog": (project.folder / "data/runs/tiny/CHANGELOG.md").read_text(),
        "dvc.yaml": (project.folder / "dvc.yaml").read_text(),
        "pages": {path.name: path.read_text() for path in page_file("tiny@v1.0.0", project.folder).parent.glob("*")},
    }


def fused(burn: Callable[[], None]) -> list[tuple[Any, str, Any]]:
    """What changes files, git or a remote, with `burn` called before each and after the last."""

    def wrap(function: Any, counts: Callable[..., bool] = lambda *a: True) -> Any:
        def wrapped(*args: Any, **more: Any) -> Any:
            if counts(*args):
                burn()
            value = function(*args, **more)
            if counts(*args):
                burn()
            return value

        return wrapped

    return [
        (commits, "git", wrap(commits.git, lambda repo, *words: bool(set(words) & set(CHANGING)))),
        (commits, "write_bytes", wrap(commits.write_bytes)),
        (conduct.remotes, "push", wrap(conduct.remotes.push)),
    ]


def killed_at(project: Published, moment: int) -> bool:
    """Publishes in a process that ends itself by SIGKILL at its `moment`th chance; whether it came to that."""
    child = os.fork()
    if child == 0:
        left = moment

        def burn() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        for module, name, wrapped in fused(burn):
            setattr(module, name, wrapped)
        code = 1
        try:
            publish("tiny", repo=project.folder)
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_killed_around_the_commit_the_same_command_ends_as_if_undisturbed(copied: Copied) -> None:
    """Two of the moments below: just before the commit, and between commit and tag."""
    wanted = undisturbed(copied)
    resumed = []
    for moment in (9, 11):
        project = copied(f"killed-{moment}")
        assert killed_at(project, moment)
        resumed.append(publish("tiny", repo=project.folder).resumed)
        assert state(project) == wanted, f"killed at its moment {moment}"
    assert resumed == [None, "tiny@v1.1.0"]


@pytest.mark.slow
def test_killed_anywhere_the_same_command_ends_as_if_undisturbed(copied: Copied) -> None:
    wanted = undisturbed(copied)
    moment, resumed = 1, 0
    while True:
        project = copied(f"killed-{moment}")
        if not killed_at(project, moment):
            break
        again = publish("tiny", repo=project.folder)
        assert again.tag == "tiny@v1.1.0" or (again.tag is None and again.latest == "tiny@v1.1.0")
        assert state(project) == wanted, f"killed at its moment {moment}"
        resumed += again.resumed is not None
        moment += 1
    assert moment > 12, "push, two files, add, commit and tag, before and after each"
    assert resumed == 2, "after the commit, and before the tag"


def undisturbed(copied: Copied) -> dict[str, object]:
    """What a publish leaves that nobody disturbs; once more changes nothing."""
    clean = copied("clean")
    outcome = publish("tiny", repo=clean.folder)
    assert outcome.tag == "tiny@v1.1.0" and outcome.resumed is None
    wanted = state(clean)
    assert str(wanted["commits"]).count("Publish tiny@v1.1.0") == 1 and wanted["status"] == ""
    assert str(wanted["changelog"]).count("## ") == 1
    assert "1 real came (anger 1)" in str(wanted["changelog"])
    assert publish("tiny", repo=clean.folder).tag is None and state(clean) == wanted
    return wanted


@pytest.mark.parametrize("name", ["write_bytes", "commit", "push"])
def test_a_failure_takes_everything_back(project: Published, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A full disk while a file is written, a hook that says no, a remote that fails: as before, and then as ever."""
    before = [project.git("status", "--porcelain"), project.git("log", "--format=%H"), project.git("tag")]
    index = project.git("ls-files", "--stage")
    hook = project.folder / ".git/hooks/pre-commit"
    with monkeypatch.context() as broken:
        if name == "write_bytes":
            plain = commits.write_bytes

            def full(path: Path, data: bytes) -> None:
                if path.name == "CHANGELOG.md":
                    raise ResourceError("no space left while writing it")
                plain(path, data)

            broken.setattr(commits, "write_bytes", full)
        elif name == "push":

            def down(*_: object) -> None:
                raise ResourceError("pushing failed: no space left")

            broken.setattr(conduct.remotes, "push", down)
        else:
            hook.parent.mkdir(exist_ok=True)
            hook.write_text("#!/bin/sh\necho no space left for this commit >&2; exit 1\n")
            hook.chmod(0o755)
        with pytest.raises(EmoforgeError, match="no space left"):
            publish("tiny", repo=project.folder)
    hook.unlink(missing_ok=True)
    assert [project.git("status", "--porcelain"), project.git("log", "--format=%H"), project.git("tag")] == before
    assert project.git("ls-files", "--stage") == index
    assert not (project.folder / "data/runs/tiny/CHANGELOG.md").exists()
    assert (project.folder / "dvc.yaml").read_text().startswith("# by hand\nstages: {}  # none\n")
    assert publish("tiny", repo=project.folder).tag == "tiny@v1.1.0"


def test_what_the_user_has_staged_stays_staged_and_alone(project: Published) -> None:
    (project.folder / "notes.txt").write_text("mine")
    (project.folder / "later.txt").write_text("later")
    project.git("add", "notes.txt")
    project.git("add", "-N", "later.txt")
    publish("tiny", repo=project.folder)
    assert project.git("show", "--format=", "--name-only", "HEAD").split() == [
        "data/runs/tiny/CHANGELOG.md",
        "data/runs/tiny/metrics.json",
        "dvc.lock",
        "dvc.yaml",
    ]
    assert project.git("status", "--porcelain").split("\n") == ["A later.txt", "A  notes.txt"]


def test_a_folder_is_committed_whole_or_not(project: Published) -> None:
    """With what git ignores in it, and what is gone of it."""
    kept, facts = project.folder / "data/kept", Facts(release_hash="x", real=0, synthetic=0)
    kept.mkdir()
    (kept / "old.json").write_text("{}")
    commits.commit("tiny@v1.1.0", facts, ["data/kept"], project.folder)
    (kept / "old.json").unlink()
    (kept / "new.json").write_text("{}")
    index = project.git("ls-files", "--stage")
    hook = project.folder / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(UserError):
        commits.commit("tiny@v1.2.0", facts, ["data/kept"], project.folder)
    assert project.git("ls-files", "--stage") == index
    hook.unlink()
    commits.commit("tiny@v1.2.0", facts, ["data/kept"], project.folder)
    assert project.git("ls-files", "data/kept") == "data/kept/new.json"


def test_states_of_git_in_which_no_version_is_made(project: Published) -> None:
    def refused(kind: type[Exception], says: str) -> None:
        with pytest.raises(kind, match=says):
            publish("tiny", repo=project.folder)
        assert project.git("tag") == "tiny@v1.0.0"

    (project.folder / ".git/index.lock").touch()
    refused(LockedError, r"remove .*index\.lock")
    (project.folder / ".git/index.lock").unlink()
    (project.folder / ".git/MERGE_HEAD").write_text(project.git("rev-parse", "HEAD"))
    refused(UserError, "in the middle of a merge")
    (project.folder / ".git/MERGE_HEAD").unlink()
    project.git("checkout", "-q", "--detach")
    refused(UserError, r"on no branch .*git switch BRANCH")
    project.git("switch", "-q", "main")
    assert publish("tiny", repo=project.folder).tag == "tiny@v1.1.0"


def test_a_tag_that_cannot_be_set_is_set_by_the_same_command(
    project: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = project.folder / ".git/refs/tags/tiny@v1.1.0.lock"
    lock.touch()
    with pytest.raises(UserError, match=r"tiny@v1\.1\.0 is pushed and committed .*The same command goes on"):
        publish("tiny", repo=project.folder)
    lock.unlink()
    commit = project.git("rev-parse", "HEAD")
    (project.folder / "more.txt").write_text("more")
    project.git("add", "more.txt")
    project.git("commit", "-qm", "more")
    outcome = publish("tiny", repo=project.folder)
    assert outcome.tag == outcome.resumed == "tiny@v1.1.0" and "has its tag now" in outcome.sentence
    assert outcome.bump == "minor" and project.git("rev-parse", "tiny@v1.1.0^{}") == commit
    with monkeypatch.context() as raced, pytest.raises(UserError, match="cannot be set"):
        rebuilt(project, [real(0)])
        raced.setattr(conduct, "next_number", lambda latest, bump: "v1.1.0")
        publish("tiny", repo=project.folder)


def test_data_that_changed_meanwhile_is_the_version_after(project: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken, pytest.raises(UserError):
        broken.setattr(commits, "tag", lambda version, repo: (_ for _ in ()).throw(UserError("no tag")))
        publish("tiny", repo=project.folder)
    (project.folder / "data/runs/tiny/CHANGELOG.md").unlink()  # a folder that was removed and built again
    rebuilt(project, [real(i) for i in range(6)])
    outcome = publish("tiny", repo=project.folder)
    assert (outcome.resumed, outcome.tag) == ("tiny@v1.1.0", "tiny@v1.2.0")
    told = (project.folder / "data/runs/tiny/CHANGELOG.md").read_text()
    assert told.index("## tiny@v1.2.0") < told.index("## tiny@v1.1.0") and told.count("## ") == 2


def test_a_version_that_was_reverted_or_whose_tag_is_elsewhere(project: Published) -> None:
    publish("tiny", repo=project.folder)
    project.git("tag", "-d", "tiny@v1.1.0")
    (project.folder / "data/runs/tiny/CHANGELOG.md").unlink()  # a folder that was removed and built again
    assert publish("tiny", repo=project.folder).resumed == "tiny@v1.1.0", "its commit says that it is one"
    project.git("checkout", "-q", "data/runs/tiny/CHANGELOG.md")
    project.git("tag", "-d", "tiny@v1.1.0")
    project.git("commit", "-q", "--amend", "-m", "squashed")
    rebuilt(project, [real(9)])
    with pytest.raises(UserError, match=r"tells of tiny@v1\.1\.0, and git has no such tag"):
        publish("tiny", repo=project.folder)
    project.git("checkout", "-q", "--", ".")
    project.git("revert", "--no-edit", "HEAD")
    rebuilt(project, [real(9)])
    assert publish("tiny", repo=project.folder).tag == "tiny@v1.1.0"
