"""Prepared text: what looks the same becomes the same, what carries emotion stays, masks can be undone."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from corpora.errors import PayloadError
from features.steps import Piece, Source
from features.text.prepare import (
    NOTE,
    PrepareText,
    TextSteps,
    restore,
    with_placeholders,
    without_controls,
    without_markup,
)


def prepare(text: str, **steps: Any) -> Piece:
    (piece,) = PrepareText(TextSteps.model_validate(steps))(Source(text.encode(), "txt"))
    return piece


def text_of(text: str, **steps: Any) -> str:
    return prepare(text, **steps).payload.decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("cafe\u0301", "caf\u00e9"),  # NFC: a letter and an accent are one letter
        ("\ufb01ne", "\ufb01ne"),  # and a ligature stays
        ("I\x92m \x93fine\x94", "I\u2019m \u201cfine\u201d"),  # Windows-1252 read as Latin-1, as in MELD's csv
        ("a\x00b\x07c\u200b\ufeffd", "abcd"),
        ("\U0001f469\u200d\U0001f9b0 yes", "\U0001f469\u200d\U0001f9b0 yes"),  # the joiner builds the emoji
        ("so <b>very</b> sad<br />now", "so very sad now"),
        ("Tom &amp; I &#39;love&#39; it &lt;3", "Tom & I 'love' it <3"),
        ("<sigh> why <3", "<sigh> why <3"),  # no element of HTML, and it says something
        ("  two\u00a0\t words\r\n", "two words"),
        ("SO HAPPY!!! :-) #joy", "SO HAPPY!!! :-) #joy"),
        ("thanks @ann_b, see https://x.org/a?b=1.", "thanks [USER], see [URL]."),
        ("mail me@home.example or www.me.example/x now", "mail [EMAIL] or [URL] now"),
        ("[NAME] and <user> met [ RELIGION]", "[NAME] and [USER] met [ RELIGION]"),
    ],
)
def test_each_step_on_a_text_with_a_known_answer(before: str, after: str) -> None:
    assert text_of(before) == after
    assert text_of(after) == after, "twice is once"


def test_nfkc_folds_what_nfc_keeps() -> None:
    assert text_of("\ufb01ne \uff21\uff22", unicode={"form": "NFKC"}) == "fine AB"


def test_a_step_can_be_switched_off() -> None:
    off = dict.fromkeys(("markup", "controls", "unicode", "whitespace", "placeholders"))
    odd = " <b>@ann</b>  cafe\u0301 &amp;\x92 "
    assert text_of(odd, **off) == odd
    assert [s["step"] for s in TextSteps.model_validate(off).described()] == ["length-1"]


def test_placeholders_are_undone_by_the_note() -> None:
    before = "hey @ann and @bob: https://a.org [NAME] wrote to x@y.org"
    piece = prepare(before, placeholders={"keep": True})
    assert piece.payload.decode() == "hey [USER] and [USER]: [URL] [NAME] wrote to [EMAIL]"
    assert restore(piece.payload.decode(), piece.notes) == before and piece.counted == ("placeholders",)
    forgotten = prepare(before)  # by default a release holds no original
    assert NOTE not in forgotten.notes and "ann" not in str(forgotten)
    assert prepare("[NAME] left", placeholders={"keep": True}).notes == {}, "what was in our form already needs no note"
    assert restore("[NAME] left", {}) == "[NAME] left"


def test_the_parts() -> None:
    assert without_markup("a<script>x</script>b<!-- c -->") == "axb"
    assert without_controls("\x81a") == "a", "0x81 is nothing in Windows-1252"
    assert with_placeholders("a@b") == ("a@b", [])


@pytest.mark.parametrize(
    ("text", "slug", "limits"),
    [
        ("a", "too-short", {"min_characters": 2}),
        ("one two", "too-short", {"min_words": 3}),
        ("a b c", "too-long", {"max_words": 2}),
        ("abcdef", "too-long", {"max_characters": 5}),
        ("<br>", "too-short", {}),
        ("\u200b", "too-short", {}),
        ("   ", "empty", {}),
    ],
)
def test_length_limits(text: str, slug: str, limits: dict[str, int]) -> None:
    with pytest.raises(PayloadError) as error:
        prepare(text, length=limits)
    assert error.value.reason == slug
    with pytest.raises(PayloadError) as error:
        PrepareText(TextSteps())(Source(b"\xff\xfe\x41", "txt"))
    assert error.value.reason == "not-utf8"


def test_real_texts_are_kept_but_for_form(shared_data: Path) -> None:
    """GoEmotions and MELD: nothing is refused, letters stay, preparing twice is preparing once."""
    texts = [line.split("\t")[0] for line in (shared_data / "goemotions" / "dev.tsv").read_text("utf-8").splitlines()]
    with (shared_data / "meld" / "dev_sent_emo.csv").open(encoding="utf-8") as file:
        texts += [row["Utterance"] for row in csv.DictReader(file)]
    plain = PrepareText(TextSteps(placeholders=None))
    for text in texts[::7]:
        piece = prepare(text)
        made = piece.payload.decode()
        assert text_of(made) == made
        assert restore(made, piece.notes) == plain(Source(text.encode(), "txt"))[0].payload.decode()
        assert sum(map(str.isalpha, made)) >= 0.9 * sum(map(str.isalpha, text)) or piece.counted
