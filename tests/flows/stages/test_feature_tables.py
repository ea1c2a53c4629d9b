"""Tables of features beside payloads: asked for in params, computed once, read by name and by everybody's tools."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from corpora.errors import IntegrityError, ParamsError, UnknownNameError, UserError
from corpora.schema import Payload
from corpora.store.release import FEATURES, UNIT, open_release
from features.pretrained.packages import packaged
from features.representation import make_representation
from features.speech.functionals import FUNCTIONAL_NAMES, FUNCTIONAL_UNITS
from features.speech.vectors import FunctionalsRepresentation
from flows.conduct.retraction.searched import Sought, hits
from flows.engine.store import WorkStore
from flows.params import DEFAULT_GATES, load_params
from flows.paths import Layout
from flows.releases.bumps import needed_bump
from flows.stages import feature_tables
from flows.stages.ingest.retracted import retraction_key
from flows.stages.plan.plans import ReleasePlan
from flows.stages.plan.weights import asked_encoders, changed_weights
from flows.stages.run import run_stage
from tests.features.pretrained.carried import carry, tiny_minilm
from tests.flows.made_of import GENERATORS, ingested, released

ASKED = {"release": {"features": ["functionals"]}}
NO_GATES = {gate: {"enabled": False} for gate in DEFAULT_GATES if gate != "validity"}  # a table knows none
MADE = {"representation": {"name": "differential"}, "generator": GENERATORS["transfer"], "gates": NO_GATES}
PHYSIO = {"release": {"features": ["bands", {"name": "heart"}]}, "prepare": {"physio": {"windows": {"length_s": 4}}}}


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A project with a run that asks for a table, one that does not, and their releases."""
    patch = pytest.MonkeyPatch()
    patch.setenv("EMOFORGE_ACTORS", "0")
    folder = ingested(tmp_path_factory.mktemp("speech"), "speech", {"with": MADE | ASKED, "plain": MADE})
    released(folder, "plain")
    # what is asked of a release changes nothing before it
    shutil.copytree(folder / "data/runs/plain", folder / "data/runs/with")
    shutil.rmtree(folder / "data/runs/with/release")
    released(folder, "with", ("plan", "release"))
    yield folder
    patch.undo()


def release_of(folder: Path, run: str = "with") -> Any:
    return open_release(folder / "data/runs" / run / "release")


def test_a_table_stands_beside_the_payloads_row_by_row(speech: Path) -> None:
    release = release_of(speech)
    release.verify()
    table = release.features("functionals")
    assert table["sample_id"].to_pylist() == release.index["sample_id"].to_pylist()
    assert any(release.index["generator_id"].to_pylist()), "synthetic samples have features, too"
    assert table.schema.names == ["sample_id", *FUNCTIONAL_NAMES]
    assert {str(table.schema.field(name).type) for name in FUNCTIONAL_NAMES} == {"float"}
    assert tuple(table.schema.field(n).metadata[UNIT].decode() for n in FUNCTIONAL_NAMES) == FUNCTIONAL_UNITS
    rows = {row["sample_id"]: row for row in table.to_pylist()}
    for sample in release.samples():
        wanted = FunctionalsRepresentation().encode(Payload(sample["payload"], "wav"))
        assert np.array_equal(np.array([rows[sample["sample_id"]][n] for n in FUNCTIONAL_NAMES], np.float32), wanted)
    about = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
    assert about["representation"] == "functionals" and about["title"] == "functionals16k"
    assert json.loads(about["parameters"]) == {"rate_hz": 16000} and json.loads(about["weights"]) == {}
    told = release.manifest["feature_tables"]["functionals"]
    assert told["rows"] == table.num_rows and told["columns"] == 88 and told["missing"] == {}


def test_everybody_s_tools_read_it_and_everything_lists_it(speech: Path) -> None:
    import duckdb

    folder, file = speech / "data/runs/with/release", "features-functionals.parquet"
    frame = pd.read_parquet(folder / file)
    joined = frame.merge(pd.read_parquet(folder / "index.parquet"), on="sample_id")
    assert len(joined) == len(frame) and not frame.isna().any().any()
    query = f"SELECT count(*) FROM '{folder}/{file}' JOIN '{folder}/index.parquet' USING (sample_id)"
    assert duckdb.sql(query).fetchall() == [(len(frame),)]
    assert f"  {file}\n" in (folder / "SHA256SUMS").read_text()
    card = (folder / "README.md").read_text()
    assert f"`{file}`" in card and "config_name: features-functionals" in card
    croissant = json.loads((folder / "croissant.json").read_text())
    sets = {one["@id"]: one for one in croissant["recordSet"]}
    assert len(sets["features-functionals"]["field"]) == 89
    assert sets["features-functionals"]["key"] == {"@id": "features-functionals/sample_id"}


