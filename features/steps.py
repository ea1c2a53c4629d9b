"""What the preparation of every modality shares: one step's parameters, what a step may see, what it hands on.

A step sees one payload and what its corpus says about that payload. It sees no label, no subject, no other sample and
no split, so nothing can leak through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

from pydantic import BaseModel, ConfigDict


class Step(BaseModel):
    """Parameters of one step. `VERSION` goes up when the step makes other bytes of the same payload."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    VERSION: ClassVar[int] = 1


class Steps(BaseModel):
    """The steps of one modality, in the order in which they run. A step that is None is off."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    VERSION: ClassVar[str] = ""

    def described(self) -> list[dict[str, Any]]:
        """[{"step": "trim-1", "params": {...}}] of the steps that are on, in order: what a release says of itself."""
        steps: list[dict[str, Any]] = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Step):
                steps.append({"step": f"{name}-{value.VERSION}", "params": value.model_dump(mode="json")})
            elif value:  # a plain parameter of the modality
                steps.append({"step": name, "params": {name: self.model_dump(mode="json")[name]}})
        return steps

    def encoders(self) -> tuple[str, ...]:
        """Names of the encoders of installed packages that the steps load (features/pretrained/packages.py)."""
        return ()

    def settled(self) -> Self:
        """The steps with everything decided that a representation may leave open: what runs, and what a plan holds."""
        return self


@dataclass(frozen=True, slots=True)
class Reads:
    """What steps look at beside payload and codec: the record's `signals`, names of its `extra`, the corpus' card.

    No other fact reaches them, and no other is part of what a prepared sample is known by: a new column changes none.
    """

    signals: bool = False
    extra: frozenset[str] = frozenset()
    reader: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """What a step may know of a sample: what its `Reads` names. `signals`, `extra`: columns of the record; `reader`:
    name on the corpus' card."""

    payload: bytes
    codec: str
    signals: Sequence[Mapping[str, Any]] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    reader: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """One prepared payload. `suffix`: what the sample's id gets where it was cut into several ("#s0001"), else "".

    `start_s`, `stop_s`: where a piece lies in the sample. `notes`: what was found on the way, for the record's `extra`;
    `counted`: slugs of what is worth counting over a corpus (several-faces, ...).
    """

    payload: bytes
    suffix: str = ""
    duration_s: float | None = None
    start_s: float | None = None
    stop_s: float | None = None
    signals: Sequence[Mapping[str, Any]] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    counted: tuple[str, ...] = ()


class Preparation(Protocol):
    """Prepares payloads of one modality."""

    codec: str  # of what it hands on
    reads: Reads  # with the steps that it was made with

    def __call__(self, source: Source) -> list[Piece]:
        """-> at least one piece. Raises `PayloadError` with the slug of the step that refuses the payload."""
        ...
