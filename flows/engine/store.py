"""The work store: finished work items under content-addressed keys, in a folder here or behind any fsspec URL.

It only saves work. Whoever reads it must be able to do the work again: a missing, truncated or corrupted item is simply
missing. It lies outside every DVC out and is safe to delete at any time; it never decides that a stage is done.

One item is one file or object: a header of fixed size (magic, sha256 and length of what follows), then the bytes. So an
item is whole or not there, on every storage, with no second file that could be out of step. In a folder it is written
beside its target, synced and renamed; behind a URL one put is taken as atomic, as it is in object stores.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import os
import re
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np

from corpora.errors import EmoforgeError, ParamsError, ResourceError

log = logging.getLogger(__name__)

MAGIC = b"emoforge-item-1 "
HEADER_BYTES = len(MAGIC) + 64 + 1 + 16 + 1  # magic, sha256, space, length in hex, newline
SUFFIX = ".item"  # so that "a/b" and "a/b/c" may both be keys
STALE_TEMP_S = 3600.0  # a temporary file older than this belongs to a writer that was killed
CHUNK = 1 << 20
MOST_META = 100 << 20  # bytes of an item's own header: what safetensors allows

_SEGMENT = re.compile(r"[A-Za-z0-9_=+-][A-Za-z0-9._=+-]{0,199}")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class MissingItemError(EmoforgeError, LookupError):
    """The store has no whole item under this key: never written, pruned, truncated or corrupted. Do the work again."""


class WorkStore:
    """Bytes, arrays and folders by key, at an absolute folder or an fsspec URL ("s3://bucket/emoforge").

    Keys are relative posix paths such as "samples/<generator id>/<hash>". Writers of one key at the same time are taken
    to write equal content: the last one wins, and a reader sees one of them whole. Raises `ParamsError` for a relative
    folder or an unknown protocol; `ResourceError` where the disk is full, the folder is not writable or the URL cannot
    be reached; nothing half-written is left.
    """

    def __init__(self, url: str | Path) -> None:
        text = str(url)
        if text.startswith("file://"):
            text = text.removeprefix("file://")
        self._fs: Any = None
        if "://" in text:
            import fsspec

            try:
                self._fs, root = fsspec.core.url_to_fs(text, use_listings_cache=False)
            except (ValueError, ImportError) as error:
                raise ParamsError(
                    f"work store {text!r}: {error}. Give an absolute folder or a URL whose fsspec package is installed."
                ) from error
            self._root = str(root).rstrip("/")
        else:
            if not Path(text).is_absolute():
                raise ParamsError(f"work store {text!r} is a relative path. Give an absolute folder or an fsspec URL.")
            self._root = text
        self.url = text

    # ---------------------------------------------------------------- bytes

    def has(self, key: str) -> bool:
        """Whether an item of the right length is there. Content is checked by `get` and `sound`, which may still find
        it broken."""
        path = self._path(key)
        with self._guard(path, "read"):
            try:
                if self._fs is None:
                    with Path(path).open("rb") as file:
                        head, size = file.read(HEADER_BYTES), os.fstat(file.fileno()).st_size
                else:
                    size = int(self._fs.info(path)["size"])
                    head = self._fs.cat_file(path, start=0, end=HEADER_BYTES)
            except FileNotFoundError:
                return False
        parsed = _parse_header(head)
        return parsed is not None and size == HEADER_BYTES + parsed[1]

    def sound(self, key: str) -> bool:
        """Whether an item is there and its bytes are what was written: reads all of it, and removes it if they are not.

        For what others will read, in other processes, where it could not be made again.
        """
        try:
            self.get(key)
        except MissingItemError:
            return False
        return True

    def put(self, key: str, data: bytes) -> None:
        """Writes an item, atomically. An item that is there already is replaced."""
        with self._writing(key) as file:
            file.write(data)

    def get(self, key: str) -> bytes:
        """The item's bytes, checked against their sha256. Raises `MissingItemError`; a broken item is removed first."""
        path = self._path(key)
        with self._guard(path, "read"):
            try:
                if self._fs is None:
                    raw = Path(path).read_bytes()
                    with suppress(OSError):  # the time of last use, for prune; a store that is read-only has none
                        os.utime(path)
                else:
                    raw = self._fs.cat_file(path)
            except FileNotFoundError:
                raise MissingItemError(f"the work store {self.url} has no item {key!r}") from None
        parsed, data = _parse_header(raw[:HEADER_BYTES]), raw[HEADER_BYTES:]
        if parsed is None or parsed[1] != len(data) or parsed[0] != hashlib.sha256(data).hexdigest():
            self._drop(key, path)
            raise MissingItemError(f"the item {key!r} of the work store {self.url} was truncated or corrupted")
        return data

    # ---------------------------------------------------------------- arrays

    def put_arrays(self, key: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Arrays (numbers or booleans, any shape) as safetensors, `meta` (JSON without NaN) in its header."""
        from safetensors.numpy import save

        for name, array in arrays.items():
            if array.dtype.kind not in "fiub":
                raise TypeError(
                    f"array {name!r} has dtype {array.dtype}; numbers and booleans only (strings go in meta)"
                )
        text = json.dumps(dict(meta), sort_keys=True, separators=(",", ":"), allow_nan=False)
        ordered = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
        self.put(key, save(ordered, metadata={"json": text}))

    def get_arrays(self, key: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """What `put_arrays` wrote. Raises `MissingItemError`."""
        from safetensors.numpy import load

        data = self.get(key)
        n_head = int.from_bytes(data[:8], "little")
        head = json.loads(data[8 : 8 + n_head])
        return load(data), json.loads(head.get("__metadata__", {}).get("json", "{}"))

    def get_meta(self, key: str) -> dict[str, Any]:
        """`meta` of what `put_arrays` wrote, from the item's first bytes alone and without its sha256: for finding what
        may be there; who uses the item asks `sound`. Raises `MissingItemError` where they are not such a header."""
        path = self._path(key)
        with self._guard(path, "read"):
            try:
                head = self._first_bytes(path, HEADER_BYTES, 8)
                n_head = int.from_bytes(head, "little")
                if len(head) == 8 and n_head <= MOST_META:
                    text = self._first_bytes(path, HEADER_BYTES + 8, n_head)
                    return dict(json.loads(json.loads(text).get("__metadata__", {}).get("json", "{}")))
            except FileNotFoundError:
                pass
            except (ValueError, AttributeError, TypeError):  # no JSON, or of another shape
                log.warning("work store %s: the header of item %s is damaged", self.url, key)
        raise MissingItemError(f"the work store {self.url} has no whole item {key!r}")

    def _first_bytes(self, path: str, start: int, n: int) -> bytes:
        if self._fs is None:
            with Path(path).open("rb") as file:
                file.seek(start)
                return file.read(n)
        return bytes(self._fs.cat_file(path, start=start, end=start + n))

    # ---------------------------------------------------------------- folders

    def put_folder(self, key: str, folder: Path) -> None:
        """A folder of regular files as a tar whose bytes depend on names and contents only."""
        with self._writing(key) as file:
            _write_tar(Path(folder), file)

    def fetch_folder(self, key: str, cache: Path) -> Path:
        """The folder under `cache`, made once, checked on every call. Raises `MissingItemError`.

        Several processes may fetch the same key at once. A copy that was changed since is replaced.
        """
        target = Path(cache) / self._checked(key)
        stamp = target.with_name(target.name + ".sha256")
        if _is_whole(target, stamp):
            return target
        data = self.get(key)
        digest = hashlib.sha256(data).hexdigest()
        with _local_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=".tmp-"))
            try:
                with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                    tar.extractall(fresh, filter="data")
                fresh.chmod(0o755)
                self._install(fresh, target, stamp, digest)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
        return target

    @staticmethod
    def _install(fresh: Path, target: Path, stamp: Path, digest: str) -> None:
        for _ in range(20):
            try:
                fresh.rename(target)  # fails while a folder with files is there
            except OSError as error:
                if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
                    raise
                if _tar_digest(target) == digest:
                    break  # another process was quicker
                with suppress(FileNotFoundError):
                    target.rename(fresh.with_name(fresh.name + "-old"))
                shutil.rmtree(fresh.with_name(fresh.name + "-old"), ignore_errors=True)
            else:
                break
        temporary = fresh.with_name(fresh.name + "-stamp")
        temporary.write_text(digest)
        temporary.replace(stamp)

    # ---------------------------------------------------------------- housekeeping

    def keys(self, below: str) -> list[str]:
        """Keys of all items below the folder `below` ("prepared/<hash>"), sorted; [] where there is none. Whether they
        are whole is not looked at."""
        root = f"{self._root}/{self._checked(below)}"
        ends = [path[len(self._root) + 1 : -len(SUFFIX)] for path, _, _ in self._walk(root) if path.startswith(root)]
        return sorted(ends)

    def size(self) -> int:
        """Bytes that the items take."""
        return sum(n for _, n, _ in self._walk())

    def prune(self, older_than_s: float, *, dry: bool = False) -> int:
        """Removes items unused (URL: not written) for so many seconds, and what killed writers left. -> bytes freed;
        dry: that would be, and nothing is removed."""
        now, freed = time.time(), 0
        for path, n_bytes, modified in self._walk(temporary=True):
            name = path.rsplit("/", 1)[-1]
            limit = max(older_than_s, STALE_TEMP_S) if name.startswith(".tmp-") else older_than_s
            if modified is not None and now - modified >= limit:
                with suppress(FileNotFoundError), self._guard(path, "prune"):
                    if not dry:
                        Path(path).unlink() if self._fs is None else self._fs.rm_file(path)
                    freed += n_bytes
        return freed

    def _walk(self, root: str | None = None, *, temporary: bool = False) -> Iterator[tuple[str, int, float | None]]:
        """(path, bytes, unix time of the last change or None) of each item below `root` (None: of all)."""
        root = root or self._root
        if self._fs is None:
            for base, _, names in os.walk(root):
                for name in names:
                    if name.endswith(SUFFIX) or (temporary and name.startswith(".tmp-")):
                        with suppress(FileNotFoundError):  # pruned or replaced meanwhile
                            stat = (Path(base) / name).stat()
                            yield str(Path(base) / name), stat.st_size, stat.st_mtime
            return
        with self._guard(root, "list"):
            try:
                listing: dict[str, dict[str, Any]] = self._fs.find(root, detail=True)
            except FileNotFoundError:
                listing = {}
        for path, info in listing.items():
            if path.endswith(SUFFIX):
                yield path, int(info.get("size") or 0), _unix_time(info)

    # ---------------------------------------------------------------- inside

    def _checked(self, key: str) -> str:
        if not key or key.startswith("/") or not all(_SEGMENT.fullmatch(part) for part in key.split("/")):
            raise ValueError(
                f"work store key {key!r}: allowed are relative posix paths whose parts hold A-Z a-z 0-9 . _ = + - "
                "and do not start with a dot"
            )
        return key

    def _path(self, key: str) -> str:
        return f"{self._root}/{self._checked(key)}{SUFFIX}"

    @contextmanager
    def _writing(self, key: str) -> Iterator[IO[bytes]]:
        """A file for the item's bytes; on success they are published under `key`, otherwise nothing is left."""
        path = self._path(key)
        with self._guard(path, "write"):
            if self._fs is None:
                parent = Path(path).parent
                parent.mkdir(parents=True, exist_ok=True)
                handle, temporary = tempfile.mkstemp(dir=parent, prefix=".tmp-")
            else:
                handle, temporary = tempfile.mkstemp(prefix="emoforge-put-")
            try:
                with os.fdopen(handle, "w+b") as raw:
                    raw.write(b"\0" * HEADER_BYTES)
                    hashed = _Hashed(raw)
                    yield hashed  # type: ignore[misc]  # has what tarfile and our callers use: write and tell
                    raw.seek(0)
                    raw.write(_header(hashed.hash.hexdigest(), hashed.size))
                    raw.flush()
                    os.fsync(raw.fileno())
                if self._fs is None:
                    Path(temporary).chmod(0o644)
                    Path(temporary).replace(path)
                else:
                    self._upload(temporary, path)
            finally:
                Path(temporary).unlink(missing_ok=True)

    def _upload(self, temporary: str, path: str) -> None:
        try:
            self._fs.put_file(temporary, path)
        except FileNotFoundError:  # storages with real folders; object stores never ask
            self._fs.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
            self._fs.put_file(temporary, path)

    def _drop(self, key: str, path: str) -> None:
        log.warning("work store %s: item %s was truncated or corrupted; removed, its work is done again", self.url, key)
        with suppress(OSError):  # already replaced or removed by another; or read-only, and then it stays missing
            Path(path).unlink() if self._fs is None else self._fs.rm_file(path)

    @contextmanager
    def _guard(self, path: str, verb: str) -> Iterator[None]:
        if self._fs is None:
            with _local_errors(Path(path)):
                yield
            return
        try:
            yield
        except OSError as error:
            if isinstance(error, FileNotFoundError) and verb in ("read", "prune"):
                raise
            if error.errno in _FULL:
                raise ResourceError(f"no space left for {path} or in {tempfile.gettempdir()}. Free some.") from error
            raise ResourceError(
                f"cannot {verb} {path} in the work store {self.url}: {type(error).__name__}: {error}. "
                "Check the address, the credentials and that the storage is up."
            ) from error


class _Hashed:
    """A file that hashes what is written to it."""

    def __init__(self, raw: IO[bytes] | _Null) -> None:
        self.raw, self.hash, self.size = raw, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.raw.write(data)
        self.hash.update(data)
        self.size += len(data)
        return len(data)

    def tell(self) -> int:
        return self.size


def _header(sha256: str, size: int) -> bytes:
    return MAGIC + f"{sha256} {size:016x}\n".encode()


def _parse_header(head: bytes) -> tuple[str, int] | None:
    match = re.fullmatch(re.escape(MAGIC) + rb"([0-9a-f]{64}) ([0-9a-f]{16})\n", head)
    return (match[1].decode(), int(match[2], 16)) if match else None


def _write_tar(folder: Path, file: Any) -> None:
    """Deterministic: sorted names, no times, owners or modes. Raises `ResourceError` for what is no file or folder."""
    if not folder.is_dir():
        raise ResourceError(f"{folder} is not a folder; nothing to put into the work store.")
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT, bufsize=CHUNK) as tar:
        for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).as_posix()):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise ResourceError(f"{path} is neither a regular file nor a folder; the work store takes only those.")
            if path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
                continue
            entry.mode, entry.size = 0o644, path.stat().st_size
            with path.open("rb") as source:
                tar.addfile(entry, source)


