"""What classical augmentation is: methods on rows of features, methods on payloads, and the tables of their names.

Plain objects without networks and steps. A study fills a train set with them at once (`rows`, `apply`). What releases
them as generators, one draw at a time, stands beside this file: resampling.py (rows) and augmentation.py (payloads).

All randomness comes from the `np.random.Generator` that is handed in. Calls leave global random states as they were;
only the first import of scikit-learn moves Python's, whoever imports it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol, Self

import numpy as np
from pydantic import AfterValidator, BaseModel

from corpora.errors import PayloadError, UnknownNameError
from corpora.params import StrictParams, parse
from corpora.schema import Payload

VECTOR_METHODS: dict[str, str] = {
    "smote": "generators.classical.neighbours:Smote",
    "borderline": "generators.classical.neighbours:Borderline",
    "adasyn": "generators.classical.neighbours:Adasyn",
    "mixup": "generators.classical.vectors:Mixup",
    "jitter": "generators.classical.vectors:Jitter",
    "oversample": "generators.classical.vectors:Oversample",
}
PAYLOAD_METHODS: dict[str, dict[str, str]] = {
    "speech": {
        "noise": "generators.classical.speech:Noise",
        "pitch": "generators.classical.speech:Pitch",
        "stretch": "generators.classical.speech:Stretch",
        "gain": "generators.classical.speech:Gain",
        "reverb": "generators.classical.rooms:Reverb",
        "spec_augment": "generators.classical.spectrogram:SpecAugment",
    },
    "face": {
        "flip": "generators.classical.faces:Flip",
        "crop": "generators.classical.faces:Crop",
        "erase": "generators.classical.faces:Erase",
        "brightness": "generators.classical.faces:Brightness",
    },
    "text": {
        "eda": "generators.classical.texts:Eda",
        "substitute": "generators.classical.texts:Substitute",
    },
    "physio": {
        "channel_mask": "generators.classical.signals:ChannelMask",
        "band_mask": "generators.classical.signals:BandMask",
        "surrogate": "generators.classical.signals:Surrogate",
        "sensor_noise": "generators.classical.signals:SensorNoise",
        "scale": "generators.classical.signals:Scale",
    },
}


class MethodParams(StrictParams):
    """What the parameters of every classical method derive from."""


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"the lower end comes first, got {pair[0]:g} and {pair[1]:g}")
    return pair


Range = Annotated[tuple[float, float], AfterValidator(_ascending)]  # [low, high]; equal ends: always that value


def within(low: float, high: float) -> AfterValidator:
    """A validator of a `Range`: both ends lie from `low` to `high`."""

    def check(pair: tuple[float, float]) -> tuple[float, float]:
        if pair[0] < low or pair[1] > high:
            raise ValueError(f"both ends must lie from {low:g} to {high:g}")
        return pair

    return AfterValidator(check)


def log_uniform(rng: np.random.Generator, between: tuple[float, float]) -> float:
    """A number > 0 of which each ratio is as likely as its inverse; exactly the end where both ends are one."""
    low, high = between
    return low if low == high else float(np.exp(rng.uniform(np.log(low), np.log(high))))


def uniform(rng: np.random.Generator, between: tuple[float, float]) -> float:
    """A number in [low, high); exactly the end where both ends are one."""
    low, high = between
    return low if low == high else float(rng.uniform(low, high))


@dataclass(frozen=True, slots=True)
class Drawn:
    """M new rows, by class in ascending order.

    x: [M, D] float64, in the units of the train rows. y: [M] class indices. source: [M] index of the train row that a
    row was computed from; where it lies between two, of the nearer one. second: [M] index of the other of the two, -1
    where there is none. notes: what a method did otherwise than it was asked for (fewer neighbours, rows kept of more
    that were drawn), one sentence each.
    """

    x: np.ndarray
    y: np.ndarray
    source: np.ndarray
    second: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Among:
    """The rows among which one row is varied: of its class and corpus, itself left out.

    x: [n, D] float64 in their own units; scaled: [n, D] the same in units in which distances are taken; unit: [D]
    standard deviation of each column of x within classes.
    """

    x: np.ndarray
    scaled: np.ndarray
    unit: np.ndarray


class VectorMethod(Protocol):
    """Rows of features -> more rows of the classes that lack some.

    `rows` draws them all at once, for a study. `turns` and `one` are the same method a row at a time, for releases: a
    row that is drawn alone is the same as in company. partners: other rows that a row's class must have.
    """

    Params: ClassVar[type[MethodParams]]
    partners: ClassVar[int]

    def rows(
        self,
        x: np.ndarray,
        y: np.ndarray,
        subjects: Sequence[str | None],
        lacks: Mapping[int, int],
        rng: np.random.Generator,
    ) -> Drawn:
        """x [N, D] finite float64, y [N] class indices, subjects: N, None where not known. lacks: class -> new rows
        wanted; what comes back has exactly as many of each.

        Distances and noise are in the columns' own units: scale x first. Raises `UserError` where a class has too few
        rows for the method, or none, or the method is not defined for it; the message names the class.
        """
        ...

    def turns(self, scaled: np.ndarray, y: np.ndarray) -> np.ndarray:
        """scaled [N, D] in units in which distances are taken, y [N] class indices -> [N] int64: how often each row is
        started from before all begin again, 0 for never."""
        ...

    def one(self, row: np.ndarray, scaled: np.ndarray, among: Among, rng: np.random.Generator) -> np.ndarray:
        """row [D] float64 in its own units, the same scaled [D] -> a new row [D] of its class, in its own units. A
        function of the arguments alone; `among` has `partners` rows or more."""
        ...


class PayloadMethod(Protocol):
    """One payload -> another of the same modality, codec and label. `varies`: whether another rng gives another
    result; two payloads that a method without it makes of one source are the same. Optional `learns`: True where `fit`
    looks at payloads."""

    Params: ClassVar[type[MethodParams]]
    varies: ClassVar[bool]

    def fit(self, payloads: Iterable[Payload]) -> Self:
        """Learns what `apply` needs of train payloads, and of nothing else; most methods learn nothing. -> itself."""
        ...

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """A function of the payload and the rng alone (and of what was fitted). `others`: train payloads of the same
        class, for methods that mix several; the others do not look at them.

        Parameters of strength 0 give back the payload byte for byte. Raises `PayloadError` where the payload cannot be
        decoded or the method can change nothing in it: it never gives back a copy for want of an effect. Raises
        `UserError` where it was to be fitted first.
        """
        ...


class Unfitted:
    """A method that learns nothing, and whose result varies."""

    varies: ClassVar[bool] = True

    def fit(self, payloads: Iterable[Payload]) -> Self:
        """Does nothing."""
        return self


def require_codec(payload: Payload, codec: str) -> None:
    """Raises `PayloadError` wrong-codec for another one: methods take what `prepare` writes."""
    if payload.codec != codec:
        raise PayloadError("wrong-codec", f"this method takes {codec}, the payload is {payload.codec!r}: prepare it")


def require_changed(before: np.ndarray, after: np.ndarray) -> None:
    """Raises `PayloadError` unchanged where both are the same: a copy of a train sample is no augmentation of it."""
    if np.array_equal(before, after):
        raise PayloadError("unchanged", "after rounding to what the payload holds nothing differs from before")


def vector_method(name: str, params: Mapping[str, Any] | BaseModel | None = None) -> VectorMethod:
    """A method of `VECTOR_METHODS`. Raises `UnknownNameError`, and `ParamsError` for parameters it does not have."""
    return _method(f"vector method {name}", _place("vector method", VECTOR_METHODS, name), params)


def payload_method(modality: str, name: str, params: Mapping[str, Any] | BaseModel | None = None) -> PayloadMethod:
    """A method of `PAYLOAD_METHODS`, not yet fitted. Raises as `vector_method` does."""
    if modality not in PAYLOAD_METHODS:
        raise UnknownNameError.of("modality of payload methods", modality, PAYLOAD_METHODS)
    place = _place(f"{modality} method", PAYLOAD_METHODS[modality], name)
    return _method(f"{modality} method {name}", place, params)


def _place(kind: str, table: Mapping[str, str], name: str) -> str:
    if name not in table:
        raise UnknownNameError.of(kind, name, table)
    return table[name]


def _method(owner: str, place: str, params: Mapping[str, Any] | BaseModel | None) -> Any:
    module, _, attribute = place.partition(":")
    kind = getattr(importlib.import_module(module), attribute)
    return kind(parse(kind.Params, {} if params is None else params, f"parameters of {owner}"))
