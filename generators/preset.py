"""Systems of the literature as settings of our generators: generators/presets/<modality>/<author-year>.yaml.

A preset bears a paper's name where its mechanism is there: what the paper cannot do without is on, and a test shows
that removing it changes the loss, the graph or the statistic (tests/generators/presets). What is equal to the paper and
what differs, and why, stands in the file: a preset is no reproduction of anybody's numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal

from pydantic import Field

from corpora.errors import ParamsError, UnknownNameError, UserError
from corpora.formats.yamlfile import parse_yaml
from corpora.params import StrictParams, parse

MODALITIES = ("speech", "faces", "text", "physio")  # folders; the modality that a corpus says is MODALITY_OF of them
MODALITY_OF = {"speech": "speech", "faces": "face", "text": "text", "physio": "physio"}


class Difference(StrictParams):
    """One thing that is not as in the paper."""

    what: str = Field(min_length=3)
    why: str = Field(min_length=3)


class Preset(StrictParams):
    """One file. `name` is that of the file: author-year; two of one author and year carry a letter."""

    system: str = Field(description="what the paper calls it, or what people call it by")
    source: str = Field(min_length=10, description="authors, title, venue, year")
    family: Literal[
        "autoencoder", "gan", "diffusion", "conversion", "language", "classical", "selection", "fine-tuning"
    ]
    generator: str = Field(description="one of the registered generators")
    params: dict[str, Any] = Field(default_factory=dict, description="of the generator")
    steps: int | None = Field(None, ge=1, description="optimiser steps that suit it; None: the run's default")
    intensity: Literal["rated", "ranked"] = Field(
        "rated", description="of a run's generator: where intensity is learned from, ratings or rankers"
    )
    weigh: Literal["alike", "plausible"] = Field(
        "alike", description="of an arm of a study: what synthetic rows count in training"
    )
    representation: str | None = Field(None, description="what it is meant to model; None: any of a layout it can")
    mechanism: str = Field(min_length=10, description="what must be there for the name, in a sentence")
    equal: tuple[str, ...] = Field(min_length=1, description="what is as in the paper")
    differs: tuple[Difference, ...] = Field(min_length=1, description="what is not, and why")
    smallest_class: int = Field(
        20,
        ge=2,
        description="a rule of thumb: train samples of the smallest class below which the advisor puts it last, as "
        "long as nothing was measured on classes so small",
    )
    target: dict[str, Any] = Field(
        default_factory=dict, description="a run's target that belongs to it (fill-to-balance)"
    )


def preset_names(modality: str | None = None) -> list[str]:
    """`<modality>/<author-year>` of every preset, sorted; of one folder where a modality is given."""
    return sorted(name for name in _places() if modality is None or name.startswith(f"{modality}/"))


@cache
def load_preset(name: str) -> Preset:
    """The preset `<modality>/<author-year>`; the short form `<author-year>` where one folder alone has it.

    Raises `UnknownNameError`, `ParamsError` (a short form that several modalities have).
    """
    places = _places()
    if "/" not in name:
        full = [place for place in sorted(places) if place.partition("/")[2] == name]
        if len(full) > 1:
            raise ParamsError(f"preset {name!r} is one of several modalities: {', '.join(full)}. Write one of these")
        name = full[0] if full else name
    if name not in places:
        raise UnknownNameError.of("preset", name, sorted(places))
    shown = f"generators/presets/{name}.yaml"
    content = parse_yaml(places[name].read_bytes(), ParamsError, shown=shown)
    return parse(Preset, content, shown)


def filled_in(given: Any, *, name: str) -> Any:
    """A mapping that names a `preset`, with what the preset says filled in: generator (under `name`), params, steps.
    What is given goes before what the preset says; written out, it says the same again. Anything else as it is.

    Raises ValueError (of pydantic's validators) for an unknown preset, and one of another generator.
    """
    if not isinstance(given, Mapping) or not isinstance(given.get("preset"), str):
        return given
    try:
        preset = load_preset(given["preset"])
    except UserError as error:
        raise ValueError(str(error)) from None
    if given.get(name, preset.generator) != preset.generator:
        raise ValueError(
            f"preset {given['preset']} is of generator {preset.generator}, not {given[name]!r}; leave `{name}` out"
        )
    own = given.get("params") or {}
    params = {**preset.params, **own} if isinstance(own, Mapping) else own
    steps = {} if preset.steps is None else {"steps": preset.steps}
    ranked = {"intensity": preset.intensity} if name == "name" and preset.intensity != "rated" else {}  # of runs alone
    weighed = {"weigh": preset.weigh} if name == "method" and preset.weigh != "alike" else {}  # of arms alone
    return {**steps, **ranked, **weighed, **given, name: preset.generator, "params": params}


@cache
def _places() -> dict[str, Traversable]:
    root = files("generators") / "presets"
    return {
        f"{modality}/{entry.name.removesuffix('.yaml')}": entry
        for modality in MODALITIES
        if (root / modality).is_dir()
        for entry in (root / modality).iterdir()
        if entry.name.endswith(".yaml")
    }
