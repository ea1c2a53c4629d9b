"""Payloads as a page shows them."""

from __future__ import annotations

import numpy as np

from corpora.schema import Signal
from corpora.signals import VECTOR, encode_signals
from flows.stages.report.media import to_medium, waveform


def test_texts_and_signals_are_shown_as_what_they_are() -> None:
    text = to_medium(b"so <b>sad</b>" + b"." * 400, "txt")
    assert text.text is not None and len(text.text) == 280 and "first 280" in text.note and not text.picture
    arrays = {"EDA": np.linspace(0, 1, 400), "EEG": np.random.default_rng(0).normal(size=(900, 3))}
    facts = [Signal("EDA", "µS", 4.0, (400,))]
    curves = to_medium(encode_signals(arrays), "npz", facts)
    assert curves.figure is not None and "EDA (µS)" in curves.figure and "EEG" in curves.figure
    assert curves.note == "EDA 400 at 4 Hz, EEG 900 x 3"


def test_a_row_of_features_is_shown_by_its_first_values() -> None:
    vector = encode_signals({VECTOR: np.arange(8, dtype=np.float32)})
    named = to_medium(vector, "npz", features=[f"f{i}" for i in range(8)])
    assert named.text == "f0: 0\nf1: 1\nf2: 2\nf3: 3\nf4: 4\nf5: 5" and named.note == "8 features, first 6 here"
    assert not named.picture and named.figure is None and named.sound is None
    assert (to_medium(vector, "npz").text or "").startswith("feature 1: 0\n")


def test_a_waveform_is_the_envelope() -> None:
    import re

    signal = np.zeros(1680, np.float32)
    signal[840:] = np.tile(np.asarray([0.5, -0.25], np.float32), 420)
    path = waveform(signal)
    columns = re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)", path)
    assert len(columns) == 168
    assert columns[0][1:] == ("16.0", "16.4"), "silence is a thin line in the middle"
    assert columns[-1][1:] == ("8.0", "20.4"), "up to 0.5 and down to -0.25 of a box 32 high"
    assert waveform(np.full(3, 2.0, np.float32)).count("M") == 3, "short ones have fewer columns; peaks are clipped"
