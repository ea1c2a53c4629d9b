"""DVC's cache: what no tag, branch, experiment or workspace names; and whether it holds a version.

`dvc gc` with fewer of these removes what an old tag needs to be checked out, for ever where no remote has it.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

from corpora.errors import EmoforgeError
from flows.conduct.dvcrun import plain_errors
from flows.releases.fetched import outs_of
from flows.releases.versions import version_of

REVISIONS = {"all_branches": True, "all_tags": True, "all_experiments": True}  # beside the workspace


def unused_objects(repo: Path, *, dry: bool) -> tuple[int, int, str]:
    """-> (objects, bytes, note) that went, or with `dry` would. A cache that lies outside of the project may serve
    others, whose tags are not known here: nothing of it goes. Raises `UserError`, `LockedError`."""
    from dvc.repo import Repo

    with plain_errors(repo), _quiet(), Repo(str(repo)) as dvc:
        cache = dvc.cache.local
        if not Path(cache.path).resolve().is_relative_to(repo.resolve()):
            return 0, 0, f"the cache at {cache.path} lies outside of the project and may serve others: left alone"
        revisions = {} if dvc.config["core"].get("no_scm") else REVISIONS
        # not forced: it raises where the list of a folder is missing, and with it what the folder needs
        used = {one.value for objects in dvc.used_objs(**revisions).values() for one in objects}
        places = [Path(cache.oid_to_path(oid)) for oid in cache.all() if oid not in used]
        n_bytes = sum(path.stat().st_size for path in places if path.is_file())
        if places and not dry:
            dvc.gc(workspace=True, force=True, **revisions)
    return len(places), n_bytes, f"{len(used)} objects are needed by tags, branches, experiments or the workspace"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """DVC warns of every stage that has not run yet: there is nothing of it to keep."""
    logger = logging.getLogger("dvc")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def version_is_cached(name: str, repo: Path) -> bool:
    """Whether DVC's cache holds the release of a fetched version: `name`, RUN@vX.Y.Z-COMMIT, is its folder's."""
    from dvc.repo import Repo

    try:
        version = version_of(name.rpartition("-")[0], repo)
        outs = outs_of(version, repo)
    except EmoforgeError:
        return False  # its tag is gone: this may be the last copy
    if not version.commit.startswith(name.rpartition("-")[2]) or "release" not in outs.folders:
        return False
    with plain_errors(repo), Repo(str(repo)) as dvc:
        listing = Path(dvc.cache.local.oid_to_path(outs.folders["release"]))
        return listing.is_file() and all(Path(dvc.cache.local.oid_to_path(oid)).is_file() for oid in _listed(listing))


def report_is_cached(tag: str, repo: Path) -> bool:
    """Whether DVC's cache holds report.html of the version RUN@vX.Y.Z, out of which its page is written again."""
    from dvc.repo import Repo

    try:
        report = outs_of(version_of(tag, repo), repo).report
    except EmoforgeError:
        return False
    if report is None:
        return False
    with plain_errors(repo), Repo(str(repo)) as dvc:
        return Path(dvc.cache.local.oid_to_path(report)).is_file()


def _listed(listing: Path) -> list[str]:
    return [str(entry["md5"]) for entry in json.loads(listing.read_bytes())]
