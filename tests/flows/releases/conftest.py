"""Three runs over one tiny corpus of faces, built once: `first`, `second` (a limit of a gate apart) and `plain` (real
samples alone)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.made_of import ingested, released

TRANSFER = {"representation": {"name": "pixels", "size": 16}, "generator": {"name": "transfer"}}
LIMITS = {name: {"limit": {"absolute": limit}} for name, limit in (("validity", -1000.0), ("copies", 0.0))}
STRICT = LIMITS | {"copies": {"limit": {"absolute": 0.15}}}


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's folder."""
    patch = pytest.MonkeyPatch()
    patch.setenv("EMOFORGE_ACTORS", "0")
    runs = {"first": {**TRANSFER, "gates": LIMITS}, "second": {**TRANSFER, "gates": STRICT}, "plain": {"gates": {}}}
    folder = ingested(tmp_path_factory.mktemp("faces"), "face", runs)
    for run in runs:
        released(folder, run)
    patch.undo()
    return folder
