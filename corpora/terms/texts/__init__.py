"""Texts of licences, word for word: <id>.txt, of those licences of SPDX that stand in corpora/terms/table.py.

Taken from the SPDX License List as the npm package spdx-license-list 6.12.0 (CC0-1.0) carries it; white space at the
ends of lines apart, nothing was changed. Their own terms let each be copied unchanged: Creative Commons gives its legal
codes under CC0, the Free Software Foundation lets "verbatim copies" go, Open Data Commons, the Apache Software
Foundation and the Linux Foundation ask for the text to go with what stands under it. Terms that are not in SPDX's list
(`LicenseRef-`) are their owners': of those there is the address alone.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
_SAME = {"GPL-3.0-or-later": "GPL-3.0-only"}  # "or later" is said where a licence is given, not in its text


def text_of(licence: str) -> str | None:
    """The text of a licence by its SPDX id, with a newline at its end; None where none is carried."""
    name = _SAME.get(licence, licence)
    path = FOLDER / f"{name}.txt"
    if path.name != f"{name}.txt" or not path.is_file():  # an id is anybody's: it is no path
        return None
    return path.read_text("utf-8")
