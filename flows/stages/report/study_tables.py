"""What a study's page and its Markdown both show: tables of text, and the order in which arms stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from flows.stages.report.forest import ForestRow, Part
from flows.stages.report.text import number
from validators.trials.studies.compare import Difference, Line
from validators.trials.studies.gap import Gap, Share
from validators.trials.studies.grid import Missing
from validators.trials.studies.power import Expectation, Needed, Power
from validators.trials.studies.predicted import PredictedSummary
from validators.trials.studies.resampling import Interval
from validators.trials.studies.summary import StudySummary

NONE = "–"
CLIPPED = 90  # letters of a reason, where a table has other things to say
NAMES = {
    "uar": "UAR",
    "macro_f1": "macro-F1",
    "f1_pruned": "F1 of the pruned class",
    "recall_pruned": "recall of the pruned class",
}


@dataclass(frozen=True, slots=True)
class StudyTable:
    """Rows of text under columns. words: how many columns from the left hold words (the others hold numbers).
    folded: the page shows it on demand."""

    title: str
    why: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One group x metric x classifier: the arms as a table, and as rows of a forest plot."""

    group: str
    metric: str
    classifier: str
    table: StudyTable
    forest: tuple[ForestRow, ...]
    oracle: float

    @property
    def title(self) -> str:
        """ "UAR, logistic regression, one class to 10 %"."""
        return f"{NAMES[self.metric]}, {self.classifier}, {self.group}"


def main_groups(summary: StudySummary) -> tuple[str, ...]:
    """Kinds, and conditions that belong to none: each condition stands in one of them alone."""
    in_kind = set(summary.single_conditions)
    return tuple(group for group in summary.about.groups if group not in in_kind)


def panels(summary: StudySummary) -> tuple[Panel, ...]:
    """Group by group, UAR first."""
    return tuple(
        _panel(summary, group, metric, classifier)
        for group in main_groups(summary)
        for metric in NAMES
        for classifier in summary.about.classifiers
        if any((x.group, x.metric, x.classifier) == (group, metric, classifier) for x in summary.lines)
    )


def _panel(summary: StudySummary, group: str, metric: str, classifier: str) -> Panel:
    roles = summary.roles
    place = (group, metric, classifier)
    lines = {x.arm: x for x in summary.lines if (x.group, x.metric, x.classifier) == place}
    against = {(d.arm, d.baseline): d for d in summary.differences if (d.group, d.metric, d.classifier) == place}
    baselines = [b for b in roles.baselines if b in lines]
    arms = ranked(list(lines.values()))
    columns = ["arm", "score"]
    for baseline in baselines:
        columns += [f"minus {baseline}", "Holm p"]
    columns += ["d_z", "wins / losses / ties", "mixed model", "cells missing"]
    rows = []
    for line in arms:
        to_nothing = against.get((line.arm, roles.nothing))
        cells = [line.arm, shown(line.score)]
        for baseline in baselines:
            difference = against.get((line.arm, baseline))
            cells += [points(difference.difference), p_of(difference)] if difference else [NONE, NONE]
        cells += [
            effect_of(to_nothing),
            record_of(to_nothing),
            mixed_of(to_nothing),
            missing_of(to_nothing.missing if to_nothing else line.missing),
        ]
        rows.append(tuple(cells))
    table = StudyTable(
        f"{NAMES[metric]}, {classifier}, {group}",
        f"Differences in points, with 95 % intervals. d_z, wins and the mixed model: against {roles.nothing}.",
        tuple(columns),
        tuple(rows),
    )
    forest = sorted(
        (
            _forest_row(d, summary)
            for (arm, base), d in against.items()
            if base == roles.nothing and arm != roles.oracle
        ),
        key=lambda row: (row.part == "incomplete", not math.isfinite(row.value), -row.value, row.name),
    )
    oracle = against.get((roles.oracle, roles.nothing))
    usable = oracle is not None and oracle.complete
    return Panel(*place, table, tuple(forest), 100 * oracle.difference.value if oracle and usable else math.nan)


def ranked(lines: Sequence[Line]) -> list[Line]:
    """Highest score first; arms that lack cells after all complete ones, undefined ones last."""

    def key(line: Line) -> tuple[bool, bool, float, str]:
        value = line.score.value
        return not math.isfinite(value), line.missing.n > 0, -value if math.isfinite(value) else 0.0, line.arm

    return sorted(lines, key=key)


