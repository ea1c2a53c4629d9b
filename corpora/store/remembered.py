"""Which files had which sha256 when they were last read whole: a file is hashed again only after it has changed.

A mark names size, times (ns) and inode of the file as it was hashed. It is kept in the process and, for the next one,
in the user's cache folder: one file a release, a line a mark, only ever appended to, so that workers may write at
once. Nothing is written into a release. The folder is `$EMOFORGE_CACHE/hashes` (`EMOFORGE_CACHE=off`: none), else in
`$XDG_CACHE_HOME/emoforge` or `~/.cache/emoforge`; where it cannot be written, marks live as long as the process.

A mark says nothing of bits that a disk has changed by itself: `emoforge verify` and `Release.verify` read every byte,
always. A file that changed in the last two seconds gets none: what is written right after it was hashed may bear the
same time (git's "racy" entries).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import astuple, dataclass
from pathlib import Path

from corpora.errors import ResourceError
from corpora.store.atomic import write_bytes

SETTLED_NS = 2_000_000_000  # age of a file's last change from which on its times tell changes apart
_SPARE_LINES = 256  # that a file of marks may have beyond its marks, before it is written anew
_FORGOTTEN_S = 180 * 86400  # a file of marks that nobody has added to for this long goes


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells that a file is the one that was hashed; times in ns since 1970."""

    n_bytes: int
    modified_ns: int
    changed_ns: int
    inode: int

    @classmethod
    def of(cls, state: os.stat_result) -> Stamp:
        """From what `os.stat` says."""
        return cls(state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)


Mark = tuple[Stamp, str]
_marks: dict[str, dict[str, Mark]] = {}  # of each root, by the file's name in it
_read: dict[str, int] = {}  # bytes of the root's file of marks that are in `_marks`


def cache_folder() -> Path | None:
    """The user's cache folder of emoforge; None where there is to be none."""
    own = os.environ.get("EMOFORGE_CACHE")
    if own is not None:
        return None if own in ("", "off") else Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    home = os.path.expanduser("~")  # noqa: PTH111  (Path.home raises where there is none)
    if base and Path(base).is_absolute():
        return Path(base) / "emoforge"
    return Path(home) / ".cache" / "emoforge" if Path(home).is_absolute() else None


def has_hash(root: Path, name: str, sha256: str) -> bool:
    """Whether the file `name` below `root` has this sha256: from its mark where it has one, else it is read.

    Raises OSError where it cannot be read.
    """
    place = os.path.realpath(root)
    try:
        known = _mark(place, name, Stamp.of(Path(place, name).stat()))
    except FileNotFoundError:
        known = None
    return (known if known is not None else hash_anew(root, name)) == sha256


def hash_anew(root: Path, name: str) -> str:
    """64 hex digits of the file's bytes, all of them read now; remembered. Raises OSError."""
    place = os.path.realpath(root)
    now = time.time_ns()
    with Path(place, name).open("rb") as file:
        before = Stamp.of(os.fstat(file.fileno()))
        value = hashlib.file_digest(file, "sha256").hexdigest()
        after = Stamp.of(os.fstat(file.fileno()))
    if before == after and now - before.changed_ns > SETTLED_NS:
        _remember(place, name, (before, value))
    return value


def forget_process() -> None:
    """Drops what this process remembers, not what the cache folder holds."""
    _marks.clear()
    _read.clear()


def _mark(place: str, name: str, stamp: Stamp) -> str | None:
    """The sha256 that the file had with this stamp; None: not known."""
    for look_again in (False, True):
        if look_again and not _load(place):
            return None
        mark = _marks.get(place, {}).get(name)
        if mark is not None and mark[0] == stamp:
            return mark[1]
    return None


def _file_of(place: str) -> Path | None:
    folder = cache_folder()
    name = hashlib.sha256(os.fsencode(place)).hexdigest()[:32]
    return None if folder is None else folder / "hashes" / f"{name}.jsonl"


def _load(place: str) -> bool:
    """Takes in what other processes have added since; -> whether there was any."""
    path = _file_of(place)
    if path is None:
        return False
    try:
        size = path.stat().st_size
        if size == _read.get(place):
            return False
        lines = path.read_bytes().splitlines()
    except OSError:  # not there, or not ours to read: nothing is known
        return False
    _read[place] = size
    marks = _marks.setdefault(place, {})
    for line in lines:
        if (entry := _parsed(line)) is not None:
            marks[entry[0]] = entry[1]
    if len(lines) > len(marks) + _SPARE_LINES:
        _write_anew(path, marks)
    return True


def _parsed(line: bytes) -> tuple[str, Mark] | None:
    """None for a line that was cut short, or is another program's."""
    try:
        name, numbers, sha256 = json.loads(line)
        stamp = Stamp(*(int(n) for n in numbers))
    except (ValueError, TypeError):
        return None
    return (name, (stamp, sha256)) if isinstance(name, str) and isinstance(sha256, str) else None


def _line(name: str, mark: Mark) -> bytes:
    return json.dumps([name, list(astuple(mark[0])), mark[1]], separators=(",", ":")).encode() + b"\n"


def _remember(place: str, name: str, mark: Mark) -> None:
    _marks.setdefault(place, {})[name] = mark
    path = _file_of(place)
    if path is None:
        return
    line = _line(name, mark)
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sweep(path.parent)
        number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(number, line)  # one call: lines of several processes stay whole
        finally:
            os.close(number)
    except OSError:
        return  # a cache folder that is read-only or full costs a hash in the next process, and nothing else


def _write_anew(path: Path, marks: dict[str, Mark]) -> None:
    try:
        write_bytes(path, b"".join(_line(name, mark) for name, mark in marks.items()))
    except (OSError, ResourceError):
        return  # as above


def _sweep(folder: Path) -> None:
    """Files of marks of releases that nobody reads any more."""
    limit = time.time() - _FORGOTTEN_S
    for path in folder.glob("*.jsonl"):
        if path.stat().st_mtime < limit:
            path.unlink(missing_ok=True)
