"""DVC's cache: what no tag, branch, experiment or workspace names; and whether it holds a version.

`dvc gc` with fewer of these removes what an old tag needs to be checked out, for ever where no remote has it.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from corpora.errors import EmoforgeError, UserError
from flows.conduct.dvcrun import plain_errors
from flows.conduct.retraction.certificate import read_certificate
from flows.paths import Layout
from flows.releases.fetched import outs_of
from flows.releases.versions import version_of

if TYPE_CHECKING:
    from dvc.repo import Repo

SHOWN = 3
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
        used = _used(dvc, Layout(repo), revisions)
        places = [Path(cache.oid_to_path(oid)) for oid in cache.all() if oid not in used]
        n_bytes = sum(path.stat().st_size for path in places if path.is_file())
        if places and not dry:
            dvc.gc(workspace=True, force=True, **revisions)
    return len(places), n_bytes, f"{len(used)} objects are needed by tags, branches, experiments or the workspace"


def _used(dvc: Repo, layout: Layout, revisions: Mapping[str, bool]) -> set[str]:
    """Names of all objects that are needed. Raises `UserError` where the list of a folder is in no place, for what the
    folder needs is not known then; but not for one that was purged: it needs nothing any more."""
    from dvc.exceptions import CollectCacheError, DvcException

    try:
        objects = dvc.used_objs(**revisions)  # takes lists that remotes have
    except DvcException as error:  # of a revision it is the cause of another
        if not isinstance(error, CollectCacheError) and not isinstance(error.__cause__, CollectCacheError):
            raise
        lacking, purged = _without_list(dvc, revisions), _purged(layout)
        if other := sorted(f"{path} ({rev})" for oid, (path, rev) in lacking.items() if oid not in purged):
            more = f" and {len(other) - SHOWN} more" if len(other) > SHOWN else ""
            raise UserError(
                f"which objects are needed by {', '.join(other[:SHOWN])}{more} is not known, because neither the cache "
                "nor a remote has the list: nothing of the cache goes. `dvc fetch --all-tags --all-branches` where a "
                "remote was down; a folder that is here: build its run"
            ) from None
        objects = dvc.used_objs(force=True, **revisions)
    return {one.value for named in objects.values() for one in named}


def _without_list(dvc: Repo, revisions: Mapping[str, bool]) -> dict[str, tuple[str, str]]:
    """DVC's names of folders whose lists the cache lacks -> (path, a revision that needs it)."""
    cache, lacking = dvc.cache.local, {}
    for rev in dvc.brancher(**revisions):
        for out in dvc.index.outs:
            oid = out.hash_info.value if out.use_cache and out.hash_info and out.hash_info.isdir else None
            if oid is not None and not Path(cache.oid_to_path(oid)).is_file():
                lacking[oid] = (str(out), str(rev))
    return lacking


def _purged(layout: Layout) -> set[str]:
    """DVC's names of what `emoforge forget --purge` removed for ever."""
    read = [read_certificate(path) for path in sorted(layout.certificates.glob("*.json"))]
    return {oid for one in read if one is not None for oid in one.objects}


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
