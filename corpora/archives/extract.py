"""Archives as authors publish them (.zip, .tar, .tar.gz, .tar.bz2), unpacked without trusting a byte of them.

Nothing is written outside the folder, through a link, or beyond the limits. The entries that corpora.archives.entries
finds are judged by corpora.archives.plan.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from corpora.archives.entries import archive_entries, is_archive
from corpora.archives.plan import Entry, Limits, Plan, reading
from corpora.errors import CorpusError, LockedError, ResourceError

__all__ = ["Limits", "extract", "is_archive"]

_CHUNK = 1 << 20
_DOCUMENTS = {".txt", ".md", ".pdf", ".html", ".rtf", ".doc", ".docx"}


def extract(path: Path, folder: Path, limits: Limits | None = None) -> Path:
    """Unpacks the archive `path` as `folder` -> `folder`, which is there whole or not at all.

    A folder that is there is taken for complete and left alone. What an interrupted call wrote (in a hidden folder
    beside it) is gone on with: files that are whole are not written again. An archive that holds zips and documents
    only has these unpacked too, each as a folder of its name, one level deep.

    Raises `CorpusError` naming archive and entry: damaged, encrypted, or not to be unpacked safely; `ResourceError`:
    disk full or not writable; `LockedError`: another process unpacks it.
    """
    path, folder = Path(path), Path(folder)
    if folder.is_dir():
        return folder
    part = folder.with_name(f".{folder.name}.part")
    with _held(part, path):
        try:
            files = part / "files"
            files.mkdir(exist_ok=True)
            plan = Plan(str(path), limits or Limits())
            _unpack(path, files, part / "writing", plan)
            _unpack_inner(files, part / "writing", plan)
            files.replace(folder)
        except CorpusError:
            shutil.rmtree(part, ignore_errors=True)
            raise
        except OSError as error:
            raise ResourceError(
                f"cannot unpack {path} in {folder.parent}: {error.strerror}. Free some space or make the folder "
                "writable, then run the same command again; it goes on where it stopped."
            ) from error
        shutil.rmtree(part, ignore_errors=True)
    return folder


@contextmanager
def _held(part: Path, path: Path) -> Iterator[None]:
    """`part` for this process alone, emptied if another archive left it."""
    try:
        stat = path.stat()
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror})") from error
    state = f"{stat.st_size}/{stat.st_mtime_ns}".encode()
    try:
        part.mkdir(parents=True, exist_ok=True)
        lock = (part / "archive").open("a+b")
    except OSError as error:
        raise ResourceError(f"cannot write {part}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LockedError(f"another process unpacks {path} in {part.parent}; wait for it") from error
        lock.seek(0)
        if lock.read() != state:
            shutil.rmtree(part / "files", ignore_errors=True)
            lock.truncate(0)
            lock.write(state)
            lock.flush()
        yield


def _unpack(path: Path, root: Path, writing: Path, plan: Plan) -> None:
    with ExitStack() as stack:
        for entry in archive_entries(path, plan, stack):
            name = plan.admit(entry)
            if name is None:
                continue
            target = root / name
            if entry.kind == "folder":
                target.mkdir(parents=True, exist_ok=True)
            elif not (target.is_file() and target.stat().st_size == entry.size):
                _write(entry, target, writing, plan)
    _link(root, plan)


def _write(entry: Entry, target: Path, writing: Path, plan: Plan) -> None:
    assert entry.open is not None
    left = entry.size
    with reading(plan, entry.name):
        source = entry.open()
    with source, writing.open("wb") as out:
        while True:
            with reading(plan, entry.name):
                chunk = source.read(min(_CHUNK, left + 1))  # one more than there should be: zip compares its checksum
            left -= len(chunk)
            if not chunk or left < 0:
                break
            out.write(chunk)
    if left:
        raise plan.refuse("does not hold what its header promises", entry.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    writing.replace(target)


def _link(root: Path, plan: Plan) -> None:
    """Links are made last, so that no file was written through one, and followed to see where they lead."""
    for kind, path, target in plan.links:
        link = root / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        if kind == "hard link":
            if not (root / target).is_file() or (root / target).is_symlink():
                raise plan.refuse("is a link to what is not there", path)
            os.link(root / target, link)
        else:
            link.symlink_to(os.path.relpath(root / target, link.parent))
    inside = root.resolve()
    for kind, path, _ in plan.links:
        if kind == "hard link":
            continue
        try:
            leads = (root / path).resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise plan.refuse("is a link to what is not there", path) from error
        if not leads.is_relative_to(inside):  # a second lock: the texts of links were judged and made anew
            raise plan.refuse("links out of the folder", path)
        if (root / path).parent.resolve().is_relative_to(leads):
            raise plan.refuse("links to a folder that it lies in", path)


def _unpack_inner(root: Path, writing: Path, plan: Plan) -> None:
    """One zip for each actor, say. The zips go at the very end, so that an interrupted call finds them again."""
    endings = {PurePosixPath(name).suffix for name in plan.files} - _DOCUMENTS
    stems = {name.removesuffix(".zip") for name in plan.files}
    if plan.links or endings != {".zip"} or not stems.isdisjoint(plan.folders):
        return
    # the folders that an interrupted call made lie beside their zips
    zips = sorted(file for file in root.rglob("*") if file.suffix.lower() == ".zip" and file.is_file())
    zips = [file for file in zips if not any(other.with_suffix("") in file.parents for other in zips)]
    shown, limits = plan.archive, plan.limits
    for file in zips:
        limits = replace(limits, entries=limits.entries - plan.entries, total_bytes=limits.total_bytes - plan.total)
        file.with_suffix("").mkdir(exist_ok=True)
        plan = Plan(f"{shown}, in it {file.relative_to(root).as_posix()}", limits)
        _unpack(file, file.with_suffix(""), writing, plan)
    for file in zips:
        file.unlink()
