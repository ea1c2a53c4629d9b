"""docs/measures.md says of every metric what it is, and nothing else than the registry and the code say."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from validators.measures.registry import METRICS

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.fixture(scope="module")
def maker() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "make_measures.py"))


def test_every_metric_has_a_note(maker: dict[str, Any]) -> None:
    """A new metric: one entry in SAYS of docs/make_measures.py, then run it."""
    assert set(maker["SAYS"]) == set(METRICS)
    assert set(maker["KINDS"]) == {one.kind for one in METRICS.values()}
    assert all(note.unit and note.convention and note.unless for note in maker["SAYS"].values())


def test_the_page_is_up_to_date(maker: dict[str, Any]) -> None:
    assert maker["PAGE"].read_text(encoding="utf-8") == maker["page"](), "run python docs/make_measures.py"
