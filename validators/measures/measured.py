"""What a measure reads and what it gives: the kinds of input, and a number with what it takes to compare it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Kind = Literal["features", "labels", "dimension", "audio", "images", "text", "signals"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A number and what it takes to compare it with another: same name, same convention, same options.

    low, high: 95 % interval, NaN where the measure has none. floor: real against real, group-blind halves of `real`,
    NaN where it was not asked for. `details`: further numbers (per class, per direction).
    """

    value: float
    unit: str
    convention: str
    n_real: int
    n_synthetic: int
    metric: str = ""  # filled in by `measure`
    low: float = math.nan
    high: float = math.nan
    floor: float = math.nan
    reason: str = ""  # why there is no number, where value is NaN
    details: Mapping[str, Any] = field(default_factory=dict)


def finished(number: Measured) -> Measured:
    """Infinite numbers are none; no value has no interval; a value that is none has a reason."""
    value, low, high, floor = (
        x if math.isfinite(x) else math.nan for x in (number.value, number.low, number.high, number.floor)
    )
    reason = number.reason
    if not math.isfinite(value):
        low = high = math.nan
        reason = reason or "the numbers of the input are too large or too small to compute with"
    if not (math.isfinite(low) and math.isfinite(high)):
        low = high = math.nan
    return replace(number, value=value, low=low, high=high, floor=floor, reason=reason)
