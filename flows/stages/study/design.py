"""The stage `design`: what a study depends on, as one small JSON, and everything wrong with it before hours are spent.

As `plan` does for a run (flows/stages/plan/plan.py): `study` reruns exactly when something that it uses has changed,
and what it finds in the work store it does not do again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic
from pydantic import BaseModel, ConfigDict, JsonValue

from corpora.errors import IntegrityError, ParamsError, UserError
from corpora.fingerprint import hash_json
from corpora.formats.jsonfile import read_json
from corpora.params import problems
from corpora.schema import FROM
from corpora.store.atomic import write_json
from features.pretrained.packages import packaged_weights
from features.representation import Representation, is_features, make_representation
from flows.artifacts.base import explained
from flows.params import OnLeak, Prepare, RepresentationParams, RunParams, load_params
from flows.paths import Layout
from flows.stages.plan.code import code_of
from flows.stages.plan.plan import prepare_plan
from flows.stages.plan.plans import PreparePlan
from flows.stages.study.cells import CellCode, code_of_cells
from flows.stages.study.generated import representation_key
from flows.stages.study.methods import arms_of, family_of, of_modality, require_of_task
from flows.stages.study.tuned import space_of
from flows.studying import Arm, StudyParams, Task
from generators.classical.method import PAYLOAD_METHODS, payload_method, vector_method
from generators.generator import generator_class, require_layout, require_way_back
from generators.params import parse_params
from validators.gate import SampleGate, gate_class, gate_params, knows
from validators.trials.classifiers.registry import classifier, dimensions_classifier, labels_classifier
from validators.trials.classifiers.scaling import ScalingParams
from validators.trials.studies.robustness import perturbation

FEATURES = "features"  # the key of what classifiers see, among what is prepared
COMPONENTS = 100  # of faces and texts, whose features are many and alike
DEFAULT_SCALING: dict[str, ScalingParams] = {
    "speech": ScalingParams(scaling="normal"),
    "physio": ScalingParams(scaling="normal"),
    "face": ScalingParams(scaling="standard", components=COMPONENTS),
    "text": ScalingParams(scaling="standard", components=COMPONENTS),
}


class StudyPlan(BaseModel):
    """design.json. params: the study, resolved; prepares: what is prepared, features first; arms: resolved; code: of
    cells; modules: of the stage -> hash; scaling: of features, by real train rows."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    study: str
    modality: str
    params: StudyParams
    on_leak: OnLeak
    prepares: dict[str, dict[str, JsonValue]]
    arms: dict[str, Arm]
    scaling: ScalingParams
    classifiers: dict[str, dict[str, JsonValue]]
    code: CellCode
    modules: dict[str, str]

    def prepare(self, key: str) -> PreparePlan:
        """How samples are prepared and encoded: for the features, or for an arm's representation."""
        return PreparePlan.from_json(self.prepares[key])

    @property
    def asked(self) -> str:
        """64 hex digits over everything that was asked."""
        return hash_json(self.model_dump(mode="json"))

    def write(self, layout: Layout) -> None:
        """data/studies/<study>/design.json"""
        path = layout.design(self.study)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, layout: Layout, study: str) -> StudyPlan:
        """Raises `IntegrityError` where `design` did not write it so."""
        path = layout.design(study)
        if not path.exists():
            raise IntegrityError(f"no {path}: run the stage design@{study} first (`emoforge study {study}` does it)")
        try:
            return cls.model_validate(read_json(path))
        except pydantic.ValidationError as error:
            raise IntegrityError(
                f"{path} is not as `design` wrote it: {explained(error)}; remove it and run design@{study} again"
            ) from None


def write_design(layout: Layout, study: str) -> None:
    """Writes data/studies/<study>/design.json. Raises as `design_of`."""
    params = load_params(layout.params)
    design_of(study, params.study(study), layout).write(layout)


def design_of(name: str, study: StudyParams, layout: Layout) -> StudyPlan:
    """The study with nothing left open. The corpora must be ingested.

    Raises `UnknownNameError`, `ParamsError` and `CorpusError` that name the study, the arm and what is allowed.
    """
    prepare, on_leak = _part(name, "prepare", Prepare, study.prepare), _part(name, "on_leak", OnLeak, study.on_leak)

    def plan_of(representation: Mapping[str, Any]) -> PreparePlan:
        # a generator must stand beside a representation in a run; which one plays no part in preparing
        run = RunParams(
            corpora=list(study.corpora),
            scheme=study.scheme,
            prepare=prepare,
            on_leak=on_leak,
            representation=RepresentationParams.model_validate(dict(representation)),
            generator={"name": "transfer"},
        )
        return prepare_plan(name, run, layout)

    features = plan_of(study.features.model_dump())
    modality = features.modality
    arms = arms_of(study, modality)
    prepares = {FEATURES: features}
    for arm in arms.values():
        if arm.representation is not None and (key := representation_key(arm.representation)) not in prepares:
            prepares[key] = plan_of(arm.representation)
    _require(name, study, arms, prepares, modality)
    scaling = (
        DEFAULT_SCALING[modality] if study.scaling is None else _part(name, "scaling", ScalingParams, study.scaling)
    )
    classifiers = {c: {**params, **_unscaled(c, params, study.task)} for c, params in study.classifiers.items()}
    return StudyPlan(
        study=name,
        modality=modality,
        params=study,
        on_leak=on_leak,
        prepares={key: plan.to_json() for key, plan in prepares.items()},
        arms=arms,
        scaling=scaling,
        classifiers=classifiers,
        code=code_of_cells(list(arms.values()), list(classifiers), modality),
        modules=code_of(["flows.stages.study.study", "flows.stages.study.worker"]),
    )


