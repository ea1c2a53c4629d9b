"""Data for a page's scripts: JSON inside of a script element, in which nothing can end the element."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import JsonValue

if TYPE_CHECKING:
    from markupsafe import Markup

# inside of strings JSON may write any character as \uXXXX; outside of them none of these stands
_ESCAPES = {c: f"\\u{ord(c):04x}" for c in "<>&'\u2028\u2029"}


def island(value: JsonValue) -> Markup:
    """JSON for `<script type="application/json">`: "</script>" and "<!--" cannot stand in it. Raises ValueError for NaN
    and infinities."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return Markup(text)
