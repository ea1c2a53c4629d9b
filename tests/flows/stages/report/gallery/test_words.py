"""What changed in a text, and JSON that a page can hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.stages.report.gallery.island import island
from flows.stages.report.gallery.words import Words, changed_words, share_changed

TEXTS = st.text(alphabet="ab .,!\n\u05d0é", max_size=40)


@given(TEXTS, TEXTS)
def test_both_texts_can_be_read_again(source: str, text: str) -> None:
    words = changed_words(source, text)
    assert "".join(part.text for part in words if part.change != "gone") == text
    assert "".join(part.text for part in words if part.change != "new") == source
    assert (share_changed(words) == 0) == all(part.change != "new" for part in words)


def test_whole_words_change() -> None:
    words = changed_words("I was sad at home.", "I was glad at home!")
    assert [(w.text, w.change) for w in words if w.change] == [
        ("sad", "gone"),
        ("glad", "new"),
        (".", "gone"),
        ("!", "new"),
    ]
    assert changed_words("the same", "the same") == (Words("the same"),)
    assert share_changed(changed_words("a b", "c b")) == pytest.approx(1 / 3)


HOSTILE = ["</script><script>alert(1)</script>", "<!-- <script>", "]]>", "'\"&amp;", "\u2028\u2029", "\u202eabc\u202c"]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_ends_the_island(text: str) -> None:
    held = str(island({text: [text, 1.5, None]}))
    assert json.loads(held) == {text: [text, 1.5, None]}
    assert not set("<>&'\u2028\u2029") & set(held)


def test_an_island_holds_no_nan() -> None:
    with pytest.raises(ValueError):
        island([float("nan")])
