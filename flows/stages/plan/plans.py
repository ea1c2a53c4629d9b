"""What each stage of a run may know: one small class a stage, written as JSON and read back strictly.

The JSON is what DVC looks at: {"stage", "run", "modality", "params", "numerics", "corpora", "code"}. A field of a class
here is a key of "params", those of `compute` are the keys of "numerics".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from corpora.errors import EmoforgeError, IntegrityError
from corpora.fingerprint import hash_json
from corpora.formats.jsonfile import read_json
from corpora.store.atomic import write_json
from features.faces.prepare import FaceSteps
from features.physio.prepare import SignalSteps
from features.speech.prepare import SpeechSteps
from features.steps import Steps
from features.text.prepare import TextSteps
from flows.artifacts.base import Described, explained
from flows.asking import Ask
from flows.params import Evaluation, GeneratorParams, Numerics, OnLeak, Policy, RepresentationParams, Rounds, Target
from flows.paths import Layout
from generators.generator import Device
from validators.verdict import Limit

STEPS: dict[str, type[Steps]] = {"speech": SpeechSteps, "face": FaceSteps, "text": TextSteps, "physio": SignalSteps}
_SHARED = ("run", "modality", "corpora", "code", "compute")  # fields that are no key of "params"
_KEYS = {"stage", "run", "modality", "params", "numerics", "corpora", "code"}


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NoCompute(_Frozen):
    """A stage whose bytes no number of threads changes."""


class EvaluateCompute(_Frozen):
    """fit_threads: of the stage's process."""

    fit_threads: int


class NetworkCompute(_Frozen):
    """Where and how networks compute; see `flows.params.Numerics`."""

    device: Literal["cpu", "cuda"]
    dtype: Literal["float32", "bfloat16"]
    compile: bool

    def place(self) -> Device:
        """As generators take it."""
        return Device(self.device, self.dtype, self.compile)


class FitCompute(NetworkCompute):
    """What changes the bytes of weights. fit_threads: of the process that fits; ddp_world_size: such processes."""

    fit_threads: int
    ddp_world_size: int


class AugmentCompute(NetworkCompute):
    """What changes the bytes of scores or samples. fit_threads: of the process that fits gates; sample_threads: of each
    process that draws; draw_list: draws in one work item."""

    fit_threads: int
    sample_threads: int
    draw_list: int

    def of_samples(self) -> dict[str, JsonValue]:
        """What of it changes a drawn sample, beside the draws of its list: those are drawn in one batch, and a product
        of matrices is cut by their number."""
        return self.model_dump(mode="json", include={"device", "dtype", "compile", "sample_threads"})


