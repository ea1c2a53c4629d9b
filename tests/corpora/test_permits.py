"""What may stand without the real samples: yes, no, or nobody knows; and what the owner's permission changes."""

from __future__ import annotations

from typing import Any

import pytest

from corpora.licences import Held, uses
from corpora.permits import answer, verdict

SAID = "the lab that owns it, letter of 2026-11-02"


def held(corpus: str, license: str, passes: bool | None = None, made_up: bool = False) -> Held:
    card: dict[str, Any] = {"license": license, "may_redistribute": passes}
    return Held.of({"id": corpus, "card": card, "made_up": made_up})


@pytest.mark.parametrize(
    ("license", "passes", "says", "words"),
    [
        ("CC-BY-NC-SA-4.0", False, "yes", "Share Adapted Material for NonCommercial purposes only"),
        ("CC-BY-4.0", True, "yes", "section 2(a)(1)(B)"),
        ("CC-BY-NC-ND-4.0", None, "no", "but not Share, Adapted Material"),
        ("LicenseRef-IEMOCAP", False, "unknown", "https://sail.usc.edu/iemocap/"),
        ("LicenseRef-our-lab", True, "yes", "may_redistribute"),
        ("LicenseRef-our-lab", False, "unknown", "nothing is known"),
        ("LicenseRef-IEMOCAP", True, "unknown", "silent"),  # a card does not give what a known licence withholds
        ("GPL-3.0-only", False, "unknown", "somebody else's"),  # lines of a series under a licence of code
        ("GPL-3.0-only", True, "yes", "section 5"),
        ("LicenseRef-DbCL-1.0", False, "unknown", "somebody else's"),
        ("MIT AND CC-BY-NC-ND-4.0", True, "no", "CC-BY-NC-ND-4.0"),
    ],
)
def test_answers(license: str, passes: bool | None, says: str, words: str) -> None:
    one = held("c", license, passes)
    said = verdict([one], "synthetic", {})
    assert said.says == says and answer(one, "synthetic", {}).says == says
    assert words in answer(one, "synthetic", {}).because
    assert bool(said.because) == (says != "yes")


def test_a_refusal_names_corpus_clause_and_what_to_do() -> None:
    said = verdict([held("good", "CC-BY-4.0"), held("bound", "LicenseRef-DEAP-EULA")], "features", {})
    text = "; ".join(said.because)
    assert "bound" in text and "LicenseRef-DEAP-EULA" in text and "https://" in text and "good" not in text
    assert "publish: {permits: {bound: {features: WHO WHEN WHERE, synthetic: WHO WHEN WHERE}}}" in said.remedy


def test_a_permission_lets_it_go_with_its_duties_and_without_the_agreement() -> None:
    one = held("iemocap", "LicenseRef-IEMOCAP")
    said = verdict([one], "synthetic", {"iemocap": {"synthetic": SAID}})
    assert said.says == "yes" and said.answers[0].permitted and SAID in said.answers[0].because
    terms = said.uses["synthetic"].terms
    assert terms.may == {"synthetic"} and terms.must == {"credit", "research"}
    assert verdict([one], "features", {"iemocap": {"synthetic": SAID}}).says == "unknown", "features were not permitted"


def test_licences_that_exclude_each_other_hold_what_was_made_of_both() -> None:
    two = [held("a", "CC-BY-SA-4.0", True), held("b", "ODbL-1.0", True)]
    said = verdict(two, "synthetic", {})
    assert said.says == "no" and "exclude each other" in said.because[0] and "runs of their own" in said.remedy
    assert verdict(two, "synthetic", {"a": {"synthetic": SAID}}).says == "yes", "its owner lets it go otherwise"
    assert verdict(two, "features", {}, synthetic=False).says == "yes", "features are of one corpus each"


def test_a_part_stands_under_its_own_meet() -> None:
    corpora = [held("a", "CC-BY-NC-SA-4.0"), held("b", "CC-BY-4.0", True)]
    terms = verdict(corpora, "synthetic", {}).uses["synthetic"].terms
    assert "commercial" not in terms.may and terms.alike == {"CC-BY-NC-SA-4.0"} and terms.must == {"credit"}


def test_what_a_reader_made_up_is_free() -> None:
    one = held("demo", "LicenseRef-DEAP-EULA", made_up=True)
    assert verdict([one], "features", {}).says == "yes"


def test_the_whole_release_is_held_as_before() -> None:
    """A part that may go opens nothing for the recordings."""
    card = {"license": "CC-BY-NC-SA-4.0", "may_redistribute": False}
    assert not uses([{"id": "ravdess", "card": card}])["real"].allowed
