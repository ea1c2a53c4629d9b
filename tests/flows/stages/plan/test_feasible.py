"""What labels, groups and subjects alone say of a run is said before anything is prepared, with views that work."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml

from corpora.errors import CorpusError, SplitError
from emoforge.summary import inspect_release
from flows.params import load_params
from flows.paths import Layout
from flows.stages.plan.feasible import outlook
from flows.stages.plan.plan import make_plans
from flows.stages.run import run_stage
from tests.flows.conftest import TINY

# Who is heard in which class, and how often: a talk show's cast. Most speak one class, and one fills most of anger.
Cast = dict[str, dict[str, int]]
CAST: Cast = {
    "SM1": {"A": 9},
    **{f"SM{i}": {"A": 2} for i in (2, 3, 4)},
    **{f"SF{i}": {"N": 3} for i in (1, 2, 3, 4, 5)},
    "SM5": {"N": 3, "S": 2},
    **{f"SM{i}": {"S": 3} for i in (6, 7, 8, 9)},
}
THREE = {name: classes for name, classes in CAST.items() if name != "SM4"}
ALONE = CAST | {"SF9": {"H": 4}}
FOLDERS = {"A": "Angry", "H": "Happy", "N": "Neutral", "S": "Sad"}


def talk_show(raw: Path, cast: Cast, seconds: float = 0.3) -> None:
    """Wav files in URDU's layout, each noise of its own."""
    number: Counter[str] = Counter()
    for speaker, classes in cast.items():
        for letter, n in classes.items():
            for _ in range(n):
                number.update((speaker, letter))
                path = raw / FOLDERS[letter] / f"{speaker}_F{number[speaker]}_{letter}0{number[letter]}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                rng = np.random.default_rng([number[letter], ord(letter)])
                soundfile.write(path, rng.normal(0, 0.1, int(16000 * seconds)), 16000, subtype="PCM_16")


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Cast], Path]:
    """cast -> a project that has ingested it, one for each cast."""
    made: dict[str, Path] = {}

    def make(cast: Cast) -> Path:
        if (key := repr(cast)) not in made:
            folder = tmp_path_factory.mktemp("urdu")
            talk_show(folder / "data/raw/tiny", cast)
            made[key] = folder
            with_run(folder)
            run_stage("ingest", "tiny", repo=folder)
        return made[key]

    return make


def with_run(folder: Path, **run: Any) -> Path:
    """params.yaml with these changes of the run, and no plan yet."""
    params = copy.deepcopy(TINY["speech"])
    del params["demo"]
    params["corpora"]["tiny"]["reader"] = "urdu"
    params["runs"]["tiny"] |= run
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return folder


def looked_at(folder: Path) -> Any:
    layout = Layout(folder)
    return outlook(make_plans(load_params(layout.params), layout, "tiny"), layout)


def test_a_class_that_one_speaker_fills_has_two_in_train(ingested: Callable[[Cast], Path]) -> None:
    folder = with_run(ingested(CAST))
    run_stage("plan", "tiny", repo=folder)
    index = pq.read_table(folder / "data/corpora/tiny/index.parquet").to_pylist()
    rows = pq.read_table(folder / "data/corpora/tiny/splits.parquet").to_pylist()
    split = {r["sample_id"]: r["split"] for r in rows if r["view"] == "group"}
    held = {(r["emotion"], split[r["sample_id"]], r["subject_id"]) for r in index}
    spread = Counter((emotion, where) for emotion, where, _ in held)
    for emotion in ("anger", "neutral", "sadness"):
        assert spread[emotion, "train"] >= 2 and spread[emotion, "dev"] and spread[emotion, "test"]
    told = looked_at(folder)
    assert not any(p.stops for p in told.problems) and not told.advice
    said = " ".join(p.text for p in told.problems)
    assert re.search(r"kid of anger.* will stay undecided: anger has 1 speaker in", said), said


def test_three_speakers_are_too_few_for_three_splits_and_a_fold_is_advised(ingested: Callable[[Cast], Path]) -> None:
    folder = with_run(ingested(THREE))
    with pytest.raises(CorpusError) as caught:
        run_stage("plan", "tiny", repo=folder)
    said = str(caught.value)
    assert "augment: agreement: anger has 1 speaker in train; 2 are needed" in said and "support: anger" in said
    assert not (folder / "data/runs/tiny/plan").exists(), "nothing is begun"
    advised = re.search(r"Views with which it can: ([\w-]+)", said)
    assert advised is not None, said
    run_stage("plan", "tiny", repo=with_run(folder, view=advised[1]))
    real = {"generator": None, "representation": None, "gates": {}}
    run_stage("plan", "tiny", repo=with_run(folder, **real))  # real samples alone need no judges


