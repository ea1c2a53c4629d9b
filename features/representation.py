"""What a generator models: a payload as an array of fixed shape, and the way back.

A representation turns bytes into an array and an array into bytes. Generators see arrays only, so one generator serves
every modality; gates see the decoded signal, so a representation cannot hide its own losses from them. Features without
a way back (functionals, HOG, band powers) are a representation whose decoded payload is the vector itself
(features/vectors.py).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from corpora.errors import ParamsError, PayloadError, UnknownNameError
from corpora.registry import Registry
from corpora.schema import Payload, Signal

REPRESENTATIONS: dict[str, str] = {
    "world": "features.speech.world:WorldRepresentation",
    "differential": "features.speech.differential.representation:DifferentialRepresentation",
    "pixels": "features.faces.pixels:PixelRepresentation",
    "rows": "features.physio.rows:RowsRepresentation",
    "functionals": "features.speech.vectors:FunctionalsRepresentation",
    "oriented_energy": "features.faces.oriented:OrientedEnergyRepresentation",
    "speaker_ge2e": "features.speech.speaker_points:SpeakerRepresentation",
    "hog": "features.faces.vectors:HogRepresentation",
    "face_dlib": "features.faces.points:FaceRepresentation",
    "bands": "features.physio.vectors:BandsRepresentation",
    "band_power": "features.physio.band_power:BandPowerRepresentation",
    "features": "features.physio.table:TableRepresentation",
    "heart": "features.physio.vectors:HeartRepresentation",
    "sentence": "features.text.vectors:SentenceRepresentation",
    "minilm": "features.text.points:MinilmRepresentation",
    "utf8": "features.text.utf8:Utf8Representation",
    "audio": "features.payloads:AudioRepresentation",
    "pictures": "features.payloads:PicturesRepresentation",
    "texts": "features.payloads:TextsRepresentation",
    "signals": "features.payloads:SignalsRepresentation",
}


Layout = Literal["image", "rows", "vector", "tokens", "payload"]


@dataclass(frozen=True, slots=True)
class Spec:
    """The arrays of a representation, and what stands in them.

    layout and shape: "image" [C, H, W], neighbours along both sides are alike; "rows" [R, T], each row a quantity of
    its own over time; "vector" [D], named numbers without an order; "tokens" [T], indices of a vocabulary; "payload"
    [1], nothing: the payload itself is edited (features/payloads.py). `rows`:
    names of the rows, or of a vector's columns; `units`: their units, "" where there is none. `rate_hz`: columns a
    second of rows. `mask_row`: index of a row that is > 0 in valid columns and < 0 in padding: length is then part of
    the array, and a generator draws it like everything else. `bounds`: lowest and highest value (images: (-1, 1)), or
    None where a generator normalises by the train split.
    """

    name: str
    shape: tuple[int, ...]
    layout: Layout = "image"
    dtype: str = "float32"
    rows: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    rate_hz: float | None = None
    mask_row: int | None = None
    bounds: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        sides = {"image": 3, "rows": 2, "vector": 1, "tokens": 1, "payload": 1}
        if self.layout not in sides:
            raise UnknownNameError.of("layout", self.layout, sides)
        if len(self.shape) != sides[self.layout] or min(self.shape) < 1:
            raise ValueError(f"{self.name}: layout {self.layout} has {sides[self.layout]} sides, not {self.shape}")
        for names in (self.rows, self.units):
            if names and self.layout in ("rows", "vector") and len(names) != self.shape[0]:
                raise ValueError(f"{self.name}: {len(names)} names or units of {self.shape[0]} rows")

    @property
    def grid(self) -> tuple[int, int, int]:
        """The same numbers as (channels, height, width): rows are one channel, a vector one column of it."""
        if self.layout == "image":
            c, h, w = self.shape
            return c, h, w
        if self.layout == "rows":
            return 1, self.shape[0], self.shape[1]
        return 1, self.shape[0], 1

    @classmethod
    def from_json(cls, config: Mapping[str, Any]) -> Spec:
        """What `dataclasses.asdict` made of one and JSON kept: lists become tuples again."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
        return cls(**fields)