def _tar_digest(folder: Path) -> str:
    sink = _Hashed(_Null())
    with suppress(FileNotFoundError, ResourceError):  # gone, or not of our making: then the digest is simply another
        _write_tar(folder, sink)
    return sink.hash.hexdigest()


class _Null:
    def write(self, data: bytes) -> int:
        return len(data)


def _is_whole(folder: Path, stamp: Path) -> bool:
    try:
        expected = stamp.read_text()
    except FileNotFoundError:
        return False
    return folder.is_dir() and _tar_digest(folder) == expected


def _unix_time(info: Mapping[str, Any]) -> float | None:
    for name in ("LastModified", "last_modified", "mtime", "created", "updated"):
        value: Any = info.get(name)
        if isinstance(value, int | float):
            return float(value)
        if hasattr(value, "timestamp"):
            return float(value.timestamp())
    return None


@contextmanager
def _local_errors(path: Path) -> Iterator[None]:
    """Turns a full disk and a folder that may not be written into one clear message."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise ResourceError(
                f"no space left for {path} ({error.strerror}). Free some, or move the work store (machine.yaml) to a "
                "larger disk; what was finished is kept."
            ) from error
        if error.errno in _FORBIDDEN:
            raise ResourceError(
                f"{path} cannot be written or read ({error.strerror}). Give this user the right to, or choose another "
                "work store in machine.yaml."
            ) from error
        if error.errno in {errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG}:
            raise ResourceError(
                f"{path}: {error.strerror}. Choose a work store in machine.yaml whose parts are folders."
            ) from error
        raise