def test_a_run_that_asks_for_nothing_releases_nothing_more(speech: Path) -> None:
    plain, asked = (release_of(speech, run) for run in ("plain", "with"))
    assert not plain.feature_tables and "feature_tables" not in plain.manifest
    assert "release" not in json.loads((plain.path / "params.json").read_text())["run"]
    written = json.loads(Layout(speech).plan("plain", "release").read_text())["params"]
    assert not {"features", "loads", "feature_code"} & written.keys()
    assert sorted(set(asked.manifest["files"]) - set(plain.manifest["files"])) == ["features-functionals.parquet"]
    same = [n for n in plain.manifest["files"] if n.endswith((".tar", ".parquet"))]
    assert all(asked.manifest["files"][n] == plain.manifest["files"][n] for n in same)


def test_a_name_that_is_none_says_which_there_are(speech: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"feature table.*functional_.*functionals"):
        release_of(speech).features("functional_")
    with pytest.raises(UnknownNameError, match="feature table"):
        release_of(speech, "plain").features("functionals")
    with pytest.raises(UserError, match=rf"has no {FEATURES}.*features\('functionals'\)"):
        release_of(speech).features()


def test_damage_is_seen(speech: Path, tmp_path: Path) -> None:
    shutil.copytree(speech / "data/runs/with/release", tmp_path / "r")
    path = tmp_path / "r" / "features-functionals.parquet"
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match="features-functionals"):
        open_release(tmp_path / "r").verify()
    with pytest.raises(IntegrityError, match="features-functionals"):
        open_release(tmp_path / "r").features("functionals")


