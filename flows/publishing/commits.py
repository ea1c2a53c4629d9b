"""The commit of a version and its tag, so that doing it again goes on where it was cut short.

git itself is the journal. A version is a commit "Publish RUN@vX.Y.Z" that holds the lock, the changelog and the facts,
then a tag on it. A commit without its tag is a publish that was cut short between the two, with all of its bytes pushed
already (those go first): it is tagged, from what it says itself. That holds in another clone of the branch too, and
after .emoforge was emptied. Before the commit there is nothing to go on from but files, which are written again to the
same bytes; a failure takes them back.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpora.errors import EmoforgeError, UserError
from corpora.store.atomic import write_bytes
from flows.paths import PRODUCT, Layout
from flows.publishing.changelog import changelog_of, sections
from flows.releases.git import asked, git, identity
from flows.releases.versions import Facts, facts_in, latest_tag, message_of, numbers, version_of, with_facts

_SUBJECT = re.compile(rf"Publish (?P<tag>{PRODUCT}@v\d+\.\d+\.\d+)")


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A version that has its commit and not its tag."""

    tag: str
    commit: str
    facts: Facts | None


def unfinished(run: str, repo: Path) -> Unfinished | None:
    """Of the branch that is checked out. One that was reverted, or is not above every version there is, is none."""
    pattern = f"^Publish {run}@v[0-9]"
    said = asked(repo, "log", "-1", "--extended-regexp", f"--grep={pattern}", "--format=%H%n%B", "HEAD")
    commit, _, body = (said or "").partition("\n")
    match = _SUBJECT.fullmatch(body.partition("\n")[0].strip())
    if match is None:
        return None
    tag, latest = match["tag"], latest_tag(run, repo)
    if latest is not None and numbers(latest.partition("@")[2]) >= numbers(tag.partition("@")[2]):
        return None
    path = changelog_of(run, repo).relative_to(repo).as_posix()
    if tag not in sections(asked(repo, "show", f"HEAD:./{path}") or "")[1]:
        return None
    return Unfinished(tag, commit, facts_in(body))


@contextlib.contextmanager
def alone(repo: Path) -> Iterator[None]:
    """Waits until no other publish of this project commits or tags; the kernel frees it when a process ends."""
    place = Layout(repo).scratch / "locks"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "commit.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def written(files: Mapping[Path, str], repo: Path) -> Iterator[None]:
    """Writes text files for the commit that follows inside. Where that fails, they are again what they were.
    Raises `ResourceError`."""
    head = asked(repo, "rev-parse", "--verify", "HEAD")
    before = {path: path.read_bytes() if path.is_file() else None for path in files}
    try:
        for path, text in files.items():
            if before[path] != text.encode():
                write_bytes(path, text.encode())
        yield
    except BaseException:
        if asked(repo, "rev-parse", "--verify", "HEAD") == head:
            with contextlib.suppress(EmoforgeError, OSError):  # what went wrong first is what people must read
                _taken_back(before)
        raise


def _taken_back(before: Mapping[Path, bytes | None]) -> None:
    for path, data in before.items():
        if data is None:
            path.unlink(missing_ok=True)
        elif path.read_bytes() != data:
            write_bytes(path, data)


def commit(tag: str, facts: Facts, paths: Sequence[str], repo: Path) -> str:
    """Commits `paths` (files and folders, relative to `repo`) as they are, and nothing else that may be staged or
    changed; -> the commit. Hooks run. Raises `UserError` with what git, or a hook, said."""
    there = [path for path in paths if (repo / path).exists()]
    files = [path.relative_to(repo).as_posix() for name in there for path in _files(repo / name)]
    known = set(git(repo, "ls-files", "-z", "--", *there).split("\0"))
    fresh = [path for path in files if path not in known]
    message = with_facts(f"Publish {tag}", facts)
    try:
        if fresh:  # by name alone: what they hold is put into git's index when the commit is there
            git(repo, "add", "--intent-to-add", "--force", "--", *fresh)
        git(repo, *identity(repo), "commit", "--quiet", "--only", "-m", message, "--", *there)
    except BaseException:
        if fresh:
            asked(repo, "rm", "--cached", "--quiet", "--force", "--ignore-unmatch", "--", *fresh)
        raise
    return git(repo, "rev-parse", "HEAD")


def _files(path: Path) -> list[Path]:
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


def tag(version: Unfinished, repo: Path) -> str:
    """The tag of a version, as gto reads it; -> its name. Raises `UserError`."""
    run = version.tag.partition("@")[0]
    message = message_of(run, version.facts) if version.facts else f"Release of {run}"
    try:
        git(repo, *identity(repo), "tag", "--annotate", "-m", message, version.tag, version.commit)
    except UserError as error:
        raise UserError(
            f"{version.tag} is pushed and committed ({version.commit[:10]}), and its tag cannot be set: "
            f"{' '.join(str(error).split())} The same command goes on from there"
        ) from None
    return version_of(version.tag, repo).tag
