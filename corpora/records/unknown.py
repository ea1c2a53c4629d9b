"""What a cell says when nobody knows: null, not a number, and the texts that programs write in their place.

An unknown speaker is nobody. Taken for a person, all of them would be one, called "nan".
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from corpora.labels import clean_label

# pandas' own list (pandas._libs.parsers.STR_NA_VALUES, 2.3), and NaT, its missing time
NOT_A_VALUE = frozenset(
    {
        "",
        "#N/A",
        "#N/A N/A",
        "#NA",
        "-1.#IND",
        "-1.#QNAN",
        "-NaN",
        "-nan",
        "1.#IND",
        "1.#QNAN",
        "<NA>",
        "N/A",
        "NA",
        "NULL",
        "NaN",
        "None",
        "n/a",
        "nan",
        "null",
        "NaT",
    }
)
# what people and other programs write: ARFF's "?", SAS' and Stata's ".", dashes of tables; upper or lower case
_NOT_KNOWN = frozenset(
    {
        "?",
        "??",
        "???",
        ".",
        "-",
        "--",
        "---",
        "\u2013",
        "\u2014",
        "na",
        "n.a.",
        "nat",
        "null",
        "none",
        "nil",
        "unknown",
        "unk",
        "undefined",
        "unspecified",
        "not known",
        "not available",
        "not specified",
        "missing",
        "no data",
    }
    | {text.lower() for text in NOT_A_VALUE}
)
_NAMES = frozenset({"Na", "Nan", "Nat", "Nil"})  # so people are called
_WHOLE = re.compile(r"([+-]?\d+)\.0+")


def is_unknown(value: Any, *, known: Collection[str] = (), words: bool = True) -> bool:
    """Whether a cell (text, number, null, time) says nothing: "", "NA", "NaN", "<NA>", "Unknown", "?", "-", NaN, NaT.

    `known`: texts that look like it and are meant. `words` False: only what pandas reads as missing, in its spelling,
    for fields in which "none" and "unknown" are answers (labels).
    """
    if value is None:
        return True
    if not isinstance(value, str):
        try:
            return bool(value != value)  # what is not itself is NaN or NaT
        except (TypeError, ValueError):  # arrays, pandas' NA
            return type(value).__name__ == "NAType"
    text = clean_label(value)
    if text in known or value in known:
        return False
    if text in NOT_A_VALUE:
        return True
    return words and text not in _NAMES and text.lower() in _NOT_KNOWN


def known_text(value: Any, *, known: Collection[str] = ()) -> str | None:
    """A name or id as text, or None where it is unknown. 1.0 and "1.0" are "1": a column of numbers with a gap in it
    becomes one of floats, and its people must stay who they are in the tables without a gap."""
    if is_unknown(value, known=known):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = clean_label(str(value))
    match = _WHOLE.fullmatch(text)
    return match[1] if match else text
