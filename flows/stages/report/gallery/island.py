"""Data for a page's scripts: JSON inside of a script element, in which nothing can end the element."""

from __future__ import annotations

import json

from pydantic import JsonValue

# inside of strings JSON may write any character as \uXXXX; outside of them none of these stands
_ESCAPES = {c: f"\\u{ord(c):04x}" for c in "<>&'\u2028\u2029"}


def island(value: JsonValue) -> str:
    """JSON for `<script type="application/json">`, safe as it is: "</script>" and "<!--" cannot stand in it. Raises
    ValueError for NaN and infinities."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text