def _forest_row(difference: Difference, summary: StudySummary) -> ForestRow:
    part: Part = "arm" if difference.arm in summary.roles.candidates(summary.about.arms) else "baseline"
    interval = difference.difference
    name = difference.arm if difference.complete else f"{difference.arm} (lacks {difference.missing.n} cells)"
    text = points(interval) if math.isfinite(interval.value) else "undefined"
    ends = (100 * interval.value, 100 * interval.low, 100 * interval.high)
    return ForestRow(name, *ends, text, part if difference.complete else "incomplete")


def by_condition(summary: StudySummary) -> tuple[StudyTable, ...]:
    """Differences to `nothing` in each single condition of a kind, a column each; UAR and F1 of the pruned class."""
    conditions = summary.single_conditions
    tables = []
    for metric in ("uar", "f1_pruned") if conditions else ():
        for classifier in summary.about.classifiers:
            own = {
                (d.arm, d.group): d
                for d in summary.differences
                if (d.metric, d.classifier, d.baseline) == (metric, classifier, summary.roles.nothing)
            }
            arms = [arm for arm in summary.about.arms if arm != summary.roles.nothing]
            rows = tuple(
                (arm, *(points(own[arm, c].difference) + mark(own[arm, c].missing) for c in conditions)) for arm in arms
            )
            title = f"{NAMES[metric]} in each condition, {classifier}"
            why = f"Minus {summary.roles.nothing}, in points; * lacks cells."
            tables.append(StudyTable(title, why, ("arm", *conditions), rows, folded=True))
    return tuple(tables)


def gap_tables(summary: StudySummary) -> tuple[StudyTable, ...]:
    """The gaps, the conditions that count in none, and the shares: clean ones first."""
    groups = main_groups(summary)
    gaps = sorted((g for g in summary.gaps if g.group in groups), key=lambda g: not g.clean)
    if not gaps:
        return ()
    tables = [
        StudyTable(
            "Oracle gaps",
            "From the first to the second arm, in points. A share is taken over conditions whose own gap lies above 0.",
            ("gap", "classifier", "group", "metric", "from", "to", "all conditions", "those that count", "n", "why"),
            tuple(
                (kind(g.clean), g.classifier, g.group, NAMES[g.metric], g.bottom, g.top, points(g.whole), points(g.gap),
                 f"{len(g.counted)} of {len(g.counted) + len(g.left_out)}", g.gap.reason or NONE)
                for g in gaps
            ),
            words=6,
        )
    ]  # fmt: skip
    left_out = [
        (kind(g.clean), g.classifier, g.group, NAMES[g.metric], o.condition, points(o.gap))
        for g in gaps
        for o in g.left_out
    ]
    if left_out:
        tables.append(
            StudyTable(
                "Conditions without a gap",
                "Their own gap is not above 0, so that no share is taken over them.",
                ("gap", "classifier", "group", "metric", "condition", "gap in points"),
                tuple(left_out),
                words=5,
                folded=True,
            )
        )
    return (*tables, *_share_tables(summary, gaps))


def _share_tables(summary: StudySummary, gaps: Sequence[Gap]) -> list[StudyTable]:
    tables = []
    shares = {(s.arm, s.clean, s.classifier, s.group, s.metric): s for s in summary.shares}
    for group in dict.fromkeys(g.group for g in gaps):
        places = [(g.clean, g.classifier, g.metric) for g in gaps if g.group == group]
        rows = []
        for arm in summary.about.arms:
            own = [shares.get((arm, clean, classifier, group, metric)) for clean, classifier, metric in places]
            if any(own):
                rows.append((arm, *(share_of(share) for share in own)))
        columns = ("arm", *(f"{kind(c)}: {NAMES[m]}, {classifier}" for c, classifier, m in places))
        why = "Per cent of the gap, with 95 % intervals; the clean one is the one to quote. * lacks cells."
        tables.append(StudyTable(f"Share of the oracle gap, {group}", why, columns, tuple(rows)))
    return tables


