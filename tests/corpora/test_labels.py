from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import CorpusError, PayloadError, UnknownNameError
from corpora.labels import EMOTIONS, SCHEMES, assign, classes_of, clean_label, native_labels, rescale, to_scheme
from corpora.licences import restrictions


def test_schemes_speak_the_vocabulary() -> None:
    for scheme in SCHEMES.values():
        assert set(scheme.mapping) <= set(EMOTIONS)
        assert len(set(scheme.classes)) == len(scheme.classes)
        if scheme.edges:
            assert len(scheme.classes) == (len(scheme.edges) + 1) ** len(scheme.source.split("+"))
        else:
            assert set(scheme.mapping.values()) == set(scheme.classes)


def test_labels_go_where_the_map_says() -> None:
    assert to_scheme("excitement", "iemocap4") is None
    assert to_scheme("excitement", "iemocap4_excited") == "happiness"
    assert to_scheme("calm", "ekman7") is None
    assert to_scheme("neutral", "ekman6") is None
    assert to_scheme("boredom", "corpus") == "boredom"
    assert to_scheme(None, "ekman6") is None


def labelled(**weights: float) -> dict[str, object]:
    entries = [{"scheme": "canonical", "label": word, "weight": weight} for word, weight in weights.items()]
    return {"emotion": None, "labels": [*entries, {"scheme": "own", "label": "wistful", "weight": 1.0}]}


def test_several_labels_meet_in_a_class_or_in_none() -> None:
    assert assign(labelled(anger=1, annoyance=1), "goemotions_ekman") == "anger"
    assert assign(labelled(anger=1, joy=0), "goemotions28") == "anger"
    assert assign(labelled(anger=1, sadness=1), "goemotions_ekman") is None  # no rule says which was meant more
    assert assign(labelled(anger=1, sadness=1), "goemotions_sentiment") == "negative"
    assert assign(labelled(anger=0.3, annoyance=0.3, happiness=0.4), "goemotions_ekman") == "anger"
    assert assign(labelled(anger=0.3, annoyance=0.3, happiness=0.4), "ekman6") == "happiness"
    assert assign(labelled(anger=1), "labels:own") == "wistful"
    assert assign({"emotion": "anger", "labels": None}, "labels:own") is None


@pytest.mark.parametrize(
    ("valence", "arousal", "scheme", "expected"),
    [
        (0.0, None, "valence2", "low"),  # DEAP: high is above the middle, the middle itself is not
        (0.01, None, "valence2", "high"),
        (None, 0.5, "valence2", None),
        (float("nan"), 0.5, "valence2", None),
        (-0.5, 0.0, "valence3", "negative"),
        (0.0, 0.0, "valence3", "neutral"),
        (0.5, 0.0, "valence3", "positive"),
        (-0.5, -0.5, "quadrants", "LALV"),
        (-0.5, 0.5, "quadrants", "HALV"),
        (0.5, -0.5, "quadrants", "LAHV"),
        (0.5, 0.5, "quadrants", "HAHV"),
        (0.5, None, "quadrants", None),
    ],
)
def test_dimensions_are_cut_at_the_edges(
    valence: float | None, arousal: float | None, scheme: str, expected: str | None
) -> None:
    assert assign({"emotion": "anger", "labels": [], "valence": valence, "arousal": arousal}, scheme) == expected


def test_native_labels_carry_their_canonical_words_too() -> None:
    entries = native_labels(
        "own", {"joyful": 2, "glad": 1, "odd": 1}, {"joyful": "happiness", "glad": "happiness", "odd": None}
    )
    assert {"scheme": "canonical", "label": "happiness", "weight": 3.0} in entries
    assert [entry["label"] for entry in entries if entry["scheme"] == "own"] == ["joyful", "glad", "odd"]
    with pytest.raises(PayloadError, match="joyful"):
        native_labels("own", {"gloomy": 1}, {"joyful": "happiness"})


def test_ratings_end_in_minus_one_to_one() -> None:
    assert rescale(1, (1, 9), "valence") == -1 and rescale(9, (1, 9), "valence") == 1
    assert rescale(5, (1, 9), "valence") == 0
    for value in (0.9, 9.1, float("nan")):
        with pytest.raises(PayloadError, match="valence is"):
            rescale(value, (1, 9), "valence")


def test_unknown_names_are_errors() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'happiness'"):
        to_scheme("happines", "ekman6")
    with pytest.raises(UnknownNameError, match=r"Did you mean 'ekman7'.*iemocap4"):
        to_scheme("anger", "ekman")


def test_classes_present_in_the_order_of_the_scheme() -> None:
    assert classes_of("corpus", ["fear", "neutral", None, "anger"]) == ("neutral", "anger", "fear")
    assert classes_of("ekman6", ["happiness", None, "fear"]) == ("fear", "happiness")
    with pytest.raises(CorpusError, match="At least 2"):
        classes_of("ekman6", [None, "fear"])


def test_what_may_not_be_passed_on_is_named_with_its_licence() -> None:
    def entry(name: str, may: bool | None, **more: object) -> dict[str, object]:
        card = {"license": "CC-BY-NC-SA-4.0"} | ({} if may is None else {"may_redistribute": may})
        return {"id": name, "card": card, **more}

    assert restrictions([entry("free", True), entry("demo", False, made_up=True)]) == []
    held = restrictions([entry("free", True), entry("ravdess", False), entry("mine", None, made_up=False)])
    said = "licence CC-BY-NC-SA-4.0 of {} allows passing on, its card does not (may_redistribute)"
    assert held == [said.format(name) for name in ("ravdess", "mine")]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("\ufeffjoy", "joy"),
        (" joy\t", "joy"),
        ("joy\u00a0", "joy"),
        ("\u200bjoy\u200b", "joy"),
        ('"joy"', "joy"),
        ("'joy'", "joy"),
        ("\u201cjoy\u201d", "joy"),
        ("\u201ejoy\u201c", "joy"),
        ("\u00abjoy\u00bb", "joy"),
        ('\ufeff "joy" ', "joy"),
        ("no\u00a0 stress", "no stress"),
        ("cafe\u0301", "caf\u00e9"),
        ("", ""),
        ('""', ""),
        ("Joy", "Joy"),
        ("don't", "don't"),
        ('"joy', '"joy'),
        ("joy's", "joy's"),
        ("\u0645\u06cc\u200c\u062f", "\u0645\u06cc\u200c\u062f"),
    ],
)
def test_a_label_is_freed_of_what_nobody_sees(text: str, meant: str) -> None:
    assert clean_label(text) == meant


@given(
    st.text(st.sampled_from("aB\u00e9\u0301 \t\u00a0\ufeff\u200b\"'\u201c\u201d-"), max_size=8),
    st.text("abc", min_size=1),
)
def test_cleaning_twice_is_cleaning_once_and_dirt_at_the_ends_is_none(text: str, word: str) -> None:
    assert clean_label(clean_label(text)) == clean_label(text)
    assert clean_label(f"\ufeff\u00a0 '{word}'\u200b ") == word
