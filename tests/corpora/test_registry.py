"""Registries: ours, and what entry points add."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from corpora.errors import UnknownNameError
from corpora.registry import Registry
from features.representation import make_representation
from generators.generator import generator_class

OWN = {"path": "pathlib:Path", "text": "json:dumps"}


def test_ours_wins_over_an_entry_point_and_others_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [EntryPoint("path", "os:getcwd", "g"), EntryPoint("loads", "json:loads", "g")]
    monkeypatch.setattr("corpora.registry.entry_points", lambda group: others if group == "g" else [])
    registry = Registry("thing", "g", OWN)
    assert registry.places() == OWN | {"loads": "json:loads"}
    assert registry.load("path").__name__ == "Path" and registry.load("loads")("1") == 1
    assert Registry("thing", "other", OWN).places() == OWN


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown thing 'paht'. Did you mean 'path'\? Known: path, text"):
        Registry("thing", "g", OWN).load("paht")
    with pytest.raises(UnknownNameError, match=r"unknown generator 'cva'. Did you mean 'cvae'"):
        generator_class("cva")
    with pytest.raises(UnknownNameError, match=r"unknown representation 'pixel'. Did you mean 'pixels'"):
        make_representation("pixel", {})
