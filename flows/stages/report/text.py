"""Numbers as the report prints them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice

SHOWN = 6  # of a list, in a cell


def number(value: object) -> str:
    """Counts with thin groups, other numbers with three significant digits, en dash for what is not a number."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) < 1e15):
        return f"{int(value):,}".replace(",", "\u202f") if abs(value) >= 10_000 else str(int(value))
    if isinstance(value, float):
        return f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"
    return str(value)


def interval(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """ "0.61 [0.55, 0.67]"; the value alone where an end is not a number."""
    if number(value) == "–":
        return "–"
    if number(low) == "–" or number(high) == "–":
        return number(value)
    return f"{number(value)} [{number(low)}, {number(high)}]"


def percent(value: float | None) -> str:
    """0.612 -> "61.2 %"."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.1f}\u202f%"


def short(text: object, n: int = 12) -> str:
    """The first `n` characters of a hash."""
    return str(text)[:n] if text is not None else "–"


def flat(value: object) -> str:
    """A value of JSON as the text of a cell: of a list or a mapping the first few."""
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {flat(v)}" for k, v in islice(value.items(), SHOWN))
    if isinstance(value, list | tuple):
        shown = ", ".join(flat(v) for v in value[:SHOWN])
        return shown + (f" and {len(value) - SHOWN} more" if len(value) > SHOWN else "")
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def joined(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
