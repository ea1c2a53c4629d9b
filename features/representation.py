"""What a generator models: a payload as an array of fixed shape, and the way back.

A representation turns bytes into an array and an array into bytes. Generators see arrays only, so one generator serves
every modality; gates see the decoded signal, so a representation cannot hide its own losses from them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

import numpy as np

from corpora.errors import UnknownNameError

REPRESENTATIONS: dict[str, str] = {
    "world": "features.speech.world:WorldRepresentation",
    "pixels": "features.faces.pixels:PixelRepresentation",
}


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """The arrays of a representation: float32 [channels, height, width].

    `value_range`: fixed bounds (images: (-1, 1)), or None where rows have units of their own and a generator
    normalises by the train split. `mask_row`: index along height of a row that is > 0 in valid columns and < 0 in
    padding: length is then part of the array, and a generator draws it like everything else. `column_s`: seconds that
    a column stands for.
    """

    name: str
    shape: tuple[int, int, int]
    value_range: tuple[float, float] | None = None
    mask_row: int | None = None
    column_s: float | None = None
    rows: tuple[str, ...] = ()


@runtime_checkable
class Representation(Protocol):
    """The way between a decoded signal and an array. Constructed with keyword parameters from params.yaml."""

    spec: ArraySpec
    modality: str
    codec: str  # of what `decode` writes: "wav" | "png"

    def encode(self, payload: bytes, codec: str) -> np.ndarray:
        """Payload -> [C, H, W] float32. Raises `PayloadError` with a reason slug (too-long, silent, ...)."""
        ...

    def decode(self, array: np.ndarray) -> bytes:
        """[C, H, W] float32 -> payload in `codec`. Deterministic. Raises `PayloadError` if nothing valid is in it."""
        ...


def make_representation(name: str, params: Mapping[str, Any]) -> Representation:
    """Looks `name` up in the registry (and entry points `emoforge.representations`) and constructs it."""
    found = {e.name: e.value for e in entry_points(group="emoforge.representations")} | REPRESENTATIONS
    if name not in found:
        raise UnknownNameError.of("representation", name, found)
    module, _, attribute = found[name].partition(":")
    made: Representation = getattr(importlib.import_module(module), attribute)(**params)
    return made