def require_array(array: np.ndarray, spec: Spec) -> None:
    """Raises `PayloadError` where an array is none of this spec's: wrong-shape, non-finite."""
    if array.shape != spec.shape:
        raise PayloadError("wrong-shape", f"{array.shape}; {spec.name} has {spec.shape}")
    if not np.isfinite(array).all():
        raise PayloadError("non-finite", f"{int((~np.isfinite(array)).sum())} of {array.size} values")


@dataclass(frozen=True, slots=True)
class Known:
    """What a corpus tells of the payloads that a run will prepare, before any is. `signals`: of physiology, as most
    samples have them after the steps (shape: () of [n], (c,) of [n, c]); `window_s`: length of the windows that the
    steps cut, None for whole trials; `longest_s`: of the samples before they are cut; `columns`: names of the features
    of corpora that are rows of features."""

    signals: tuple[Signal, ...] = ()
    window_s: float | None = None
    longest_s: float | None = None
    columns: tuple[str, ...] = ()


@runtime_checkable
class Representation(Protocol):
    """The way between a payload and an array. Constructed with keyword parameters from params.yaml.

    Optional: `settled(params, known: Known) -> params`, a class method that fills in what params leave to the corpora;
    asked once, when a run is planned, and what it returns is what the run's files say. `require(steps) -> steps`: the
    steps of its modality with what it needs of them settled; raises `ParamsError` that names the step where they ask
    for something else. Parameters annotated `Path`, and values "path:PLACE", are what it loads: their content is in
    the plan. `encoders`: names of the encoders of installed packages that it loads (features/pretrained/packages.py);
    their hashes are in the plan, and a run is refused where one is absent.
    """

    spec: Spec
    modality: str
    lossless: bool  # decode(encode(payload)) holds what a prepared payload holds: no vocoder's shift to allow for
    way_back: bool  # False: features; what `decode` gives is the vector as a payload, never a file of the modality

    def encode(self, payload: Payload) -> np.ndarray:
        """Payload -> array of the spec's shape. Raises `PayloadError` with a reason slug (too-long, silent, ...)."""
        ...

    def decode(self, array: np.ndarray) -> Payload:
        """Array of the spec's shape -> payload. Deterministic. Raises `PayloadError` if nothing valid is in it."""
        ...


@runtime_checkable
class EditingRepresentation(Representation, Protocol):
    """A representation whose way back is a change of a real payload."""

    def edit(self, source: Payload, before: np.ndarray, after: np.ndarray) -> Payload:
        """The source changed as its array changed from `before` (its own encoding) to `after`. before == after: the
        source, byte for byte. Raises `PayloadError` (reason slug)."""
        ...


def needs_source(representation: Representation) -> bool:
    """Whether an array alone says too little for a payload: its way back is `edit` (attribute `needs_source`)."""
    return bool(getattr(representation, "needs_source", False))


def is_features(representation: Representation) -> bool:
    """Whether what is decoded is the vector itself, and never a file of the modality."""
    return representation.spec.layout == "vector" and not getattr(representation, "way_back", True)


def representation_class(name: str) -> Any:
    """The class registered under `name`: of REPRESENTATIONS, or an entry point `emoforge.representations`.

    Raises `UnknownNameError`.
    """
    return Registry("representation", "emoforge.representations", REPRESENTATIONS).load(name)


def make_representation(name: str, params: Mapping[str, Any]) -> Representation:
    """Constructs the representation registered under `name`.

    Raises `UnknownNameError` (name), `ParamsError` (a parameter that it does not have, or a value that it refuses).
    """
    kind = representation_class(name)
    known = [p for p in inspect.signature(kind).parameters if p not in ("args", "kwargs")]
    for key in params:
        if key not in known:
            raise ParamsError(str(UnknownNameError.of(f"parameter of representation {name}", key, known)))
    built: Representation = kind(**params)
    return built
