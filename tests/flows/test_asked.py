"""What a run asks for beside the class: refused when it is planned, or drawn, gated, released and said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from corpora.errors import CorpusError, ParamsError
from corpora.formats.jsonfile import read_json
from flows.asking import Ask
from flows.params import Machine, Numerics, load_params
from flows.paths import Layout
from flows.stages.augment.forecast import forecast_run
from flows.stages.report.text import number
from flows.stages.run import run_stage
from tests.flows.conftest import SPEECH

# rated corpus, tiny model; the gates score everything and refuse little
RATED: dict[str, Any] = {
    "numerics": {"draw_list": 4, "fit_threads": 1},
    "demo": {
        "tiny": {
            "reader": "iemocap",
            "subjects": 10,
            "seed": 1,
            "per_class": {"anger": 30, "neutral": 24, "sadness": 20},
        }
    },
    "corpora": {"tiny": {"reader": "iemocap", "shards": 2, "ratios": {"train": 0.8, "dev": 0.0, "test": 0.2}}},
}
RANKED = {
    "name": "cvae",
    "steps": 20,
    "intensity": "ranked",
    "params": {"width": 8, "latent": 4, "honours": ["arousal", "intensity", "subject"]},
}
HONEST = {"name": "cvae", "steps": 20, "params": {"width": 8, "latent": 4, "honours": ["arousal", "subject"]}}


def params_of(**run: Any) -> dict[str, Any]:
    return RATED | {"runs": {"tiny": SPEECH | {"generator": HONEST} | run}}


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        ({"intensty": 0.7}, "Did you mean 'intensity'"),
        ({"intensity": 1.2}, "ask.intensity.0"),
        ({"arousal": [0.1, -1.2]}, "ask.arousal.1"),
        ({"arousal": []}, "ask.arousal"),
        ({"classes": {"fear": {"arousl": 0.1}}}, "Did you mean 'arousal'"),
        ({"mixtures": [{"of": {"fear": 1.0}, "number": 3}]}, "two classes or more"),
        ({"mixtures": [{"of": {"fear": 1.0, "anger": 0.0}, "number": 3}]}, "ask.mixtures.0.of.anger"),
        ({"mixtures": [{"of": {"a": n, "b": n}, "number": 3} for n in (1, 2)]}, "mixtures are the same"),
    ],
)
def test_a_wrong_wish_is_named_with_its_key(tmp_path: Path, ask: dict[str, Any], says: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params_of(ask=ask)), encoding="utf-8")
    with pytest.raises(ParamsError, match=says):
        load_params(path)


def test_without_a_generator_nothing_is_asked_for(tmp_path: Path) -> None:
    run = {"corpora": ["tiny"], "ask": {"arousal": 0.1}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(RATED | {"runs": {"tiny": run}}), encoding="utf-8")
    with pytest.raises(ParamsError, match="`ask`"):
        load_params(tmp_path / "params.yaml")


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asked")
    (folder / "params.yaml").write_text(yaml.safe_dump(params_of()), encoding="utf-8")
    for verb in ("fake", "ingest"):
        run_stage(verb, "tiny", repo=folder)
    return folder


@pytest.mark.parametrize(
    ("run", "says"),
    [
        ({"ask": {"valence": 0.5}}, r"tiny\.ask\.valence: generator cvae honours the class, arousal, subject.*honours"),
        (
            {"ask": {"arousal": 0.5}, "generator": {"name": "transfer"}},
            r"ask\.arousal: generator transfer honours the class as it is set up",
        ),
        ({"ask": {"subject": "tiny:anybody"}, "target": {"cells": "subject"}}, "every draw has its subject already"),
        ({"ask": {"subject": "tiny:nobody"}}, r"ask\.subject: unknown subject 'tiny:nobody'"),
        ({"ask": {"classes": {"angr": {"arousal": 0.1}}}}, "unknown class 'angr'. Did you mean 'anger'"),
        ({"ask": {"mixtures": [{"of": {"fear": 1, "anger": 1}, "number": 2}]}}, "unknown class 'fear'"),
        ({"generator": HONEST | {"intensity": "ranked"}}, "'ranked', but generator cvae does not honour intensity"),
        ({"generator": RANKED | {"neutral": "calm"}}, "no sample is of class 'calm'"),
        ({"generator": RANKED | {"intensity": "rated"}}, r"no train sample has an intensity.*intensity: ranked"),
        ({"generator": {"name": "transfer", "intensity": "ranked"}}, "choose a generator that honours intensity"),
        ({"gates": SPEECH["gates"] | {"dimensions": {}}}, "asked for valence or arousal or dominance, and this run"),
        (
            {"gates": SPEECH["gates"] | {"dimensions": {}}, "ask": {"classes": {"anger": {"arousal": 0.7}}}},
            "neutral, sadness are asked for none",
        ),
        (
            {"target": {"cells": "subject"}, "generator": HONEST | {"early_stop": {"every": 5}}},
            "early stopping holds out every",
        ),
    ],
)
def test_what_cannot_be_had_is_refused_when_the_run_is_planned(ingested: Path, run: dict[str, Any], says: str) -> None:
    (ingested / "params.yaml").write_text(yaml.safe_dump(params_of(**run)), encoding="utf-8")
    with pytest.raises((ParamsError, CorpusError), match=says):
        run_stage("plan", "tiny", repo=ingested)


@pytest.mark.timeout(240)
def test_what_is_asked_for_reaches_gates_and_release(
    ingested: Path, project: Callable[[Path, dict[str, Any]], Path]
) -> None:
    ask = {
        "arousal": [-0.5, 0.5],
        "intensity": [0.3, 1.0],
        "subject": "new:1",
        "classes": {"anger": {"arousal": 0.9}},
        "mixtures": [{"of": {"anger": 1, "sadness": 3}, "number": 3}],
    }
    gates = SPEECH["gates"] | {"dimensions": {"limit": {"absolute": 0.0}, "params": {"min_ccc": -1.0}}}
    project(ingested, params_of(ask=ask, gates=gates, generator=RANKED, target={"policy": "number", "number": 26}))
    for verb in ("plan", "prepare", "fit", "augment", "evaluate", "release", "report"):
        run_stage(verb, "tiny", repo=ingested)
    augmented = ingested / "data" / "runs" / "tiny" / "augmented"
    rows = pq.read_table(augmented / "index.parquet").to_pylist()
    mixed = [r for r in rows if r["emotion"] is None]
    assert len(mixed) == 3 and {r["emotion"] for r in rows} >= {None, "sadness"}
    for row in mixed:
        labels = {entry["label"]: (entry["scheme"], entry["weight"]) for entry in row["labels"]}
        assert labels == {"anger": ("corpus", 0.25), "sadness": ("corpus", 0.75)}
    assert not any(r["labels"] for r in rows if r["emotion"] is not None)
    asked = {
        name: {round(r["arousal"], 3) for r in rows if r["emotion"] == name} for name in ("sadness", "anger", None)
    }
    assert asked["sadness"] == asked[None] == {-0.5, 0.5} and asked["anger"] <= {0.9}
    scores = pq.read_table(augmented / "scores.parquet").to_pandas()
    of_mixture = scores[scores.emotion == ""]
    assert set(of_mixture[of_mixture.value.notna()].gate) == {"validity", "copies", "dimensions"}
    assert of_mixture[of_mixture.gate == "agreement"].passed.all(), "no class, so nothing to agree with"
    ranked = read_json(ingested / "data" / "runs" / "tiny" / "fit" / "fit.json")["intensity"]
    assert ranked["neutral"] == "neutral" and set(ranked["by_emotion"]) == {"anger", "sadness"}
    assert ranked["order_accuracy"] > 0.6 and ranked["n_pairs"] > 0
    page = (augmented.parent / "report.html").read_text(encoding="utf-8")
    assert "Intensity by rankers" in page and f'<td class="n">{number(ranked["order_accuracy"])}</td>' in page
    assert {r["subject_id"] for r in rows} == {"new:1"} and len({r["group_id"] for r in rows}) > 1
    told = pq.read_table(augmented / "asked.parquet").to_pandas()
    assert set(told.sample_id) == set(scores.sample_id) and set(told.intensity) == {0.3, 1.0}
    evaluation = augmented.parent / "evaluation"
    curves = read_json(evaluation / "curves.json")
    assert {c["name"] for c in curves["curves"]} == {"intensity", "arousal"}
    (of_intensity,) = [c for c in curves["curves"] if c["name"] == "intensity"]
    assert [p["asked"] for p in of_intensity["points"]] == [0.3, 1.0] and of_intensity["verdict"]
    (mixture,) = curves["mixtures"]
    assert mixture["name"] == "0.25 anger + 0.75 sadness" and "3 judged samples" in mixture["reason"]
    alarms = read_json(evaluation / "alarms.json")["alarms"]
    assert {a["name"] for a in alarms} == {"collapse", "over-smoothing", "intensity loss", "copies"}
    notes = read_json(augmented.parent / "release" / "manifest.json")["notes"]
    rings = [a for a in alarms if a["state"] == "rings" and a["group"] == "all"]
    assert len([n for n in notes if n.startswith("alarm: ")]) >= len(rings)
    judged = scores[scores.gate == "dimensions"]
    assert np.isfinite(judged.value).all() and judged.value.nunique() > 1
    balance = read_json(augmented / "balance.json")
    assert {c["emotion"] for c in balance["classes"]} == {"anger", "neutral", "sadness"}
    (cell,) = balance["cells"]
    assert cell["mixture"] == {"anger": 0.25, "sadness": 0.75} and (cell["accepted"], cell["filled"]) == (3, True)
    run = load_params(ingested / "params.yaml").run("tiny")
    expected = forecast_run("tiny", run, Numerics(draw_list=4), Machine(actors=0), Layout(ingested))
    assert expected is not None
    (of_cell,) = [c for c in expected.classes if c.emotion == "0.25 anger + 0.75 sadness"]
    assert of_cell.known_from == "last run" and of_cell.missing == 3 and of_cell.seconds is not None


def test_a_plan_keeps_what_is_asked_for() -> None:
    ask = Ask.model_validate({"arousal": 0.5, "mixtures": [{"of": {"a": 1, "b": 1}, "number": 2, "intensity": [0.1]}]})
    assert Ask(**ask.model_dump(mode="json")) == ask and Ask(**Ask().model_dump(mode="json")) == Ask()
