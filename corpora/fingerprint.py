"""sha256 names of JSON values, bytes, files and folders: the same content has the same name on every machine."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def hash_bytes(data: bytes) -> str:
    """-> 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def hash_json(obj: Any) -> str:
    """64 hex digits over the canonical JSON of `obj` (sorted keys, no blanks, UTF-8). NaN raises ValueError."""
    text = json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hash_bytes(text.encode("utf-8"))


def hash_file(path: Path) -> str:
    """64 hex digits of the file's bytes, read in pieces."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(path: Path) -> str:
    """64 hex digits over the sorted relative names and contents of all files below `path`.

    Links are followed; empty folders, modes and times do not count. Raises FileNotFoundError if `path` is no folder.
    """
    root = Path(path)
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}")
    files = []
    for folder, _, names in os.walk(root, followlinks=True):
        files += [Path(folder) / name for name in names]
    named = {file.relative_to(root).as_posix(): file for file in files}
    return hash_files({name: hash_file(file) for name, file in named.items()})


def hash_files(files: dict[str, str]) -> str:
    """{relative name: sha256} -> 64 hex digits; each name is length-prefixed, so no two folders can collide."""
    digest = hashlib.sha256()
    for name in sorted(files):
        raw = name.encode("utf-8", "surrogateescape")
        digest.update(len(raw).to_bytes(4, "big") + raw + bytes.fromhex(files[name]))
    return digest.hexdigest()
