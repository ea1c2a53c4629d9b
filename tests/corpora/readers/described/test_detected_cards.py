"""A folder of a corpus that a card describes is known by its card alone, as by a reader of code."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpora.readers import make_corpus
from flows.conduct.link import _reader_for


@pytest.mark.parametrize("name", ["emodb", "emovo", "savee", "tess", "urdu"])
def test_one_reader_fits(name: str, tmp_path: Path) -> None:
    make_corpus(name).fake(tmp_path / "raw", subjects=2, per_class=1, seed=0)
    assert _reader_for("mine", tmp_path / "raw") == name
