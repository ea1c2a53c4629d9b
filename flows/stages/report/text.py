"""Numbers as the report prints them."""

from __future__ import annotations

import math
from typing import Any


def number(value: Any) -> str:
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


def interval(row: Any) -> str:
    """ "0.61 [0.55, 0.67]" of a mapping with value, low, high."""
    if number(row["value"]) == "–":
        return "–"
    if number(row.get("low")) == "–" or number(row.get("high")) == "–":
        return number(row["value"])
    return f"{number(row['value'])} [{number(row['low'])}, {number(row['high'])}]"


def percent(value: Any) -> str:
    """0.612 -> "61.2 %"."""
    text = number(value)
    return text if text == "–" else f"{100 * float(value):.1f}\u202f%"


def short(text: Any, n: int = 12) -> str:
    """The first `n` characters of a hash."""
    return str(text)[:n] if text is not None else "–"
