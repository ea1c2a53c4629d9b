"""The stage from design to page, its quick form, a look at the vault, and the search of parameters."""

from __future__ import annotations

import csv

import pytest
import yaml

import flows.conduct.studies as studies
from flows.artifacts.studied import Studied
from flows.stages.run import run_stage
from flows.stages.study import search, study
from flows.stages.study.design import StudyPlan
from flows.stages.study.methods import default_arms
from tests.flows.stages.study.tiny_study import PARAMS, STUDY, Project


def _params(project: Project, **changes: object) -> None:
    whole = {**PARAMS, "studies": {"tiny": {**STUDY, **changes}}}
    (project.root / "params.yaml").write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")


@pytest.fixture(autouse=True)
def _restored(project: Project) -> object:
    yield
    _params(project)


def test_the_stages_leave_a_whole_result(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("design", "study"):
        run_stage(verb, "tiny", repo=project.root)
    result = Studied.open(project.layout.study("tiny") / "result")
    about, answers = result.about(), result.study()
    assert about.mode == "full" and about.n_people == 6 and about.people_known
    # 2 conditions x 3 folds x 2 seeds; the oracle only where something was pruned
    assert len(answers.cells) == 6 * (2 * 4 + 1)
    assert {cell.status for cell in answers.cells} == {"ok"}
    assert len(result.verdict()) > 20
    assert "<html" in result.page.read_text(encoding="utf-8") and "transfer" in result.tables.read_text("utf-8")
    before = {p.name: p.read_bytes() for p in result.path.iterdir()}
    capsys.readouterr()
    run_stage("study", "tiny", repo=project.root)
    assert "54 cells, 54 of them known" in capsys.readouterr().out
    assert {p.name: p.read_bytes() for p in result.path.iterdir()} == before


def test_a_design_that_was_tampered_with_is_named(project: Project) -> None:
    from corpora.errors import IntegrityError

    run_stage("design", "tiny", repo=project.root)
    path = project.layout.design("tiny")
    path.write_text(path.read_text().replace('"modality"', '"modalty"'))
    with pytest.raises(IntegrityError, match="design"):
        StudyPlan.read(project.layout, "tiny")
    path.unlink()
    with pytest.raises(IntegrityError, match="run the stage design@tiny"):
        StudyPlan.read(project.layout, "tiny")


def test_quick_leaves_out_what_is_trained_or_rendered(project: Project) -> None:
    whole = project.study(defaults=True, seeds=5, folds=6)
    quick = study.quick(whole, default_arms("speech"), "speech")
    assert (quick.seeds, quick.folds) == (1, 3)
    assert {"cvae", "diffusion", "noise", "transfer, audio"} <= set(quick.without)
    assert not {"SMOTE", "transfer", "class weights", "oracle"} & set(quick.without)
    own = project.study(defaults=True, arms={"noise": {"method": "noise", "params": {"snr_db": [5, 9]}}})
    left = study.quick(own, {**default_arms("speech"), **own.arms}, "speech")
    assert "noise" not in left.arms and "noise" in left.without


def test_a_look_at_the_vault_is_logged_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "_taken_in", lambda *_: None)  # it is ingested
    subject = next(str(f.subject) for f in project.asked().rows.facts if str(f.subject).endswith("02"))
    _params(project, vault={"subjects": [subject]}, seeds=1)
    log = project.root / studies.LOG
    first, fresh = studies.vault_study("tiny", project.root, print)
    assert fresh and {c.fold for c in first.study().cells} == {0}
    assert {first.study().subjects[i] for i in set(first.study().sample)} == {subject}
    again, fresh = studies.vault_study("tiny", project.root, print)
    assert not fresh and again.verdict() == first.verdict()
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["study"] for row in rows] == ["tiny"] and rows[0]["sentence"] == first.verdict()
    _params(project, vault={"subjects": [subject]}, seeds=1, arms={"SMOTE": STUDY["arms"]["SMOTE"]})
    assert studies.vault_study("tiny", project.root, print)[1]
    assert len(studies.looks(log)) == 2


def test_a_search_that_was_interrupted_goes_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    arms = {"jitter": {"method": "jitter", "tune": {"sd": {"low": 0.05, "high": 2.0, "log": True}}, "trials": 5}}
    _params(project, arms=arms)
    keep, kept = search._keep, []

    def two_alone(*given: object) -> None:
        if len(kept) == 2:
            raise KeyboardInterrupt
        kept.append(given)
        keep(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(search, "_keep", two_alone)
    with pytest.raises(KeyboardInterrupt):
        search.tune_arm("tiny", "jitter", project.layout, classifier="logistic")
    monkeypatch.setattr(search, "_keep", keep)
    gone_on = search.tune_arm("tiny", "jitter", project.layout, classifier="logistic")
    assert len(gone_on.trials) == 5 and gone_on.trials[:2] == tuple(kept[1][2][:2])  # type: ignore[index]
    assert gone_on.ranked()[0].params == gone_on.best
    longer = search.tune_arm("tiny", "jitter", project.layout, classifier="logistic", trials=6)
    assert longer.trials[:5] == gone_on.trials
