"""Other weights in the same path mean another plan, other keys, and a stage that runs again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corpora.errors import IntegrityError, ParamsError, UserError
from corpora.store.atomic import write_json
from flows.conduct.dvcrun import needed, reasons, repro
from flows.paths import Layout
from flows.stages.augment.gating import _measures
from flows.stages.plan.plans import EvaluatePlan, PlannedGate, Plans
from flows.stages.plan.weights import (
    changed_weights,
    loaded_of,
    path_parameters,
    require_loaded,
    require_planned,
    weights_of,
)
from generators.conversion import Transfer, TransferParams
from generators.params import GeneratorParams
from tests.toy import ALL, Toy
from validators.gate import Limit


def checkpoint(folder: Path, weights: bytes = b"one") -> str:
    """Nothing of it is loaded here, only hashed. -> as params name it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "vit"}')
    (folder / "model.safetensors").write_bytes(weights)
    return f"path:{folder}"


def test_weights_of_params(tmp_path: Path) -> None:
    named = checkpoint(tmp_path / "m")
    assert weights_of({"embedding": "both", "dims": 4}) == {}
    found = weights_of({"embedding": named, "dims": 4})
    assert list(found) == [named] and len(found[named]) == 12
    checkpoint(tmp_path / "m", b"two, longer")
    assert weights_of({"embedding": named}) != found
    with pytest.raises(UserError, match="no checkpoint"):
        weights_of({"embedding": f"path:{tmp_path}"})


