"""Plans: what a stage may know, written as plain JSON and read back strictly."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from corpora.errors import IntegrityError
from flows.params import Numerics, RunParams
from flows.paths import Layout
from flows.stages.plan.plan import _stage_plans
from flows.stages.plan.plans import PLANS, AugmentPlan, EvaluatePlan, FitPlan, Plan, Plans, PreparePlan
from tests.flows.conftest import FACES, SPEECH

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "speech": ("speech", SPEECH),
    "faces": ("face", FACES),
    "real alone": ("physio", {"corpora": ["tiny"]}),
}


def plans_of(kind: str) -> Plans:
    modality, run = RUNS[kind]
    return _stage_plans("tiny", RunParams.model_validate(run), Numerics(draw_list=4), modality, {"tiny": "ab" * 32})


@pytest.fixture(scope="module", params=list(RUNS))
def plans(request: pytest.FixtureRequest) -> Plans:
    return plans_of(request.param)


def test_what_is_written_is_read_back(plans: Plans, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for plan in plans:
        plan.write(layout.plan("tiny", plan.stage).parent)
    again = Plans.read(layout, "tiny")
    assert again == plans and [p.key for p in again] == [p.key for p in plans]
    for plan in again:
        there = json.loads(layout.plan("tiny", plan.stage).read_text())
        assert set(there) == {"stage", "run", "modality", "params", "numerics", "corpora", "code"}
        assert there == plan.to_json()
        assert plan.threads == there["numerics"].get("fit_threads", 1)


def test_fields_have_their_types(plans: Plans) -> None:
    read = {plan.stage: PLANS[plan.stage].from_json(plan.to_json()) for plan in plans}
    prepare, fit, augment = read["prepare"], read["fit"], read["augment"]
    assert isinstance(prepare, PreparePlan) and isinstance(fit, FitPlan) and isinstance(augment, AugmentPlan)
    assert type(prepare.steps) is type(plans.prepare.steps) and prepare.corpus_names == ("tiny",)
    assert augment.target.policy == "majority" and augment.rounds.choose.by == "first"
    assert fit.generator == plans.fit.generator and all(g.limit.times == 1.0 for g in augment.gates.values())


def at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


DEEP: dict[str, list[tuple[str, ...]]] = {
    "prepare": [("on_leak", "near"), ("steps", "trim"), ("steps", "trim", "below_db"), ("described", "version")],
    "fit": [("generator", "early_stop", "every"), ("generator", "steps"), ("representation", "name")],
    "augment": [
        ("target", "beta"),
        ("rounds", "choose", "by"),
        ("gates", "mcd", "limit", "times"),
        ("gates", "mcd", "params"),
    ],
    "evaluate": [("evaluation", "bootstrap"), ("gates", "kid", "limit"), ("sample_gates", "copies", "limit", "margin")],
    "release": [("policy", "on_fail"), ("numerics", "draw_list"), ("prepared", "steps")],
    "report": [],
}


@pytest.mark.parametrize("stage", list(PLANS))
def test_a_key_that_is_missing_or_unknown_is_named(stage: str) -> None:
    plan = next(p for p in plans_of("speech") if p.stage == stage)
    written = plan.to_json()
    lost: list[tuple[str, ...]] = [(key,) for key in written]
    lost += [(where, key) for where in ("params", "numerics") for key in written[where]]
    lost += [("params", *path) for path in DEEP[stage]]
    for path in lost:
        less = copy.deepcopy(written)
        del at(less, path[:-1])[path[-1]]
        with pytest.raises(IntegrityError, match=path[-1]):
            type(plan).from_json(less)
    for where in ((), ("params",), ("numerics",)):
        more = copy.deepcopy(written)
        at(more, where)["surprise"] = 1
        with pytest.raises(IntegrityError, match="surprise"):
            type(plan).from_json(more)


@pytest.mark.parametrize(
    ("stage", "path", "value"),
    [
        ("augment", ("params", "seed"), "3"),
        ("augment", ("params", "rounds", "max_rounds"), 0),
        ("augment", ("params", "gates", "mcd", "limit", "quantile"), 0.5),
        ("augment", ("params", "target", "surprise"), 1),
        ("evaluate", ("params", "class_gate"), 7),
        ("fit", ("numerics", "device"), "abacus"),
        ("prepare", ("params", "steps", "surprise"), 1),
        ("prepare", ("modality",), "smell"),
        ("release", ("stage",), "fit"),
        ("release", ("params",), []),
    ],
)
def test_a_value_of_another_kind_is_an_error(stage: str, path: tuple[str, ...], value: Any) -> None:
    written = next(p for p in plans_of("speech") if p.stage == stage).to_json()
    at(written, path[:-1])[path[-1]] = value
    with pytest.raises(IntegrityError):
        PLANS[stage].from_json(written)


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    layout, plan = Layout(tmp_path), plans_of("speech").evaluate
    with pytest.raises(IntegrityError, match=r"run the stage plan@tiny first"):
        EvaluatePlan.read(layout, "tiny")
    path = layout.plan("tiny", "evaluate")
    plan.write(path.parent)
    path.write_text(path.read_text().replace('"bootstrap"', '"bootstraps"'))
    with pytest.raises(IntegrityError, match=r"evaluate\.json is not as `plan` wrote it: .*bootstrap.*plan@tiny again"):
        EvaluatePlan.read(layout, "tiny")
    path.write_text("[]")
    with pytest.raises(IntegrityError, match=r"evaluate\.json"):
        EvaluatePlan.read(layout, "tiny")


def test_a_plan_is_frozen_and_its_key_follows_every_field() -> None:
    plan: Plan = plans_of("speech").fit
    with pytest.raises(Exception, match="frozen"):
        plan.run = "other"
    keys = {plan.key} | {
        plan.model_copy(update=change).key
        for change in ({"run": "other"}, {"seed": 99}, {"code": {}}, {"representation": None}, {"corpora": {"x": "y"}})
    }
    assert len(keys) == 6


def test_the_gate_that_tells_classes_is_planned_by_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    from validators.gates.agreement import Agreement

    plans = plans_of("speech")
    assert plans.evaluate.class_gate == "agreement" and list(plans.evaluate.sample_gates) == [
        "validity",
        "copies",
        "support",
    ]
    monkeypatch.setattr(Agreement, "tells_class", False)
    assert plans_of("speech").evaluate.class_gate is None
