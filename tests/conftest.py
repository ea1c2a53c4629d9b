"""Fixtures for all tests: telemetry off, hubs offline, the real corpora where they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
if worker := os.environ.get("PYTEST_XDIST_WORKER"):  # each has a home of its own: Prefect keeps a data base there
    os.environ.setdefault("PREFECT_HOME", str(REPO / ".prefect" / "tests" / worker))
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a worker a core: before numpy is imported

import corpora.quiet  # noqa: F401  (sets the environment before anything heavy is imported)

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("EMOFORGE_CACHE", "off")  # nothing of a test's releases is remembered at home

import pytest
from hypothesis import HealthCheck, settings

# a busy machine draws slowly, which says nothing of the code
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")


@pytest.fixture(scope="session")
def repo() -> Path:
    return REPO


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with slices of the published corpora; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("EMOFORGE_SHARED_DATA", REPO.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real corpora at {folder} (set EMOFORGE_SHARED_DATA)")
    return folder


@pytest.fixture(autouse=True)
def _entry_points_of_this_test() -> Iterator[None]:
    """Entry points are looked for once in a process, and tests install some for themselves."""
    from corpora.registry import _added_by_others

    _added_by_others.cache_clear()
    yield
    _added_by_others.cache_clear()