def test_word_lists_count_as_weights(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("damn\n")
    found = weights_of({"word_list": str(words), "n": 2})
    assert list(found) == [str(words)] and weights_of({"word_list": None}) == {}
    words.write_text("damn\nheck\n")
    assert weights_of({"word_list": str(words)}) != found
    with pytest.raises(UserError, match="no file"):
        weights_of({"word_list": str(tmp_path / "none.txt")})


def test_a_plan_holds_the_weights_and_a_stage_refuses_others(
    tmp_path: Path, tiny_params: Any, project: Any, run_all: Any
) -> None:
    named = checkpoint(tmp_path / "m")
    params = tiny_params("faces")
    params["runs"]["tiny"].setdefault("gates", {})["frechet"] = {"params": {"embedding": named}}
    folder = project(tmp_path / "p", params)
    run_all(folder, stages=("fake", "ingest", "plan"))
    layout = Layout(folder)
    plan = EvaluatePlan.read(layout, "tiny")
    assert plan.gates["frechet"].weights == weights_of({"embedding": named})
    written: Any = plan.to_json()["params"]
    assert "weights" not in written["gates"]["kid"] and not plan.gates["kid"].weights
    require_planned(plan.gates)
    assert changed_weights(layout, "tiny") == []

    checkpoint(tmp_path / "m", b"two, longer")
    with pytest.raises(IntegrityError, match=r"gate frechet: path:.*the plan was made for"):
        require_planned(plan.gates)
    assert changed_weights(layout, "tiny") == [f"weights of {named} are others"]
    run_all(folder, stages=("plan",))
    assert EvaluatePlan.read(layout, "tiny").key != plan.key
    assert changed_weights(layout, "tiny") == []
    (tmp_path / "m" / "model.safetensors").unlink()
    assert changed_weights(layout, "tiny") == [f"weights of {named} are others"]


def test_the_key_of_a_fitted_gate_holds_the_weights() -> None:
    def measures(**weights: str) -> object:
        return _measures(PlannedGate(limit=Limit(absolute=1.0), params={"a": 1}, weights=weights))

    assert measures() == {"a": 1}
    assert measures(m="x") != measures(m="y")


def test_a_path_is_seen_from_the_project(tmp_path: Path) -> None:
    checkpoint(tmp_path / "models" / "m")
    digest = weights_of({"e": f"path:{tmp_path}/models/m"})[f"path:{tmp_path}/models/m"]
    gates = {"frechet": {"params": {}, "weights": {"path:models/m": digest}}}
    write_json(Layout(tmp_path).plan("r", "evaluate"), {"params": {"gates": gates}})
    assert changed_weights(Layout(tmp_path), "r") == [] == changed_weights(Layout(tmp_path), "another")


def test_dvc_is_told_to_plan_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy(tmp_path / "p")
    for name in ("PYTHONPATH", "HOME", "PATH"):
        monkeypatch.setenv(name, toy.env[name])
    toy.repro()
    assert needed(ALL, repo=toy.folder) == []
    before = (toy.folder / "calls.txt").read_text().count("plan@toy")
    repro("plan@toy", repo=toy.folder, on_line=lambda line: None)
    assert (toy.folder / "calls.txt").read_text().count("plan@toy") == before
    monkeypatch.setattr("flows.conduct.dvcrun.changed_weights", lambda layout, run: ["weights of path:m are others"])
    assert reasons(ALL, repo=toy.folder) == {"plan@toy": ["weights of path:m are others"]}
    repro("plan@toy", repo=toy.folder, on_line=lambda line: None)
    assert (toy.folder / "calls.txt").read_text().count("plan@toy") == before + 1
    assert json.loads((toy.folder / "data/runs/toy/plan/fit.json").read_text())["seed"] == "1"


class Loading(GeneratorParams):
    """Of a generator that loads a vocoder, and a language model for each class."""

    vocoder: Path | None = None
    models: dict[str, str] | None = None
    width: int = 8


def test_what_a_generator_or_representation_loads_is_named_by_its_content(tmp_path: Path) -> None:
    class Encoded:
        def __init__(self, size: int = 8, encoder: Path | None = None, note: str = "") -> None: ...

    assert path_parameters(Loading) == {"vocoder"} and path_parameters(Encoded) == {"encoder"}
    (tmp_path / "vocoder.onnx").write_bytes(b"one")
    model = checkpoint(tmp_path / "lm")
    vocoder = str(tmp_path / "vocoder.onnx")
    params = {"vocoder": vocoder, "models": {"anger": model}, "width": 8}
    before = loaded_of(params, path_parameters(Loading))
    assert list(before) == sorted([model, vocoder]) and loaded_of({"width": 8, "vocoder": None}) == {}
    require_loaded(before)
    (tmp_path / "lm" / "tokenizer.json").write_text("{}")
    after = loaded_of(params, path_parameters(Loading))
    assert after[model] != before[model], "every file of the folder counts"
    assert after[vocoder] == before[vocoder]
    with pytest.raises(IntegrityError, match=r"generator or representation: path:.*the plan was made for"):
        require_loaded(before)
    (tmp_path / "vocoder.onnx").unlink()
    with pytest.raises(UserError, match=r"vocoder\.onnx does not exist"):
        loaded_of(params, path_parameters(Loading))


def test_what_is_loaded_stands_in_the_plans_and_is_refused_where_it_is_not_there(
    tmp_path: Path, tiny_params: Any, project: Any, run_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Params(TransferParams):
        encoder: Path | None = None

    monkeypatch.setattr(Transfer, "Params", Params)
    params, named = tiny_params("faces"), f"path:{tmp_path / 'm'}"
    params["runs"]["tiny"]["generator"] = {"name": "transfer", "params": {"encoder": named}}
    folder = project(tmp_path / "p", params)
    with pytest.raises(ParamsError, match=r"runs\.tiny\.generator\.params: .*m does not exist"):
        run_all(folder, stages=("fake", "ingest", "plan"))
    checkpoint(tmp_path / "m")
    run_all(folder, stages=("plan",))
    layout = Layout(folder)
    plans = {p.stage: p for p in Plans.read(layout, "tiny") if p.stage not in ("release", "report")}
    assert [list(getattr(plans[s], "loads", {})) for s in plans] == [[], [named], [named], []]
    assert changed_weights(layout, "tiny") == []
    checkpoint(tmp_path / "m", b"two, longer")
    assert changed_weights(layout, "tiny") == [f"weights of {named} are others"]
    run_all(folder, stages=("plan",))
    assert {p.stage for p in Plans.read(layout, "tiny") if p.stage in plans and p.key != plans[p.stage].key} == {
        "fit",
        "augment",
    }
