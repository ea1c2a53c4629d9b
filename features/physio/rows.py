"""Physiology as rows over time: signals of different rates brought to one, a row a channel, and the way back.

What comes back has the names, units, rates, lengths and duration that prepared payloads have, so that whoever reads
signals reads synthetic ones with the same lines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload, Signal
from corpora.signals import decode_signals, encode_signals
from features.masks import valid_columns
from features.physio.changes import with_changes
from features.physio.steps import resampled
from features.representation import Known, Spec, require_array

if TYPE_CHECKING:  # what decodes a sample needs none of the code that prepares one
    from features.physio.prepare import SignalSteps

MAX_COLUMNS = 16_384
MIN_VALUES = 2  # of a signal: one value has no course


@dataclass(frozen=True, slots=True)
class Channels:
    """One signal of a payload: name, unit, values a second; `columns`: of [n, columns], None for [n]."""

    name: str
    unit: str
    rate_hz: float
    columns: int | None = None

    @classmethod
    def of(cls, given: Any) -> Channels:
        """{"name", "unit", "rate_hz", "columns"} -> the same, checked. Raises `ParamsError`."""
        allowed = "each signal is {name, unit, rate_hz, columns}, columns being null for one channel"
        if not isinstance(given, Mapping) or not {"name", "rate_hz"} <= set(given) <= {
            "name",
            "unit",
            "rate_hz",
            "columns",
        }:
            raise ParamsError(f"signals of a representation: {given!r}; {allowed}")
        rate, columns = given["rate_hz"], given.get("columns")
        if not isinstance(rate, int | float) or not (math.isfinite(rate) and rate > 0):
            raise ParamsError(
                f"signals of a representation: {given['name']} has rate_hz {rate!r}; a number above 0 is wanted"
            )
        if columns is not None and not (isinstance(columns, int) and columns >= 1):
            raise ParamsError(f"signals of a representation: {given['name']} has columns {columns!r}; {allowed}")
        return cls(str(given["name"]), str(given.get("unit") or ""), float(rate), columns)

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of its rows: its own, or one a column ("ACC_0", "ACC_1", "ACC_2")."""
        return (self.name,) if self.columns is None else tuple(f"{self.name}_{i}" for i in range(self.columns))

    def values(self, seconds: float) -> int:
        """How many values it has in that time, as the windows of preparation count them."""
        return round(seconds * self.rate_hz)


def settled_signals(params: Mapping[str, Any], known: Known, owner: str) -> list[dict[str, Any]]:
    """The parameter `signals` of a representation: as given, else those that most samples of the corpora have.

    Raises `ParamsError` where there are none, or they have no rates (rows of features).
    """
    if params.get("signals"):
        return [dict(signal) for signal in params["signals"]]
    timeless = [signal.name for signal in known.signals if not signal.rate_hz]
    if not known.signals or timeless:
        why = f"{', '.join(timeless)} has no rate" if timeless else "the corpora tell of no signals"
        raise ParamsError(f"representation {owner} wants signals over time, and {why}")
    return [
        {"name": s.name, "unit": s.unit or "", "rate_hz": s.rate_hz, "columns": s.shape[0] if s.shape else None}
        for s in sorted(known.signals, key=lambda signal: signal.name)
    ]


def require_units(steps: SignalSteps) -> SignalSteps:
    """Steps that leave signals in the units of their records, in which a representation encodes them.

    Raises `ParamsError` for `population`: z-scores are taken of what is released, after it was encoded, so synthetic
    signals would be in other units than real ones.
    """
    if steps.population is not None:
        raise ParamsError(
            "prepare.physio.population makes z-scores of what is released, and a representation encodes signals in "
            "their own units. Leave it out; generators scale by the train split themselves"
        )
    return steps


def trial_of(payload: Payload, wanted: Sequence[Channels]) -> dict[str, np.ndarray]:
    """npz -> {name: [n] or [n, columns] float64} of the wanted signals.

    Raises `PayloadError`: wrong-codec, missing-signal, rate-misfit, other-channels, too-short (fewer than 2 values), or
    what the decoder says (non-finite, truncated, ...).
    """
    if payload.codec != "npz":
        raise PayloadError("wrong-codec", f"signals are read from npz, this payload is {payload.codec!r}")
    arrays = decode_signals(payload.data)
    rates = {signal.name: signal.rate_hz for signal in payload.signals}
    trial = {}
    for signal in wanted:
        array, rate = arrays.get(signal.name), rates.get(signal.name)
        if array is None:
            raise PayloadError("missing-signal", f"no {signal.name}; the payload has {', '.join(sorted(arrays))}")
        if rate is None or not math.isclose(rate, signal.rate_hz, rel_tol=1e-6):
            actual = "no rate" if rate is None else f"{rate:g} Hz"
            raise PayloadError(
                "rate-misfit", f"{signal.name} has {actual}; wanted {signal.rate_hz:g} Hz (prepare.physio.resample)"
            )
        columns = None if array.ndim == 1 else array.shape[1]
        if columns != signal.columns:
            raise PayloadError(
                "other-channels", f"{signal.name} has shape {array.shape}; wanted columns: {signal.columns}"
            )
        if len(array) < MIN_VALUES:
            raise PayloadError("too-short", f"{signal.name} has {len(array)} value; at least {MIN_VALUES} are a signal")
        trial[signal.name] = np.asarray(array, dtype=np.float64)
    return trial


