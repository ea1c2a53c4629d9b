"""The report's figures as inline SVG that follows the page's colours, and the same balance chart as PNG for the README.

Figures are drawn with matplotlib's object interface (no pyplot, no global state) in stand-in colours that are then
replaced by the page's CSS variables: one drawing serves the light and the dark page. Text stays text. The same numbers
give the same bytes: no date, no random ids.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# stand-in colour (unique in a drawing) -> CSS variable of templates/report.css
INK, MUTED, GRID, REAL, SYNTHETIC, REJECTED, PAGE = (
    "#010203",
    "#040506",
    "#070809",
    "#0a0b0c",
    "#0d0e0f",
    "#101112",
    "#131415",
)
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    REAL: "var(--real)",
    SYNTHETIC: "var(--synthetic)",
    REJECTED: "var(--rejected)",
    PAGE: "var(--card)",
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a class named "$x" is a name, not a formula
    "font.size": 11,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.grid.axis": "x",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
}
LOOKS = [(REAL, "o"), (MUTED, "s"), (REJECTED, "^"), (SYNTHETIC, "D")]  # colour and form of series
WIDTH_IN = 8.2  # of every figure; the page scales it down on narrow screens


@dataclass(frozen=True, slots=True)
class Bar:
    """Train samples of one class: counts, and the target where there is one. accepted: what the accepted synthetic ones
    count for; rows: how many they are, where that is another number."""

    emotion: str
    real: int
    accepted: int = 0
    target: int | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Dot:
    """One value with its 95 % interval. row, series: where it stands and how it is drawn; highlight: as synthetic is.
    A value that is None or not finite is left out, and so is its interval."""

    row: str
    series: str
    value: float | None
    low: float | None = None
    high: float | None = None
    highlight: bool = False


def balance_chart(rows: Sequence[Bar]) -> str:
    """Real and synthetic train samples of each class, with the target as a tick. -> SVG."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        figure, axes = _figure(1, height=0.75 + 0.36 * max(len(rows), 1))
        draw_balance(axes[0], rows)
        return _svg(figure, "balance", "Train samples of each class: real, accepted synthetic, and the target")


def draw_balance(ax: Axes, rows: Sequence[Bar], real: str = REAL, synthetic: str = SYNTHETIC, ink: str = INK) -> None:
    """Draws the balance chart into `ax` in the given colours (any matplotlib colour)."""
    names = [row.emotion for row in rows]
    place = np.arange(len(rows))
    reals = np.array([row.real for row in rows], dtype=float)
    made = np.array([row.accepted for row in rows], dtype=float)
    ax.barh(place, reals, height=0.62, color=real, label="real")
    ax.barh(place, made, left=reals, height=0.62, color=synthetic, label="synthetic, accepted")
    drawn = False
    for i, row in enumerate(rows):
        if row.target is not None:
            ax.plot([row.target, row.target], [i - 0.42, i + 0.42], color=ink, lw=2, label=None if drawn else "target")
            drawn = True
        text = f"{row.real} + {row.accepted}" if row.accepted else f"{row.real}"
        if row.rows is not None and row.rows != row.accepted:
            text += f" ({row.rows} weighted)"
        end = max(row.real + row.accepted, row.target or 0)
        ax.annotate(text, (end, i), (5, 0), textcoords="offset points", va="center")
    ax.set_yticks(place, names)
    ax.invert_yaxis()
    ax.margins(x=0.14)
    ax.set_xlim(left=0)
    ax.set_xlabel("train samples")
    ax.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=3, fontsize=10)


def score_histograms(
    gate: str,
    scores: Mapping[str, tuple[np.ndarray, np.ndarray]],
    limits: Mapping[str, float | None],
    real: Mapping[str, np.ndarray] | None = None,
) -> str:
    """Scores of all candidates of one sample gate, a row for each class; rejected ones in another colour.

    real: class -> scores [m] of real samples, drawn as an outline at the candidates' total.
    scores: class -> (values [n] float64, passed [n] bool). limits: class -> the gate's limit, drawn as a line. The axis
    runs over the central 99 % of all values and the limits; what lies beyond is counted in the outermost bin. -> SVG.
    """
    import matplotlib as mpl

    classes = list(scores)
    real = {c: r[np.isfinite(r)] for c, r in (real or {}).items() if c in scores}
    everything = np.concatenate([scores[c][0] for c in classes] + list(real.values()))
    edges = _edges(everything, [limits.get(c) for c in classes])
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(len(classes), height=0.6 + 0.5 * len(classes), sharex=True)
        for ax, name in zip(axes, classes, strict=True):
            values, passed = scores[name]
            finite = np.isfinite(values)
            inside = np.clip(values, edges[0], edges[-1])
            counts = [inside[finite & passed], inside[finite & ~passed]]
            ax.hist(counts, bins=edges.tolist(), stacked=True, color=[SYNTHETIC, REJECTED], rwidth=0.92)
            if name in real and real[name].size:
                weights = np.full(real[name].size, finite.sum() / real[name].size)
                held = np.clip(real[name], edges[0], edges[-1])
                ax.hist(held, bins=edges.tolist(), weights=weights, histtype="step", color=REAL, lw=1.6)
            limit = limits.get(name)
            if limit is not None and math.isfinite(limit):
                ax.axvline(limit, color=INK, lw=1.6, ls=(0, (3, 2)))
            ax.set_yticks([])
            ax.grid(False)
            lost = int((~finite).sum())
            label = f"{name}\n{int(passed.sum())} of {len(values)}" + (f", {lost} without score" if lost else "")
            ax.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9, color=INK)
        axes[-1].set_xlabel(gate)
        return _svg(
            figure, f"histogram-{gate}", f"Scores of gate {gate} by class, accepted and rejected, with the limit"
        )


