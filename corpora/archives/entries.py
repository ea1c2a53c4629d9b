"""Entries of .zip, .tar, .tar.gz and .tar.bz2 files, with bounded tables of contents, headers and ratios.

A zip is judged whole before its first entry is handed on; a tar has no table of contents and comes entry by entry.
Encrypted entries, devices and sparse files are refused. Sources: APPNOTE.TXT 6.3.10 of PKWARE; POSIX.1-2017, pax,
"ustar Interchange Format".
"""

from __future__ import annotations

import bz2
import gzip
import io
import math
import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from corpora.archives.plan import MAX_PATH, Entry, Plan, reading

_CHUNK = 1 << 20
_MAX_HEADER = 1 << 20  # bytes of headers before one entry of a tar
_MAX_DIRECTORY = 128 << 20  # bytes of a zip's table of contents
_SMALL = 64 << 20  # an archive that unpacks to less may be packed as densely as it likes
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2}  # LZMA may ask for gigabytes


def is_archive(path: Path) -> bool:
    """Whether the file begins as a zip or a (packed) tar does; nothing else is read of it."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return False
    return (
        head[:4] in (b"PK\3\4", b"PK\5\6")
        or head[:2] == b"\x1f\x8b"
        or head[:3] == b"BZh"
        or (
            head[257:262] == b"ustar" or (path.suffix.lower() == ".tar" and len(head) == 512)  # tars of before 1988
        )
    )


def archive_entries(path: Path, plan: Plan, stack: ExitStack) -> Iterator[Entry]:
    """The entries in their order; those of files can be opened until the next one is asked for.

    Raises `CorpusError`: damaged, encrypted, too much, of a kind that is not read.
    """
    with reading(plan):
        head = stack.enter_context(path.open("rb")).read(512)
        if head[:2] == b"PK":
            return _zip_entries(path, plan, stack)
        if is_archive(path):
            return _tar_entries(path, plan, stack)
    raise plan.refuse("is no .zip, .tar, .tar.gz or .tar.bz2")


class _Directory(io.FileIO):
    """A zip whose table of contents is looked at before `zipfile` makes an object of each of its entries."""

    plan: Plan | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        if self.plan is None:
            return super().read(size)
        if size is not None and size > _MAX_DIRECTORY:
            raise self.plan.refuse(f"has a table of contents of {size} bytes")
        data = super().read(size)
        if data.count(b"PK\1\2") > self.plan.limits.entries:
            raise self.plan.refuse(f"holds more than {self.plan.limits.entries} entries; unpack it yourself")
        return data


@contextmanager
def opened_zip(path: Path, plan: Plan) -> Iterator[zipfile.ZipFile]:
    """The zip, unless its table of contents is too long for the plan. Raises what `zipfile` does, and `CorpusError`."""
    with _Directory(path) as file:
        file.plan = plan
        with zipfile.ZipFile(file) as archive:
            file.plan = None  # from here on, it is data that is read
            yield archive


def _zip_entries(path: Path, plan: Plan, stack: ExitStack) -> Iterator[Entry]:
    """All entries, judged before the first is handed on."""
    with reading(plan):
        archive = stack.enter_context(opened_zip(path, plan))
    infos = archive.infolist()
    total, packed = sum(info.file_size for info in infos), path.stat().st_size
    if total > max(_SMALL, plan.limits.ratio * packed):
        raise plan.refuse(f"unpacks to {total} bytes of {packed}: a bomb, or not what it seems")
    entries = [_zip_entry(archive, info, plan) for info in infos]
    trial = replace(plan, files=set(), folders=set(), links=[])
    for entry in entries:
        trial.admit(entry)
    return iter(entries)


def _zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, plan: Plan) -> Entry:
    name = info.filename
    if not info.flag_bits & 0x800 and not name.isascii():  # no mark for UTF-8, which macOS writes all the same
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & 1:
        raise plan.refuse("is encrypted; unpack it with its password and link the folder", name)
    if info.compress_type not in _METHODS:
        raise plan.refuse(f"is packed by method {info.compress_type}; unpack it yourself", name)
    if kind == stat.S_IFLNK:
        with reading(plan, name):
            if info.file_size > MAX_PATH:
                raise plan.refuse("is a link whose target is too long", name)
            return Entry(name, "link", target=os.fsdecode(archive.read(info)))
    if info.is_dir() or kind == stat.S_IFDIR:
        return Entry(name, "folder")
    if kind not in (0, stat.S_IFREG):
        raise plan.refuse("is a device, pipe or socket", name)
    return Entry(name, "file", info.file_size, open=lambda: archive.open(info))


class _Unpacked:
    """What `tarfile` reads: the unpacked bytes, forwards only, with bounded headers and a bounded ratio."""

    def __init__(self, packed: IO[bytes], plan: Plan) -> None:
        self._packed, self._plan, self._at = packed, plan, 0
        self._size = os.fstat(packed.fileno()).st_size
        head = packed.read(3)
        packed.seek(0)
        self._file: IO[bytes] = packed
        if head[:2] == b"\x1f\x8b":
            self._file = gzip.GzipFile(fileobj=packed)  # type: ignore[assignment]
        elif head == b"BZh":
            self._file = bz2.BZ2File(packed)
        self.headers = math.inf  # bytes of headers that may still be read
        self.last = b""

    def tell(self) -> int:
        return self._at

    def seek(self, to: int, whence: int = 0) -> int:
        if whence or to < self._at:
            raise self._plan.refuse("has headers that point backwards")
        while self._at < to and self._some(min(_CHUNK, to - self._at)):
            pass
        return self._at

    def read(self, size: int) -> bytes:
        self.headers -= size
        if size < 0 or self.headers < 0:
            raise self._plan.refuse(f"has a header of more than {_MAX_HEADER} bytes")
        parts = []
        while size > 0 and (data := self._some(min(size, _CHUNK))):
            parts.append(data)
            size -= len(data)
        self.last = b"".join(parts)
        return self.last

    def _some(self, size: int) -> bytes:
        data = self._file.read(size)
        self._at += len(data)
        if self._at > max(_SMALL, self._plan.limits.ratio * self._packed.tell()):
            raise self._plan.refuse(f"unpacks to more than {self._plan.limits.ratio:g} times its size: a bomb")
        return data


def _tar_entries(path: Path, plan: Plan, stack: ExitStack) -> Iterator[Entry]:
    source = _Unpacked(stack.enter_context(path.open("rb")), plan)
    source.headers = _MAX_HEADER
    with reading(plan):
        tar = tarfile.TarFile(fileobj=source)  # type: ignore[arg-type]  # it holds nothing that must be closed
    while True:
        source.headers = _MAX_HEADER
        with reading(plan):
            info = tar.next()
        if info is None:
            break
        tar.members.clear()  # type: ignore[attr-defined]  # else all of them stay in memory
        source.headers = math.inf
        yield _tar_entry(tar, info, plan)
    if len(source.last) != tarfile.BLOCKSIZE or any(source.last):
        raise plan.refuse("ends without an end marker: damaged, or cut short")


def _tar_entry(tar: tarfile.TarFile, info: tarfile.TarInfo, plan: Plan) -> Entry:
    if info.isdir():
        return Entry(info.name, "folder")
    if info.issym() or info.islnk():
        return Entry(info.name, "link" if info.issym() else "hard link", target=info.linkname)
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE) or info.issparse():
        raise plan.refuse(f"is a device, pipe, sparse file or of another kind ({info.type!r})", info.name)

    def opened() -> IO[bytes]:
        file = tar.extractfile(info)
        assert file is not None
        return file

    return Entry(info.name, "file", info.size, open=opened)
