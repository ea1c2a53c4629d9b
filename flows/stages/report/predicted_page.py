"""The page of a study of dimensions or labels, and the same as Markdown: as flows/stages/report/study_page.py, whose
look, tables and order it has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from flows.stages.report.forest import ForestRow, forest_plot
from flows.stages.report.study_page import (
    MOST_CHARACTERS,
    STATES,
    ShownSection,
    one_line,
    rendered,
    size_of,
    spaced,
    table_markdown,
)
from flows.stages.report.study_tables import (
    NONE,
    StudyTable,
    effect_of,
    failed_table,
    mark,
    missing_of,
    p_of,
    points,
    ranked,
    record_of,
    shown,
)
from validators.trials.studies.compare import Difference
from validators.trials.studies.predicted import PredictedSummary
from validators.trials.studies.predictions import in_words


@dataclass(frozen=True, slots=True)
class PredictedPanel:
    """One group x classifier of the mean metric: the arms as a table, and as rows of a forest plot."""

    title: str
    table: StudyTable
    forest: tuple[ForestRow, ...]


@dataclass(frozen=True, slots=True)
class ShownPredicted:
    """A panel with its figure."""

    panel: PredictedPanel
    figure: str


def predicted_page(summary: PredictedSummary, about: Mapping[str, str]) -> str:
    """The page as HTML; the same summary gives the same bytes. about: as in `study_page`."""
    room, left_out = MOST_CHARACTERS, []
    tables = []
    for table in each_name(summary):
        if (size := size_of(table)) <= room / 2:
            tables.append(table)
            room -= size
        else:
            left_out.append(table.title)
    panels = []
    for panel in panels_of(summary):
        label = f"{in_words(summary.about.metrics[0])} minus {summary.roles.nothing}, points"
        figure = forest_plot(panel.forest, label=label, name=f"forest-{panel.title}")
        size = len(figure.encode()) + size_of(panel.table)
        if size > room:
            left_out.append(panel.title)
            continue
        room -= size
        panels.append(ShownPredicted(panel, figure))
    failed = failed_table(summary)
    sections = [
        ShownSection("names", f"Each of the {summary.about.task}", tuple(tables)),
        ShownSection("failed", "Cells without answers", (failed,)),
    ]
    return rendered(
        summary=summary,
        about=dict(about),
        name=about.get("study", "study"),
        state=STATES[summary.verdict.outcome],
        panels=panels,
        sections=sections,
        left_out=left_out,
        counts=counted(summary),
        verdicts=verdicts_of(summary),
        expected="",
        oracle=False,
    )


def predicted_markdown(summary: PredictedSummary, about: Mapping[str, str]) -> str:
    """Verdict, differences of every arm, each dimension or label, and cells without answers."""
    study = one_line(about.get("study", "study"))
    parts = [f"## {study}", f"**{one_line(summary.verdict.sentence)}**", counted(summary)]
    parts += [f"- {one_line(key)}: {one_line(value)}" for key, value in about.items() if key != "study"]
    tables = [
        verdicts_of(summary),
        *(panel.table for panel in panels_of(summary)),
        *each_name(summary),
        failed_table(summary),
    ]
    return spaced([*parts, *(table_markdown(table) for table in tables if table.rows)])


def counted(summary: PredictedSummary) -> str:
    """What the numbers are of, in one sentence."""
    a = summary.about
    word = "people" if a.people_known else "split units (no people are known)"
    grouped = f" in {a.n_units} groups" if a.n_units < a.n_subjects else ""
    out = "".join(f" {name} is left out: {why}." for name, why in a.left_out.items())
    return (
        f"{in_words(a.metrics[0])} of {len(a.counted)} {a.task} ({', '.join(a.counted)}); {a.n_subjects:,} "
        f"{word}{grouped}, {a.n_samples:,} test samples; {len(a.arms)} arms, {len(a.classifiers)} classifiers, "
        f"{a.n_seeds} seeds, {a.n_folds} folds; {a.n_cells:,} of {a.n_expected:,} cells; {a.n_bootstrap:,} resamples "
        f"(seed {a.seed}).{out}"
    )


def verdicts_of(summary: PredictedSummary) -> StudyTable:
    """The sentence of every group."""
    rows = tuple((v.group, v.outcome, v.sentence) for v in summary.verdicts)
    weights = " and class weights alike" if summary.about.task == "labels" else ""
    why = f"A win is one over doing nothing{weights}, with Holm's p below 0.05. What stands in the first line counts."
    return StudyTable("Verdict of each group of conditions", why, ("group", "outcome", "verdict"), rows, words=3)


def panels_of(summary: PredictedSummary) -> tuple[PredictedPanel, ...]:
    """Of the mean metric, group by group."""
    return tuple(_panel(summary, g, c) for g in summary.about.groups for c in summary.about.classifiers)


def _panel(summary: PredictedSummary, group: str, classifier: str) -> PredictedPanel:
    metric, roles = summary.about.metrics[0], summary.roles
    place = (group, metric, classifier)
    lines = ranked([x for x in summary.lines if (x.group, x.metric, x.classifier) == place])
    against = {(d.arm, d.baseline): d for d in summary.differences if (d.group, d.metric, d.classifier) == place}
    baselines = list(dict.fromkeys(d.baseline for d in against.values()))
    columns = ["arm", "score", *(c for b in baselines for c in (f"minus {b}", "Holm p"))]
    rows = []
    for line in lines:
        own = against.get((line.arm, roles.nothing))
        cells = [line.arm, shown(line.score)]
        for baseline in baselines:
            difference = against.get((line.arm, baseline))
            cells += [points(difference.difference), p_of(difference)] if difference else [NONE, NONE]
        why = line.score.reason or (own.difference.reason if own else "") or NONE
        rows.append((*cells, effect_of(own), record_of(own), missing_of(own.missing if own else line.missing), why))
    table = StudyTable(
        f"{in_words(metric)}, {classifier}, {group}",
        f"100 times the score, with 95 % intervals. d_z and wins: against {roles.nothing}.",
        (*columns, "d_z", "wins / losses / ties", "cells missing", "why"),
        tuple(rows),
    )
    forest = [_row(d, baselines) for (_, baseline), d in against.items() if baseline == roles.nothing]
    forest.sort(key=lambda row: (row.part == "incomplete", not math.isfinite(row.value), -row.value, row.name))
    return PredictedPanel(table.title, table, tuple(forest))


def _row(difference: Difference, baselines: list[str]) -> ForestRow:
    own = difference.difference
    name = difference.arm if difference.complete else f"{difference.arm} (lacks {difference.missing.n} cells)"
    text = points(own) if math.isfinite(own.value) else "undefined"
    ends = (100 * own.value, 100 * own.low, 100 * own.high)
    if not difference.complete:
        return ForestRow(name, *ends, text, "incomplete")
    return ForestRow(name, *ends, text, "baseline" if difference.arm in baselines else "arm")


def each_name(summary: PredictedSummary) -> tuple[StudyTable, ...]:
    """Of each classifier and group: every dimension or label, with the train set as it is and what arms differ by."""
    nothing, tables = summary.roles.nothing, []
    arms = [arm for arm in summary.about.arms if arm != nothing]
    for group in summary.about.groups:
        for classifier in summary.about.classifiers:
            scores = {
                x.metric: x.score
                for x in summary.lines
                if (x.arm, x.group, x.classifier) == (nothing, group, classifier)
            }
            own = {
                (d.arm, d.metric): d
                for d in summary.differences
                if (d.group, d.classifier, d.baseline) == (group, classifier, nothing)
            }
            rows = tuple(
                (
                    name,
                    shown(scores[metric]),
                    *(points(own[a, metric].difference) + mark(own[a, metric].missing) for a in arms),
                    scores[metric].reason or NONE,
                )
                for name, metric in zip(summary.about.names, summary.about.metrics[1:], strict=True)
            )
            word = in_words(summary.about.metrics[1]).partition(" ")[0]
            title = f"{word} of each, {classifier}, {group}"
            why = f"{nothing}, and what each arm differs from it by, in points; * lacks cells."
            tables.append(StudyTable(title, why, ("of", nothing, *arms, "why"), rows, folded=True))
    return tuple(tables)
