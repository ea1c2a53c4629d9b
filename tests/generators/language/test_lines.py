"""Between arrays of bytes and lines; what counts as a copy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import PayloadError
from features.representation import Spec, make_representation
from generators.language.lines import arrays_of, cut, lines_of, same_line

SPEC = Spec("utf8-24", (24,), layout="tokens")


def test_lines_come_back() -> None:
    lines = ["so happy!", "", "né 😀"]
    arrays = arrays_of(lines, SPEC)
    assert arrays.shape == (3, 24) and arrays.dtype == np.float32
    assert lines_of(arrays) == lines
    assert lines_of(arrays[:0]) == []


def test_it_is_the_form_of_the_representation() -> None:
    utf8 = make_representation("utf8", {"max_bytes": 24})
    assert utf8.spec == SPEC
    assert utf8.decode(arrays_of(["né 😀"], SPEC)[0]).data == "né 😀".encode()


@pytest.mark.parametrize(
    ("line", "room", "kept"),
    [
        ("one two three", 9, "one two"),
        ("one two", 7, "one two"),
        ("one two three", 7, "one two"),
        ("naïveté", 3, "na"),
        ("naïveté", 4, "naï"),
        ("e\u0301e\u0301", 4, "e\u0301"),  # the mark that belongs to the second letter does not fit
        ("👩\u200d👩\u200d👧", 12, ""),  # three people joined into one character
        ("a👩\u200d👩", 8, "a"),
        ("日本語", 7, "日本"),
    ],
)
def test_a_line_that_is_too_long_is_cut_at_a_word_or_a_character(line: str, room: int, kept: str) -> None:
    assert cut(line, room) == kept


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40), st.integers(1, 60))
def test_a_cut_is_a_start_of_the_line_that_fits(line: str, room: int) -> None:
    kept = cut(line, room)
    assert line.startswith(kept) and len(kept.encode()) <= room
    assert lines_of(arrays_of([line], SPEC))[0] == cut(line, 24)


def test_bytes_that_are_no_text_are_refused() -> None:
    broken = np.zeros((1, 24), np.float32)
    broken[0, 0] = 195
    with pytest.raises(PayloadError, match="not-utf8"):
        lines_of(broken)


def test_copies_differ_in_case_white_space_and_signs_at_most() -> None:
    assert same_line("So happy!") == same_line("so  HAPPY...") != same_line("so sad")
    assert same_line("!!") != same_line("??")
    assert 0 <= same_line("") < 2**63
