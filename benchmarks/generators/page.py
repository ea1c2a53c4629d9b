"""docs/generators.md from the measured table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from benchmarks.generators.corpora import CORPORA
from generators.measured import Measured

READING = Path(__file__).parent / "reading.md"  # what people make of the tables
HEAD = """\
<!-- Written by benchmarks/generators (python -m benchmarks.generators --data FOLDER --write); edit that, not this. -->
# Generators

"""
TABLE = """\
| system | F1 of the rare class | UAR | KID / real | precision | recall | agreement | copies | fit s | 1,000 samples s |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"""


def page(rows: Sequence[Measured], recorded: str) -> bytes:
    """The whole page: what people make of it, then a table a corpus, best first."""
    parts = [HEAD + READING.read_text("utf-8").strip(), f"Recorded {recorded}."]
    for corpus in CORPORA:
        own = sorted((r for r in rows if r.corpus == corpus), key=lambda r: -r.f1)
        if own:
            first = own[0]
            parts.append(
                f"## {corpus}\n\n{first.modality}, {first.representation}; {first.n} train rows, {first.smallest} of "
                f"the pruned class (medians of {first.cells} cells).\n\n" + "\n".join([TABLE, *map(_line, own)])
            )
    return ("\n\n".join(parts) + "\n").encode()


def _line(r: Measured) -> str:
    gains = [f"{v:+.1f} [{low:.1f}, {high:.1f}]" for v, low, high in
             ((r.f1, r.f1_low, r.f1_high), (r.uar, r.uar_low, r.uar_high))]  # fmt: skip
    others = [_number(v) for v in (r.kid_ratio, r.precision, r.recall, r.agreement, r.copies, r.fit_s, r.sample_s)]
    return f"| {r.what} | {' | '.join([*gains, *others])} |"


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}" if abs(value) < 1000 else f"{value:.0e}"
