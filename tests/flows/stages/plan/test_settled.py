"""What a plan settles of a representation, from the indexes of the corpora and the steps of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.errors import ParamsError
from corpora.schema import Sample
from corpora.signals import encode_signals
from corpora.store.shards import write_shards, write_table
from flows.params import RunParams
from flows.paths import Layout
from flows.stages.plan.representation import known_of, settled_run

RUN = {"corpora": ["a"], "representation": {"name": "rows"}, "generator": {"name": "cvae"}}


def signal(name: str, rate: float | None, shape: list[int], unit: str = "1") -> dict[str, Any]:
    return {"name": name, "unit": unit, "rate_hz": rate, "shape": shape}


def corpus(layout: Layout, name: str, records: list[tuple[list[dict[str, Any]], dict[str, str]]]) -> None:
    """An index whose samples have these signals and this extra; what is in the payloads does not matter."""
    folder = layout.corpus(name)
    folder.mkdir(parents=True)
    payload = encode_signals({"x": np.ones(4)})
    samples = [
        Sample(
            sample_id=f"{name}/{i}",
            corpus=name,
            modality="physio",
            payload=payload,
            codec="npz",
            license="CC0-1.0",
            group_id=f"{name}:{i}",
            duration_s=10.0 * (i + 1),
            signals=signals,
            extra=extra,
        )
        for i, (signals, extra) in enumerate(records)
    ]
    write_table(folder / "index.parquet", write_shards(iter(samples), folder, 1, "shards/all"))


def run_of(**changes: Any) -> RunParams:
    return RunParams.model_validate({**RUN, **changes})


def test_most_samples_decide_after_the_steps(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    usual = [signal("EDA", 4, [40], "µS"), signal("ACC", 32, [320, 3], "g"), signal("EDA_baseline", 4, [8], "µS")]
    corpus(layout, "a", [(usual, {}), (usual[:1], {}), (usual, {})])
    steps = {"physio": {"resample": {"hz": {"ACC": 16}}, "windows": {"length_s": 5}}}
    settled = settled_run("r", run_of(prepare=steps), "physio", layout).representation
    assert settled is not None and settled.params == {
        "seconds": 5.0,
        "mask": False,
        "signals": [
            {"name": "ACC", "unit": "g", "rate_hz": 16.0, "columns": 3},
            {"name": "EDA", "unit": "µS", "rate_hz": 4.0, "columns": None},
        ],
    }
    with_rest = {"physio": {"baseline": {}, "keep": ["EDA"], "windows": {"length_s": 5}}}
    kept = settled_run("r", run_of(prepare=with_rest), "physio", layout).representation
    assert kept is not None
    assert kept.params["signals"] == [{"name": "EDA", "unit": "z", "rate_hz": 4.0, "columns": None}]
    assert known_of(run_of(), layout).longest_s == 30.0


def test_signals_of_several_rates_are_refused_where_nothing_brings_them_to_one(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    corpus(layout, "a", [([signal("BVP", 64, [640], "1"), signal("EDA", 4, [40], "µS")], {})])
    shape = {"representation": {"name": "band_power"}, "generator": {"name": "transfer"}}
    edited = {"representation": {"name": "signals"}, "generator": {"name": "augmentation"}}
    for several in (shape, edited):
        with pytest.raises(ParamsError, match=r"runs\.r\.representation.*at 4, 64 Hz.*resample\.all_hz"):
            settled_run("r", run_of(**several), "physio", layout)
    for steps in ({"resample": {"all_hz": 32}}, {"keep": ["BVP"]}):
        assert settled_run("r", run_of(**shape, prepare={"physio": steps}), "physio", layout).representation
    vectors = {"representation": {"name": "bands"}, "generator": {"name": "transfer"}}
    assert settled_run("r", run_of(**vectors), "physio", layout).representation, "features are rows of their own"


def test_what_is_given_stays(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    corpus(layout, "a", [([signal("EDA", 4, [40], "µS")], {})])
    own = [{"name": "TEMP", "unit": "°C", "rate_hz": 4.0, "columns": None}]
    given = {"name": "rows", "seconds": 7.0, "mask": False, "signals": own}
    settled = settled_run("r", run_of(representation=given), "physio", layout).representation
    assert settled is not None and settled.params == {key: value for key, value in given.items() if key != "name"}


def test_other_representations_are_left_alone(tmp_path: Path) -> None:
    run = run_of(representation={"name": "pixels", "size": 32})
    assert settled_run("r", run, "face", Layout(tmp_path)) == run, "nothing is read"
    real = RunParams.model_validate({"corpora": ["a"]})
    assert settled_run("r", real, "physio", Layout(tmp_path)) is real


def test_columns_of_tables_are_of_one_list(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    vector = [signal("features", None, [2], "")]
    corpus(layout, "a", [(vector, {"features": '["hr", "eda"]'})] * 2)
    corpus(layout, "b", [(vector, {"features": '["eda", "hr"]'})])
    table = {"representation": {"name": "features"}}
    settled = settled_run("r", run_of(**table), "physio", layout).representation
    assert settled is not None and settled.params == {"columns": ["hr", "eda"]}
    with pytest.raises(ParamsError, match=r"runs.r.representation: .*features of a, b have 2 different lists"):
        settled_run("r", run_of(corpora=["a", "b"], **table), "physio", layout)
    with pytest.raises(ParamsError, match="features has no rate"):
        settled_run("r", run_of(), "physio", layout)


def test_signals_are_no_rows_of_features(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    corpus(layout, "a", [([signal("EDA", 4, [40], "µS")], {})])
    with pytest.raises(ParamsError, match="no rows of features"):
        settled_run("r", run_of(representation={"name": "features"}), "physio", layout)
    with pytest.raises(ParamsError, match="no ECG and no BVP among EDA"):
        settled_run("r", run_of(representation={"name": "heart"}), "physio", layout)
