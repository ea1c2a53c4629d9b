"""What may be done with a release of several corpora: each reason is said, and none is left out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.licences import KINDS, Held, restrictions, uses
from corpora.terms.table import LICENCES


def entry(name: str, license: str, passes: bool = True, **more: Any) -> dict[str, Any]:
    return {"id": name, "card": {"license": license, "may_redistribute": passes}, **more}


def test_free_corpora_hold_nothing_back() -> None:
    held = [entry("a", "CC0-1.0"), entry("b", "CC-BY-4.0"), entry("c", "MIT")]
    assert restrictions(held, synthetic=True) == []
    told = uses(held)
    assert all(told[kind].allowed for kind in KINDS)
    assert told["real"].to_json()["commercial"] is True
    assert "name the authors, the licence, and what was changed" in told["synthetic"].to_json()["duties"]


def test_no_derivatives_let_samples_go_but_nothing_that_is_made_after_them() -> None:
    held = [entry("tess", "CC-BY-NC-ND-4.0")]
    assert restrictions(held) == []
    assert restrictions(held, synthetic=True) == [
        "licence CC-BY-NC-ND-4.0 of tess does not allow passing on what is made after it"
    ]
    told = uses(held)
    assert (told["real"].allowed, told["synthetic"].allowed, told["features"].allowed) == (True, False, False)


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("CC-BY-SA-4.0", "ODbL-1.0", "exclude each other"),
        ("CC-BY-SA-4.0", "CC-BY-SA-3.0", None),  # what is adapted of 3.0 may go under 4.0
        ("CC-BY-SA-4.0", "GPL-3.0-only", None),
        ("GPL-2.0-only", "GPL-3.0-or-later", "exclude each other"),
        ("CC-BY-NC-SA-4.0", "CC-BY-SA-4.0", "exclude each other"),
        ("ODbL-1.0", "CC-BY-NC-4.0", "lets commerce use it"),
        ("CC-BY-NC-SA-4.0", "CC-BY-NC-4.0", None),
        ("CC-BY-NC-SA-4.0", "MIT", None),
        ("CC-BY-4.0", "CC0-1.0", None),
    ],
)
def test_licences_that_exclude_each_other_keep_synthetic_samples_here_and_no_real_one(
    one: str, other: str, said: str | None
) -> None:
    held = [entry("a", one), entry("b", other)]
    told = uses(held)
    assert told["real"].allowed and told["features"].allowed
    assert told["synthetic"].allowed == (said is None)
    lines = restrictions(held, synthetic=True)
    assert any(said in line and "a and b" in line for line in lines) if said else lines == []
    assert restrictions(held) == []


def test_agreements_forbid_passing_on_whatever_a_card_says() -> None:
    assert restrictions([entry("deap", "LicenseRef-DEAP-EULA")]) == [
        "licence LicenseRef-DEAP-EULA of deap does not allow passing on"
    ]


def test_of_a_licence_of_ones_own_the_card_is_the_owners_word() -> None:
    assert restrictions([entry("lab", "LicenseRef-our-lab")], synthetic=True) == []
    assert uses([entry("lab", "LicenseRef-our-lab")])["real"].to_json()["commercial"] is False
    assert restrictions([entry("lab", "LicenseRef-our-lab", passes=False)]) == [
        "licence LicenseRef-our-lab of lab does not allow passing on"
    ]


def test_made_up_corpora_are_free_beside_others() -> None:
    held = [entry("demo", "LicenseRef-DEAP-EULA", passes=False, made_up=True), entry("a", "CC-BY-SA-4.0")]
    assert restrictions(held, synthetic=True) == []


ENTRIES = st.lists(
    st.builds(entry, st.sampled_from("abcdef"), st.sampled_from(sorted(LICENCES)), st.booleans()), max_size=4
)


@given(ENTRIES, ENTRIES)
def test_another_corpus_never_lets_more_be_done(some: list[dict[str, Any]], more: list[dict[str, Any]]) -> None:
    few, many = uses(some), uses([*some, *more])
    for kind in KINDS:
        assert many[kind].terms.within(few[kind].terms)
        assert set(few[kind].because) <= set(many[kind].because)
        for one in map(Held.of, [*some, *more]):
            if kind not in one.terms.may or not one.passes:
                assert not many[kind].allowed
    assert set(restrictions(some)) <= set(restrictions(some, synthetic=True))
    assert bool(restrictions([*some, *more], synthetic=True)) == (
        not many["real"].allowed or not many["synthetic"].allowed
    )
