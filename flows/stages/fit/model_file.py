"""emoforge.json of a fitted model: how to load it, and the hash of every file beside it.

A flipped byte among weights is a number like another: nothing but a hash tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpora.errors import IntegrityError
from corpora.fingerprint import hash_file, hash_json
from corpora.formats.jsonfile import as_written, read_json
from corpora.store.atomic import write_json

FILE = "emoforge.json"


def seal_model(folder: Path, about: Mapping[str, Any]) -> None:
    """Writes `about` (JSON) as the model's emoforge.json, with the sha256 of all its other files, and its own."""
    told = {**about, "files": _hashes(folder)}
    write_json(folder / FILE, told | {"sha256": hash_json(told)})


def read_model(folder: Path) -> dict[str, Any]:
    """What `seal_model` wrote. Raises `IntegrityError` that names a file that is not what it was, gone, or new."""
    told = read_json(folder / FILE)
    files, own = told.get("files"), {k: v for k, v in told.items() if k != "sha256"}
    if not as_written(folder / FILE, told) or not isinstance(files, dict) or told.get("sha256") != hash_json(own):
        raise _damaged(folder, FILE)
    found = _hashes(folder)
    for name in sorted(found.keys() | files.keys()):
        if found.get(name) != files.get(name):
            raise _damaged(folder, name)
    return told


def _hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path != folder / FILE)
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}


def _damaged(folder: Path, name: str) -> IntegrityError:
    return IntegrityError(
        f"{folder / name} is not what the fit wrote. Remove the model and make it again: rm -r {folder}; emoforge run"
    )
