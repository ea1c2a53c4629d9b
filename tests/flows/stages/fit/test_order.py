"""`emoforge check` says what rankers of intensity are worth, or that nobody knows yet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from corpora.errors import IntegrityError
from emoforge.projects import conductor
from flows.artifacts.fitted import FitSummary, Fitted, RankedIntensity
from flows.params import RunParams
from flows.paths import Layout
from flows.stages.fit.order import order_accuracy

RANKED = {"name": "cvae", "intensity": "ranked", "params": {"honours": ["intensity"]}}
FIT = RankedIntensity(neutral="neutral", order_accuracy=0.91, n_pairs=420, by_emotion={"fear": 0.52, "anger": 0.99})


def params(generator: dict[str, Any]) -> dict[str, Any]:
    return {"corpora": ["toy"], "representation": {"name": "world"}, "generator": generator}


def fitted(folder: Path, intensity: RankedIntensity | None, generator: str = "cvae") -> None:
    place = Layout(folder).run("toy") / "fit"
    place.mkdir(parents=True, exist_ok=True)
    summary = FitSummary(generator=generator, steps=10, steps_done=10, intensity=intensity, trains=True)
    Fitted(place).write(summary, [{"step": 1.0, "loss": 1.0}])


def test_order_accuracy_is_of_the_fit_that_is_there(tmp_path: Path) -> None:
    run, layout = RunParams.model_validate(params(RANKED)), Layout(tmp_path)
    order = order_accuracy("toy", run, layout)
    assert order is not None and order.accuracy is None and "not fitted yet" in order.line
    fitted(tmp_path, FIT)
    order = order_accuracy("toy", run, layout)
    assert order is not None and (order.accuracy, order.n_pairs) == (0.91, 420)
    assert "order accuracy 0.91 over 420 pairs" in order.line and "anger 0.99, fear 0.52" in order.line
    assert order_accuracy("toy", RunParams.model_validate(params({"name": "cvae"})), layout) is None


@pytest.mark.parametrize(
    ("intensity", "generator"), [(None, "cvae"), (FIT.model_copy(update={"neutral": "calm"}), "cvae"), (FIT, "cgan")]
)
def test_a_fit_of_other_params_says_nothing(intensity: RankedIntensity | None, generator: str, tmp_path: Path) -> None:
    fitted(tmp_path, intensity, generator)
    order = order_accuracy("toy", RunParams.model_validate(params(RANKED)), Layout(tmp_path))
    assert order is not None and order.accuracy is None and "of other params" in order.line


def test_a_damaged_fit_is_named(tmp_path: Path) -> None:
    fitted(tmp_path, FIT)
    (Layout(tmp_path).run("toy") / "fit/fit.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"fit\.json"):
        order_accuracy("toy", RunParams.model_validate(params(RANKED)), Layout(tmp_path))


@pytest.mark.parametrize("as_json", [True, False])
def test_check_prints_it(
    as_json: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = {"corpora": {"toy": {"reader": "ravdess"}}, "runs": {"toy": params(RANKED)}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    monkeypatch.setattr(conductor, "reasons", lambda stages, repo: {})  # no DVC here
    monkeypatch.setattr(conductor, "survey", lambda *about: [])
    fitted(tmp_path, FIT)
    assert conductor.check_runs(["toy"], tmp_path, as_json=as_json)
    said = capsys.readouterr().out
    if as_json:
        assert json.loads(said)["intensity"]["toy"]["by_emotion"] == {"anger": 0.99, "fear": 0.52}
    else:
        assert "order accuracy 0.91" in " ".join(said.split())
