"""emoforge.json of a fitted model: how to load it, the hash of every file beside it, and what names its samples.

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
    content = {**about, "files": _hashes(folder)}
    write_json(folder / FILE, content | {"sha256": hash_json(content)})


def read_model(folder: Path) -> dict[str, Any]:
    """What `seal_model` wrote. Raises `IntegrityError` that names a file that is not what it was, gone, or new."""
    content = read_json(folder / FILE)
    files, own = content.get("files"), {k: v for k, v in content.items() if k != "sha256"}
    if not as_written(folder / FILE, content) or not isinstance(files, dict) or content.get("sha256") != hash_json(own):
        raise _damaged(folder, FILE)
    there = _hashes(folder)
    for name in sorted(there.keys() | files.keys()):
        if there.get(name) != files.get(name):
            raise _damaged(folder, name)
    return content


def generator_id(described: Mapping[str, Any], sampling_code: str, loads: Mapping[str, str]) -> str:
    """20 hex digits that name a generator, hence all its samples: of weights and config (with the Spec), the
    parameters, representation and classes that they are loaded with, the code of sampling, and what is loaded from
    paths. `described`: what `read_model` read. Nothing of how the weights came to be counts: equal weights that another
    fit arrived at are the same generator.

    sampling_code: `flows.stages.plan.code.sampling_code`, of the plan. loads: path -> hash, of the plan.
    """
    came_from = {name: described[name] for name in ("generator", "params", "representation", "classes", "files")}
    return hash_json({**came_from, "code": sampling_code, "loads": dict(loads)})[:20]


def _hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path != folder / FILE)
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}


def _damaged(folder: Path, name: str) -> IntegrityError:
    return IntegrityError(
        f"{folder / name} is not what the fit wrote. Remove the model and make it again: rm -r {folder}; emoforge run"
    )
