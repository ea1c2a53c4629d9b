"""Melody differences: closed forms on tracks, sane values on tones, NaN with a reason where there is no melody."""

from __future__ import annotations

import math

import numpy as np
import pytest

from validators.maths.speech.pitch import compare_pitch, compare_tracks

RATE = 16000


def tone(f0_hz: float, seconds: float = 0.6) -> np.ndarray:
    t = np.arange(int(seconds * RATE)) / RATE
    return (0.2 * sum(np.cos(2 * np.pi * k * f0_hz * t) / k for k in range(1, 12))).astype(np.float32)


def test_closed_forms() -> None:
    a = np.concatenate([np.zeros(10), np.geomspace(100.0, 200.0, 60), np.zeros(30)])
    up = compare_tracks(a, a * 2 ** (1 / 12))
    assert up.rmse_cents == pytest.approx(100.0) and up.correlation == pytest.approx(1.0)
    assert up.voicing_error == 0.0 and up.n_voiced == 60 and up.reason is None
    same = compare_tracks(a, a)
    assert same.rmse_hz == 0.0 and same.rmse_cents == 0.0
    off = a + 10.0 * (a > 0)
    assert compare_tracks(a, off).rmse_hz == pytest.approx(10.0)
    shifted = np.concatenate([np.zeros(20), a[10:70], np.zeros(20)])
    assert compare_tracks(a, shifted).voicing_error == pytest.approx(0.2)
    falling = np.where(a > 0, 20000.0 / np.maximum(a, 1.0), 0.0)
    assert compare_tracks(a, falling).correlation == pytest.approx(-1.0)


def test_error_is_symmetric() -> None:
    rng = np.random.default_rng(0)
    a, b = 150 + 10 * rng.standard_normal(50), 150 + 10 * rng.standard_normal(50)
    assert compare_tracks(a, b).rmse_cents == pytest.approx(compare_tracks(b, a).rmse_cents)


def test_tones_a_semitone_apart() -> None:
    found = compare_pitch(tone(120.0), tone(120.0 * 2 ** (1 / 12), 0.7), RATE)
    assert found.rmse_cents == pytest.approx(100.0, abs=15.0)  # the ends of the tone included
    assert found.duration_difference_s == pytest.approx(0.1)
    assert compare_pitch(tone(120.0), tone(120.0), RATE).rmse_hz == 0.0


def test_harvest_hears_the_same_tone() -> None:
    found = compare_pitch(tone(120.0), tone(120.0 * 2 ** (1 / 12)), RATE, f0="harvest")
    assert found.rmse_cents == pytest.approx(100.0, abs=15.0) and found.n_voiced > 80


def test_linear_alignment_undoes_a_change_of_tempo() -> None:
    def glide(seconds: float) -> np.ndarray:
        t = np.arange(int(seconds * RATE)) / RATE
        phase = 2 * np.pi * np.cumsum(120.0 * 2 ** (t / seconds)) / RATE
        return 0.2 * sum(np.cos(k * phase) / k for k in range(1, 12))

    assert compare_pitch(glide(0.6), glide(0.9), RATE, align="linear").rmse_cents < 30
    assert compare_pitch(glide(0.6), glide(0.9), RATE).rmse_cents > 100


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        (np.zeros(RATE, dtype=np.float32), "silent"),
        (np.zeros(0, dtype=np.float32), "empty"),
        (np.full(RATE, np.nan, dtype=np.float32), "non-finite"),
        (tone(120.0, 0.02), "too-short"),
        ((0.1 * np.random.default_rng(1).standard_normal(2000)).astype(np.float32), "unvoiced"),
    ],
)
def test_no_melody_is_nan_with_a_reason(signal: np.ndarray, reason: str) -> None:
    for found in (compare_pitch(tone(120.0), signal, RATE), compare_pitch(signal, tone(120.0), RATE)):
        assert found.reason == reason
        assert math.isnan(found.rmse_hz) and math.isnan(found.rmse_cents) and math.isnan(found.correlation)
