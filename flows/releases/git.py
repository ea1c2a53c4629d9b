"""git, asked for words: the one place that starts it for publishing and for versions."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from corpora.errors import UserError

IDENTITY = ("emoforge", "emoforge@localhost")  # of commits and tags where git knows nobody


def git(repo: Path, *arguments: str) -> str:
    """stdout of `git ...` in `repo`, without its last newlines. Raises `UserError`: no git, or git said no."""
    try:
        done = subprocess.run(["git", *arguments], cwd=repo, text=True, capture_output=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise UserError("git is not installed; versions need it") from None
    if done.returncode != 0:
        raise UserError(f"git {' '.join(arguments[:1])} failed in {repo}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.rstrip("\n")


def asked(repo: Path, *arguments: str) -> str | None:
    """As `git`, of a question: None where git said no."""
    try:
        return git(repo, *arguments)
    except UserError:
        return None


def blobs(repo: Path) -> Iterator[tuple[str, bytes]]:
    """Every file that git has of the folder `repo`, at whatever commit, reflog or index: its path in `repo`, its bytes.
    Each content once. Raises `UserError`."""
    listed = git(repo, "rev-list", "--objects", "--all", "--reflog", "--indexed-objects", "--", ".")
    prefix = git(repo, "rev-parse", "--show-prefix")
    names = dict(line.split(" ", 1) for line in listed.splitlines() if " " in line)
    with subprocess.Popen(
        ["git", "cat-file", "--batch"], cwd=repo, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as asked_for:
        assert asked_for.stdin is not None and asked_for.stdout is not None
        for oid, name in names.items():
            asked_for.stdin.write(oid.encode() + b"\n")
            asked_for.stdin.flush()
            _, _, rest = asked_for.stdout.readline().partition(b" ")
            kind, _, size = rest.partition(b" ")
            if not size:  # "missing": of a clone that is partial
                continue
            data = asked_for.stdout.read(int(size) + 1)[:-1]
            if kind == b"blob" and name.startswith(prefix):
                yield name.removeprefix(prefix), data


def git_root(repo: Path) -> Path:
    """The folder of the git repository that `repo` lies in."""
    return Path(git(repo, "rev-parse", "--show-toplevel"))


def identity(repo: Path) -> list[str]:
    """Options that name a committer, where neither git's configuration nor the environment does."""
    if os.environ.get("GIT_COMMITTER_EMAIL") or git(repo, "config", "--default", "", "--get", "user.email"):
        return []
    return ["-c", f"user.name={IDENTITY[0]}", "-c", f"user.email={IDENTITY[1]}"]
