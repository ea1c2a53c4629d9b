"""YAML files of people: read once a content, and whoever changes what was read changes nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpora.errors import ParamsError
from corpora.formats.yamlfile import parse_yaml, read_yaml

TEXT = b"runs: {a: {seed: 1, gates: [x, y]}}\n"


def test_what_was_read_belongs_to_the_reader_alone() -> None:
    first = parse_yaml(TEXT, ParamsError, shown="params.yaml")
    first["runs"]["a"]["seed"] = 2
    first["runs"]["a"]["gates"].append("z")
    assert parse_yaml(TEXT, ParamsError, shown="params.yaml") == {"runs": {"a": {"seed": 1, "gates": ["x", "y"]}}}


def test_a_file_that_changed_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(TEXT)
    read_yaml(path, ParamsError)
    path.write_text("runs: {b: {}}\n")
    assert read_yaml(path, ParamsError) == {"runs": {"b": {}}}


def test_a_fault_is_said_each_time_with_the_name_of_its_file() -> None:
    for shown in ("params.yaml", "machine.yaml"):
        with pytest.raises(ParamsError, match=f"{shown}: not valid YAML"):
            parse_yaml(b"a: [1", ParamsError, shown=shown)
