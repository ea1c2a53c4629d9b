"""Utterance functionals: finite for everything, right where a closed form exists, gain-free where they say so."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import PayloadError
from features.speech.functionals import FUNCTIONAL_NAMES, GAIN_DEPENDENT, functionals_matrix, speech_functionals

RATE = 16000


def named(signal: np.ndarray) -> dict[str, float]:
    return dict(zip(FUNCTIONAL_NAMES, map(float, speech_functionals(signal, RATE)), strict=True))


def pulses(f0_hz: np.ndarray) -> np.ndarray:
    """[n] instantaneous F0 -> harmonic tone with a falling spectrum."""
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE
    return (0.3 * sum(np.cos(k * phase) / k for k in range(1, 16))).astype(np.float32)


def test_names_are_unique_and_match_the_vector() -> None:
    assert len(set(FUNCTIONAL_NAMES)) == len(FUNCTIONAL_NAMES) == 88
    assert set(GAIN_DEPENDENT) < set(FUNCTIONAL_NAMES)
    vector = speech_functionals(pulses(np.full(RATE, 120.0)), RATE)
    assert vector.shape == (88,) and vector.dtype == np.float32


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 6000), st.sampled_from(["zeros", "noise", "dc", "click", "tone", "loud"]), st.integers(0, 99))
def test_always_finite(n: int, kind: str, seed: int) -> None:
    x = np.zeros(n, dtype=np.float32)
    if kind == "noise":
        x = np.random.default_rng(seed).standard_normal(n).astype(np.float32) * 0.1
    elif kind == "dc":
        x += 0.5
    elif kind == "click" and n:
        x[seed % n] = 1.0
    elif kind == "tone":
        x = np.sin(np.arange(n) * 0.05).astype(np.float32)
    elif kind == "loud":
        x = np.sign(np.sin(np.arange(n) * 0.05)).astype(np.float32)
    assert np.isfinite(speech_functionals(x, RATE)).all()


def test_silence_gets_the_documented_constants() -> None:
    v = named(np.zeros(RATE, dtype=np.float32))
    assert v["logf0_mean"] == pytest.approx(math.log(150.0)) and v["logf0_std"] == 0 and v["voiced_share"] == 0
    assert all(v[name] == pytest.approx(-100.0) for name in GAIN_DEPENDENT)
    assert v["syllables_per_s"] == 0 and v["energy_std_db"] == 0 and v["duration_s"] == 1.0


def test_pitch_of_a_steady_and_of_a_rising_tone() -> None:
    steady = named(pulses(np.full(RATE, 200.0)))
    assert math.exp(steady["logf0_p50"]) == pytest.approx(200.0, rel=0.01)
    assert steady["logf0_std"] < 0.02 and steady["voiced_share"] > 0.9
    rising = named(pulses(120.0 * np.exp(0.6 * np.arange(RATE) / RATE)))
    assert rising["logf0_slope"] == pytest.approx(0.6, rel=0.1)


def test_noise_is_unvoiced() -> None:
    assert named(0.1 * np.random.default_rng(0).standard_normal(RATE))["voiced_share"] < 0.3


def test_syllables_are_counted() -> None:
    t = np.arange(2 * RATE) / RATE
    envelope = 0.05 + 0.95 * np.maximum(0.0, np.sin(2 * np.pi * 2.0 * t)) ** 2  # 4 bursts in 2 s
    v = named(pulses(np.full(2 * RATE, 150.0)) * envelope)
    assert v["syllables_per_s"] == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("gain", [0.05, 0.3, 2.0])
def test_gain_moves_only_the_named_ones(gain: float) -> None:
    rng = np.random.default_rng(5)
    x = pulses(140.0 + 20.0 * np.sin(np.arange(RATE) / 3000.0)) * np.hanning(RATE) + 1e-3 * rng.standard_normal(RATE)
    x = x.astype(np.float64)
    before, after = named(x), named(gain * x)
    for name in FUNCTIONAL_NAMES:
        shift = 20 * math.log10(gain) if name in GAIN_DEPENDENT else 0.0
        assert after[name] == pytest.approx(before[name] + shift, rel=1e-3, abs=1e-3), name


def test_spectrum_moves_with_brightness() -> None:
    rng = np.random.default_rng(0)
    white = 0.1 * rng.standard_normal(RATE)
    dark = np.convolve(white, np.ones(8) / 8, mode="same")
    bright, dull = named(white), named(dark)
    assert bright["centroid_mean_hz"] == pytest.approx(4000.0, rel=0.05)
    assert dull["centroid_mean_hz"] < 2500 and dull["alpha_ratio_mean_db"] > bright["alpha_ratio_mean_db"]
    assert bright["zero_crossings_mean_hz"] == pytest.approx(8000.0, rel=0.05)  # half of all samples


def test_matrix_is_the_rows_and_nan_is_refused() -> None:
    signals = [pulses(np.full(4000, f)) for f in (110.0, 220.0)]
    matrix = functionals_matrix(signals, RATE)
    assert matrix.shape == (2, 88) and (matrix[1] == speech_functionals(signals[1], RATE)).all()
    assert functionals_matrix([], RATE).shape == (0, 88)
    with pytest.raises(PayloadError, match="non-finite"):
        speech_functionals(np.array([0.0, np.nan]), RATE)