def gate_tables(summary: StudySummary) -> tuple[StudyTable, ...]:
    """What each gate is worth, and whether its score goes along with what samples are worth."""
    tables = []
    if summary.gate_worths:
        rows = tuple(
            (w.gate, w.difference.arm, w.difference.baseline, w.difference.classifier, w.difference.group,
             NAMES[w.difference.metric], percent_of(w.let_in), points(w.difference.difference),
             f"{w.difference.p:.3f}" if math.isfinite(w.difference.p) else NONE, missing_of(w.difference.missing))
            for w in summary.gate_worths
        )  # fmt: skip
        tables.append(
            StudyTable(
                "What gates are worth",
                "An arm with the gate minus the same arm without it, in points; p is not corrected. A gate whose "
                "interval holds 0 changes nothing that these people can show.",
                ("gate", "with", "without", "classifier", "group", "metric", "let in", "difference", "p", "missing"),
                rows,
                words=6,
            )
        )
    if summary.gate_values:
        tables.append(
            StudyTable(
                "Whether a gate's score foretells what samples are worth",
                "Spearman's correlation, over arms and conditions, of a gate's mean score with the difference in UAR "
                "from doing nothing.",
                ("gate", "classifier", "pairs", "correlation", "why"),
                tuple(
                    (v.gate, v.classifier, str(v.n), shown_number(v.correlation), v.correlation.reason or NONE)
                    for v in summary.gate_values
                ),
                words=2,
            )
        )
    return tuple(tables)


def shown_number(interval: Interval) -> str:
    """A plain number with its interval, two digits."""
    if not math.isfinite(interval.value):
        return "undefined"
    ends = "" if not math.isfinite(interval.low) else f" [{interval.low:.2f}, {interval.high:.2f}]"
    return f"{interval.value:.2f}{ends}"


def percent_of(share: float) -> str:
    """ "93 %", or a dash."""
    return f"{100 * share:.0f} %" if math.isfinite(share) else NONE


def power_table(summary: StudySummary) -> StudyTable:
    """Before the run and after it."""
    expected = summary.expected
    rows = [
        ("any two arms", "before the run", str(expected.n_people), *_spread(expected), *needed(expected.needed)),
    ]
    rows += [
        (f"{p.arm} minus {p.baseline}", p.classifier, str(p.n_people), *_spread(p), *needed(p.needed))
        for p in summary.power
    ]
    columns = ("comparison", "classifier", "people", "sd between people", "smallest difference")
    asked = tuple(f"people for +{n.points:g}" for n in expected.needed)
    why = (
        f"Two-sided 5 %, 80 % power, in points of UAR; {main_groups(summary)[0]}. Before the run: from counts of "
        "samples and the default prior."
    )
    return StudyTable("What these people can show", why, columns + asked, tuple(rows), words=2)


def _spread(power: Power | Expectation) -> tuple[str, str]:
    return number(power.sd), number(power.smallest)


def slice_table(summary: StudySummary) -> StudyTable:
    """Every slice."""
    rows = tuple(
        (s.attribute, s.value, s.arm, s.classifier, str(s.n_people), str(s.n_samples), shown(s.uar),
         points(s.to_complement), points(s.to_best), s.uar.reason or s.to_complement.reason or NONE)
        for s in summary.slices
    )  # fmt: skip
    said = f" Not cut by {'; '.join(summary.not_sliced)}." if summary.not_sliced else ""
    groups = ", ".join(dict.fromkeys(s.group for s in summary.slices))
    return StudyTable(
        "Slices",
        f"UAR of a part of the people{f' ({groups})' if groups else ''}; gaps in points: the others' (the best "
        f"slice's) minus its own.{said}",
        ("by", "slice", "arm", "classifier", "people", "samples", "UAR", "gap to the others", "gap to the best", "why"),
        rows,
        words=4,
        folded=True,
    )


def calibration_table(summary: StudySummary) -> StudyTable:
    """Every arm, classifier and condition."""
    rows = tuple(
        (c.arm, c.classifier, c.condition, str(c.n), number(c.ece), number(c.brier), c.reason or NONE)
        for c in summary.calibration
    )
    why = (
        "Expected calibration error (15 bins) in [0, 1] and Brier score in [0, 2], over all folds and seeds; 0 is best."
    )
    columns = ("arm", "classifier", "condition", "answers", "ECE", "Brier", "why")
    return StudyTable("Calibration", why, columns, rows, words=3, folded=True)


