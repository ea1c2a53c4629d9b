"""Features without a way back, from a corpus to a release of feature rows beside the real payloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from corpora.errors import ParamsError, UserError
from corpora.formats.jsonfile import read_json
from corpora.signals import is_vector
from corpora.store.release import FEATURES, UNIT, open_release
from features.representation import make_representation
from features.vectors import vector_of
from flows.params import load_params
from flows.paths import Layout
from flows.stages.augment import sampler
from flows.stages.augment.batches import Form, Stored
from flows.stages.plan.feasible import foreseen
from flows.stages.run import run_stage
from tests.flows.made_of import GENERATORS, ingested, released
from validators.gate import Batch

WINDOWS = {"prepare": {"physio": {"windows": {"length_s": 8}}}}
REPRESENTATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "functionals": ("speech", {"representation": {"name": "functionals"}}),
    "hog": ("face", {"representation": {"name": "hog", "size": 32, "cell": 16}}),
    "bands": ("physio", {"representation": {"name": "bands"}, **WINDOWS}),
    "heart": ("physio", {"representation": {"name": "heart"}, "prepare": {"physio": {"windows": {"length_s": 20}}}}),
    "sentence": ("text", {"representation": {"name": "sentence", "words": 32, "pieces": 32}}),
}
WAYS = [(name, generator) for name in REPRESENTATIONS for generator in GENERATORS]
QUICK = (("functionals", "cvae"), ("bands", "transfer"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """modality -> a project in which it is ingested once, with a run for each representation and generator."""
    folders: dict[str, Path] = {}
    patch = pytest.MonkeyPatch()
    patch.setenv("EMOFORGE_ACTORS", "0")

    def of(modality: str) -> Path:
        if modality not in folders:
            runs = {
                f"{name}_{generator}": REPRESENTATIONS[name][1] | {"generator": GENERATORS[generator]}
                for name, generator in WAYS
                if REPRESENTATIONS[name][0] == modality
            }
            folders[modality] = ingested(tmp_path_factory.mktemp(modality), modality, runs)
        return folders[modality]

    yield of
    patch.undo()


@pytest.mark.parametrize(
    ("name", "generator"),
    [way if way in QUICK else pytest.param(*way, marks=pytest.mark.slow) for way in WAYS],
)
def test_feature_rows_stand_beside_real_ones(
    name: str, generator: str, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    modality, run = REPRESENTATIONS[name][0], f"{name}_{generator}"
    folder = project(modality)
    seen: list[Batch] = []
    real_batch = sampler.batch_of

    def remembered(stored: Stored, form: Form) -> Batch:
        seen.append(real_batch(stored, form))
        return seen[-1]

    monkeypatch.setattr(sampler, "batch_of", remembered)
    release = open_release(released(folder, run))
    release.verify()
    assert FEATURES in release.manifest["files"]
    params = dict(read_json(folder / "data/runs" / run / "plan/prepare.json")["params"]["representation"])
    spec = make_representation(params.pop("name"), params).spec
    table = release.features()
    # names and units stand in the file
    assert table.schema.names[-spec.shape[0] :] == list(spec.rows)
    fields = [table.schema.field(column) for column in spec.rows]
    assert [str(f.type) for f in fields] == ["float"] * len(fields)
    assert tuple(f.metadata[UNIT].decode() for f in fields) == spec.units
    # real rows of every split, synthetic ones of train; nothing of a real sample is lost or invented
    frame = pd.read_parquet(release.path / FEATURES)
    real, synthetic = frame[frame.generator_id.isna()], frame[frame.generator_id.notna()]
    assert set(real.split) == {"train", "dev", "test"} and set(synthetic.split) == {"train"}
    splits = dict(zip(*(release.splits[c].to_pylist() for c in ("sample_id", "split")), strict=True))
    assert all(splits[i] == s for i, s in zip(frame.sample_id, frame.split, strict=True))
    index = {row["sample_id"]: row for row in release.samples()}
    assert set(real.sample_id) <= {i for i, row in index.items() if not row["synthetic"]}
    assert set(synthetic.sample_id) == {i for i, row in index.items() if row["synthetic"]} and len(synthetic) >= 2
    assert all(index[i]["emotion"] == e for i, e in zip(frame.sample_id, frame.emotion, strict=True))
    # real payloads are as they were, synthetic ones are the vector
    vectors = frame.set_index("sample_id")[list(spec.rows)]
    for sample_id, row in index.items():
        if row["synthetic"]:
            assert row["codec"] == "npz" and row["duration_s"] is None and is_vector(row["signals"])
            np.testing.assert_array_equal(vector_of(row["payload"]), vectors.loc[sample_id].to_numpy(np.float32))
        elif row["modality"] != "physio":
            assert row["codec"] == {"speech": "wav", "face": "png", "text": "txt"}[modality]
    # gates saw vectors, real and synthetic
    assert seen and all(b.layout == "vector" and set(b.errors) == {None} for b in seen)
    assert {s.shape for b in seen for s in b.signals} == {spec.shape}
    verdicts = pq.read_table(release.path / "verdicts.parquet").to_pylist()
    assert {"frechet", "kid"} <= {v["gate"] for v in verdicts}
    assert read_json(folder / "data/runs" / run / "evaluation/uplift.json")["arms"]
    # what is generated lies where real samples lie
    low, high = real[list(spec.rows)].min(), real[list(spec.rows)].max()
    margin = 0.5 * (high - low) + 1e-3
    inside = ((synthetic[list(spec.rows)] >= low - margin) & (synthetic[list(spec.rows)] <= high + margin)).to_numpy()
    assert inside.mean() > 0.95


def test_the_readme_tells_how_to_read_them(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines are run as they stand."""
    folder = project("speech") / "data/runs/functionals_cvae/release"
    assert folder.is_dir(), "the release of the test before"
    text = (folder / "README.md").read_text(encoding="utf-8")
    code = next(c for c in (part.partition("```")[0] for part in text.split("```python\n")[1:]) if "features" in c)
    assert len([line for line in code.splitlines() if line and not line.startswith("import")]) == 6
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["x"].shape == (len(names["y"]), 88) and 0 < len(names["real"]) < len(names["train"])
    assert "88 features (functionals16k)" in text and (names["weight"] == 1.0).all()


