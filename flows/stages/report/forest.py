"""Forest plots of a study: what each arm differs from the train set as it is by, with the zero and the oracle line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flows.stages.report.figures import _STYLE, GRID, INK, MUTED, PAGE, REAL, SYNTHETIC, _figure, _svg

Part = Literal["arm", "baseline", "incomplete"]
_COLOURS: dict[Part, str] = {"arm": SYNTHETIC, "baseline": REAL, "incomplete": MUTED}
_WIDTH_IN = 6.4  # fits a phone held upright at a readable size, scrolled sideways a little


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One arm, in points (100 times the difference). NaN ends: no interval; NaN value: `text` alone is shown."""

    name: str
    value: float
    low: float
    high: float
    text: str
    part: Part = "arm"


def forest_plot(rows: Sequence[ForestRow], *, label: str, name: str, oracle: float | None = None) -> str:
    """Rows in their order, top down, a line at 0 and a dashed one at the oracle's difference (None or NaN: none).
    Arms that lack cells are hollow, and stand wherever the caller put them (last). -> SVG."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        figure, axes = _figure(1, height=0.8 + 0.27 * max(len(rows), 1), width=_WIDTH_IN)
        ax = axes[0]
        ax.axvline(0.0, color=INK, lw=1.2, zorder=1)
        if oracle is not None and math.isfinite(oracle):
            ax.axvline(oracle, color=REAL, lw=1.4, ls=(0, (4, 3)), zorder=1)
            ax.annotate(
                "oracle", (oracle, 1), (0, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
                color=REAL, ha="center", va="bottom", fontsize=9, annotation_clip=False,
            )  # fmt: skip
        for y, row in enumerate(rows):
            colour = _COLOURS[row.part]
            if math.isfinite(row.low) and math.isfinite(row.high):
                ax.plot([row.low, row.high], [y, y], color=colour, lw=2, zorder=2)
            if math.isfinite(row.value):
                fill = PAGE if row.part == "incomplete" else colour
                ax.plot([row.value], [y], "o", ms=6.5, color=fill, mec=colour if fill == PAGE else PAGE, zorder=3)
            ax.annotate(
                row.text, (1.02, y), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=INK,
                annotation_clip=False,
            )  # fmt: skip
        ax.set_yticks(range(len(rows)), [row.name for row in rows])
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ends = [v for row in rows for v in (row.value, row.low, row.high) if math.isfinite(v)]
        ends += [0.0] + ([oracle] if oracle is not None and math.isfinite(oracle) else [])
        pad = 0.05 * (max(ends) - min(ends)) or 1.0
        ax.set_xlim(min(ends) - pad, max(ends) + pad)
        ax.spines["bottom"].set_color(GRID)
        ax.set_xlabel(label)
        return _svg(figure, name, f"{label}: " + "; ".join(f"{row.name} {row.text}" for row in rows))
