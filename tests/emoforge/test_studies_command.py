"""The commands `study` and `tune` as a newcomer types them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import emoforge.cli as cli
from corpora.errors import UnknownNameError
from emoforge.studies import print_study, show_tuned
from flows.artifacts.studied import Studied
from flows.stages.run import run_stage
from tests.flows.stages.study.tiny_study import PARAMS, STUDY, Project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Iterator[Project]:
    patch = pytest.MonkeyPatch()
    patch.setenv("EMOFORGE_ACTORS", "0")
    there = Project.at(tmp_path_factory.mktemp("door"))
    shutil.copy(repo / "dvc.yaml", there.root / "dvc.yaml")  # what the door knows a project by
    arms = {**STUDY["arms"], "jitter": {"method": "jitter", "tune": {"sd": [0.1, 0.5]}, "trials": 2}}
    study = {**STUDY, "arms": arms, "seeds": 1, "conditions": {"prune": []}}
    (there.root / "params.yaml").write_text(yaml.safe_dump({**PARAMS, "studies": {"tiny": study}}), encoding="utf-8")
    for verb in ("design", "study"):
        run_stage(verb, "tiny", repo=there.root)
    yield there
    patch.undo()


def run(project: Project, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.chdir(project.root)
    done = CliRunner().invoke(cli.app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_studies_and_methods_are_listed_with_words(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = run(project, monkeypatch, "study")
    for word in ("tiny", "functionals", "smote", "spec_augment", "Menon et al. 2021"):
        assert word in listed
    whole = json.loads(run(project, monkeypatch, "study", "--json"))
    assert whole["methods"]["smote"] == "vector" and whole["studies"]["tiny"]["folds"] == 3


def test_a_result_is_said_sentence_first(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    studied = Studied.open(project.layout.study("tiny") / "result")
    print_study(studied, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == studied.verdict() and lines[-1].endswith("study.html")
    print_study(studied, as_json=True)
    assert json.loads(capsys.readouterr().out)["about"]["study"] == "tiny"


def test_names_that_are_not_there_name_the_nearest(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    with pytest.raises(UnknownNameError, match="tiny"):
        CliRunner().invoke(cli.app, ["study", "tinny"], catch_exceptions=False)
    with pytest.raises(UnknownNameError, match="jitter"):
        show_tuned("tiny", "jiter", project.root, classifier=None, trials=None, as_json=False)
    with pytest.raises(UnknownNameError, match="logistic"):
        show_tuned("tiny", "jitter", project.root, classifier="logistik", trials=None, as_json=False)


def test_a_search_prints_every_trial(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = run(project, monkeypatch, "tune", "tiny", "jitter")
    assert "Chosen: sd" in shown and shown.count("sd 0.") >= 2
