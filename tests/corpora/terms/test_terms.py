"""The meet of licences is the largest lower bound of an order; expressions are spelled as SPDX does."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.readers import make_corpus, reader_names
from corpora.terms.expression import parsed
from corpora.terms.table import LICENCES
from corpora.terms.terms import DUTIES, PERMISSIONS, WIDEST, Terms, meet

TERMS = st.builds(
    Terms,
    st.frozensets(st.sampled_from(PERMISSIONS)),
    st.frozensets(st.sampled_from(sorted(DUTIES))),
    st.frozensets(st.sampled_from([name for name, row in LICENCES.items() if row.adapted_under])),
)


@given(TERMS, TERMS, TERMS)
def test_the_meet_is_the_largest_that_is_as_narrow_as_both(a: Terms, b: Terms, c: Terms) -> None:
    both = meet([a, b])
    assert both == meet([b, a])
    assert meet([a, a]) == a == meet([a, WIDEST])
    assert meet([meet([a, b]), c]) == meet([a, meet([b, c])])
    assert both.within(a) and both.within(b)
    assert c.within(both) == (c.within(a) and c.within(b))  # nothing larger lies below both


@given(TERMS, TERMS)
def test_narrower_terms_have_no_fewer_duties_to_tell(a: Terms, b: Terms) -> None:
    assert len(meet([a, b]).duties()) >= max(len(a.duties()), len(b.duties()))


@pytest.mark.parametrize("name", LICENCES)
def test_each_licence_of_the_table_has_a_source_and_a_name_that_spdx_takes(name: str) -> None:
    row = LICENCES[name]
    assert row.url.startswith(("https://", "http://")) and row.name
    assert parsed(name).text == name and parsed(name).licences == (row,)
    assert parsed(f"({name})") == parsed(name)  # by SPDX's list as without it
    assert row.adapted_under <= set(LICENCES) and row.terms.alike == ({name} if row.adapted_under else set())


def test_licences_of_adapted_material_meet_together_where_each_two_do() -> None:
    """So that looking at pairs is enough (corpora/licences.py: conflicts)."""
    alike = [row.adapted_under for row in LICENCES.values() if row.adapted_under]
    for three in itertools.combinations(alike, 3):
        if all(a & b for a, b in itertools.combinations(three, 2)):
            assert frozenset.intersection(*three)


def test_every_card_names_licences_that_the_table_has_and_claims_no_more_than_they_allow() -> None:
    for name in reader_names():
        card = make_corpus(name).card
        expression = parsed(card.license)
        assert not expression.unknown, name
        assert expression.text == card.license, "spelled as SPDX does"
        assert not card.may_redistribute or "real" in expression.terms.may, name


@pytest.mark.parametrize(
    ("written", "spelled", "holds", "may"),
    [
        ("cc-by-4.0", "CC-BY-4.0", ("CC-BY-4.0",), set(PERMISSIONS)),
        ("CC BY 4.0", "CC-BY-4.0", ("CC-BY-4.0",), set(PERMISSIONS)),
        ("GPL-3.0", "GPL-3.0-only", ("GPL-3.0-only",), set(PERMISSIONS)),
        ("mit and CC-BY-NC-ND-4.0", "MIT AND CC-BY-NC-ND-4.0", ("MIT", "CC-BY-NC-ND-4.0"), {"real"}),
        ("CC-BY-NC-ND-4.0 OR MIT", "CC-BY-NC-ND-4.0 OR MIT", ("MIT",), set(PERMISSIONS)),
        ("MIT AND (CC-BY-NC-4.0 OR CC-BY-ND-4.0)", None, ("MIT", "CC-BY-NC-4.0"), {"real", "synthetic", "features"}),
        ("GPL-2.0-only WITH Classpath-exception-2.0", None, ("GPL-2.0-only",), set(PERMISSIONS)),
        ("MIT AND LicenseRef-mine", None, ("MIT", "LicenseRef-mine"), set()),
        ("free, for research!", "LicenseRef-free-for-research", ("LicenseRef-free-for-research",), set()),
        ("MIT AND", "LicenseRef-MIT-AND", ("LicenseRef-MIT-AND",), set()),
        ("", "LicenseRef-none", ("LicenseRef-none",), set()),
    ],
)
def test_expressions(written: str, spelled: str | None, holds: tuple[str, ...], may: set[str]) -> None:
    expression = parsed(written)
    assert expression.text == (spelled or written)
    assert expression.chosen == holds
    assert expression.terms.may == may
