"""What must hold before anything leaves. Nothing here changes what git, a remote or the user's files hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from corpora.errors import GateError, LockedError, UserError
from corpora.formats.jsonfile import read_json
from corpora.store.release import MANIFEST
from flows.conduct.dvcrun import reasons
from flows.conduct.intact import mend_cache
from flows.paths import PACKAGES, Layout
from flows.publishing.changelog import changelog_of, sections
from flows.releases.git import asked, git
from flows.releases.versions import numbers, versions_of

NOT_IN_CACHE = "is not in cache"  # how DVC's reason ends where an object of its cache is missing or cannot be read
_UNDER_WAY = {"MERGE_HEAD": "a merge", "CHERRY_PICK_HEAD": "a cherry-pick", "REVERT_HEAD": "a revert"}


def require_branch(repo: Path) -> None:
    """A commit can be made, and will belong to a branch. Raises `UserError`, `LockedError` (another git is at work)."""
    if asked(repo, "symbolic-ref", "--quiet", "HEAD") is None:
        at = asked(repo, "rev-parse", "--short", "HEAD") or "nothing"
        raise UserError(
            f"git is on no branch (HEAD is at {at}), so the commit of a version would belong to none. "
            "`git switch BRANCH`, or `git switch -c NAME` for a new one"
        )
    for name, what in _UNDER_WAY.items():
        if _in_git(name, repo).exists():
            raise UserError(f"git is in the middle of {what}; end it, then publish")
    if (lock := _in_git("index.lock", repo)).exists():
        raise LockedError(f"another git is at work here, or one was killed: if none is, remove {lock}")


def ready_for_a_version(name: str, repo: Path) -> None:
    """git can hold another version of `name`, a run or a part of one: it knows all tags and all of the code. Raises
    `UserError`."""
    tags_are_here(name, repo)
    code_is_committed(repo)


def tags_are_here(run: str, repo: Path) -> None:
    """No committed changelog knows a version that git does not. Raises `UserError`: numbers would be given twice."""
    path = changelog_of(run, repo).relative_to(repo).as_posix()
    told = sections(asked(repo, "show", f"HEAD:./{path}") or "")[1]
    newest = max((numbers(version.number) for version in versions_of(run, repo)), default=(0, 0, 0))
    if unknown := [tag for tag in told if numbers(tag.partition("@")[2]) > newest]:
        raise UserError(
            f"{path} tells of {unknown[0]}, and git has no such tag here. Fetch it: git fetch --tags. If there never "
            "was one, take its section out of the file and commit that"
        )


def whole(run: str, stages: Sequence[str], repo: Path) -> list[str]:
    """-> objects of DVC's cache that were written anew for it to be whole. Raises `UserError` for a run not built."""
    if not (Layout(repo).run(run) / "release" / MANIFEST).exists():
        raise UserError(f"run {run!r} has no release yet. Build it: emoforge run {run}")
    stale, mended = reasons(stages, repo=repo), []
    if any(why.endswith(NOT_IN_CACHE) for sentences in stale.values() for why in sentences):
        mended = mend_cache(stages, repo=repo)
        stale = reasons(stages, repo=repo)
    if stale:
        first, why = next(iter(stale.items()))
        raise UserError(f"run {run!r} is not up to date ({first}: {'; '.join(why)}). Build it: emoforge run {run}")
    return mended


def may_leave(run: str, repo: Path) -> None:
    """Raises `GateError` where gates or the audit said no."""
    manifest = read_json(Layout(repo).run(run) / "release" / MANIFEST)
    if manifest.get("publishable") is not True:
        reasons = manifest.get("reasons")
        reasons_against = [str(reason) for reason in reasons] if isinstance(reasons, list) else []
        raise GateError(f"{run} may not be published: " + ("; ".join(reasons_against) or "a gate or the audit said no"))


def code_is_committed(repo: Path) -> None:
    """Raises `UserError` that names what git does not hold."""
    folders = [name for name in PACKAGES if (repo / name).is_dir()]
    changed = git(repo, "status", "--porcelain", "--", *folders) if folders else ""
    if changed:
        files = ", ".join(line[3:] for line in changed.splitlines()[:5])
        raise UserError(f"code has changes that git does not hold ({files}); commit them: a tag names what ran")


def _in_git(name: str, repo: Path) -> Path:
    return repo / git(repo, "rev-parse", "--git-path", name)