def failed_table(summary: StudySummary | PredictedSummary) -> StudyTable:
    """Cells that could not be computed."""
    rows = tuple((u.arm, u.classifier, u.status, u.reason or NONE, str(u.n)) for u in summary.unusable)
    why = (
        "What could not be computed, and why. An arm that lacks cells is compared over what both have, and not ranked."
    )
    return StudyTable("Cells without answers", why, ("arm", "classifier", "status", "reason", "cells"), rows, words=4)


def verdict_table(summary: StudySummary) -> StudyTable:
    """The sentence of every group."""
    rows = tuple((v.group, v.outcome, v.sentence) for v in summary.verdicts)
    why = "A win is one over doing nothing, class weights and logit adjustment alike, with Holm's p below 0.05. Single "
    why += "conditions are looked at many times: what stands in the first line counts."
    return StudyTable("Verdict of each group of conditions", why, ("group", "outcome", "verdict"), rows, words=3)


def shown(interval: Interval) -> str:
    """A score in per cent: "61.2 [55.0, 67.1]"; "undefined"."""
    return points(interval)


def points(interval: Interval) -> str:
    """100 times the interval, one digit; "undefined" of NaN, the value alone where there are no ends."""
    if not math.isfinite(interval.value):
        return "undefined"
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return f"{_signed(interval.value)} [undefined]"
    return f"{_signed(interval.value)} [{_signed(interval.low)}, {_signed(interval.high)}]"


def p_of(difference: Difference) -> str:
    """Holm's p; the plain one in brackets for a yardstick, which is in no family."""
    if math.isfinite(difference.p_holm):
        return "<0.001" if difference.p_holm < 0.001 else f"{difference.p_holm:.3f}"
    return f"({difference.p:.3f})" if math.isfinite(difference.p) else NONE


def effect_of(difference: Difference | None) -> str:
    """d_z; "undefined" of NaN."""
    if difference is None:
        return NONE
    return f"{difference.effect.d_z:.2f}" if math.isfinite(difference.effect.d_z) else "undefined"


def record_of(difference: Difference | None) -> str:
    """ "12 / 3 / 1", and the undefined ones."""
    if difference is None:
        return NONE
    own = difference.record
    text = f"{own.wins} / {own.losses} / {own.ties}"
    return f"{text} ({own.undefined} undefined)" if own.undefined else text


def mixed_of(difference: Difference | None) -> str:
    """Mean and interval in points, or that it did not converge."""
    if difference is None or difference.mixed is None:
        return NONE
    own = difference.mixed
    text = points(Interval(own.value, own.low, own.high))
    if own.converged:
        return text
    return own.reason if text == "undefined" else f"{text}, did not converge"


def missing_of(missing: Missing) -> str:
    """ "0", or "5 of 40: reason (5)"."""
    if not missing.n:
        return "0"
    why, n = missing.reasons[0] if missing.reasons else ("", 0)
    more = f" and {len(missing.reasons) - 1} other reasons" if len(missing.reasons) > 1 else ""
    return f"{missing.n} of {missing.expected}" + (f": {clipped(why)} ({n}){more}" if why else "")


def clipped(text: str) -> str:
    """At most `CLIPPED` letters; the whole stands in the table of cells without answers."""
    return text if len(text) <= CLIPPED else text[: CLIPPED - 3].rstrip() + "..."


def mark(missing: Missing) -> str:
    """A star where cells are missing."""
    return " *" if missing.n else ""


def share_of(share: Share | None) -> str:
    """Per cent with interval; why it is undefined."""
    if share is None:
        return NONE
    own = share.share
    if not math.isfinite(own.value):
        return "undefined"
    ends = f" [{100 * own.low:.0f}, {100 * own.high:.0f}]" if math.isfinite(own.low) else f" ({own.reason})"
    return f"{100 * own.value:.0f}{ends}{mark(share.missing)}"


def kind(clean: bool) -> str:
    """The word for a gap."""
    return "clean" if clean else "plain"


def needed(rows: Sequence[Needed]) -> tuple[str, ...]:
    """Numbers of people."""
    return tuple(NONE if n.people is None else number(n.people) for n in rows)


def _signed(value: float) -> str:
    return f"{100 * value + 0.0:.1f}".replace("-0.0", "0.0")
