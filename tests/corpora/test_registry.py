"""Registries: ours, and what entry points add."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from corpora.errors import ParamsError, UnknownNameError
from corpora.readers import CORPORA, make_corpus, reader_names
from corpora.registry import Registry
from features.representation import make_representation
from generators.generator import generator_class
from validators.gate import SAMPLE_GATES, SET_GATES, gate_class, gate_names

OWN = {"path": "pathlib:Path", "text": "json:dumps"}


def test_ours_wins_over_an_entry_point_and_others_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [EntryPoint("path", "os:getcwd", "g"), EntryPoint("loads", "json:loads", "g")]
    monkeypatch.setattr("corpora.registry.entry_points", lambda group: others if group == "g" else [])
    registry = Registry("thing", "g", OWN)
    assert registry.places() == OWN | {"loads": "json:loads"}
    assert registry.load("path").__name__ == "Path" and registry.load("loads")("1") == 1
    assert Registry("thing", "other", OWN).places() == OWN
    assert registry.names() == ["path", "text", "loads"], "ours in the order of the table, then the others"


def test_gates_and_readers_of_entry_points_stand_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {
        "emoforge.gates": [
            EntryPoint("zeta", "validators.gates.copies:Copies", "emoforge.gates"),
            EntryPoint("mine", "json:dumps", "emoforge.gates"),
            EntryPoint("kid", "json:dumps", "emoforge.gates"),
        ],
        "emoforge.corpora": [EntryPoint("mine", "corpora.readers.speech.ravdess:Ravdess", "emoforge.corpora")],
    }
    monkeypatch.setattr("corpora.registry.entry_points", lambda group: others.get(group, []))
    assert gate_names() == [*SAMPLE_GATES, *SET_GATES, "mine", "zeta"]
    assert gate_class("zeta").name == "copies" and gate_class("kid").name == "kid"
    with pytest.raises(ParamsError, match=r"gate 'mine': json:dumps derives neither from SampleGate nor from SetGate"):
        gate_class("mine")
    assert {"mine", *CORPORA} < set(reader_names())
    assert make_corpus("mine").card.name == make_corpus("ravdess").card.name


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown thing 'paht'. Did you mean 'path'\? Known: path, text"):
        Registry("thing", "g", OWN).load("paht")
    with pytest.raises(UnknownNameError, match=r"unknown generator 'cva'. Did you mean 'cvae'"):
        generator_class("cva")
    with pytest.raises(UnknownNameError, match=r"unknown representation 'pixel'. Did you mean 'pixels'"):
        make_representation("pixel", {})
