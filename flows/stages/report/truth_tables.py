"""Asked against judged, and alarms, as the report shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flows.stages.report import figures
from flows.stages.report.figures import _STYLE, INK, MUTED, SYNTHETIC, _figure, _svg
from flows.stages.report.text import joined
from validators.maths.alarms import ALL
from validators.trials.alarms import ALARMS, Alarm, lines
from validators.trials.curves import Curve, Mixed, Truth

WORDS = {"followed": "yes", "not followed": "no", "undecided": "undecided"}  # verdict -> class of a badge


@dataclass(frozen=True, slots=True)
class AlarmView:
    """ringing: lines of what rings; open: of what is undecided, one for each alarm; quiet: names of alarms of which no
    measure rings or is undecided; rows: every measure, what rings first."""

    ringing: Sequence[str]
    open: Sequence[str]
    quiet: Sequence[str]
    rows: Sequence[Alarm]


@dataclass(frozen=True, slots=True)
class CurveView:
    """One dial with its figure (SVG); None where no sample was judged."""

    curve: Curve
    badge: str
    figure: str | None


@dataclass(frozen=True, slots=True)
class MixedView:
    """One mixture."""

    mixed: Mixed
    badge: str


@dataclass(frozen=True, slots=True)
class TruthView:
    """mixtures_figure: SVG of what judges give each part; None where no mixture was judged."""

    curves: Sequence[CurveView]
    mixtures: Sequence[MixedView]
    mixtures_figure: str | None


def alarm_view(alarms: Sequence[Alarm] | None) -> AlarmView | None:
    """None where none were rung."""
    if alarms is None:
        return None
    by_name: dict[str, list[Alarm]] = {name: [a for a in alarms if a.name == name] for name in ALARMS}
    unsure = {name: [a for a in own if a.state == "undecided"] for name, own in by_name.items()}
    said = [_open(name, own) for name, own in unsure.items() if own]
    quiet = [name for name, own in by_name.items() if own and all(a.state == "quiet" for a in own)]
    order = {"rings": 0, "undecided": 1, "quiet": 2}
    rows = sorted(alarms, key=lambda a: (order[a.state], ALARMS.index(a.name), a.measure, a.group != ALL, a.group))
    return AlarmView(lines(alarms, "rings"), said, quiet, rows)


def _open(name: str, own: Sequence[Alarm]) -> str:
    """ "alarm: intensity loss is undecided for fear: 3 samples; 12 are needed": the first reason stands for all."""
    groups = list(dict.fromkeys(a.group for a in own))
    of = "" if ALL in groups else f" for {joined(groups)}"
    return f"alarm: {name} is undecided{of}: {own[0].reason}"


def truth_view(truth: Truth | None) -> TruthView | None:
    """None where nothing was asked for beside the class."""
    if truth is None or not (truth.curves or truth.mixtures):
        return None
    dots = []
    for mixed in truth.mixtures:
        for part in mixed.parts:
            row = f"{part.emotion} in {mixed.name}"
            dots.append(figures.Dot(row, "asked share", part.asked))
            dots.append(figures.Dot(row, "real samples of other classes", part.floor))
            dots.append(figures.Dot(row, "judged", part.judged, part.low, part.high))
    figure = figures.dot_plot(dots, label="share asked for, probability that judges give", name="mixtures")
    return TruthView(
        [CurveView(c, WORDS[c.verdict], _curve_figure(c) if c.points else None) for c in truth.curves],
        [MixedView(m, WORDS[m.verdict]) for m in truth.mixtures],
        figure if dots else None,
    )


def _curve_figure(curve: Curve) -> str:
    """Mean of what judges say, with 95 % intervals, over what was asked. -> SVG."""
    import matplotlib as mpl

    asked, judged = (np.array([getattr(p, name) for p in curve.points]) for name in ("asked", "judged"))
    below, above = (
        np.array([abs(p.judged - end) for p, end in zip(curve.points, ends, strict=True)]) for ends in _ends(curve)
    )
    with mpl.rc_context({**_STYLE, "axes.grid.axis": "y", "ytick.color": MUTED}):
        figure, axes = _figure(1, height=2.4, width=5.2)
        ax = axes[0]
        ax.errorbar(asked, judged, yerr=[below, above], color=SYNTHETIC, marker="D", ms=6, lw=1.6, elinewidth=1.6)
        for point in curve.points:
            ax.annotate(
                f"n = {point.n}", (point.asked, point.judged), (6, 6), textcoords="offset points", fontsize=9, color=INK
            )
        ax.margins(x=0.1, y=0.2)
        ax.set_xlabel(f"{curve.name} that was asked for")
        ax.set_title(f"{curve.measure}, mean and 95 % interval")
        return _svg(figure, f"curve-{curve.name}", f"{curve.name}: asked against judged")


def _ends(curve: Curve) -> tuple[list[float], list[float]]:
    return [p.low for p in curve.points], [p.high for p in curve.points]
