"""What an archive may hold: each entry is judged before it is written, by name, kind and size.

Refused is what leads out of the folder, what two file systems would read differently, and what is too much.
"""

from __future__ import annotations

import gzip
import re
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from corpora.errors import CorpusError
from corpora.records.files import printable

MAX_PATH = 2000  # bytes of a path in the archive
_MAX_NAME, _MAX_DEPTH = 255, 32  # bytes of one part of it, folders
_DEBRIS = {"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"}
# what the standard library raises for damaged or hostile archives
_BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    tarfile.TarError,
    zlib.error,
    gzip.BadGzipFile,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one archive may come to. `ratio`: bytes unpacked for each byte packed; wav comes to 2, tables to 20."""

    entries: int = 500_000
    total_bytes: int = 256 << 30
    ratio: float = 100.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an archive: `size` in bytes once unpacked, `open` gives its content (None for folders and links)."""

    name: str
    kind: str  # file | folder | link | hard link
    size: int = 0
    target: str = ""  # of a link
    open: Callable[[], IO[bytes]] | None = None


@dataclass
class Plan:
    """Judges entries one after the other, and keeps what must be done at the end."""

    archive: str  # as it is shown
    limits: Limits
    entries: int = 0
    total: int = 0
    files: set[str] = field(default_factory=set)  # case-folded
    folders: set[str] = field(default_factory=set)
    links: list[tuple[str, str, str]] = field(default_factory=list)  # kind, path, target

    def refuse(self, why: str, name: str | None = None) -> CorpusError:
        """The error that rejects the whole archive, naming it and, where one is at fault, the entry. To be raised."""
        entry = f": entry {printable(name)[:200]!r}" if name is not None else ""
        return CorpusError(f"{self.archive}{entry} {why}. Nothing of it was kept.")

    def admit(self, entry: Entry) -> str | None:
        """Where the entry goes, relative to the folder; None: nowhere. Raises `CorpusError` naming it."""
        self.entries += 1
        if self.entries > self.limits.entries:
            raise self.refuse(f"holds more than {self.limits.entries} files and folders; unpack it yourself")
        parts = self._parts(entry.name, entry.name)
        if not parts or parts[0] in _DEBRIS or parts[-1] in _DEBRIS:
            return None
        self._take(entry, parts)
        self.total += entry.size
        if self.total > self.limits.total_bytes:
            raise self.refuse(f"unpacks to more than {self.limits.total_bytes / 2**30:.3g} GiB; unpack it yourself")
        path = "/".join(parts)
        if entry.kind in ("link", "hard link"):
            above = parts[:-1] if entry.kind == "link" else []
            aimed = self._parts(entry.target, entry.name, above)
            if parts[: len(aimed)] == aimed:
                raise self.refuse("links to a folder that it lies in", entry.name)
            self.links.append((entry.kind, path, "/".join(aimed)))
            return None
        return path

    def _parts(self, text: str, name: str, above: list[str] | None = None) -> list[str]:
        """The folders and the name that `text` leads through; `above`: where it starts, for links."""
        text = printable(text).replace("\\", "/")
        if text.startswith("/") or re.match(r"[A-Za-z]:", text):
            raise self.refuse("has an absolute path" if above is None else "links to an absolute path", name)
        if any(unicodedata.category(letter) == "Cc" for letter in text):
            raise self.refuse("has a control character in its name", name)
        parts = list(above or ())
        for part in text.split("/"):
            if part == ".." and above is not None and parts:
                parts.pop()
            elif part == "..":
                raise self.refuse("leads out of the folder (..)" if above is None else "links out of the folder", name)
            elif part not in ("", "."):
                parts.append(part)
        sizes = [len(part.encode()) for part in parts]
        if len(parts) > _MAX_DEPTH or max(sizes, default=0) > _MAX_NAME or sum(sizes) > MAX_PATH:
            raise self.refuse(
                f"has too long a name (at most {_MAX_NAME} bytes a part, {MAX_PATH} in all, {_MAX_DEPTH} folders)",
                name,
            )
        return parts

    def _take(self, entry: Entry, parts: list[str]) -> None:
        """Raises `CorpusError` where a file system that ignores case, or accents' spelling, would know it already."""
        keys = [unicodedata.normalize("NFC", "/".join(parts[: n + 1])).casefold() for n in range(len(parts))]
        if entry.kind == "folder":
            above = keys
        else:
            above = keys[:-1]
            if keys[-1] in self.files or keys[-1] in self.folders:
                raise self.refuse("is there twice, or under a name that differs in case only", entry.name)
            self.files.add(keys[-1])
        for key in reversed(above):
            if key in self.files:
                raise self.refuse("lies in a folder that has the name of a file", entry.name)
            if key in self.folders:
                break
            self.folders.add(key)
            self.entries += 1  # each is one on the disk as well


@contextmanager
def reading(plan: Plan, name: str | None = None) -> Iterator[None]:
    """What goes wrong inside is the archive's fault."""
    try:
        yield
    except CorpusError:
        raise
    except (*_BROKEN, OSError) as error:
        what = str(error) or type(error).__name__
        raise plan.refuse(f"is damaged or cut short, or of a kind that is not read ({what[:200]})", name) from error
