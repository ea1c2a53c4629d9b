"""How a stage tells its conductor why it failed: through a file, as DVC turns every exit code into 255."""

from __future__ import annotations

import errno
from pathlib import Path

from corpora import errors
from corpora.errors import EmoforgeError, IntegrityError, ResourceError
from corpora.formats.jsonfile import read_json
from corpora.store.atomic import write_json

_KINDS: dict[str, type[EmoforgeError]] = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, EmoforgeError) and kind is not errors.PayloadError
}
_NO_ROOM = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up", errno.EFBIG: "file too large"}
_NO_RIGHT = {errno.EACCES: "no permission", errno.EPERM: "not permitted", errno.EROFS: "the file system is read-only"}


class StageFailedError(EmoforgeError):
    """A stage ended with a defect or was killed. `transient`: another attempt may well succeed."""

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


def as_user_error(error: BaseException) -> EmoforgeError | None:
    """The typed error that an exception stands for: itself, or a full disk or forbidden folder as `ResourceError`."""
    if isinstance(error, EmoforgeError):
        return error
    if isinstance(error, OSError):
        where = f" at {error.filename}" if error.filename else ""
        if error.errno in _NO_ROOM:
            return ResourceError(f"{_NO_ROOM[error.errno]}{where}. Free some space and run the same command again.")
        if error.errno in _NO_RIGHT:
            return ResourceError(f"{_NO_RIGHT[error.errno]}{where}. Make it writable for this user, then run again.")
    return None


def write_error(path: Path, error: BaseException) -> None:
    """Atomic. type, message, exit_code, and whether a retry has a chance."""
    known = as_user_error(error)
    kind = type(known or error)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        path,
        {
            "type": kind.__name__,
            "message": str(known or error) or kind.__name__,
            "exit_code": known.exit_code if known else 1,
            "transient": known is None and _may_change(error),
        },
    )


def read_error(path: Path) -> EmoforgeError | None:
    """The error that the file tells of, as the exception it was; None where there is none that can be read."""
    try:
        report = read_json(path)
    except IntegrityError:  # none, or half of one
        return None
    if report["type"] in _KINDS:
        return _KINDS[report["type"]](report["message"])
    failed = StageFailedError(f"{report['type']}: {report['message']}", transient=bool(report.get("transient")))
    failed.exit_code = int(report["exit_code"])
    return failed


def _may_change(error: BaseException) -> bool:
    return isinstance(error, ConnectionError | TimeoutError | MemoryError) or type(error).__module__.startswith("ray.")
