"""What a gate is, what it sees, and how a score becomes a verdict.

Two kinds, because neither can do the other's work: a `SampleGate` rejects one candidate but cannot see that all
candidates are alike; a `SetGate` sees a distribution but cannot name the row that is wrong. Gates never see a
Generator.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from corpora.errors import ParamsError, UnknownNameError

SAMPLE_GATES: dict[str, str] = {
    "validity": "validators.gates.validity:Validity",
    "copies": "validators.gates.copies:Copies",
    "agreement": "validators.gates.agreement:Agreement",
    "conformal": "validators.gates.agreement:Conformal",
    "ordinal": "validators.gates.ordinal:Ordinal",
    "dimensions": "validators.gates.dimensions:Dimensions",
    "support": "validators.gates.support:Support",
    "mcd": "validators.gates.mcd:NearestMcd",
    "variance": "validators.gates.variance:GlobalVariance",
    "identity": "validators.gates.identity:Identity",
    "text": "validators.gates.text:TextGate",
}
SET_GATES: dict[str, str] = {
    "frechet": "validators.maths.frechet:FrechetGate",
    "kid": "validators.gates.kid:KidGate",
    "c2st": "validators.gates.c2st:C2stGate",
    "vendi": "validators.gates.vendi:VendiGate",
    "coverage": "validators.gates.coverage:CoverageGate",
    "mia": "validators.gates.mia:MembershipGate",
}

Better = Literal["lower", "higher"]
Verdict = Literal["pass", "fail", "undecided"]
Fault = Literal["", "reference", "synthetic"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Decoded samples as gates see them; row i of every field is one sample.

    signals: speech [n_i] float32 in [-1, 1] at `rate_hz`; faces [H, W] uint8. An entry of length 0 could not be decoded
    and `errors` says why (a reason slug), else None. emotions: the true class, or the class that was asked for.
    sha256: of the payload. source_ids: of a conversion; empty for everything else. dimensions: valence, arousal,
    dominance -> [B] float64 in [-1, 1], as rated or as asked for; NaN: not known; a name may be missing.
    """

    modality: str
    ids: tuple[str, ...]
    emotions: tuple[str, ...]
    signals: Sequence[np.ndarray]
    sha256: tuple[str, ...]
    rate_hz: float | None = None
    subjects: tuple[str | None, ...] = ()
    groups: tuple[str, ...] = ()
    source_ids: tuple[tuple[str, ...], ...] = ()
    errors: tuple[str | None, ...] = ()
    dimensions: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)
    # features by extractor name, filled by validators.embeddings.embedding on first use; never compared
    cache: dict[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.ids)


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
        """The limit for a set: `estimate.floor * floor + margin`, or the absolute one; NaN where there is no floor."""
        if self.absolute is not None:
            return self.absolute
        if self.floor is None:
            return math.nan
        return estimate.floor * self.floor + self.margin


def default_limit(gate: Any) -> Limit:
    """The limit that a gate (class or object) brings along as `default_limit`, where params name none."""
    found = getattr(gate, "default_limit", None)
    if not isinstance(found, Limit):
        raise ParamsError(f"gate {getattr(gate, 'name', gate)!r} has no default limit; give it one in params.yaml")
    return found


def class_limits(gate: Any, limit: Limit, classes: Sequence[str]) -> tuple[dict[str, float], dict[str, str]]:
    """A fitted sample gate -> class -> the number that scores are held against; and class -> why the gate has no say
    in it: its judges do not tell the class on real people whom they had not met, or no real sample gives a limit.

    Such a class is undecided. A limit that would come from real samples is then infinite, on the side that lets in
    whatever has a score at all: what judges make of people whom they do not tell is no yardstick. An absolute limit is
    the user's and stands. A gate that knows more than its scores offers `cannot_judge(limit) -> {class: why}`.
    """
    real = gate.reference() if limit.quantile is not None else {}
    limits = {name: limit.resolve(np.asarray(real.get(name, ()), dtype=np.float64)) for name in classes}
    said: dict[str, str] = gate.cannot_judge(limit) if hasattr(gate, "cannot_judge") else {}
    silent = {}
    for name in classes:
        if name in said or math.isnan(limits[name]):
            silent[name] = said.get(name, f"no real sample of {name} has a score, so there is no limit")
            if limit.absolute is None:
                limits[name] = math.inf if gate.better == "lower" else -math.inf
    return limits, silent


def reasons_of(gate: Any, batch: Batch, values: np.ndarray, passed: np.ndarray) -> list[str | None]:
    """Why each row did not pass, as a slug that can be counted; None for rows that passed.

    A gate that knows more than its number offers `reasons(batch) -> list[str | None]`. Else: the payload's own error,
    "not-a-number", or "<gate>-beyond-limit".
    """
    own = gate.reasons(batch) if hasattr(gate, "reasons") else [None] * len(batch)
    errors = batch.errors or (None,) * len(batch)
    out: list[str | None] = []
    for error, said, value, ok in zip(errors, own, values, passed, strict=True):
        if ok:
            out.append(None)
        elif error or said:
            out.append(error or said)
        else:
            out.append(f"{gate.name}-beyond-limit" if math.isfinite(value) else "not-a-number")
    return out