class RowsRepresentation:
    """npz of signals <-> [rows, columns] float32: every channel at one rate, a row each, and a row for its level.

    Parameters: `rate_hz` of the array; `seconds` that it holds (not given: the length of the windows that
    prepare.physio.windows cuts); `mask`: whether payloads may be shorter, which is then part of the array (a last row,
    +1 valid and -1 padding; not given: where no windows are cut); `signals`, a list of {name, unit, rate_hz, columns}
    (not given: what most samples of the corpora have after the steps); `levels`: a channel's mean in a row of its own
    ("EDA_level", the same in every column) and its course without it ("EDA"), because a skin temperature moves by 0.02
    degrees in a window and by some degrees between people: in one row, what a model leaves over drowns the course.
    Above half of `rate_hz` nothing is kept.
    """

    modality = "physio"
    lossless = False
    way_back = True

    def __init__(
        self,
        rate_hz: float = 16.0,
        seconds: float | None = None,
        mask: bool | None = None,
        signals: Sequence[Mapping[str, Any]] = (),
        levels: bool = True,
    ) -> None:
        if not isinstance(levels, bool):
            raise ParamsError(f"representation rows: levels is {levels!r}; allowed are true and false.")
        self.levels = levels
        if not isinstance(rate_hz, int | float) or not 0.1 <= rate_hz <= 2048:
            raise ParamsError(f"representation rows: rate_hz is {rate_hz!r}; allowed are 0.1 to 2048.")
        if seconds is not None and not (isinstance(seconds, int | float) and 0 < seconds <= 3600):
            raise ParamsError(f"representation rows: seconds is {seconds!r}; allowed are more than 0 to 3600.")
        self.rate_hz, self.seconds, self.mask = float(rate_hz), None if seconds is None else float(seconds), bool(mask)
        self.signals = tuple(sorted((Channels.of(signal) for signal in signals), key=lambda signal: signal.name))
        names = [signal.name for signal in self.signals]
        if len(set(names)) != len(names):
            raise ParamsError(f"representation rows: a signal is named twice: {', '.join(names)}")
        if self.seconds is not None and round(self.seconds * self.rate_hz) not in range(MIN_VALUES, MAX_COLUMNS + 1):
            raise ParamsError(
                f"representation rows: {self.seconds:g} s at {self.rate_hz:g} Hz are "
                f"{round(self.seconds * self.rate_hz)} columns; allowed are {MIN_VALUES} to {MAX_COLUMNS}."
            )
        self._spec = None if self.seconds is None or not self.signals else self._spec_of(self.seconds)

    @classmethod
    def settled(cls, params: Mapping[str, Any], known: Known) -> dict[str, Any]:
        """What params leave open, from what is known of the corpora. Raises `ParamsError` where that does not say."""
        filled = dict(params) | {"signals": settled_signals(params, known, "rows")}
        if filled.get("seconds") is None:
            if known.window_s is None:
                longest = f" (the longest sample has {known.longest_s:g} s)" if known.longest_s else ""
                raise ParamsError(
                    "representation rows: seconds is not given and prepare.physio.windows cuts no windows; "
                    f"switch windows on, or name the longest that is to be encoded{longest}"
                )
            filled["seconds"] = known.window_s
        if filled.get("mask") is None:
            filled["mask"] = known.window_s is None
        return filled

    def require(self, steps: SignalSteps) -> SignalSteps:
        """Steps that leave units alone. Raises `ParamsError` as `require_units` does."""
        return require_units(steps)

    @property
    def spec(self) -> Spec:
        """Raises `ParamsError` before a run is planned, where params name no signals or no seconds."""
        if self._spec is None:
            raise ParamsError(
                "representation rows: signals and seconds are settled when a run is planned; name them here"
            )
        return self._spec

    def _spec_of(self, seconds: float) -> Spec:
        rows = [name for signal in self.signals for name in signal.rows]
        units = [signal.unit for signal in self.signals for _ in signal.rows]
        if self.levels:
            rows, units = [*rows, *(f"{row}_level" for row in rows)], 2 * units
        masked = ["mask"] if self.mask else []
        return Spec(
            name=f"rows{self.rate_hz:g}hz-{seconds:g}s",
            shape=(len(rows) + len(masked), round(seconds * self.rate_hz)),
            layout="rows",
            rows=(*rows, *masked),
            units=(*units, *[""] * len(masked)),
            rate_hz=self.rate_hz,
            mask_row=len(rows) if masked else None,
        )

    def encode(self, payload: Payload) -> np.ndarray:
        """npz -> [rows, columns] float32.

        Raises `PayloadError`: those of `trial_of`, too-short and too-long (without a mask: of another length than
        `seconds`, by more than a column).
        """
        trial = trial_of(payload, self.signals)
        width, seconds = self.spec.shape[1], self._seconds(payload, trial)
        columns = round(seconds * self.rate_hz)
        if columns > width:
            raise PayloadError("too-long", f"{seconds:g} s; the representation holds {width / self.rate_hz:g} s")
        if columns < (MIN_VALUES if self.mask else width):
            least = MIN_VALUES / self.rate_hz if self.mask else width / self.rate_hz
            raise PayloadError("too-short", f"{seconds:g} s; the representation wants {least:g} s")
        out = np.zeros(self.spec.shape, dtype=np.float32)
        first = 0
        for signal in self.signals:
            course = _of_length(resampled(trial[signal.name], signal.rate_hz, self.rate_hz, signal.name), columns)
            out[first : first + len(signal.rows), :columns] = course.reshape(columns, -1).T
            first += len(signal.rows)
        if self.levels:
            level = out[:first, :columns].mean(axis=1, keepdims=True, dtype=np.float64)
            out[:first, :columns] -= level
            out[first : 2 * first, :columns] = level
        if self.mask:
            out[-1], out[-1, :columns] = -1.0, 1.0
        return out

    def decode(self, array: np.ndarray) -> Payload:
        """[rows, columns] float32 -> npz with each signal at its own rate, and what its record says of it.

        Raises `PayloadError`: wrong-shape, non-finite, empty (no valid column), too-short (a signal without a value).
        """
        require_array(array, self.spec)
        columns, seconds = array.shape[1], float(self.seconds or 0.0)
        if self.mask:
            columns = valid_columns(array[-1])
            seconds = columns / self.rate_hz
        if columns < MIN_VALUES:
            raise PayloadError("empty", f"the mask row holds {columns} valid columns")
        courses = self._courses(array[:, :columns].astype(np.float64))
        arrays, facts, first = {}, [], 0
        for signal in self.signals:
            rows = courses[first : first + len(signal.rows)].T  # [columns, channels]
            first += len(signal.rows)
            values = signal.values(seconds)
            if values < 1:
                raise PayloadError(
                    "too-short", f"{seconds:g} s hold no value of {signal.name} at {signal.rate_hz:g} Hz"
                )
            course = _of_length(resampled(rows, self.rate_hz, signal.rate_hz, signal.name), values)
            arrays[signal.name] = (course[:, 0] if signal.columns is None else course).astype(np.float32)
            facts.append(Signal(signal.name, signal.unit, signal.rate_hz, arrays[signal.name].shape))
        return Payload(encode_signals(arrays), "npz", tuple(facts), seconds)

    def edit(self, source: Payload, before: np.ndarray, after: np.ndarray) -> Payload:
        """The source plus the change of its rows, brought to each signal's own rate; what rows do not resolve stays.

        Its length stays, too. Raises `PayloadError`: those of `encode`, wrong-shape, non-finite, other-length (the mask
        of `after` is longer or shorter than that of `before`).
        """
        require_array(before, self.spec)
        require_array(after, self.spec)
        if np.array_equal(before, after):
            return source
        trial = trial_of(source, self.signals)
        columns = before.shape[1]
        if self.mask:
            columns, wanted = valid_columns(before[-1]), valid_columns(after[-1])
            if wanted != columns:
                raise PayloadError("other-length", f"{wanted} columns of {columns}: an edit keeps the source's length")
        moved = self._courses(after[:, :columns].astype(np.float64))
        moved -= self._courses(before[:, :columns].astype(np.float64))
        changes, first = {}, 0
        for signal in self.signals:
            rows = moved[first : first + len(signal.rows)].T
            first += len(signal.rows)
            course = _of_length(resampled(rows, self.rate_hz, signal.rate_hz, signal.name), len(trial[signal.name]))
            changes[signal.name] = course[:, 0] if signal.columns is None else course
        return with_changes(source, changes)

    def _courses(self, array: np.ndarray) -> np.ndarray:
        """[rows, valid columns] -> [channels, valid columns], each with its level. A course is taken about its own mean
        and a level is the mean of its row, so that a model need not keep to either."""
        if not self.levels:
            return array
        channels = sum(len(signal.rows) for signal in self.signals)
        course, level = array[:channels], array[channels : 2 * channels]
        return course - course.mean(axis=1, keepdims=True) + level.mean(axis=1, keepdims=True)

    def _seconds(self, payload: Payload, trial: Mapping[str, np.ndarray]) -> float:
        if payload.duration_s is not None:
            return payload.duration_s
        return max(len(trial[signal.name]) / signal.rate_hz for signal in self.signals)


def _of_length(course: np.ndarray, length: int) -> np.ndarray:
    """[n] or [n, channels] -> the first `length` values; the last one is held where fewer are there."""
    lacking = length - len(course)
    if lacking <= 0:
        return course[:length]
    return np.concatenate([course, np.repeat(course[-1:], lacking, axis=0)])
