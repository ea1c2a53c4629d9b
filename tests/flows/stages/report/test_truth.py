"""Alarms on the first screen, truth curves, samples along dials: shown, escaped, absent where nothing is there."""

from __future__ import annotations

import html
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpora.schema import SAMPLES
from corpora.store.atomic import write_json
from flows.artifacts.evaluated import Evaluated
from flows.artifacts.fitted import Fitted, RankedIntensity
from flows.stages.report.data import read_run
from flows.stages.report.dials import along, dial_rows
from flows.stages.report.report import write_report
from flows.stages.report.truth_tables import alarm_view
from tests.flows.stages.report.report_run import HOSTILE, make_run
from tests.flows.stages.report.test_report import Tags, loaded_from
from validators.trials.alarms import ALARMS, Alarm
from validators.trials.curves import Curve, Mixed, Part, Point, Truth

RINGS = Alarm("collapse", "different samples", "all", "rings", 0.21, 0.18, 0.25, 1.0, 0.6, 40, 30, "beyond")
QUIET = replace(RINGS, name="over-smoothing", measure="detail", state="quiet", value=1.02, low=0.9, high=1.1, reason="")
OPEN = Alarm("intensity loss", "", "fear", "undecided", None, None, None, None, None, 4, 3, "3 samples; 12 are needed")
FEW = replace(OPEN, name="copies", group="all", reason="<b>few</b>")
ALL_FOUR = [RINGS, replace(RINGS, group="fear"), QUIET, OPEN, replace(OPEN, group="anger"), FEW]
CURVE = Curve(
    "intensity",
    "p",
    HOSTILE,
    "candidates",
    (Point(0.3, 0.4, 0.3, 0.5, 9), Point(1.0, 0.8, 0.7, 0.9, 9)),
    0.6,
    0.4,
    0.8,
    18,
    "followed",
)
DEAF = Curve("arousal", "a", "none", "released samples", (), None, None, None, 5, "undecided", "no judge can tell")
PARTS = (Part("anger", 0.5, 0.4, 0.3, 0.5, 0.1), Part("fear", 0.5, 0.1, 0.05, 0.15, 0.2))
MIXED = Mixed("0.5 anger + 0.5 fear", PARTS, 12, "linear", "not followed", "fear no more than in real samples")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose fear was asked for at several intensities, and a mixture."""
    run = make_run(tmp_path, "face")
    path = run / "augmented" / "index.parquet"
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    for i, row in enumerate(rows):
        row["intensity"] = [0.25, 0.5, 1.0][i % 3] if row["emotion"] == "fear" else 1.0
    rows[-1] |= {
        "emotion": None,
        "labels": [{"scheme": "corpus", "label": c, "weight": 0.5} for c in ("anger", "fear")],
    }
    pq.write_table(pa.Table.from_pylist(rows, schema=SAMPLES), path)
    evaluated = Evaluated(run / "evaluation")
    evaluated.write_alarms(ALL_FOUR)
    evaluated.write_truth(Truth((CURVE, DEAF), (MIXED,)))
    return run


def page_of(run: Path) -> str:
    write_report(run, run.parent.parent / "corpora", run / "report.html", generated=None)
    return (run / "report.html").read_text(encoding="utf-8")


def test_alarms_stand_on_the_first_screen(run: Path) -> None:
    page = page_of(run)
    first = page[: page.index("<main")]
    assert "alarm: collapse: different samples 0.21 [0.18, 0.25] x real, limit 0.60." in first
    assert "alarm: collapse of fear" not in first, "all classes together say it"
    assert "alarm: intensity loss is undecided for fear and anger: 3 samples; 12 are needed." in first
    assert "&lt;b&gt;few&lt;/b&gt;" in first and "<b>few</b>" not in page
    assert "over-smoothing" in first[first.index("no alarm") :]
    assert page.count("<td>collapse</td>") == 2 and 'id="alarms"' in page


def test_every_alarm_says_something(run: Path) -> None:
    view = alarm_view(ALL_FOUR)
    assert view is not None and view.rows[0].state == "rings"
    said = " ".join([*view.ringing, *view.open, *view.quiet])
    assert all(name in said for name in ALARMS)
    assert alarm_view(None) is None


def test_curves_mixtures_and_dials_are_shown_and_escaped(run: Path) -> None:
    page = page_of(run)
    tags = Tags(page)
    assert not tags.open and all("".join(s).startswith(("data:", "#")) for s in loaded_from(page))
    for said in (
        "Asked against judged",
        "0.6 [0.4, 0.8]",
        "no judge can tell",
        "Are mixtures heard?",
        "Along the dial",
    ):
        assert said in page, said
    assert "intensity: asked against judged" in page and "fear in 0.5 anger + 0.5 fear" in page
    assert HOSTILE not in page and html.escape("<script>alert(") in page
    rows = dial_rows(read_run(run, run.parent.parent / "corpora"), 10**7)
    assert [row.title for row in rows] == ["fear, intensity", "anger and fear"]
    assert [shown.caption for shown in rows[0].shown] == sorted(shown.caption for shown in rows[0].shown)
    assert rows[0].shown[0].caption == "intensity 0.25" and len(rows[0].shown) == 5
    assert dial_rows(read_run(run, run.parent.parent / "corpora"), 10) == []


def test_a_run_that_asks_for_classes_alone_has_none_of_it(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path, "face"))
    for absent in ("Asked against judged", "Along the dial", "Are mixtures heard", "alarm:", "Intensity by rankers"):
        assert absent not in page


def test_order_accuracy_is_shown(run: Path) -> None:
    fitted = Fitted(run / "fit")
    summary = fitted.summary().model_copy(
        update={
            "intensity": RankedIntensity(neutral="neutral", order_accuracy=0.81, n_pairs=400, by_emotion={"fear": 0.77})
        }
    )
    write_json(run / "fit" / "fit.json", summary.to_json())
    assert fitted.summary() == summary
    page = page_of(run)
    assert "Intensity by rankers" in page and ">0.81<" in page and ">0.77<" in page


def test_a_row_goes_along_the_levels() -> None:
    values = np.array([0.2, 0.2, 0.4, 0.6, 0.8, 1.0, 0.9])
    chosen = along(values, [f"s{i}" for i in range(7)])
    assert values[chosen].tolist() == sorted(values[chosen].tolist()) and len(chosen) == 5
    assert values[chosen][0] == 0.2 and values[chosen][-1] == 1.0
    two = along(np.array([0.0, 1.0, 1.0, 0.0, 1.0, 1.0]), list("abcdef"))
    assert len(set(two)) == len(two) == 4, "of two levels there are two below"
