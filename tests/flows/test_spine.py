"""The whole way, raw corpus to release, on tiny corpora and as plain functions."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from corpora.errors import CorpusError, GateError, ParamsError, SplitError
from corpora.store.release import open_release
from validators.trials.selftest import HELD_OUT, QUICK

Project = Callable[[Path, dict[str, Any]], Path]


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "data/runs/tiny/release/manifest.json").read_text())


@pytest.mark.parametrize("kind", ["speech", "faces"])
def test_raw_corpus_becomes_a_release(
    kind: str, tmp_path: Path, tiny_params: Any, project: Project, run_all: Any
) -> None:
    folder = project(tmp_path / "a project with späces", tiny_params(kind))
    run_all(folder)
    found = manifest(folder)
    release = open_release(folder / "data/runs/tiny/release")
    release.verify()

    balance = json.loads((folder / "data/runs/tiny/augmented/balance.json").read_text())
    assert {r["emotion"] for r in balance["classes"]} == set(found["classes"])
    target = max(r["real_train"] for r in balance["classes"])
    for row in balance["classes"]:
        assert row["target"] == target
        assert row["real_train"] + row["accepted"] == target, "an easy gate fills every class exactly"
        assert row["candidates"] == row["accepted"] + row["surplus"] + sum(row["rejected"].values())
    splits = {r["sample_id"]: r["split"] for r in pq.read_table(release.path / "splits.parquet").to_pylist()}
    index = pq.read_table(release.path / "index.parquet").to_pylist()
    made = [r for r in index if r["generator_id"] is not None]
    assert made and all(splits[r["sample_id"]] == "train" for r in made), "synthetic rows are in train only"
    assert all(("train-synthetic" in r["shard"]) == (r["generator_id"] is not None) for r in index)
    groups: dict[str, set[str]] = {}
    for row in index:
        groups.setdefault(row["group_id"], set()).add(splits[row["sample_id"]])
    assert all(len(s) == 1 for s in groups.values()), "no group lies in two splits"

    tested = json.loads((release.path / "selftest.json").read_text())
    assert {o["defect"] for o in tested["outcomes"]} == {HELD_OUT, *QUICK[index[0]["modality"]]}
    missed = {o["defect"] for o in tested["outcomes"] if o["defect"] != HELD_OUT and not o["caught"]}
    assert missed == {d for d in QUICK[index[0]["modality"]] if any(f"({d}, n = " in note for note in found["notes"])}
    verdicts = pq.read_table(release.path / "verdicts.parquet").to_pylist()
    assert {v["group"] for v in verdicts if v["gate"] == "kid"} == {"all", *{r["emotion"] for r in made}}
    units = {v["group"]: v["unit"] for v in verdicts if v["gate"] == "conditions"}
    assert units == {"all": "UAR"} | {r["emotion"]: "recall" for r in made}, "pooled, and each class that was drawn"


def test_release_reads_with_plain_webdataset(tmp_path: Path, tiny_params: Any, project: Project, run_all: Any) -> None:
    import numpy as np
    import webdataset as wds
    from PIL import Image

    folder = project(tmp_path / "p", tiny_params("faces"))
    run_all(folder)
    shards = sorted(map(str, (folder / "data/runs/tiny/release/shards").glob("train-*.tar")))
    rows = list(wds.WebDataset(shards, shardshuffle=False))
    counts = manifest(folder)["counts"]["train"]
    assert len(rows) == sum(n["real"] + n["synthetic"] for n in counts.values())
    image = np.asarray(Image.open(io.BytesIO(rows[0]["png"])))
    assert image.shape == (32, 32) and image.dtype == np.uint8
    facts = json.loads(rows[0]["json"])
    assert facts["emotion"] in counts and facts["synthetic"] in (True, False)


def test_same_inputs_same_release_in_another_folder_and_after_an_interruption(
    tmp_path: Path, tiny_params: Any, project: Project, run_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = project(tmp_path / "one", tiny_params("speech"))
    run_all(first)
    second = project(tmp_path / "elsewhere" / "two", tiny_params("speech"))
    run_all(second, stages=("fake", "ingest", "plan", "prepare", "fit"))
    from flows.stages.augment.candidates import Drawer

    real_call, calls = Drawer.__call__, []

    def interrupted(self: Any, lists: list, number: int) -> Any:
        calls.append(number)
        real_call(self, lists[:2], number)  # some lists reach the store
        raise KeyboardInterrupt

    monkeypatch.setattr(Drawer, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_all(second, stages=("augment",))
    assert calls and not (second / "data/runs/tiny/augmented").exists(), "nothing half-written"
    monkeypatch.setattr(Drawer, "__call__", real_call)
    run_all(second, stages=("augment", "evaluate", "release"))
    assert manifest(first)["release_hash"] == manifest(second)["release_hash"]


def test_a_changed_limit_draws_nothing_again(
    tmp_path: Path, tiny_params: Any, project: Project, run_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = tiny_params("faces")
    folder = project(tmp_path / "p", params)
    run_all(folder)
    before = {p.name: p.read_bytes() for p in (folder / "data/runs/tiny/plan").iterdir()}
    params["runs"]["tiny"]["gates"]["agreement"]["limit"] = {"absolute": 0.05}
    project(folder, params)
    run_all(folder, stages=("plan",))
    after = {p.name: p.read_bytes() for p in (folder / "data/runs/tiny/plan").iterdir()}
    assert {n for n in before if before[n] != after[n]} == {"augment.json", "release.json"}

    from flows.stages.augment.sampler import Sampler

    store = folder / ".emoforge/store/samples"
    old = {p.relative_to(store.parent).with_suffix("").as_posix() for p in store.rglob("*") if p.is_file()}
    done: list[str] = []
    for name in ("_sample", "_score"):
        real = getattr(Sampler, name)
        monkeypatch.setattr(Sampler, name, lambda self, key, *a, real=real: (done.append(key), real(self, key, *a)))
    run_all(folder, stages=("augment",))
    assert old and not old & set(done), "what was drawn and scored under another limit is used again"


def test_a_verdict_fails_only_the_release(tmp_path: Path, tiny_params: Any, project: Project, run_all: Any) -> None:
    params = tiny_params("faces")
    params["runs"]["tiny"]["policy"] = {"on_fail": "block", "on_undecided": "block"}
    params["runs"]["tiny"]["gates"]["frechet"]["limit"] = {"absolute": 0.0}
    folder = project(tmp_path / "p", params)
    run_all(folder, stages=("fake", "ingest", "plan", "prepare", "fit", "augment", "evaluate"))
    with pytest.raises(GateError, match="frechet"):
        run_all(folder, stages=("release",))
    assert not (folder / "data/runs/tiny/release").exists()


def test_bad_input_is_named(tmp_path: Path, tiny_params: Any, project: Project, run_all: Any) -> None:
    params = tiny_params("faces")
    params["runs"]["tiny"]["generater"] = {}
    with pytest.raises(ParamsError, match=r"generater.*Did you mean 'generator'"):
        run_all(project(tmp_path / "misspelt", params))

    params = tiny_params("faces")
    params["runs"]["tiny"]["generator"]["params"]["widht"] = 3
    folder = project(tmp_path / "inner", params)
    with pytest.raises(ParamsError, match=r"widht.*width"):
        run_all(folder)
    assert not (folder / "data/runs/tiny/plan").exists()

    params = tiny_params("faces")
    params["runs"]["tiny"]["gates"]["dimensions"] = {}
    with pytest.raises(ParamsError, match="dimensions: it judges candidates that were asked for valence"):
        run_all(project(tmp_path / "asks", params))

    params = tiny_params("faces")
    params["runs"]["tiny"]["view"] = "official_fold_9"
    with pytest.raises(ParamsError, match=r"official_fold_9.*group"):
        run_all(project(tmp_path / "view", params))
    params["runs"]["tiny"]["view"] = {"strategy": "loso", "held": "Ann"}
    with pytest.raises(SplitError, match=r"loso-Ann.*knows no subjects"):
        run_all(project(tmp_path / "subject", params))

    with pytest.raises(CorpusError, match="ingest"):
        run_all(project(tmp_path / "early", tiny_params("faces")), stages=("plan",))


def test_a_class_of_one_sample_is_an_error(tmp_path: Path, tiny_params: Any, project: Project, run_all: Any) -> None:
    params = tiny_params("faces")
    params["demo"]["tiny"]["per_class"]["disgust"] = 1
    with pytest.raises((CorpusError, SplitError), match="disgust"):
        run_all(project(tmp_path / "p", params))


def test_an_edit_in_one_generator_leaves_the_others_alone() -> None:
    from flows.stages.plan.code import code_of

    diffusion = code_of(["flows.stages.fit.fit", "features.faces.pixels", "generators.diffusion.diffusion"])
    assert "generators.gan.gan" not in diffusion and "generators.autoencoders.vae" not in diffusion
    assert {"generators.diffusion.diffusion", "training.loop", "flows.stages.fit.fit"} <= set(diffusion)
    assert not {
        "validators.gates.mcd",
        "validators.gates.agreement",
        "flows.stages.augment.augment",
        "flows.params",
    } & set(diffusion)
