from __future__ import annotations

import pytest

from corpora.errors import CorpusError, UnknownNameError
from corpora.labels import EMOTIONS, SCHEMES, scheme_classes, to_scheme
from corpora.licences import terms_of
from corpora.readers import make_corpus


def test_schemes_speak_the_vocabulary() -> None:
    for scheme in SCHEMES.values():
        assert set(scheme.mapping) <= set(EMOTIONS)
        assert set(scheme.mapping.values()) == set(scheme.classes)
        assert len(set(scheme.classes)) == len(scheme.classes)


def test_labels_go_where_the_map_says() -> None:
    assert to_scheme("excitement", "iemocap4") == "happiness"
    assert to_scheme("calm", "ekman7") is None
    assert to_scheme("neutral", "ekman6") is None
    assert to_scheme("boredom", "corpus") == "boredom"
    assert to_scheme(None, "ekman6") is None


def test_unknown_names_are_errors() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'happiness'"):
        to_scheme("happines", "ekman6")
    with pytest.raises(UnknownNameError, match=r"Did you mean 'ekman7'.*iemocap4"):
        to_scheme("anger", "ekman")


def test_classes_present_in_the_order_of_the_scheme() -> None:
    assert scheme_classes("corpus", ["fear", "neutral", None, "anger"]) == ("neutral", "anger", "fear")
    assert scheme_classes("ekman6", ["fear", "neutral", "excitement"]) == ("fear", "happiness")
    with pytest.raises(CorpusError, match="At least 2"):
        scheme_classes("ekman6", ["neutral", "fear"])


def test_strictest_licence_decides() -> None:
    free, restricted = make_corpus("emodb").card, make_corpus("ravdess").card
    assert terms_of([free]).may_redistribute
    both = terms_of([free, restricted])
    assert not both.may_redistribute and both.restricted_by == ("ravdess",)
    assert both.non_commercial and both.share_alike
    assert both.licenses == ("CC-BY-NC-SA-4.0", "CC0-1.0")
