"""The page of a study, and the same as Markdown: verdict first, then figures and tables, wins and losses alike.

One file without network or scripts that it needs, as the report of a run is. Below 3 MB whatever the size of the study:
what does not fit is named, and stands in the study's tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from flows.stages.report.forest import forest_plot
from flows.stages.report.report import page_environment
from flows.stages.report.study_tables import (
    NAMES,
    Panel,
    StudyTable,
    by_condition,
    calibration_table,
    failed_table,
    gap_tables,
    gate_tables,
    panels,
    power_table,
    slice_table,
    verdict_table,
)
from validators.trials.studies.summary import StudySummary

MOST_CHARACTERS = 2_600_000  # figures and tables; the page as a whole stays below 3 MB
STATES = {"win": "yes", "no win": "no", "cannot tell": "waits"}  # outcome -> class in report.css


@dataclass(frozen=True, slots=True)
class ShownPanel:
    """A panel with its figure."""

    panel: Panel
    figure: str


@dataclass(frozen=True, slots=True)
class ShownSection:
    """Tables under one heading."""

    id: str
    title: str
    tables: tuple[StudyTable, ...]


def study_page(summary: StudySummary, about: Mapping[str, str]) -> str:
    """The page as HTML. about: plain strings shown as they are, name -> value ("study", "corpora", "command", ...);
    "study" is the title. The same summary gives the same bytes."""
    shown, sections, left_out = _within(summary)
    return rendered(
        summary=summary,
        about=dict(about),
        name=about.get("study", "study"),
        state=STATES[summary.verdict.outcome],
        panels=shown,
        sections=sections,
        left_out=left_out,
        counts=counts_of(summary),
        verdicts=verdict_table(summary),
        expected=summary.expected.sentence,
        oracle=True,
    )


def rendered(**shown: object) -> str:
    """The page of what templates/study.html.j2 names."""
    page: str = page_environment().get_template("study.html.j2").render(**shown)
    return page


def study_markdown(summary: StudySummary, about: Mapping[str, str]) -> str:
    """The same numbers as Markdown tables, for docs/evidence.md: verdict, differences of every arm, gaps, power, and
    cells without answers. Slices, calibration and single conditions stand on the page alone."""
    parts = [
        f"## {one_line(about.get('study', 'study'))}",
        f"**{one_line(summary.verdict.sentence)}**",
        counts_of(summary),
    ]
    parts += [f"- {one_line(key)}: {one_line(value)}" for key, value in about.items() if key != "study"]
    parts += [one_line(summary.expected.sentence)]
    tables = [
        verdict_table(summary),
        *(panel.table for panel in panels(summary)),
        *gap_tables(summary),
        *gate_tables(summary),
        power_table(summary),
        failed_table(summary),
    ]
    parts += [table_markdown(table) for table in tables if table.rows]
    return spaced(parts)


def counts_of(summary: StudySummary) -> str:
    """What the numbers are of, in one sentence."""
    a = summary.about
    word = "people" if a.people_known else "split units (no people are known)"
    grouped = f" in {a.n_units} groups" if a.n_units < a.n_subjects else ""
    return (
        f"{a.n_subjects:,} {word}{grouped}, {a.n_samples:,} test samples of {len(a.classes)} classes; "
        f"{len(a.arms)} arms, {len(a.classifiers)} classifiers, {a.n_seeds} seeds, {a.n_folds} folds; "
        f"{a.n_cells:,} of {a.n_expected:,} cells; {a.n_bootstrap:,} resamples (seed {a.seed})."
    )


def _within(summary: StudySummary) -> tuple[list[ShownPanel], list[ShownSection], list[str]]:
    """Panels and sections in the order of their weight, until the page is full; and the titles of what is left out."""
    room, left_out = MOST_CHARACTERS, []
    sections = []
    for section in _sections(summary):
        fits = []
        for table in section.tables:
            size = size_of(table)
            if size <= room / 2:  # figures come last, and half of the page is theirs
                fits.append(table)
                room -= size
            else:
                left_out.append(table.title)
        sections.append(ShownSection(section.id, section.title, tuple(fits)))
    shown = []
    for panel in panels(summary):
        figure = forest_plot(
            panel.forest,
            label=f"{NAMES[panel.metric]} minus {summary.roles.nothing}, points",
            name=f"forest-{panel.title}",
            oracle=panel.oracle,
        )
        size = len(figure.encode()) + size_of(panel.table)
        if size > room:
            left_out.append(panel.title)
            continue
        room -= size
        shown.append(ShownPanel(panel, figure))
    return shown, sections, left_out


def _sections(summary: StudySummary) -> list[ShownSection]:
    sections = [
        ShownSection("gap", "How much of the oracle gap is recovered", gap_tables(summary)),
        ShownSection("gates", "What gates are worth", gate_tables(summary)),
        ShownSection("power", "What can be shown at all", (power_table(summary),)),
        ShownSection("failed", "Cells without answers", (failed_table(summary),)),
        ShownSection("conditions", "Each condition by itself", by_condition(summary)),
        ShownSection("slices", "Kinds of people", (slice_table(summary),)),
        ShownSection("calibration", "Calibration", (calibration_table(summary),)),
    ]
    return [section for section in sections if section.tables]


def size_of(table: StudyTable) -> int:
    """Bytes of its HTML, about: tags around each cell, and what escaping adds."""
    return sum(len(cell.encode()) + 24 for row in table.rows for cell in row) + 400


def table_markdown(table: StudyTable) -> str:
    """Heading, why, and the rows."""
    head = "| " + " | ".join(map(one_line, table.columns)) + " |"
    rule = "|" + "|".join(["---"] * table.words + ["---:"] * (len(table.columns) - table.words)) + "|"
    rows = ["| " + " | ".join(map(one_line, row)) + " |" for row in table.rows]
    return f"### {one_line(table.title)}\n\n{one_line(table.why)}\n\n" + "\n".join([head, rule, *rows])


def one_line(value: str) -> str:
    """One line, with what Markdown reads as markup escaped."""
    line = " ".join(value.split())
    for sign in ("\\", "|", "*", "_", "`"):
        line = line.replace(sign, f"\\{sign}")
    return line.replace("<", "&lt;").replace("](", "]\\(")


def spaced(parts: Sequence[str]) -> str:
    """Blank lines between parts, but not between items of a list."""
    text = parts[0]
    for before, part in pairwise(parts):
        text += ("\n" if before.startswith("- ") and part.startswith("- ") else "\n\n") + part
    return text + "\n"
