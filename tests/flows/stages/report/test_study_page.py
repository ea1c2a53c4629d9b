"""The page of a study and its Markdown: verdict first, every arm, reasons, and nothing from outside."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from flows.stages.report import figures, study_page
from flows.stages.report.forest import ForestRow, forest_plot
from flows.stages.report.study_tables import main_groups, panels, points, ranked
from tests.validators.trials.studies.simulated import AS_IS, BASELINES, Plan, simulated, without
from validators.trials.studies.resampling import Interval
from validators.trials.studies.roles import Roles
from validators.trials.studies.summary import StudySummary, summarised

HOSTILE = 'x"<script>alert(1)</script>|[a](b)'
ARMS = BASELINES | {"transfer": 0.12, HOSTILE: 0.0, "fill": 0.0, "oracle": 0.15, "oracle + fill": 0.15}
ABOUT = {"study": "voices & <faces>", "corpora": "one, two"}
VOID = {"meta", "link", "br", "img", "hr", "input", "path", "use"}


@pytest.fixture(scope="module")
def summary() -> StudySummary:
    study = simulated(
        Plan(ARMS, people=10, classifiers=("LR", "SVM"), conditions=(AS_IS, "anger to 10 %", "fear to 10 %")), 0
    )
    lost = [n for n, c in enumerate(study.cells) if c.arm == HOSTILE and c.classifier == "LR" and c.seed == 0]
    study = without(study, dict.fromkeys(lost, ("failed", "out of <memory>")))
    svm = np.isin(study.cell, [n for n, c in enumerate(study.cells) if c.classifier == "SVM"])
    study = replace(study, scores=np.where(svm[:, None], study.scores - 2, study.scores))
    return summarised(study, Roles(), n_bootstrap=300, seed=0)


@pytest.fixture(scope="module")
def page(summary: StudySummary) -> str:
    return study_page.study_page(summary, ABOUT)


class Balanced(HTMLParser):
    """Every tag that opens is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_says_the_verdict_first(page: str, summary: StudySummary) -> None:
    parser = Balanced()
    parser.feed(page)
    assert not parser.open
    assert page.index("headline") < page.index("<svg") and "Transfer beats" in page
    head = page[: page.index("</header>")]
    assert summary.expected.sentence in head and "voices &amp; &lt;faces&gt;" in head and "one, two" in head
    for section in ("verdicts", "arms", "gap", "power", "failed", "conditions", "slices", "calibration"):
        assert f'<section id="{section}">' in page
    assert len(page.encode()) < 1_500_000


def test_a_figure_of_each_metric_and_classifier(page: str, summary: StudySummary) -> None:
    # UAR and macro-F1 of "as is"; those and the two of the pruned class of the kind; two classifiers
    assert page.count('<svg role="img"') == len(panels(summary)) == (2 + 4) * 2
    assert main_groups(summary) == ("one class to 10 %", AS_IS)
    assert page.count(">oracle</text>") == 12
    assert not set(re.findall(r"#[0-9a-f]{6}", page.partition("<main>")[2])) & set(figures._VARIABLES)


def test_nothing_comes_from_outside_and_names_are_escaped(page: str) -> None:
    assert not re.search(r'(?:src|href)="(?!#|data:)', page) and "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert "alert(1)</script>" not in page and "out of &lt;memory&gt;" in page


def test_arms_that_lack_cells_stand_last_and_say_so(page: str, summary: StudySummary) -> None:
    panel = next(p for p in panels(summary) if p.classifier == "LR" and p.metric == "uar")
    assert panel.forest[-1].part == "incomplete" and "lacks 6 cells" in panel.forest[-1].name
    complete = [row.value for row in panel.forest[:-1]]
    assert complete == sorted(complete, reverse=True)
    row = next(row for row in panel.table.rows if row[0] == HOSTILE)
    assert "6 of 12" in row[-1] and "failed: out of <memory> (6)" in row[-1]
    lines = [x for x in summary.lines if (x.group, x.metric, x.classifier) == ("one class to 10 %", "uar", "LR")]
    assert [x.missing.n > 0 for x in ranked(lines)] == [False] * 7 + [True]


def test_what_is_undefined_says_why(page: str) -> None:
    assert "scores are no probabilities" in page and "no interval" in page
    assert points(Interval.undefined("x")) == "undefined"
    assert points(Interval(0.021, float("nan"), float("nan"))) == "2.1 [undefined]"
    assert points(Interval(0.021, -0.0001, 0.04)) == "2.1 [0.0, 4.0]"
    assert ">nan" not in page.lower() and "inf%" not in page


def test_the_same_summary_gives_the_same_page(page: str, summary: StudySummary) -> None:
    assert study_page.study_page(summary, ABOUT) == page


def test_a_page_that_is_full_names_what_it_leaves_out(summary: StudySummary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_page, "MOST_CHARACTERS", 150_000)
    small = study_page.study_page(summary, ABOUT)
    assert 1 <= small.count('<svg role="img"') < 12 and "The page would be too large with: " in small
    assert "UAR, LR, one class to 10 %" in small and len(small.encode()) < 200_000


def test_markdown_has_even_tables_and_the_losses_too(summary: StudySummary) -> None:
    text = study_page.study_markdown(summary, ABOUT)
    assert text.startswith("## voices & &lt;faces>\n\n**Transfer beats")
    assert "- corpora: one, two" in text and "### Share of the oracle gap, one class to 10 %" in text
    for arm in ARMS:
        assert arm == HOSTILE or f"| {arm.replace('_', ' ')} |" in text
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.M)
    assert len(tables) >= 12
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, table
    assert "](b)" not in text and "<script" not in text


def test_a_forest_plot_without_any_value() -> None:
    nan = float("nan")
    svg = forest_plot([ForestRow("a", nan, nan, nan, "undefined")], label="UAR", name="x", oracle=nan)
    assert "undefined" in svg and ">oracle<" not in svg


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here")
@pytest.mark.parametrize("width", [1200, 390])
def test_chromium_draws_it(page: str, tmp_path: Path, width: int) -> None:
    target, picture = tmp_path / "study.html", tmp_path / "study.png"
    target.write_text(page, encoding="utf-8")
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--screenshot={picture}",
        f"--window-size={width},3000",
    ]
    subprocess.run([*command, target.as_uri()], check=True, capture_output=True, timeout=120)
    from PIL import Image

    assert np.asarray(Image.open(picture).convert("L")).std() > 10  # not an empty page
