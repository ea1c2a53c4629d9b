"""docs/where.md: what it names is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
LINES = [
    line for line in (REPO / "docs" / "where.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")
][1:]
PATHS = re.compile(r"`((?:corpora|features|training|generators|validators|flows|emoforge|data)/[\w./-]+)`")


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split("|")[1].strip()[:40])
def test_each_place_exists_and_imports(line: str) -> None:
    places = PATHS.findall(line)
    assert places, "a line names where to look"
    for place in places:
        path = REPO / place
        assert path.exists(), place
        if path.suffix == ".py":
            importlib.import_module(place.removesuffix(".py").replace("/", "."))


def test_what_people_ask_for_takes_three_files_at_most() -> None:
    asked = [line for line in LINES if "step of preparation" not in line]  # one file a modality
    assert all(len([p for p in PATHS.findall(line) if p.endswith(".py")]) <= 3 for line in asked)


ASKED = (
    "KID's",
    "a column of the release's index",
    "how draws are cut into lists",
    "a text generator",
    "a reader's option",
    "a representation of physiology",
    "publish to S3",
    "what is tried again",
    "a plot in the report",
    "early stopping",
    "a second part of a sample",
    "Ray, taken out",
)


@pytest.mark.parametrize("change", ASKED)
def test_what_people_ask_for_has_a_line(change: str) -> None:
    assert sum(change in line.split("|")[1] for line in LINES) == 1
