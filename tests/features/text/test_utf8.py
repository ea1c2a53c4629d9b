"""Texts as bytes: what comes back is what went in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import ParamsError, PayloadError
from corpora.readers.fakes.text import write_sentence
from corpora.schema import Payload
from features.representation import Representation, make_representation
from features.steps import Source
from features.text.prepare import PrepareText, TextSteps

UTF8 = make_representation("utf8", {"max_bytes": 64})


def text(line: str) -> Payload:
    return Payload(line.encode("utf-8"), "txt")


def test_it_is_a_representation_of_tokens() -> None:
    assert isinstance(UTF8, Representation)
    assert (UTF8.modality, UTF8.lossless, UTF8.way_back) == ("text", True, True)
    assert (UTF8.spec.layout, UTF8.spec.shape, UTF8.spec.name) == ("tokens", (64,), "utf8-64")


def test_bytes_and_padding() -> None:
    array = UTF8.encode(text("né"))
    assert array.dtype == np.float32 and array[:4].tolist() == [110.0, 195.0, 169.0, 0.0] and not array[4:].any()


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=16))
def test_nothing_is_lost(line: str) -> None:
    if not line.strip():
        return
    back = UTF8.decode(UTF8.encode(text(line)))
    assert back.data == line.encode("utf-8") and back.codec == "txt" and back.signals[0].shape == (len(line),)


def test_what_preparation_writes_comes_back_with_its_signals() -> None:
    prepare, wide = PrepareText(TextSteps()), make_representation("utf8", {"max_bytes": 256})
    line = write_sentence("anger", np.random.default_rng(0))
    [piece] = prepare(Source(f"  <b>{line}</b> ".encode(), "txt"))
    back = wide.decode(wide.encode(Payload(piece.payload, "txt")))
    assert back.data == piece.payload and back.signals[0].shape == tuple(piece.signals[0]["shape"])


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (text("a" * 65), "too-long"),
        (text("é" * 33), "too-long"),
        (text("a\0b"), "nul-byte"),
        (text("  "), "empty"),
        (Payload(b"\xff\xfe", "txt"), "not-utf8"),
        (Payload(b"a", "wav"), "wrong-codec"),
    ],
)
def test_what_it_refuses(payload: Payload, reason: str) -> None:
    with pytest.raises(PayloadError) as caught:
        UTF8.encode(payload)
    assert caught.value.reason == reason


def row(*values: float) -> np.ndarray:
    return np.array([*values, *[0.0] * (64 - len(values))], np.float32)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (row(), "empty"),
        (row(32.0), "empty"),
        (row(97.0, 0.0, 97.0), "not-bytes"),
        (row(97.5), "not-bytes"),
        (row(256.0), "not-bytes"),
        (row(-1.0), "not-bytes"),
        (row(195.0), "not-utf8"),
        (row(float("nan")), "non-finite"),
        (row()[:9], "wrong-shape"),
    ],
)
def test_arrays_that_are_no_text(array: np.ndarray, reason: str) -> None:
    with pytest.raises(PayloadError) as caught:
        UTF8.decode(array)
    assert caught.value.reason == reason


@pytest.mark.parametrize("max_bytes", [0, 7, 70_000, "64", True])
def test_lengths_that_are_none(max_bytes: object) -> None:
    with pytest.raises(ParamsError, match="max_bytes"):
        make_representation("utf8", {"max_bytes": max_bytes})
