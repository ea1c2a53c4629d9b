"""How a number becomes a verdict: limits, estimates, acceptance. It knows no gate: params.yaml is read with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from corpora.errors import ParamsError

Better = Literal["lower", "higher"]
Verdict = Literal["pass", "fail", "undecided"]
Fault = Literal["", "reference", "synthetic"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured quantity with its uncertainty and what real data gets against real data.

    low, high: 95 % interval. floor: the same quantity, real against real, at the same sizes, with group-disjoint
    halves. Where no verdict can rest on the number, or there is none, `reason` says why and `fault` whose doing it is:
    of synthetic files that cannot be decoded or hold NaN (a fail), or of real ones that are too few or too much alike
    to compare with, or that judges do not tell (undecided). NaN without a fault is a fail, once there are samples
    enough.
    """

    value: float
    low: float
    high: float
    floor: float
    n_real: int
    n_synthetic: int
    reason: str = ""
    fault: Fault = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """Where a gate says no. Exactly one of the three forms.

    absolute: the limit itself. quantile: of the scores that real held-out samples of the class get from the same gate,
    multiplied by `times` (sample gates). floor: multiple of what real data gets against real data, plus `margin` in
    the gate's unit (set gates).
    """

    absolute: float | None = None
    quantile: float | None = None
    times: float = 1.0
    floor: float | None = None
    margin: float = 0.0

    def __post_init__(self) -> None:
        forms = [name for name in ("absolute", "quantile", "floor") if getattr(self, name) is not None]
        if len(forms) != 1:
            raise ParamsError(
                f"a limit has exactly one of absolute, quantile and floor; this one has {', '.join(forms) or 'none'}"
            )
        if self.quantile is not None and not 0.0 <= self.quantile <= 1.0:
            raise ParamsError(f"quantile {self.quantile} of a limit is outside [0, 1]")

    def resolve(self, real_scores: np.ndarray) -> float:
        """[n] real held-out scores -> the limit as a number; NaN (nothing passes) where there are no finite scores."""
        if self.absolute is not None:
            return self.absolute
        finite = real_scores[np.isfinite(real_scores)]
        if self.quantile is None or finite.size == 0:
            return math.nan
        return float(np.quantile(finite, self.quantile)) * self.times

    def resolve_floor(self, estimate: Estimate) -> float:
        """The limit for a set: `estimate.floor * floor + margin`, or the absolute one; NaN where there is no floor.

        An unbiased distance (KID) may have a floor below 0. A multiple of that would ask for more than what real people
        get, so it stands as it is.
        """
        if self.absolute is not None:
            return self.absolute
        if self.floor is None:
            return math.nan
        return estimate.floor * (self.floor if estimate.floor > 0 else 1.0) + self.margin


def admit(values: np.ndarray, limit: float, better: Better) -> np.ndarray:
    """[B] float64 scores -> [B] bool. NaN and infinities never pass; a NaN limit lets nothing pass."""
    with np.errstate(invalid="ignore"):
        inside = values <= limit if better == "lower" else values >= limit
    passed: np.ndarray = np.isfinite(values) & inside
    return passed


def judge(estimate: Estimate, *, limit: float, min_n: int, better: Better) -> tuple[Verdict, str]:
    """Verdict and reason. Undecided: too few samples, nothing real to compare with, or the interval holds the limit.
    Fail: the interval is beyond the limit, or synthetic samples cannot be measured."""
    if estimate.fault:
        verdict: Verdict = "fail" if estimate.fault == "synthetic" else "undecided"
        return verdict, estimate.reason or f"the {estimate.fault} samples give no finite number"
    for n, side in ((estimate.n_synthetic, "synthetic"), (estimate.n_real, "real")):
        if n < min_n:
            return "undecided", f"{n} {side} sample{'' if n == 1 else 's'}; the gate needs {min_n}"
    if not all(map(math.isfinite, (estimate.value, estimate.low, estimate.high))):
        return "fail", estimate.reason or "not a finite number"
    if not math.isfinite(limit):
        return (
            "undecided",
            estimate.reason or "real samples give no number against other real ones, so there is no limit",
        )
    best, worst = (estimate.low, estimate.high) if better == "lower" else (estimate.high, estimate.low)
    sign = 1.0 if better == "lower" else -1.0
    if sign * worst <= sign * limit:
        return "pass", "the whole interval is within the limit"
    if sign * best > sign * limit:
        return "fail", "the whole interval is beyond the limit"
    return "undecided", estimate.reason or "the interval holds the limit"
