"""What every preset promises: a generator that takes its parameters and models its representation, and a test of its
mechanism."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from corpora.errors import ParamsError, UnknownNameError
from features.representation import representation_class
from generators.generator import generator_class
from generators.params import parse_params
from generators.preset import MODALITIES, MODALITY_OF, load_preset, preset_names
from tests.generators.presets.mechanisms import SHOWN

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", preset_names())
def test_it_can_be_built(name: str) -> None:
    preset = load_preset(name)
    assert re.fullmatch(r"(speech|faces|text|physio)/[a-z0-9]+(-[a-z]+)*-\d{4}[a-z]?", name)
    kind = generator_class(preset.generator)
    parse_params(kind.Params, preset.params, preset.generator)
    assert name.rpartition("-")[2][:4] in preset.source, "the year of its name is that of its source"
    if preset.representation is not None:
        assert representation_class(preset.representation).modality == MODALITY_OF[name.partition("/")[0]]


def test_every_preset_has_a_test_of_its_mechanism() -> None:
    for path in HERE.glob("test_*.py"):
        importlib.import_module(f"tests.generators.presets.{path.stem}")
    assert sorted(SHOWN) == preset_names()


def test_names_are_helped() -> None:
    with pytest.raises(UnknownNameError, match="preset"):
        load_preset("nobody-1999")
    assert all(name.partition("/")[0] in MODALITIES for name in preset_names())
    short = [n.partition("/")[2] for n in preset_names()]
    for name in {n for n in short if short.count(n) > 1}:
        with pytest.raises(ParamsError, match="several modalities"):
            load_preset(name)
