"""How fitted gates and embeddings are kept: arrays as safetensors, facts as JSON, and the arrays' hash in both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from corpora.errors import IntegrityError
from corpora.store.atomic import write_bytes, write_json


def arrays_hash(arrays: Mapping[str, np.ndarray]) -> str:
    """12 hex digits of sha256 over names, shapes, dtypes and bytes."""
    digest = hashlib.sha256()
    for key in sorted(arrays):
        array = np.ascontiguousarray(arrays[key])
        digest.update(f"{key} {array.shape} {array.dtype}".encode())
        digest.update(array.data)  # not a copy of its bytes: points of train may be gigabytes
    return digest.hexdigest()[:12]


def save_state(folder: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Writes gate.safetensors and gate.json (facts and the arrays' hash) into `folder`, each atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
    write_bytes(folder / "gate.safetensors", save(plain))
    write_json(folder / "gate.json", {**facts, "arrays": arrays_hash(plain)})


def load_state(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What `save_state` wrote. Raises `IntegrityError` where the two files do not belong together."""
    facts = json.loads((folder / "gate.json").read_text(encoding="utf-8"))
    arrays = load_file(folder / "gate.safetensors")
    if arrays_hash(arrays) != facts["arrays"]:
        raise IntegrityError(f"{folder / 'gate.safetensors'} is not the file that gate.json was written with")
    return arrays, facts
