"""What a gate is, what it sees, and how a score becomes a verdict.

Two kinds, because neither can do the other's work: a `SampleGate` rejects one candidate but cannot see that all
candidates are alike; a `SetGate` sees a distribution but cannot name the row that is wrong. Gates never see a
Generator.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np

from corpora.errors import ParamsError
from corpora.params import StrictParams, parse
from corpora.registry import Registry
from validators.batch import Batch as Batch
from validators.roster import Roster

SAMPLE_GATES: dict[str, str] = {
    "validity": "validators.gates.validity:Validity",
    "copies": "validators.gates.copies:Copies",
    "agreement": "validators.gates.agreement:Agreement",
    "conformal": "validators.gates.conformal:Conformal",
    "ordinal": "validators.gates.ordinal:Ordinal",
    "dimensions": "validators.gates.dimensions:Dimensions",
    "support": "validators.gates.support:Support",
    "mcd": "validators.gates.mcd:NearestMcd",
    "variance": "validators.gates.variance:GlobalVariance",
    "identity": "validators.gates.identity:Identity",
    "text": "validators.gates.text:TextGate",
}
SET_GATES: dict[str, str] = {
    "frechet": "validators.gates.frechet:FrechetGate",
    "kid": "validators.gates.kid:KidGate",
    "c2st": "validators.gates.c2st:C2stGate",
    "vendi": "validators.gates.vendi:VendiGate",
    "coverage": "validators.gates.coverage:CoverageGate",
    "mia": "validators.gates.mia:MembershipGate",
}

Better = Literal["lower", "higher"]
Layout = Literal["signal", "vector"]
Verdict = Literal["pass", "fail", "undecided"]
Fault = Literal["", "reference", "synthetic"]


class GateParams(StrictParams):
    """What the parameters of every gate derive from; a gate that has none uses it as it is."""

    @classmethod
    def of(cls, given: Mapping[str, Any] | GateParams, gate: str) -> Self:
        """Checked parameters of a gate of this name; what is checked already is passed on. Raises `ParamsError`."""
        return parse(cls, given, f"parameters of gate {gate}")


AnyParams = Mapping[str, Any] | GateParams  # a gate's `Params`, or a mapping of some of its fields


@dataclass(frozen=True, slots=True)
class Foreseen:
    """error: why the gate cannot be fitted at all, "" where it can. undecided: "all" or a class -> why the gate will
    never say anything about it."""

    error: str = ""
    undecided: Mapping[str, str] = field(default_factory=dict)


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


def default_limit(gate: Gate | type[Gate]) -> Limit:
    """The limit that a gate (class or object) brings along as `default_limit`, where params name none."""
    limit: Limit | None = gate.default_limit
    if limit is None:
        raise ParamsError(f"gate {gate.name!r} has no default limit; give it one in params.yaml")
    return limit


def class_limits(gate: SampleGate, limit: Limit, classes: Sequence[str]) -> tuple[dict[str, float], dict[str, str]]:
    """A fitted sample gate -> class -> the number that scores are held against; and class -> why the gate has no say
    in it: its judges do not tell the class on real people whom they had not met, or no real sample gives a limit.

    Such a class is undecided. A limit that would come from real samples is then infinite, on the side that lets in
    whatever has a score at all: what judges make of people whom they do not tell is no yardstick. An absolute limit is
    the user's and stands.
    """
    real = gate.reference() if limit.quantile is not None else {}
    limits = {name: limit.resolve(np.asarray(real.get(name, ()), dtype=np.float64)) for name in classes}
    unable = gate.cannot_judge(limit)
    silent = {}
    for name in classes:
        if name in unable or math.isnan(limits[name]):
            silent[name] = unable.get(name, f"no real sample of {name} has a score, so there is no limit")
            if limit.absolute is None:
                limits[name] = math.inf if gate.better == "lower" else -math.inf
    return limits, silent


def admit(values: np.ndarray, limit: float, better: Better) -> np.ndarray:
    """[B] float64 scores -> [B] bool. NaN and infinities never pass; a NaN limit lets nothing pass."""
    with np.errstate(invalid="ignore"):
        inside = values <= limit if better == "lower" else values >= limit
    passed: np.ndarray = np.isfinite(values) & inside
    return passed


def lets_in(gate: SampleGate, values: Sequence[float], reasons: Sequence[str | None], limit: float) -> np.ndarray:
    """[B] scores of one class, what the gate said of each row, the class' limit -> [B] bool: those that `admit` lets
    in, and rows that have no score for want of real samples, which is no fault of theirs (`lacks_reference`)."""
    passed = admit(np.asarray(values, dtype=np.float64), limit, gate.better)
    return passed | np.array([reason in gate.lacks_reference for reason in reasons], dtype=bool)


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


class Gate(ABC):
    """What both kinds of gate declare. Code that needs to know something of a gate asks it here, never by its name.

    name, unit, better: as scores and verdicts show them. judge: name and content hash of what measures; stands in
    every score. Everything below has a default.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    better: ClassVar[Better]
    judge: str
    modalities: ClassVar[tuple[str, ...]]
    layouts: ClassVar[tuple[Layout, ...]] = ("signal",)  # of batches that it can look at; see `Batch.layout`
    default_limit: ClassVar[Limit | None] = None  # where params name none
    Params: ClassVar[type[GateParams]] = GateParams  # its own parameters
    asks: ClassVar[tuple[str, ...]] = ()  # candidates must have been asked for one of these, beside a class
    fits_at_once: ClassVar[bool] = False  # in seconds: it takes part in the self-test of every evaluation

    @classmethod
    def foresee(
        cls,
        train: Roster,
        dev: Roster | None,
        *,
        classes: Sequence[str],
        params: AnyParams,
        limit: Limit,
        seed: int,
    ) -> Foreseen:
        """What labels and groups alone say beforehand: why `fit` would raise, and what will stay undecided."""
        return Foreseen()


