"""What a gate is and what it sees. How a score becomes a verdict: validators/verdict.py.

Two kinds, because neither can do the other's work: a `SampleGate` rejects one candidate but cannot see that all
candidates are alike; a `SetGate` sees a distribution but cannot name the row that is wrong. Gates never see a
Generator.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np

from corpora.errors import ParamsError
from corpora.params import StrictParams, parse
from corpora.registry import Registry
from validators.batch import Batch as Batch
from validators.roster import Roster
from validators.verdict import Better as Better
from validators.verdict import Estimate as Estimate
from validators.verdict import Fault as Fault
from validators.verdict import Limit as Limit
from validators.verdict import Verdict as Verdict
from validators.verdict import admit as admit
from validators.verdict import judge as judge

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
    "mos": "validators.gates.mos:Naturalness",
}
SET_GATES: dict[str, str] = {
    "frechet": "validators.gates.frechet:FrechetGate",
    "kid": "validators.gates.kid:KidGate",
    "c2st": "validators.gates.c2st:C2stGate",
    "vendi": "validators.gates.vendi:VendiGate",
    "coverage": "validators.gates.coverage:CoverageGate",
    "mia": "validators.gates.mia:MembershipGate",
}

Layout = Literal["signal", "vector"]


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


def lets_in(gate: SampleGate, values: Sequence[float], reasons: Sequence[str | None], limit: float) -> np.ndarray:
    """[B] scores of one class, what the gate said of each row, the class' limit -> [B] bool: those that `admit` lets
    in, and rows that have no score for want of real samples, which is no fault of theirs (`lacks_reference`)."""
    passed = admit(np.asarray(values, dtype=np.float64), limit, gate.better)
    return passed | np.array([reason in gate.lacks_reference for reason in reasons], dtype=bool)


class Gate(ABC):
    """What both kinds of gate declare. Code that needs to know something of a gate asks it here, never by its name.

    name, unit, better: as scores and verdicts show them. judge: name and content hash of what measures; stands in
    every score. Everything below has a default.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    question: ClassVar[str] = ""  # what it asks, in plain words, for people who read a verdict alone
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

    @classmethod
    def encoders(cls, params: AnyParams) -> tuple[str, ...]:
        """Names of the encoders of installed packages that a gate of these parameters loads
        (features/pretrained/packages.py): their hashes are in a run's plan, and the run is refused where one is
        absent."""
        return ()


class SampleGate(Gate):
    """Scores single candidates. Built once from the train split, saved, and loaded by every actor."""

    lacks_reference: ClassVar[frozenset[str]] = frozenset()  # slugs of `reasons` that blame the real samples
    drops_repeats: ClassVar[bool] = False  # `near_pairs` says which candidates repeat one another
    judges_class: ClassVar[bool] = False  # its score is about the class that was asked for: a mixture has none
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


def telling_gate(names: Iterable[str]) -> str | None:
    """The first whose scores tell whether a candidate shows the class that was asked for; None: none of them."""
    return next((name for name in names if gate_class(name).tells_class), None)


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
