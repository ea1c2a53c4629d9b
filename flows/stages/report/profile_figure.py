"""One measure of a corpus as boxes: a panel by class, one by subject. Text stays text, colours follow the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from flows.stages.report.figures import _STYLE, INK, MUTED, PAGE, REAL, _svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW_IN = 0.24
_LOG_FROM = 4.0  # a logarithmic axis where the values span more than this factor


def profile_chart(
    title: str,
    unit: str,
    by_class: Mapping[str, Sequence[float]],
    by_subject: Mapping[str, Sequence[float]],
    *,
    log: bool = False,
) -> str:
    """{class or subject: values} -> SVG. Boxes: quartiles and median; whiskers: 5 % and 95 %; the rest as dots.

    `log`: the axis may be logarithmic; it is where all values are above 0 and span more than a factor of 4.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    values = np.concatenate([np.asarray(group, dtype=float) for group in by_class.values()])
    panels = [("class", by_class)] + ([("subject", by_subject)] if len(by_subject) > 1 else [])
    rows = max(len(groups) for _, groups in panels)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.2, 0.85 + _ROW_IN * max(rows, 2)), layout="constrained")
        axes = figure.subplots(1, len(panels), sharex=True, squeeze=False)[0]
        for ax, (kind, groups) in zip(axes, panels, strict=True):
            _boxes(ax, groups)
            ax.set_title(f"by {kind}")
            if log and values.min() > 0 and values.max() / values.min() > _LOG_FROM:
                ax.set_xscale("log")
                _plain_ticks(ax)
            ax.set_xlabel(unit)
        return _svg(figure, f"profile-{title}-{unit}", f"{title} by class and by subject")


def _boxes(ax: Axes, groups: Mapping[str, Sequence[float]]) -> None:
    names = list(groups)
    looks = {"color": REAL, "lw": 1.4}
    ax.boxplot(
        [np.asarray(groups[name], dtype=float) for name in names],
        orientation="horizontal",
        whis=(5, 95),
        widths=0.6,
        boxprops=looks,
        whiskerprops=looks,
        capprops=looks,
        medianprops={"color": INK, "lw": 2},
        flierprops={"marker": ".", "ms": 4, "mfc": MUTED, "mec": PAGE, "mew": 0.3},
    )
    counts = [f"{name} ({len(groups[name])})" for name in names]
    ax.set_yticks(range(1, len(names) + 1), counts, fontsize=10 if len(names) < 16 else 8)
    ax.invert_yaxis()


def _plain_ticks(ax: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=6))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