class PlannedGate(_Frozen):
    """A gate of a run. params: the gate's own. weights: path that a parameter names -> hash of what lay there."""

    limit: Limit
    params: dict[str, Any]
    weights: dict[str, str] = Field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _without_weights(self, dump: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Most gates name none."""
        return {k: v for k, v in dump(self).items() if k != "weights" or v}


class DrawnBy(_Frozen):
    """What `augment` needs to know of the generator, beside the fitted model: its name and the hash of the code that
    turns draws into payloads."""

    name: str
    code: str


class Plan(_Frozen):
    """What every stage knows. corpora: content hashes of the corpora that it reads; code: module that it imports ->
    hash of its source; compute: what it uses of `numerics`."""

    STAGE: ClassVar[str]
    ON_DISK: ClassVar[Mapping[str, str]] = {}  # field -> its key in "params", where they differ
    OPTIONAL: ClassVar[frozenset[str]] = frozenset()  # fields that are not written where they are empty

    run: str
    modality: str
    corpora: dict[str, str]
    code: dict[str, str]
    compute: SerializeAsAny[_Frozen]

    @property
    def stage(self) -> str:
        """Its verb."""
        return self.STAGE

    @property
    def threads(self) -> int:
        """Of the stage's process; 1 where no number of them changes a byte."""
        return int(getattr(self.compute, "fit_threads", 1))

    def to_json(self) -> dict[str, JsonValue]:
        """As it is written."""
        own = self.model_dump(mode="json", include=set(type(self).model_fields) - set(_SHARED))
        return {
            "stage": self.stage,
            "run": self.run,
            "modality": self.modality,
            "params": {
                self.ON_DISK.get(name, name): value for name, value in own.items() if value or name not in self.OPTIONAL
            },
            "numerics": self.compute.model_dump(mode="json"),
            "corpora": {**self.corpora},
            "code": {**self.code},
        }

    @property
    def key(self) -> str:
        """64 hex digits naming everything that the stage depends on, outs of earlier stages aside."""
        return hash_json(self.to_json())

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """What `to_json` made. Raises `IntegrityError` for a key that is missing or of another version, and for a value
        of another type."""
        if odd := sorted({*written} ^ _KEYS):
            raise IntegrityError(f"its keys differ ({', '.join(odd)})")
        if written["stage"] != cls.STAGE or not isinstance(written["params"], Mapping):
            raise IntegrityError(f"it is of stage {written['stage']!r}, not {cls.STAGE!r}")
        field_of = {cls.ON_DISK.get(name, name): name for name in cls.model_fields if name not in _SHARED}
        if odd := sorted(({*written["params"]} ^ {*field_of}) - (cls.OPTIONAL - {*written["params"]})):
            raise IntegrityError(f"its keys differ (params.{odd[0]})")
        own = {field_of[key]: value for key, value in written["params"].items()}
        shared = {name: written[name] for name in _SHARED if name != "compute"}
        try:
            plan = cls.model_validate({**own, **shared, "compute": written["numerics"]})
        except ValidationError as error:
            raise IntegrityError(explained(error).replace("compute.", "numerics.", 1)) from None
        except EmoforgeError as error:  # a limit of two forms
            raise IntegrityError(str(error)) from None
        if other := _first_difference(plan.to_json(), written):  # a default that was filled in, a text for a number
            raise IntegrityError(f"{other} is missing or of another type")
        return plan

    @classmethod
    def read(cls, layout: Layout, run: str) -> Self:
        """data/runs/<run>/plan/<stage>.json. Raises `IntegrityError` where `plan` did not write it so."""
        path = layout.plan(run, cls.STAGE)
        if not path.exists():
            raise IntegrityError(f"no {path}: run the stage plan@{run} first (`dvc repro` does it)")
        written = read_json(path)
        try:
            return cls.from_json(written)
        except IntegrityError as error:
            raise IntegrityError(
                f"{path} is not as `plan` wrote it: {error}; remove its folder and run plan@{run} again"
            ) from None

    def write(self, folder: Path) -> None:
        """<folder>/<stage>.json"""
        write_json(folder / f"{self.stage}.json", self.to_json())


class PreparePlan(Plan):
    """corpus_names: in the order of params. steps: of the run's modality; described: the same with their versions.
    loads: path that a parameter of the representation names -> hash of what lay there. worker_code: hash of the code
    that prepares and encodes a payload."""

    STAGE: ClassVar[str] = "prepare"
    ON_DISK: ClassVar[Mapping[str, str]] = {"corpus_names": "corpora"}

    compute: NoCompute
    corpus_names: tuple[str, ...]
    scheme: str
    view: str
    on_leak: OnLeak
    representation: RepresentationParams | None
    shards: int
    seed: int
    steps: SerializeAsAny[Steps]
    described: Described
    max_reject_share: float
    loads: dict[str, str]
    worker_code: str

    @field_validator("steps", mode="before")
    @classmethod
    def _of_the_modality(cls, value: Any, info: ValidationInfo) -> Any:
        kind = STEPS.get(info.data.get("modality", ""))
        if kind is None:
            raise ValueError(f"modality {info.data.get('modality')!r} has no steps")
        return value if isinstance(value, Steps) else kind.model_validate(value)


class FitPlan(Plan):
    """generator, representation: None in a run of real samples alone. loads: path that one of their parameters names ->
    hash of what lay there."""

    STAGE: ClassVar[str] = "fit"

    compute: FitCompute
    generator: GeneratorParams | None
    representation: RepresentationParams | None
    seed: int
    loads: dict[str, str]


class AugmentPlan(Plan):
    """gates: of single samples, by name, in their order; gate_code: hash of the source of each. generator: None in a
    run of real samples alone."""

    STAGE: ClassVar[str] = "augment"

    compute: AugmentCompute
    target: Target
    rounds: Rounds
    ask: Ask
    seed: int
    shards: int
    representation: RepresentationParams | None
    gates: dict[str, PlannedGate]
    gate_code: dict[str, str]
    generator: DrawnBy | None
    loads: dict[str, str]


class EvaluatePlan(Plan):
    """gates: of sets; sample_gates: those of single samples that the self-test fits. class_gate: the gate of single
    samples whose scores tell whether a candidate shows the class that was asked for; None: the run has none."""

    STAGE: ClassVar[str] = "evaluate"

    compute: EvaluateCompute
    evaluation: Evaluation
    seed: int
    gates: dict[str, PlannedGate]
    sample_gates: dict[str, PlannedGate]
    class_gate: str | None


class ReleasePlan(Plan):
    """resolved, all_numerics: the run's parameters and `numerics` whole, for params.json. features: representations
    whose tables the release holds; loads: what they load, path or "package:NAME" -> hash; feature_code: name of each ->
    hash of the code that computes it."""

    STAGE: ClassVar[str] = "release"
    OPTIONAL: ClassVar[frozenset[str]] = frozenset({"features", "loads", "feature_code"})
    ON_DISK: ClassVar[Mapping[str, str]] = {"corpus_names": "corpora", "resolved": "run", "all_numerics": "numerics"}

    compute: NoCompute
    policy: Policy
    corpus_names: tuple[str, ...]
    scheme: str
    view: str
    on_leak: OnLeak
    resolved: dict[str, JsonValue]
    all_numerics: Numerics
    prepared: Described
    features: tuple[RepresentationParams, ...] = ()
    loads: dict[str, str] = Field(default_factory=dict)
    feature_code: dict[str, str] = Field(default_factory=dict)


class ReportPlan(Plan):
    """It reads whatever is there."""

    STAGE: ClassVar[str] = "report"

    compute: NoCompute


PLANS: dict[str, type[Plan]] = {
    kind.STAGE: kind for kind in (PreparePlan, FitPlan, AugmentPlan, EvaluatePlan, ReleasePlan, ReportPlan)
}


@dataclass(frozen=True, slots=True)
class Plans:
    """The plans of one run."""

    prepare: PreparePlan
    fit: FitPlan
    augment: AugmentPlan
    evaluate: EvaluatePlan
    release: ReleasePlan
    report: ReportPlan

    def __iter__(self) -> Iterator[Plan]:
        return iter((self.prepare, self.fit, self.augment, self.evaluate, self.release, self.report))

    @classmethod
    def read(cls, layout: Layout, run: str) -> Plans:
        """Every plan of the run. Raises as `Plan.read`."""
        return cls(*(kind.read(layout, run) for kind in PLANS.values()))  # type: ignore[arg-type]


def _first_difference(planned: Any, written: Any, where: str = "") -> str:
    """ "params.target.beta": the first key of two plain JSON values that differs; "" where none does."""
    if isinstance(planned, dict) and isinstance(written, dict):
        for key in sorted({*planned, *written}):
            place = f"{where}.{key}" if where else key
            if key not in planned or key not in written:
                return place
            if different := _first_difference(planned[key], written[key], place):
                return different
        return ""
    if isinstance(planned, list) and isinstance(written, list) and len(planned) == len(written):
        pairs = enumerate(zip(planned, written, strict=True))
        return next((different for i, (a, b) in pairs if (different := _first_difference(a, b, f"{where}.{i}"))), "")
    same = planned == written and isinstance(planned, bool) == isinstance(written, bool)
    return "" if same else where or "the file"
