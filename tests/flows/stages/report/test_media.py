"""Payloads as a page shows them."""

from __future__ import annotations

import numpy as np

from corpora.signals import encode_signals
from flows.stages.report.media import to_medium


def test_texts_and_signals_are_shown_as_what_they_are() -> None:
    text = to_medium(b"so <b>sad</b>" + b"." * 400, "txt")
    assert text.text is not None and len(text.text) == 280 and "first 280" in text.note and not text.picture
    arrays = {"EDA": np.linspace(0, 1, 400), "EEG": np.random.default_rng(0).normal(size=(900, 3))}
    facts = [{"name": "EDA", "unit": "µS", "rate_hz": 4.0, "shape": [400]}]
    curves = to_medium(encode_signals(arrays), "npz", facts)
    assert curves.figure is not None and "EDA (µS)" in curves.figure and "EEG" in curves.figure
    assert curves.note == "EDA 400 at 4 Hz, EEG 900 x 3"