class SampleGate(Gate):
    """Scores single candidates. Built once from the train split, saved, and loaded by every actor."""

    lacks_reference: ClassVar[frozenset[str]] = frozenset()  # slugs of `reasons` that blame the real samples
    drops_repeats: ClassVar[bool] = False  # `near_pairs` says which candidates repeat one another
    tells_class: ClassVar[bool] = False  # a score of 1: judges' first choice is the class that was asked for

    @classmethod
    @abstractmethod
    def fit(
        cls,
        train: Batch,
        *,
        classes: Sequence[str],
        known_sha256: frozenset[str],
        params: AnyParams,
        seed: int,
    ) -> Self:
        """`train`: real train samples that passed through the generator's representation. `known_sha256`: payload
        hashes of every real sample in any form. `params`: the gate's `Params`, or a mapping of some of its fields.

        Raises `ParamsError` for parameters that do not fit `Params`, `UserError` if the train split cannot support the
        gate.
        """

    @abstractmethod
    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64; NaN = cannot be scored = rejected."""

    @abstractmethod
    def reference(self) -> dict[str, np.ndarray]:
        """Class -> scores of real train samples by parts of the gate that never saw them (cross-fitted by group)."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """safetensors + JSON; no pickle."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote: the same `judge`, scores and reference. Raises `IntegrityError` for damaged files."""

    def reasons(self, batch: Batch) -> list[str | None]:
        """-> [B] slugs that can be counted, of what the gate knows beyond its number; None: nothing to say."""
        return [None] * len(batch)

    def cannot_judge(self, limit: Limit) -> dict[str, str]:
        """Class -> why the gate has no say in it, by what it learned of real samples (see `class_limits`)."""
        return {}

    def near_pairs(self, batch: Batch, limit: float) -> list[tuple[int, int]]:
        """Pairs i < j of rows that repeat each other, at this limit of the gate; of a gate that `drops_repeats`."""
        return []


class SetGate(Gate):
    """Measures a set of candidates against real samples that its reference holds."""

    min_n: int  # of real and of synthetic samples; with fewer: undecided
    measures_groups: ClassVar[bool] = False  # one estimate for each class beside the pooled one

    @classmethod
    @abstractmethod
    def fit(
        cls,
        train: Batch,
        dev: Batch | None,
        *,
        classes: Sequence[str],
        params: AnyParams,
        seed: int,
    ) -> Self:
        """Reference: `dev` where it has at least 4 groups, else cross-fitted held-out folds of `train`. `params`: the
        gate's `Params`, or a mapping of some of its fields; `ParamsError` where they do not fit."""

    @abstractmethod
    def measure(self, synthetic: Batch, *, seed: int) -> Estimate:
        """Over the whole batch. n = 0, 1, 2 give an Estimate with NaN and a reason, never a number that means
        nothing; `fault` says whether real or synthetic samples are why."""

    def measure_groups(self, synthetic: Batch, *, seed: int) -> dict[str, Estimate]:
        """ "all" -> the estimate over the whole batch and, where it `measures_groups`, one for each class."""
        return {"all": self.measure(synthetic, seed=seed)}


def measured_groups(gate: SetGate, synthetic: Batch, *, seed: int) -> dict[str, Estimate]:
    """ "all" -> the estimate over the whole batch and, from a gate that looks at classes, one for each of them."""
    return gate.measure_groups(synthetic, seed=seed)


def foresee(
    gate: type[Gate],
    train: Roster,
    dev: Roster | None,
    *,
    classes: Sequence[str],
    params: AnyParams,
    limit: Limit,
    seed: int,
) -> Foreseen:
    """What is known of a gate beforehand, of the samples of these classes. The seed is that of `fit`: so are folds."""
    return gate.foresee(
        train.of_classes(classes),
        None if dev is None else dev.of_classes(classes),
        classes=classes,
        params=params,
        limit=limit,
        seed=seed,
    )


def gate_names() -> list[str]:
    """Every registered gate: gates of single samples, gates of sets, then those of entry points, sorted."""
    return _registry().names()


def gate_class(name: str) -> Any:
    """The class registered under `name`. Raises `UnknownNameError` for a name that nobody registered, `ParamsError` for
    a class that is no gate."""
    kind = _registry().load(name)
    if not (isinstance(kind, type) and issubclass(kind, SampleGate | SetGate)):
        raise ParamsError(
            f"gate {name!r}: {_registry().places()[name]} derives neither from SampleGate nor from SetGate of "
            "validators.gate (docs/add-a-gate.md)"
        )
    return kind


def _registry() -> Registry:
    return Registry("gate", "emoforge.gates", SAMPLE_GATES | SET_GATES)


def gate_params(name: str, given: Mapping[str, Any]) -> GateParams:
    """The checked parameters of the gate `name`. Raises `ParamsError` that names the nearest valid key,
    `UnknownNameError` for an unknown gate."""
    params: GateParams = gate_class(name).Params.of(given, name)
    return params


def knows(gate: type[Gate], modality: str, layout: str = "") -> bool:
    """Whether a gate can look at samples of this modality and layout (`Batch.layout`, or `Spec.layout` of a
    representation: whatever is no vector is decoded to a signal before gates see it)."""
    return modality in gate.modalities and ("vector" if layout == "vector" else "signal") in gate.layouts
