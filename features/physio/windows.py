"""Windows of one length cut inside a trial, from signals of several rates at once.

A window never crosses the border of a trial, carries its times, and keeps the trial's subject and group: overlapping
windows share samples, so what parts groups never parts them. Window k begins at k * hop; where rate * hop is a whole
number for each signal, windows with hop = length tile a trial: each value stands in exactly one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from corpora.errors import PayloadError
from features.steps import Step

MAX_WINDOWS = 10_000  # of one trial; ids have four digits
_EPSILON = 1e-9  # of a window: what sums of seconds may be off by


class Windows(Step):
    """Cuts a trial into windows of one length; what is left at its end and fills no window is dropped."""

    length_s: Annotated[float, Field(gt=0, le=3600)] = Field(4.0, description="Length of a window in s.")
    hop_s: Annotated[float, Field(gt=0, le=3600)] | None = Field(
        None, description="From one window's start to the next, in s; not given: the length, so nothing overlaps."
    )

    @model_validator(mode="after")
    def _no_gaps(self) -> Windows:
        if self.hop_s is not None and self.hop_s > self.length_s:
            raise ValueError(f"hop_s {self.hop_s:g} is longer than length_s {self.length_s:g}: values would be lost")
        return self

    @property
    def every_s(self) -> float:
        """Seconds from one start to the next."""
        return self.length_s if self.hop_s is None else self.hop_s


@dataclass(frozen=True, slots=True)
class Window:
    """One window: its number from 0, its place in the trial in s, and {signal: [n] or [n, channels]}."""

    number: int
    start_s: float
    stop_s: float
    arrays: Mapping[str, np.ndarray]

    @property
    def suffix(self) -> str:
        """What its id has more than the trial's: "#w0003"."""
        return f"#w{self.number:04d}"


def duration_s(arrays: Mapping[str, np.ndarray], rates_hz: Mapping[str, float]) -> float:
    """Seconds that all signals cover."""
    return min(len(array) / rates_hz[name] for name, array in arrays.items())


def spans(seconds: float, windows: Windows) -> list[tuple[float, float]]:
    """Length of a trial -> (start, stop) of its windows in s.

    Raises `PayloadError`: too-short (not one window fits), too-long (more than ids can number).
    """
    count = int((seconds - windows.length_s) / windows.every_s + _EPSILON) + 1
    if seconds < windows.length_s * (1 - _EPSILON):
        raise PayloadError("too-short", f"{seconds:.3f} s hold no window of {windows.length_s:g} s")
    if count > MAX_WINDOWS:
        raise PayloadError("too-long", f"{seconds:.0f} s hold {count} windows, at most {MAX_WINDOWS} are cut")
    starts = [k * windows.every_s for k in range(count)]
    return [(start, start + windows.length_s) for start in starts]


def cut(arrays: Mapping[str, np.ndarray], rates_hz: Mapping[str, float], windows: Windows) -> Iterator[Window]:
    """{signal: [n] or [n, channels]} and rates -> windows in order, as views. Raises `PayloadError` as `spans` does,
    and rate-too-low for a signal of which a window would hold no value."""
    lengths = {name: round(windows.length_s * rates_hz[name]) for name in arrays}
    for name, length in lengths.items():
        if length < 1:
            raise PayloadError("rate-too-low", f"{name} at {rates_hz[name]:g} Hz in windows of {windows.length_s:g} s")
    for number, (start_s, stop_s) in enumerate(spans(duration_s(arrays, rates_hz), windows)):
        parts = {}
        for name, array in arrays.items():
            # one length for all, also where rate * hop is no whole number and the last start rounds up
            first = min(round(start_s * rates_hz[name]), len(array) - lengths[name])
            parts[name] = array[first : first + lengths[name]]
        yield Window(number, start_s, stop_s, parts)