def test_the_same_again_computes_nothing_and_an_empty_store_gives_the_same_bytes(
    speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def counted(self: FunctionalsRepresentation, payload: Payload) -> np.ndarray:
        calls.append(1)
        return encode(self, payload)

    encode = FunctionalsRepresentation.encode
    monkeypatch.setattr(FunctionalsRepresentation, "encode", counted)
    before = release_of(speech).release_hash
    run_stage("release", "with", repo=speech)
    assert release_of(speech).release_hash == before and calls == []
    shutil.rmtree(Layout(speech).store / "features")
    run_stage("release", "with", repo=speech)
    assert release_of(speech).release_hash == before and len(calls) == release_of(speech).index.num_rows


def test_an_item_of_another_shape_is_computed_anew(tmp_path: Path) -> None:
    store, spec = WorkStore(tmp_path), FunctionalsRepresentation().spec
    store.put_arrays("features/x", {"values": np.zeros((3, 88), np.float32)}, {"reasons": ["", "", ""]})
    assert feature_tables._kept(store, "features/x", 3, spec) is not None
    assert feature_tables._kept(store, "features/x", 4, spec) is None
    assert feature_tables._kept(store, "features/y", 3, spec) is None


def test_a_payload_without_features_has_nulls_and_its_reason_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    folder = ingested(tmp_path, "physio", {"real": PHYSIO | {"gates": {}}})
    release = open_release(released(folder, "real"))
    told = release.manifest["feature_tables"]
    heart, bands = release.features("heart"), release.features("bands")
    assert heart.schema.names == ["sample_id", "bpm", "sdnn_ms", "rmssd_ms"] and bands.num_columns > 10
    lacking = heart["bpm"].null_count
    assert lacking == sum(told["heart"]["missing"].values()) > 0 and told["bands"]["missing"] == {}
    assert all(heart[name].null_count == lacking for name in heart.schema.names[1:])
    assert heart["sample_id"].to_pylist() == bands["sample_id"].to_pylist() == release.index["sample_id"].to_pylist()
    text = " ".join((release.path / "README.md").read_text().split())
    assert f"{lacking} of {heart.num_rows} samples have none" in text


WRONG = {
    "another modality": (["hog"], "'hog' is for face; known of speech: functionals, speaker_ge2e"),
    "a way back": (["world"], "'world' is no vector of features; known of speech: functionals, speaker_ge2e"),
    "no name": (["functional"], "functionals"),
    "twice": (["functionals", {"name": "functionals"}], "named twice"),
    "a parameter": ([{"name": "functionals", "hop": 1}], "parameter of representation functionals"),
    "another rate": ([{"name": "functionals", "rate_hz": 24000}], r"resample\.rate_hz is 16000"),
    "nothing": ([], "at least 1"),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_what_cannot_be_computed_is_refused_when_the_run_is_planned(speech: Path, tmp_path: Path, case: str) -> None:
    asked, message = WRONG[case]
    params = yaml.safe_load((speech / "params.yaml").read_text())
    params["runs"] = {"wrong": {**params["runs"]["plain"], "release": {"features": asked}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/corpora").symlink_to(speech / "data/corpora")
    with pytest.raises((ParamsError, UnknownNameError), match=message):
        run_stage("plan", "wrong", repo=tmp_path)


def test_a_run_whose_samples_are_features_has_no_others(speech: Path, tmp_path: Path) -> None:
    params = yaml.safe_load((speech / "params.yaml").read_text())
    own = {"representation": {"name": "functionals"}, "generator": GENERATORS["transfer"]}
    params["runs"] = {"rows": {**params["runs"]["with"], **own}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/corpora").symlink_to(speech / "data/corpora")
    with pytest.raises(ParamsError, match=r"runs\.rows\.release\.features: samples of this run are rows of features"):
        run_stage("plan", "rows", repo=tmp_path)


def test_a_bump_says_what_became_of_tables(speech: Path) -> None:
    plain, asked = (speech / "data/runs" / run / "release" for run in ("plain", "with"))
    come = needed_bump(plain, asked)
    assert come.bump == "minor" and any("features-functionals.parquet has" in why for why in come.because)
    gone = needed_bump(asked, plain)
    assert gone.bump == "major" and any("features-functionals.parquet has no" in why for why in gone.because)


@pytest.mark.slow
def test_tables_of_an_encoder_say_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    carry(tmp_path / "site", "minilm", tiny_minilm(), monkeypatch)
    asked = {"release": {"features": ["minilm", {"name": "sentence", "words": 16, "pieces": 16}]}, "gates": {}}
    folder = ingested(tmp_path / "p", "text", {"real": asked})
    release = open_release(released(folder, "real"))
    weights, spec = {"package:minilm": packaged("minilm").weights()}, make_representation("minilm", {}).spec
    table = release.features("minilm")
    assert json.loads(table.schema.metadata[b"weights"]) == weights and table.schema.names[1:] == list(spec.rows)
    assert release.manifest["feature_tables"]["minilm"]["weights"] == weights
    assert release.manifest["feature_tables"]["sentence"]["weights"] == {}
    assert f"weights minilm {weights['package:minilm']}" in (release.path / "README.md").read_text()
    assert asked_encoders(load_params(folder / "params.yaml").run("real")) == ["minilm"]
    shutil.copytree(release.path, tmp_path / "before")
    carry(tmp_path / "site", "minilm", tiny_minilm(seed=1), monkeypatch)
    assert changed_weights(Layout(folder), "real") == ["weights of package:minilm are others"]
    with pytest.raises(IntegrityError, match=r"package:minilm holds weights .*plan anew"):
        run_stage("release", "real", repo=folder)
    released(folder, "real", ("plan", "release"))
    other = open_release(release.path).features("minilm")
    assert other["minilm_0"].to_pylist() != table["minilm_0"].to_pylist()
    needed = needed_bump(tmp_path / "before", release.path)
    assert needed.bump == "minor" and any("features: minilm was computed by" in why for why in needed.because)
    # what takes a person out finds them in a table, too
    gone = Sought(frozenset(), frozenset({retraction_key("sample", table["sample_id"][3].as_py())}))
    held = (release.path / "features-minilm.parquet").read_bytes()
    assert [hit.how for hit in hits("here", "t", held, gone)] == ["id"]


def test_a_table_of_faces_takes_the_size_that_is_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    small = {"prepare": {"face": {"size": {"px": 32}}}, "release": {"features": ["hog"]}, "gates": {}}
    folder = ingested(tmp_path, "face", {"small": small})
    release = open_release(released(folder, "small"))
    assert release.manifest["feature_tables"]["hog"]["representation"] == "hog32-8px-9"
    assert json.loads(release.features("hog").schema.metadata[b"parameters"]) == {"size": 32}
    assert release.features("hog").num_columns == 1 + 324


def test_the_report_names_them(speech: Path) -> None:
    run_stage("report", "with", repo=speech)
    page = (speech / "data/runs/with/report.html").read_text()
    assert "<code>features-functionals.parquet</code> (88 columns)" in page


def test_plans_of_before_are_read(speech: Path) -> None:
    plan = ReleasePlan.read(Layout(speech), "plain")
    assert plan.features == () and plan.loads == {}
    asked = ReleasePlan.read(Layout(speech), "with")
    assert [one.name for one in asked.features] == ["functionals"] and set(asked.feature_code) == {"functionals"}
    assert "features.speech.vectors" in asked.code and "features.speech.vectors" not in plan.code
