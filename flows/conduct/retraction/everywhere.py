"""Every place that a purge reaches or that keeps files of the project, searched by content: what is left, and where."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from corpora.errors import ResourceError, UserError
from flows.conduct.retraction.certificate import CLEAN
from flows.conduct.retraction.objects import CACHE, Place, Places, reaching
from flows.conduct.retraction.searched import Hit, Sought, hits
from flows.conduct.retraction.states import RAW, Held
from flows.params import load_machine
from flows.paths import Layout
from flows.releases.git import blobs, git

WORKSPACE, STORE, HISTORY = "this project's folder", "the work store", "git's history"
SHOWN = 5
SEVERITY = ("payload", "id", "hash")  # what is named first


def searched(layout: Layout, places: Places, gone: Held, sought: Sought) -> dict[str, str]:
    """Place -> "clean", "left: ..." or why it was not reached."""
    state = {WORKSPACE: _told(list(_of_folder(layout, places, sought)))}
    state[CACHE] = _told(list(_of_place(places.cache, gone, sought, None)))
    store = load_machine(layout.machine).store or str(layout.store)
    try:
        state[STORE] = _told(list(_of_store(store, sought)))
    except ResourceError as error:
        state[STORE] = f"not reached: {error}"
    if _is_versioned(layout.repo):
        state[HISTORY] = _told(list(_of_history(layout, sought)))
    for remote in places.remotes:
        if remote.name not in places.unreached:
            try:
                state[remote.name] = _told(list(_of_place(remote, gone, sought, places.cache)))
            except ResourceError as error:
                places.unreached[remote.name] = str(error)
    return state | {name: f"not reached: {why}" for name, why in places.unreached.items()}


def _told(found: Sequence[Hit]) -> str:
    if not found:
        return CLEAN
    found = sorted(found, key=lambda hit: (SEVERITY.index(hit.how), hit.file))
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "left: " + ", ".join(f"{hit.file} ({hit.how})" for hit in found[:SHOWN]) + more


def _apart(layout: Layout) -> tuple[Path, ...]:
    """What is written down so that it is known again, and what is searched as a place of its own."""
    return layout.retractions, layout.certificates, layout.scratch / "forget", layout.store


def _of_folder(layout: Layout, places: Places, sought: Sought) -> Iterator[Hit]:
    """All of the project's folder, versions that were checked out into it too; but for git's own folder, environments
    of Python, the raw corpora wherever in it they lie, and places of their own."""
    raw = layout.repo / RAW
    linked = {path.resolve() for path in raw.iterdir()} if raw.is_dir() else set()
    stores = {Path(place.folder.removesuffix("/files/md5")).resolve() for place in places.all if place.folder}
    passed_over = {raw.resolve(), *linked, *stores, *(path.resolve() for path in _apart(layout))}
    for top, folders, names in os.walk(layout.repo.resolve()):
        here = Path(top)
        folders[:] = sorted(
            name
            for name in folders
            if here / name not in passed_over and name != ".git" and not (here / name / "pyvenv.cfg").is_file()
        )
        for path in (here / name for name in sorted(names)):
            if path.is_file() and not path.is_symlink():
                yield from hits(
                    WORKSPACE, path.relative_to(layout.repo.resolve()).as_posix(), path.read_bytes(), sought
                )


def _of_place(place: Place, gone: Held, sought: Sought, cache: Place | None) -> Iterator[Hit]:
    """Objects of a store. What the cache has under the same name was searched there."""
    for path in place.files():
        oid = place.oid_of(path)
        if oid in gone.raw or (cache is not None and "/files/md5/" in path and Path(cache.path(oid)).is_file()):
            continue
        yield from hits(place.name, path, place.read(path), sought)


def _of_store(url: str, sought: Sought) -> Iterator[Hit]:
    """Items that were made since, too."""
    import fsspec

    with reaching(STORE):
        fs, root = fsspec.core.url_to_fs(url)
        for path in sorted(fs.find(root)) if fs.exists(root) else []:
            yield from hits(STORE, str(path), bytes(fs.cat_file(path)), sought)


def _is_versioned(repo: Path) -> bool:
    try:
        git(repo, "rev-parse", "--git-dir")
    except UserError:
        return False
    return True


def _of_history(layout: Layout, sought: Sought) -> Iterator[Hit]:
    """Files of the project that were ever committed or staged: nothing of people belongs there, and `git add -A` may
    have taken some."""
    apart = tuple(path.relative_to(layout.repo).as_posix() + "/" for path in _apart(layout))
    for name, data in blobs(layout.repo):
        if not name.startswith((RAW, *apart)):
            yield from hits(HISTORY, name, data, sought)