def dot_plot(rows: Sequence[Dot], *, label: str, name: str, limits: tuple[float, float] | None = (0.0, 1.0)) -> str:
    """Values with their 95 % intervals, one line a row, several series told apart by colour and form (at most 4; the
    last one is the synthetic). `limits`: of the axis. -> SVG.
    """
    import matplotlib as mpl

    names = list(dict.fromkeys(r.row for r in rows))
    series = list(dict.fromkeys(r.series for r in rows))
    looks = LOOKS[: max(len(series) - 1, 0)] + LOOKS[-1:] if len(series) > 1 else LOOKS[:1]
    step = 0.24 if len(series) > 1 else 0.0
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(1, height=0.75 + 0.22 * len(names) * max(len(series), 1.6))
        ax = axes[0]
        for k, one in enumerate(series):
            colour, marker = looks[k % len(looks)]
            shown = False
            for row in rows:
                if row.series != one or not _finite(row.value):
                    continue
                tint = SYNTHETIC if row.highlight else colour
                y = names.index(row.row) + step * (k - (len(series) - 1) / 2)
                if _finite(row.low) and _finite(row.high):
                    ax.plot([row.low, row.high], [y, y], color=tint, lw=2)
                named = None if shown else one
                ax.plot([row.value], [y], marker, color=tint, ms=7, mec=PAGE, label=named, clip_on=False)
                shown = True
        ax.set_yticks(range(len(names)), names)
        ax.set_ylim(len(names) - 0.45, -0.55)
        if limits is not None:
            ax.set_xlim(*limits)
        ax.set_xlabel(label)
        if len(series) > 1 and ax.get_legend_handles_labels()[1]:
            ax.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=4, fontsize=10)
        return _svg(figure, name, label)


def loss_curves(steps: Sequence[float], losses: Mapping[str, Sequence[float]]) -> str:
    """One panel a loss over optimiser steps; gaps where a value is not finite. -> SVG."""
    import matplotlib as mpl

    with mpl.rc_context({**_STYLE, "axes.grid.axis": "y", "ytick.color": MUTED}):
        figure, axes = _figure(len(losses), height=0.5 + 1.25 * len(losses), sharex=True)
        for ax, (name, values) in zip(axes, losses.items(), strict=True):
            ax.plot(np.asarray(steps, dtype=float), np.asarray(values, dtype=float), color=SYNTHETIC, lw=1.6)
            ax.set_title(name)
        axes[-1].set_xlabel("optimiser steps")
        return _svg(figure, "loss", "Loss of the fit over optimiser steps")


def signal_curves(signals: Sequence[tuple[str, str, np.ndarray, np.ndarray]]) -> str:
    """(name, unit, time in s [n], value [n]) of each signal, one small panel each. -> SVG."""
    import matplotlib as mpl

    with mpl.rc_context({**_STYLE, "axes.grid": False, "ytick.color": MUTED, "font.size": 9}):
        figure, axes = _figure(len(signals), height=0.35 + 0.62 * max(len(signals), 1), width=3.6)
        for ax, (name, unit, times, values) in zip(axes, signals, strict=False):
            ax.plot(times, values, color=REAL, lw=1.0)
            ax.set_title(f"{name} ({unit})" if unit else name, fontsize=9)
            ax.locator_params(axis="y", nbins=2)
        return _svg(figure, "signals", "Signals over time: " + ", ".join(name for name, *_ in signals))


def _figure(rows: int, *, height: float, sharex: bool = False, width: float = WIDTH_IN) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(max(rows, 1), 1, sharex=sharex, squeeze=False)
    return figure, list(grid[:, 0])


def _finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _edges(values: np.ndarray, limits: Sequence[float | None]) -> np.ndarray:
    """[n] float64 -> [31] bin edges over the central 99 % of the finite values and the finite limits."""
    finite = values[np.isfinite(values)]
    ends = [float(x) for x in limits if x is not None and math.isfinite(x)]
    if finite.size:
        ends += [float(x) for x in np.quantile(finite, [0.005, 0.995])]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    pad = 0.04 * (high - low) or max(abs(low), 1.0) * 0.1
    return np.linspace(low - pad, high + pad, 31)


def _svg(figure: Figure, salt: str, label: str) -> str:
    """The figure as an SVG element without header, metadata or fixed size; `label` is read to who cannot see it."""
    import html

    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": salt}), io.StringIO() as text:
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        raw = text.getvalue()
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", raw[raw.index("<svg") :], flags=re.S)
    body = re.sub(r'<g id="[^"]*"', "<g", body)  # names like axes_1 would repeat on the page
    body = re.sub(r" ?font-family: [^;\"]*;?", "", body)
    body = re.sub(r"font: ((?:[a-z0-9]+ )*[\d.]+px) [^;\"]*", r"font: \1 system-ui, sans-serif", body)
    for stand_in, variable in _VARIABLES.items():
        body = body.replace(stand_in, variable)
    opening, _, rest = body.partition(">")
    box = re.search(r'viewBox="([^"]*)"', opening)
    view = box.group(1) if box else "0 0 590 100"
    width = float(view.split()[2]) * 96 / 72
    name = html.escape(label, quote=True)
    return f'<svg role="img" aria-label="{name}" viewBox="{view}" style="max-width:{width:.0f}px">{rest}'
