"""The report begins with what a study of its corpora says, and is due again when that changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.artifacts.studied import About, Studied, studies_about
from flows.paths import Layout
from flows.stages.report import provenance
from flows.stages.report.data import read_run
from flows.stages.report.report import render
from tests.flows.stages.report.report_run import make_run


def about(study: str, corpora: tuple[str, ...], asked: str = "a1") -> About:
    return About(
        study=study,
        mode="full",
        corpora=corpora,
        modality="face",
        classes=("a", "b"),
        features="hog",
        scaling="standard",
        arms={},
        classifiers={},
        folds=2,
        seeds=1,
        n_samples=4,
        n_people=2,
        people_known=False,
        rejected={},
        dropped=0,
        probabilities=(),
        bootstrap=100,
        machine="",
        versions={},
        asked=asked,
    )


def finished(studies: Path, study: str, corpora: tuple[str, ...], sentence: str, asked: str = "a1") -> None:
    with Studied.written(studies / study / "result") as out:
        summary = {"verdicts": [{"sentence": sentence, "outcome": "no win"}]}
        out.write_words(about(study, corpora, asked), summary, "<html></html>", "")  # type: ignore[arg-type]


def test_the_headline_is_a_sentence_of_the_harness(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    data = read_run(run, run.parent.parent / "corpora")
    corpora = tuple(data.summary.corpora)
    plain = render(data, generated=None)
    studies = run.parent.parent / "studies"
    finished(studies, "mine", (*corpora, "more"), "Nothing beats <class> weights.")
    finished(studies, "other", ("another",), "Of other people.")
    page = render(read_run(run, run.parent.parent / "corpora"), generated=None)
    assert "Nothing beats &lt;class&gt; weights." in page and "Of other people" not in page
    assert page.index('class="headline verdict') < page.index("Nothing beats") < page.index("<main"), (
        "the verdict is first"
    )
    assert "../../studies/mine/result/study.html" in page
    assert "Study mine" not in plain


def test_a_report_is_due_again_when_a_study_says_something_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path)
    monkeypatch.setattr(provenance, "_studies", lambda layout, run: _asked(layout))
    run = layout.run("r")
    run.mkdir(parents=True)
    assert provenance.changed_studies(layout, "r") == []  # there is no report yet
    (run / "provenance.json").write_text(json.dumps({"run": "r", "studies": {}}))
    assert provenance.changed_studies(layout, "r") == []
    finished(layout.studies, "mine", ("c",), "x")
    assert provenance.changed_studies(layout, "r") == ["study mine says something new"]
    (run / "provenance.json").write_text(json.dumps({"run": "r", "studies": {"mine": "a1"}}))
    assert provenance.changed_studies(layout, "r") == []
    finished(layout.studies, "mine", ("c",), "x", asked="b2")
    assert provenance.changed_studies(layout, "r") == ["study mine says something new"]


def _asked(layout: Layout) -> dict[str, str]:
    return {name: studied.about().asked for name, studied in studies_about(layout.studies, ["c"]).items()}
