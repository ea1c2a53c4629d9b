"""A class whose candidates are not what was asked for is withheld; the others are released."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import yaml

from corpora.errors import ParamsError
from corpora.store.release import open_release
from flows.artifacts.augmented import Augmented
from flows.artifacts.evaluated import Evaluated, VerdictRow
from flows.stages.augment import withholding
from flows.stages.augment.candidates import Candidate
from flows.stages.augment.tallies import class_tally
from flows.stages.augment.withholding import withhold
from flows.stages.evaluate import conditions_verdict
from flows.stages.report.report import write_report
from flows.stages.run import run_stage
from generators.draws.targets import Cell
from generators.generator import Condition, Draw
from tests.flows.conftest import TINY
from tests.flows.stages.test_unjudged import CLASSES, REAL, scores
from validators.gate import Estimate
from validators.trials.conditions import not_honoured


class Telling:
    """Stands where a fitted gate that tells classes does."""

    tells_class = True

    @staticmethod
    def reference() -> dict[str, np.ndarray]:
        return {c: np.array(v, float) for c, v in REAL.items()}


GATES: Any = {"agreement": type("Fitted", (), {"gate": Telling})}


def candidates(cell: Cell, hits: int, n: int = 48, **shares: float) -> list[Candidate]:
    """`hits` of n are named by judges as asked; every second one passed."""
    return [
        Candidate(
            Draw(Condition(shares or cell.emotion), i),
            f"{cell.emotion}/{i}",
            "",
            1,
            "k",
            i,
            {"agreement": 1.0 if i < hits else 0.3},
            failed=None if i % 2 else "agreement",
            place=i,
            weight=0.5,
        )
        for i in range(n)
    ]


def test_a_class_that_judges_do_not_recognise_is_withheld_whatever_its_corpus() -> None:
    neutral, here, there = (Cell("neutral", None, 3, 9), Cell("sadness", "a", 3, 9), Cell("sadness", "b", 3, 9))
    deaf, mixed = Cell("anger", None, 3, 9), Cell("", None, 0, 9, mixture=(("anger", 0.5), ("sadness", 0.5)))
    seen = {
        neutral: candidates(neutral, 40),
        here: candidates(here, 0),
        there: candidates(there, 6),
        deaf: candidates(deaf, 0),
        mixed: candidates(mixed, 0, anger=0.5, sadness=0.5),
    }
    assert withhold(seen, GATES, CLASSES) == {here: "withheld", there: "withheld"}
    for cell, own in seen.items():
        passed = [c for c in own if c.failed is None]
        gone = cell in (here, there)
        assert len(passed) == 24 and all(c.surplus == gone and (c.weight is None) == gone for c in passed)
    row = class_tally("sadness", 6, seen, {here: "withheld", there: "spread"}, ["agreement"])
    assert (row.accepted, row.surplus, row.effective, row.filled, row.stopped) == (0, 48, 0, False, "withheld")
    nobody = Cell("sadness", "c", 0, 9)
    row = class_tally("sadness", 6, {**seen, nobody: []}, {here: "withheld", nobody: "no-source"}, ["agreement"])
    assert row.stopped == "withheld", "else its verdict would count, and refuse what is not released"


def test_it_is_the_verdict_that_evaluate_would_give() -> None:
    """Over every count of hits: what would fail is withheld, nothing else, and the others keep their verdicts."""
    heard = {c: np.array([v == 1.0 for v in values], bool) for c, values in REAL.items()}
    ends = set()
    for hits in range(0, 49, 3):
        asked = {"neutral": np.arange(48) < 40, "sadness": np.arange(48) < hits}
        rows = {r.group: r for r in conditions_verdict(scores(neutral=40, sadness=hits), CLASSES, REAL)}
        failed = {c for c in asked if rows[c].verdict == "fail"}
        assert set(not_honoured(asked, heard)) == failed
        left = conditions_verdict(scores(neutral=40, sadness=hits), CLASSES, REAL, withheld=failed)
        own = {r.group: r for r in left}
        assert set(own) == {"all", *asked} - failed and own["neutral"] == rows["neutral"]
        assert own["all"].verdict != "fail"
        ends.add(rows["sadness"].verdict)
    assert ends == {"fail", "undecided", "pass"}, "or this tests nothing"


def test_nothing_is_said_where_everything_is_withheld() -> None:
    assert conditions_verdict(scores(sadness=0), CLASSES, REAL, withheld={"sadness"}) == []


# -- the whole way: a transfer that moves nothing gives candidates of their sources' classes


@pytest.fixture(scope="module")
def moved_by_nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("nothing")
    params: dict[str, Any] = yaml.safe_load(yaml.safe_dump(TINY["faces"]))
    run = params["runs"]["tiny"]
    run["gates"] |= {"agreement": {"limit": {"absolute": 0.0}}, "copies": {"enabled": False}}
    run |= {
        "generator": {"name": "transfer", "params": {"strength": 0.0}},
        "representation": {"name": "pixels", "size": 16},
        "target": {"by": "weight", "spread": 6},
        "policy": {"on_fail": "block"},
        "rounds": {"not_honoured": "withhold"},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOFORGE_ACTORS", "0")
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        for verb in ("fake", "ingest", "plan", "prepare", "fit"):
            run_stage(verb, "tiny", repo=folder)
        yield folder


def conditions_of(run: Path) -> list[VerdictRow]:
    """As `evaluate` would have them, had the class been kept."""
    augmented = Augmented.open(run / "augmented")
    of_gate = augmented.scores().filter(pc.equal(augmented.scores()["gate"], "agreement"))
    classes = [t.emotion for t in augmented.balance().classes]
    return conditions_verdict(of_gate, classes, augmented.reference()["agreement"])


def test_a_release_goes_on_without_the_class(moved_by_nothing: Path, tmp_path: Path, capsys: Any) -> None:
    folder, run = moved_by_nothing, moved_by_nothing / "data/runs/tiny"
    for verb in ("augment", "evaluate", "release"):  # which refuses what a verdict fails
        run_stage(verb, "tiny", repo=folder)
    assert "anger is withheld: judges name" in capsys.readouterr().out
    assert any(row.verdict == "fail" for row in conditions_of(run))
    ended = {t.emotion: t for t in Augmented.open(run / "augmented").balance().classes}
    failed = {c for c, t in ended.items() if t.stopped == "withheld"}
    assert failed == {"anger"} and all(ended[c].accepted == 0 < ended[c].surplus for c in failed)
    assert not failed & {row.group for row in Evaluated.open(run / "evaluation").verdicts()}
    release = open_release(run / "release")
    release.verify()
    assert {c: one.synthetic for c, one in release.balance().items() if c in failed} == {"anger": 0}
    notes = json.loads((run / "release/manifest.json").read_text())["notes"]
    assert any("not what was asked for, and are withheld" in note for note in notes)
    write_report(run, folder / "data/corpora", tmp_path / "page.html", generated=None)
    assert "are withheld" in (tmp_path / "page.html").read_text()


def test_where_every_class_is_withheld_real_samples_are_released_and_nothing_is_said_of_none(
    moved_by_nothing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "p"
    shutil.copytree(moved_by_nothing, folder, symlinks=True)
    failed = Estimate(0.1, 0.0, 0.2, 0.8, 10, 40)
    monkeypatch.setattr(withholding, "not_honoured", lambda asked, heard: dict.fromkeys(asked, failed))
    for verb in ("augment", "evaluate", "release"):
        run_stage(verb, "tiny", repo=folder)
    run = folder / "data/runs/tiny"
    evaluated = Evaluated.open(run / "evaluation")
    assert evaluated.verdicts() == [] and evaluated.alarms() is None
    release = open_release(run / "release")
    release.verify()
    assert not any(one.synthetic for one in release.balance().values())
    notes = release.manifest["notes"]
    assert notes[0] == "real samples alone: of 78 candidates none is released"
    assert not any("count for" in note or "undecided" in note for note in notes)
    write_report(run, folder / "data/corpora", tmp_path / "page.html", generated=None)
    page = (tmp_path / "page.html").read_text()
    assert "No synthetic sample of a class is in it" in page and "No difference" not in page


def test_without_a_gate_that_tells_classes_it_is_refused_when_the_run_is_planned(
    moved_by_nothing: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    shutil.copytree(moved_by_nothing, folder, symlinks=True)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["runs"]["tiny"]["gates"]["agreement"] = {"enabled": False}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(ParamsError, match=r"runs\.tiny\.rounds\.not_honoured .* switch on agreement"):
        run_stage("plan", "tiny", repo=folder)
