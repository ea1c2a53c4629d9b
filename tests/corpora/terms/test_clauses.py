"""Clauses of licences stand in their texts, word for word, and say what the table says."""

from __future__ import annotations

import pytest

from corpora.terms.clauses import _CLAUSES, clause_of
from corpora.terms.table import LICENCES
from corpora.terms.texts import FOLDER, text_of

KNOWN = [name for name, row in LICENCES.items() if row.terms.may]


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", KNOWN)
def test_every_licence_that_lets_something_go_has_a_clause_that_agrees_with_the_table(name: str) -> None:
    clause, may = clause_of(name), LICENCES[name].terms.may
    assert clause.says == ("yes" if "synthetic" in may else "no") and ("synthetic" in may) == ("features" in may)
    assert clause.place and clause.url == LICENCES[name].url


@pytest.mark.parametrize("name", [name for name in _CLAUSES if not name.startswith("LicenseRef-")])
def test_its_words_stand_in_its_text(name: str) -> None:
    text = text_of(name)
    assert text is not None and clause_of(name).words
    assert flat(clause_of(name).words) in flat(text)


def test_terms_without_a_text_are_silent() -> None:
    silent = [name for name in LICENCES if name not in _CLAUSES]
    assert silent and all(name.startswith("LicenseRef-") for name in silent)
    assert {clause_of(name).says for name in [*silent, "LicenseRef-our-lab"]} == {"unknown"}
    assert LICENCES["LicenseRef-IEMOCAP"].url in clause_of("LicenseRef-IEMOCAP").sentence


def test_every_licence_of_spdx_in_the_table_has_its_text_and_no_other_is_carried() -> None:
    spdx = {name for name in LICENCES if not name.startswith("LicenseRef-")}
    assert all(text_of(name) for name in spdx)
    assert {path.stem for path in FOLDER.glob("*.txt")} <= spdx
    assert "Attribution-NonCommercial-ShareAlike 4.0 International" in (text_of("CC-BY-NC-SA-4.0") or "")


@pytest.mark.parametrize("name", ["LicenseRef-IEMOCAP", "../texts/MIT", "..", "", "no-such"])
def test_nothing_else_has_one(name: str) -> None:
    assert text_of(name) is None
