"""Tables of features, rows without time: from a csv to a release that others read; and what is known of whom."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpora.errors import ParamsError
from corpora.signals import decode_signals
from corpora.store.release import open_release
from corpora.store.shards import read_payload
from flows.conduct.machine import survey
from flows.params import Machine, load_params
from flows.stages.release import subject_notes
from flows.stages.run import run_stage
from tests.flows.made_of import LENIENT, WRISTBAND


def features(folder: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["window,condition,eda_mean,eda_sd,hr,device"]
    for person in range(8):
        for take in range(10):
            tense = take % 2
            eda, sd, hr = rng.normal(2 + tense, 0.3), rng.uniform(0.1, 0.4), rng.normal(65 + 10 * tense, 4)
            lines.append(f"s{person:02d}/{take},{'tense' if tense else 'calm'},{eda:.4f},{sd:.4f},{hr:.2f},E4")
    lines.append("s00/99,calm,,0.1,60,E4")
    (folder / "data/raw/tiny").mkdir(parents=True)
    (folder / "data/raw/tiny/features.csv").write_text("\n".join(lines) + "\n")
    (folder / "data/cards").mkdir(parents=True)
    (folder / "data/cards/tiny.yaml").write_text(WRISTBAND)


def params_of(tiny_params: Any, **prepare: Any) -> dict[str, Any]:
    params = tiny_params("faces")
    params["demo"] = {}
    params["corpora"]["tiny"] = {"reader": "data/cards/tiny.yaml", "shards": 2}
    params["runs"]["tiny"] = {"corpora": ["tiny"], "shards": 2, "prepare": {"physio": prepare}}
    return params


def test_rows_of_features_become_a_release(tmp_path: Path, tiny_params: Any, project: Any) -> None:
    folder = project(tmp_path / "p", params_of(tiny_params, population={}))
    features(folder)
    for verb in ("ingest", "plan", "prepare", "fit", "augment", "evaluate", "release", "report"):
        run_stage(verb, "tiny", repo=folder)
    rejects = pq.read_table(folder / "data/corpora/tiny/rejects.parquet").to_pylist()
    assert [r["reason"] for r in rejects] == ["missing-value"]
    assert set(pq.read_table(folder / "data/corpora/tiny/near.parquet")["data"].to_pylist()) == {b""}
    release = open_release(folder / "data/runs/tiny/release")
    release.verify()
    index = pq.read_table(release.path / "index.parquet").to_pylist()
    splits = {r["sample_id"]: r["split"] for r in pq.read_table(release.path / "splits.parquet").to_pylist()}
    people: dict[str, set[str]] = {}
    found: dict[str, list[np.ndarray]] = {"train": [], "dev": [], "test": []}
    for row in index:
        people.setdefault(row["subject_id"], set()).add(splits[row["sample_id"]])
        assert row["signals"] == [{"name": "features", "unit": "z", "rate_hz": None, "shape": [3]}]
        assert json.loads(dict(row["extra"])["features"]) == ["eda_mean", "eda_sd", "hr"]
        with np.load(io.BytesIO(read_payload(release.path, row))) as npz:  # with nothing of ours
            found[splits[row["sample_id"]]].append(npz["features"])
    assert len(index) == 80 and all(len(of) == 1 for of in people.values()) and len(people) == 8
    train = np.stack(found["train"])
    # each feature by its own mean and deviation over train, as its neighbour has other units
    assert np.allclose(train.mean(axis=0), 0, atol=1e-3) and np.allclose(train.std(axis=0), 1, atol=1e-2)
    assert "3 features" in (folder / "data/runs/tiny/report.html").read_text()


def test_a_generator_adds_rows_to_a_table(tmp_path: Path, tiny_params: Any, project: Any) -> None:
    params = params_of(tiny_params)
    run = params["runs"]["tiny"]
    run |= {"representation": {"name": "features"}, "generator": {"name": "transfer"}, "policy": {"on_fail": "flag"}}
    run |= {"gates": LENIENT, "evaluation": {"bootstrap": 100}, "target": {"policy": "number", "number": 40}}
    folder = project(tmp_path / "p", params)
    features(folder)
    for verb in ("ingest", "plan", "prepare", "fit", "augment", "evaluate", "release"):
        run_stage(verb, "tiny", repo=folder)
    release = open_release(folder / "data/runs/tiny/release")
    table = release.features()
    assert table.schema.names[-3:] == ["eda_mean", "eda_sd", "hr"] and table.num_rows == release.index.num_rows
    real, synthetic = (list(release.samples("train", synthetic=s)) for s in (False, True))
    assert synthetic and {repr(r["signals"]) for r in real} == {repr(r["signals"]) for r in synthetic}
    heart = {
        e: np.mean([decode_signals(r["payload"])["features"][2] for r in synthetic if r["emotion"] == e])
        for e in {r["emotion"] for r in synthetic}
    }
    assert heart["stress"] > heart["calm"] + 4, "10 beats a minute more, by the table"


def test_vectors_stay_as_they_are_without_a_step(tmp_path: Path, tiny_params: Any, project: Any) -> None:
    folder = project(tmp_path / "p", params_of(tiny_params))
    features(folder)
    for verb in ("ingest", "plan", "prepare"):
        run_stage(verb, "tiny", repo=folder)
    index = pq.read_table(folder / "data/runs/tiny/prepared/index.parquet").to_pylist()
    first = next(row for row in index if row["sample_id"] == "tiny/000000")
    line = (folder / "data/raw/tiny/features.csv").read_text().splitlines()[1].split(",")
    array = decode_signals(read_payload(folder / "data/runs/tiny/prepared", first))["features"]
    assert array.tolist() == np.array(line[2:5], np.float32).tolist()


@pytest.mark.parametrize("steps", [{"windows": {"length_s": 2}}, {"resample": {"all_hz": 4}}, {"keep": ["EDA"]}])
def test_steps_in_time_are_refused_before_anything_runs(
    steps: dict[str, Any], tmp_path: Path, tiny_params: Any, project: Any
) -> None:
    folder = project(tmp_path / "p", params_of(tiny_params, **steps))
    features(folder)
    told = survey(load_params(folder / "params.yaml"), Machine(actors=0), folder, ["tiny"])
    assert next(f.detail for f in told if f.what == "steps of tiny").startswith("runs.tiny.prepare.physio: ")
    run_stage("ingest", "tiny", repo=folder)
    with pytest.raises(ParamsError, match=f"{next(iter(steps))} of tiny, whose samples are rows of features"):
        run_stage("plan", "tiny", repo=folder)


def test_a_release_says_of_whom_nothing_is_known() -> None:
    def notes(subjects: list[str | None]) -> list[str]:
        return subject_notes(pa.table({"corpus": ["a"] * len(subjects), "subject_id": pa.array(subjects, pa.string())}))

    assert notes(["a:1", "a:2"]) == []
    (none,) = notes([None, None])
    assert none.startswith("no subjects are known in a: train and test may share people") and "path_pattern" in none
    (some,) = notes(["a:1", None, None])
    assert some.startswith("subjects are not known of 2 of 3 samples of a")
    both = pa.table({"corpus": ["a", "b"], "subject_id": pa.array(["a:1", None], pa.string())})
    assert [note.partition(":")[0] for note in subject_notes(both)] == ["no subjects are known in b"]