def test_where_no_view_works_a_smaller_scheme_is_advised(ingested: Callable[[Cast], Path]) -> None:
    folder = with_run(ingested(ALONE))
    with pytest.raises(SplitError, match=r"'happiness' has 4 samples, all in one group") as caught:
        run_stage("plan", "tiny", repo=folder)
    assert "No view that was tried" in str(caught.value) or "Label schemes" in str(caught.value)
    told = looked_at(folder)
    assert [p.stops for p in told.problems] == [True] and told.advice


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"generator": {"name": "cvae", "early_stop": {"every": 5, "share": 0.9}}}, "early stopping holds out every"),
        ({"generator": {"name": "cvae", "params": {"use_intensity": True}}}, "no train sample has an intensity"),
        ({"gates": {"ordinal": {"params": {"order": ["sadness", "neutral"]}}}}, "ordinal.*missing: anger"),
        ({"view": "group-k5-fold1-prune-anger1"}, r"fit: too few train samples of anger \(1\)"),
    ],
)
def test_each_stage_is_asked(ingested: Callable[[Cast], Path], change: dict[str, Any], says: str) -> None:
    with pytest.raises(CorpusError, match=says):
        run_stage("plan", "tiny", repo=with_run(ingested(CAST), **change))


def test_one_class_alone_is_refused_before_anything_is_fitted(ingested: Callable[[Cast], Path]) -> None:
    alone: Cast = {f"SF{i}": {"N": 3} for i in range(1, 9)}
    with pytest.raises(CorpusError, match=r"leaves 1 class\(es\) of these corpora: neutral\. At least 2"):
        run_stage("plan", "tiny", repo=with_run(ingested(alone)))


def test_ranked_intensity_needs_samples_and_people_of_each_class(ingested: Callable[[Cast], Path]) -> None:
    ranked = {"name": "cvae", "intensity": "ranked", "params": {"honours": ["intensity"]}}
    run_stage("plan", "tiny", repo=with_run(ingested(CAST), generator=ranked))
    few = {"view": "group-k5-fold1-prune-anger20"}
    with pytest.raises(
        CorpusError, match=r"fit: generator\.intensity is 'ranked': no intensity to learn from: class 'anger'"
    ):
        run_stage("plan", "tiny", repo=with_run(ingested(CAST), generator=ranked, **few))


def test_a_view_without_dev_runs_and_says_what_it_cannot(ingested: Callable[[Cast], Path]) -> None:
    told = looked_at(with_run(ingested(CAST), view="loso-F1", gates={"mia": {}}))
    said = " ".join(p.text for p in told.problems)
    assert not any(p.stops for p in told.problems)
    assert "mia will stay undecided: dev has no speakers; 4 groups are needed" in said
    assert re.search("test has no sample of (anger, sadness|sadness, anger)", said) and "test has 1 speaker" in said


@pytest.mark.slow
def test_the_whole_way_with_a_class_that_one_speaker_fills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It used to train to its end, and die when the first gate was fitted."""
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    talk_show(tmp_path / "data/raw/tiny", CAST, seconds=0.6)
    with_run(tmp_path)
    for verb in ("ingest", "plan", "prepare", "fit", "augment", "evaluate", "release"):
        run_stage(verb, "tiny", repo=tmp_path)
    manifest = json.loads((tmp_path / "data/runs/tiny/release/manifest.json").read_text())
    assert "has 1 speaker in" in " ".join(manifest["notes"])
    assert manifest["cannot_be_judged"], "voices of noise: no judge hears all of their classes"
    capsys.readouterr()
    inspect_release(tmp_path / "data/runs/tiny/release", as_json=True)
    assert json.loads(capsys.readouterr().out)["manifest"]["cannot_be_judged"] == manifest["cannot_be_judged"]
    verdicts = pq.read_table(tmp_path / "data/runs/tiny/release/verdicts.parquet").to_pylist()
    assert {v["verdict"] for v in verdicts if "1 speaker" in v["reason"]} == {"undecided"}
