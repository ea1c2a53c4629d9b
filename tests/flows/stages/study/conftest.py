from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.flows.stages.study.tiny_study import Project


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Ingested once; tests ask different studies of it."""
    before = os.environ.get("EMOFORGE_ACTORS")
    os.environ["EMOFORGE_ACTORS"] = "0"
    yield Project.at(tmp_path_factory.mktemp("study"))
    if before is None:
        del os.environ["EMOFORGE_ACTORS"]
    else:
        os.environ["EMOFORGE_ACTORS"] = before
