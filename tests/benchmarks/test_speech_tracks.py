"""The gallery's F0 tracks: what is asked for and what is tracked agree where both are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.speech_tracks import Voice, asked_f0, median_f0, voice_of
from corpora.codecs import encode_wav
from corpora.schema import Payload
from features.representation import make_representation

RATE = 16000
WORLD = make_representation("world", {"max_s": 1.6})


def voice(f0_hz: float) -> np.ndarray:
    """A second of a harmonic tone as an array of `world`."""
    t = np.arange(RATE) / RATE
    tone = sum(np.sin(2 * np.pi * f0_hz * k * t) / k for k in range(1, 12)) * np.hanning(RATE)
    return np.asarray(WORLD.encode(Payload(encode_wav((0.2 * tone).astype(np.float32), RATE), "wav")))


def test_what_is_asked_for_is_tracked_in_what_comes_out() -> None:
    array, spec = voice(180.0), WORLD.spec
    plain = voice_of(WORLD, array)
    voiced = plain.asked[plain.asked > 0]
    assert len(voiced) > 80 and np.median(voiced) == pytest.approx(180.0, rel=0.02)
    assert plain.off_semitones < 0.3 and plain.unlike_voicing < 0.1
    higher = array.copy()
    row = spec.rows.index("log_f0")
    higher[row] += np.log(2) * 4 / 12
    moved = voice_of(WORLD, higher)
    assert median_f0([moved]) == pytest.approx(180.0 * 2 ** (4 / 12), rel=0.03), "four semitones up"
    crossed = Voice(plain.asked, moved.produced, b"")
    assert crossed.off_semitones == pytest.approx(4.0, abs=0.3), "asked for one, produced the other"


def test_unvoiced_columns_ask_for_nothing_and_what_cannot_be_decoded_says_why() -> None:
    array, spec = voice(180.0), WORLD.spec
    mute = array.copy()
    mute[spec.rows.index("voicing")] = 0.0
    assert not asked_f0(mute, spec).any() and np.isnan(median_f0([Voice(np.zeros(4), np.zeros(4), b"")]))
    broken = voice_of(WORLD, np.full(spec.shape, np.nan, np.float32))
    assert broken.wav is None and broken.why and np.isnan(broken.off_semitones)