def recogniser(task: Task, name: str, params: Mapping[str, Any]) -> Any:
    """The classifier of that name for a task. Raises as `registry.classifier` does."""
    doors = {"classes": classifier, "dimensions": dimensions_classifier, "labels": labels_classifier}
    return doors[task](name, params)


def _unscaled(name: str, params: Mapping[str, Any], task: Task) -> dict[str, JsonValue]:
    """Features come scaled; a classifier of vectors that params say nothing else about leaves them so."""
    own: dict[str, JsonValue] = {"scaling": "none"}
    return own if "scaling" in recogniser(task, name, params).Params.model_fields and "scaling" not in params else {}


def _part(name: str, key: str, model: Any, given: Mapping[str, Any]) -> Any:
    try:
        return model.model_validate(dict(given))
    except pydantic.ValidationError as error:
        raise ParamsError(f"studies.{name}.{key}: " + "; ".join(problems(model, error))) from None


def _require(
    name: str, study: StudyParams, arms: Mapping[str, Arm], prepares: Mapping[str, PreparePlan], modality: str
) -> None:
    spec = _built(prepares[FEATURES]).spec
    for change, levels in study.heard.items():
        try:
            known = perturbation(change, modality)
        except UserError as error:
            raise ParamsError(f"studies.{name}.heard: {error}") from None
        for level in levels:
            if not known.low <= level <= known.high:
                raise ParamsError(
                    f"studies.{name}.heard.{change}: level is {level:g}; allowed are {known.low:g} to {known.high:g} "
                    f"{known.unit}"
                )
    for label, params in study.classifiers.items():
        try:
            built = recogniser(study.task, label, params)
        except UserError as error:
            raise ParamsError(f"studies.{name}.classifiers.{label}: {error}") from None
        layouts = built.layouts if study.task == "classes" else {"vector"}
        if spec.layout not in layouts:
            raise ParamsError(
                f"studies.{name}.classifiers.{label} reads {' or '.join(sorted(layouts))}; the features "
                f"{spec.name} are {spec.layout}"
            )
    for label, arm in arms.items():
        try:
            if study.task != "classes":
                require_of_task(arm, study.task, modality)
            _require_arm(arm, modality, spec.layout, prepares)
        except UserError as error:
            raise ParamsError(f"studies.{name}.arms.{label}: {error}") from None


def _require_arm(arm: Arm, modality: str, layout: str, prepares: Mapping[str, PreparePlan]) -> None:
    family = family_of(arm.method)
    if not of_modality(arm.method, modality):
        raise ParamsError(f"method {arm.method} does not change {modality}")
    if family != "generator" and (arm.representation or arm.gates or arm.synthetic_only):
        raise ParamsError(f"representation, gates and synthetic_only are for generators, {arm.method} is none")
    if family != "generator" and (arm.by != "count" or arm.beyond or arm.weigh != "alike"):
        raise ParamsError(f"`by: weight`, `weigh` and `beyond` are for generators, {arm.method} is none")
    if arm.tune:
        space_of(arm)
    if family == "vector":
        if layout != "vector":
            raise ParamsError(f"method {arm.method} works on vectors; the study's features are {layout}")
        vector_method(arm.method, arm.params)
    elif family == "payload":
        payload_method(modality, arm.method, arm.params)
    elif family == "generator":
        kind = generator_class(arm.method)
        parse_params(kind.Params, arm.params, arm.method)
        key = FEATURES if arm.representation is None else representation_key(arm.representation)
        built = _built(prepares[key])
        require_layout(arm.method, kind, built.spec)
        if built.spec.layout == "payload":
            raise ParamsError(
                f"generator {arm.method} is for releases; in a study each method on payloads is an arm of its own: "
                f"method: {next(iter(PAYLOAD_METHODS[modality]))}, ..."
            )
        require_way_back(arm.method, kind, built)
        if arm.by == "weight" and FROM not in kind.takes:
            raise ParamsError(f"by is 'weight': one row of every source, and generator {arm.method} starts from none")
        seen = "vector" if arm.representation is None or is_features(built) else "signal"
        for gate, asked in arm.gates.items():
            own = gate_class(gate)
            if not issubclass(own, SampleGate) or not knows(own, modality, seen):
                raise ParamsError(f"gate {gate} cannot look at single samples of {modality} as {built.spec.name}")
            packaged_weights(own.encoders(gate_params(gate, asked.params)))
    elif arm.params and arm.method not in ("class_weights", "logit_adjustment"):
        raise ParamsError(f"method {arm.method} has no parameters, and {', '.join(arm.params)} is given")


def _built(plan: PreparePlan) -> Representation:
    assert plan.representation is not None  # design_of names one
    return make_representation(plan.representation.name, plan.representation.params)