def admit(values: np.ndarray, limit: float, better: Better) -> np.ndarray:
    """[B] float64 scores -> [B] bool. NaN and infinities never pass; a NaN limit lets nothing pass."""
    with np.errstate(invalid="ignore"):
        inside = values <= limit if better == "lower" else values >= limit
    passed: np.ndarray = np.isfinite(values) & inside
    return passed


def lets_in(gate: Any, values: Sequence[float], reasons: Sequence[str | None], limit: float) -> np.ndarray:
    """[B] scores of one class, what the gate said of each row, the class' limit -> [B] bool: those that `admit` lets
    in, and rows that have no score for want of real samples, which is no fault of theirs (`lacks_reference`)."""
    excused: frozenset[str] = getattr(gate, "lacks_reference", frozenset())
    passed = admit(np.asarray(values, dtype=np.float64), limit, gate.better)
    return passed | np.array([reason in excused for reason in reasons], dtype=bool)


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


def judge(estimate: Estimate, *, limit: float, min_n: int, better: Better) -> tuple[Verdict, str]:
    """Verdict and reason. Undecided: too few samples, nothing real to compare with, or the interval holds the limit.
    Fail: the interval is beyond the limit, or synthetic samples cannot be measured."""
    if estimate.fault:
        said: Verdict = "fail" if estimate.fault == "synthetic" else "undecided"
        return said, estimate.reason or f"the {estimate.fault} samples give no finite number"
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


@runtime_checkable
class SampleGate(Protocol):
    """Scores single candidates. Built once from the train split, saved, and loaded by every actor."""

    name: str
    unit: str
    better: Better
    modalities: tuple[str, ...]
    judge: str  # name and content hash of what measures; stands in every score

    # Optional, read through `default_limit(gate)` and `reasons_of(gate, ...)` above:
    #   default_limit: Limit            where params name no limit
    #   reasons(batch) -> [B] slugs     None where the gate has nothing to say about a row
    # and through `class_limits(gate, ...)` above, and `foresee(gate, ...)` of validators/roster.py:
    #   lacks_reference: frozenset      slugs of `reasons` that blame the real samples, not the candidate
    #   cannot_judge(limit) -> {class: why}     what the gate has no say in, by what it found in real samples
    #   foresee(train, dev, *, classes, params, limit, seed) -> Foreseen      why `fit` would raise

    @classmethod
    def fit(
        cls,
        train: Batch,
        *,
        classes: Sequence[str],
        known_sha256: frozenset[str],
        params: Mapping[str, Any],
        seed: int,
    ) -> SampleGate:
        """`train`: real train samples that passed through the generator's representation. `known_sha256`: payload
        hashes of every real sample in any form. Raises `UserError` if the train split cannot support the gate."""
        ...

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64; NaN = cannot be scored = rejected."""
        ...

    def reference(self) -> dict[str, np.ndarray]:
        """Class -> scores of real train samples by parts of the gate that never saw them (cross-fitted by group)."""
        ...

    def save(self, folder: Path) -> None:
        """safetensors + JSON; no pickle."""
        ...

    @classmethod
    def load(cls, folder: Path) -> SampleGate: ...


@runtime_checkable
class SetGate(Protocol):
    """Measures a set of candidates against real samples that its reference holds."""

    name: str
    unit: str
    better: Better
    modalities: tuple[str, ...]
    min_n: int
    judge: str

    @classmethod
    def fit(
        cls, train: Batch, dev: Batch | None, *, classes: Sequence[str], params: Mapping[str, Any], seed: int
    ) -> SetGate:
        """Reference: `dev` where it has at least 4 groups, else cross-fitted held-out folds of `train`."""
        ...

    def measure(self, synthetic: Batch, *, seed: int) -> Estimate:
        """Over the whole batch. n = 0, 1, 2 give an Estimate with NaN and a reason, never a number that means
        nothing; `fault` says whether real or synthetic samples are why."""
        ...

    # Optional, read through `measured_groups(gate, ...)` below, and `foresee(gate, ...)` of validators/roster.py:
    #   measure_groups(synthetic, *, seed) -> {"all": Estimate, class: Estimate ...}
    #   foresee(train, dev, *, classes, params, limit, seed) -> Foreseen      what can never be measured


def measured_groups(gate: Any, synthetic: Batch, *, seed: int) -> dict[str, Estimate]:
    """ "all" -> the estimate over the whole batch and, from a gate that looks at classes, one for each of them."""
    if hasattr(gate, "measure_groups"):
        found: dict[str, Estimate] = gate.measure_groups(synthetic, seed=seed)
        return found
    return {"all": gate.measure(synthetic, seed=seed)}


def gate_class(name: str) -> Any:
    """The class registered under `name` (literal registries, then entry points `emoforge.gates`)."""
    found = {e.name: e.value for e in entry_points(group="emoforge.gates")} | SAMPLE_GATES | SET_GATES
    if name not in found:
        raise UnknownNameError.of("gate", name, found)
    module, _, attribute = found[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
