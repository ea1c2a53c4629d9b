"""Files and folders that are either whole or not there: written beside their place, then renamed into it."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from corpora.errors import ResourceError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
# a file where a folder should be, a folder where a file should be, a name that no file system takes
_NOT_WRITABLE |= {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP}
_HOST = re.sub(r"[^A-Za-z0-9]", "", socket.gethostname())[:16] or "host"


def _temporary(target: Path) -> Path:
    """A hidden sibling of `target` whose name says which process on which host is writing it."""
    return target.parent / f".{target.name}.{_HOST}-{os.getpid()}-{secrets.token_hex(3)}.tmp"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sweep(target: Path) -> None:
    """Removes what killed processes of this host left beside `target`; anything else beside it is left alone."""
    ours = re.compile(rf"\.{re.escape(target.name)}\.{_HOST}-(\d+)-[0-9a-f]{{6}}\.tmp")
    for beside in target.parent.iterdir():
        match = ours.fullmatch(beside.name)
        if match and not _alive(int(match.group(1))):
            _remove(beside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _number(error: OSError) -> int | None:
    """errno; of `shutil.copytree`, which gathers what went wrong as text, the first that stands in it."""
    if isinstance(error, shutil.Error) and (said := re.search(r"\[Errno (\d+)\]", str(error))):
        return int(said.group(1))
    return error.errno


def _resource_error(error: OSError, place: Path) -> ResourceError:
    if _number(error) in _NO_SPACE:
        free = shutil.disk_usage(next(p for p in (place, *place.parents) if p.exists())).free
        return ResourceError(
            f"no space left while writing {place} ({free / 2**20:.0f} MiB free). Free some space or choose another "
            "folder, then run the same command again; nothing half-written was left."
        )
    return ResourceError(f"cannot write {place}: {error.strerror}. Make its folder writable or choose another one.")


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yields an empty temporary sibling of `target`; on success it replaces `target`, on any failure it is removed.

    An existing `target` (folder, file or link) stays as it was until the moment of renaming. What killed processes of
    this host left behind is swept first. Raises `ResourceError` for a full disk or a place that is not writable.
    """
    target = Path(target)
    temporary = _temporary(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        temporary.mkdir()
    except OSError as error:
        if error.errno in _NO_SPACE | _NOT_WRITABLE:
            raise _resource_error(error, target) from error
        raise
    try:
        yield temporary
        _swap(temporary, target)
    except OSError as error:
        if _number(error) in _NO_SPACE:
            raise _resource_error(error, target) from error
        raise
    finally:
        if temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


def _swap(temporary: Path, target: Path) -> None:
    """`temporary` takes the place of `target`. A folder with content cannot be renamed over, hence two renames."""
    if not (target.exists() or target.is_symlink()):
        temporary.replace(target)
        return
    old = _temporary(target)
    target.replace(old)
    try:
        temporary.replace(target)
    except OSError:
        old.replace(target)
        raise
    _remove(old)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes the file whole or not at all; makes its folder. Raises `ResourceError`: disk full, not writable."""
    path = Path(path)
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        if error.errno in _NO_SPACE | _NOT_WRITABLE:
            raise _resource_error(error, path) from error
        raise
    finally:
        # after a successful rename there is nothing left under this name, and nothing is where no such name can be
        with suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text, newlines as given."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, obj: Any) -> None:
    """Writes `canonical_json`. NaN and infinities raise ValueError."""
    write_bytes(path, canonical_json(obj))


def canonical_json(obj: Any) -> bytes:
    """Sorted keys, two spaces, UTF-8, trailing newline: one text for one value."""
    return (json.dumps(obj, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