def test_the_report_shows_features_where_there_is_nothing_to_hear(project: Any) -> None:
    folder = project("speech")
    run_stage("report", "functionals_cvae", repo=folder)
    page = (folder / "data/runs/functionals_cvae/report.html").read_text(encoding="utf-8")
    assert "Feature rows: 88 columns (functionals16k)" in page and "<code>features.parquet</code>" in page
    synthetic = page.partition("synthetic, accepted</h4>")[2].partition("</div>")[0]
    assert '<blockquote dir="auto">mfcc1_mean: ' in synthetic and "<audio" not in synthetic
    assert "<audio" in page, "real samples are sounds"


def test_a_representation_of_another_modality_is_refused(project: Any) -> None:
    folder = project("speech")
    params = (folder / "params.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(params.replace("name: functionals", "name: hog"), encoding="utf-8")
    try:
        with pytest.raises(ParamsError, match=r"'hog' is for face, the corpora are speech"):
            run_stage("plan", "functionals_cvae", repo=folder)
        ahead = foreseen(load_params(folder / "params.yaml"), Layout(folder), "functionals_cvae")  # `emoforge check`
        assert ahead is not None and any("'hog' is for face" in problem.text for problem in ahead.stops)
    finally:
        (folder / "params.yaml").write_text(params, encoding="utf-8")


def test_a_release_of_payloads_has_no_feature_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from corpora.store.release import Release

    release = Release(tmp_path, {"files": {}}, None, None)
    with pytest.raises(UserError, match=r"no features.parquet"):
        release.features()
