"""Level and length of pairs: closed forms on tones, gain, alignment, and NaN with a reason."""

from __future__ import annotations

import math

import numpy as np
import pytest

from validators.maths.speech.levels import RANGE_DB, energy_difference, frame_levels
from validators.measures.registry import measure

RATE = 16000


def buzz(envelope: np.ndarray, seed: int = 0) -> np.ndarray:
    """[n] float32: harmonics of 120 Hz under `envelope` [n]."""
    t = np.arange(len(envelope)) / RATE
    wave = sum(np.cos(2 * np.pi * 120 * k * t) / k for k in range(1, 12))
    return (0.05 * envelope * wave + 1e-4 * np.random.default_rng(seed).normal(size=t.size)).astype(np.float32)


def swell(seconds: float) -> np.ndarray:
    t = np.linspace(0, 1, int(seconds * RATE))
    return buzz(0.2 + np.sin(np.pi * t) ** 2)


def test_levels_of_a_sine() -> None:
    t = np.arange(RATE) / RATE
    level = frame_levels(0.5 * np.sin(2 * np.pi * 400 * t), RATE)
    assert level.shape == (201,)
    np.testing.assert_allclose(level, 20 * np.log10(0.5 / math.sqrt(2)), atol=0.15)
    with_pause = frame_levels(np.concatenate([np.sin(2 * np.pi * 400 * t), np.zeros(RATE)]), RATE)
    assert with_pause.min() == pytest.approx(with_pause.max() - RANGE_DB)


@pytest.mark.parametrize("path", [True, False])
def test_a_gain_is_its_decibels_or_nothing(path: bool) -> None:
    a = swell(0.5)
    for factor in (0.1, 0.5, 4.0):
        expected = abs(20 * math.log10(factor))
        assert energy_difference(a, factor * a, RATE, path=path)[0] == pytest.approx(expected, abs=1e-3)
        assert energy_difference(a, factor * a, RATE, path=path, gain=False)[0] == pytest.approx(0.0, abs=1e-3)


def test_a_known_difference() -> None:
    """Half of the frames 6 dB louder: 3 dB in the mean, and the same without the gain: 3 dB up, 3 dB down."""
    flat = buzz(np.ones(RATE))
    louder = flat * np.where(np.arange(RATE) < RATE // 2, 1.0, 10 ** (6 / 20)).astype(np.float32)
    for gain in (True, False):
        assert energy_difference(flat, louder, RATE, path=False, gain=gain)[0] == pytest.approx(3.0, abs=0.15)


def test_alignment_follows_what_is_said() -> None:
    a = swell(0.5)
    late = np.concatenate([np.zeros(800, np.float32), a])  # 50 ms of silence before
    assert energy_difference(a, late, RATE)[0] < 0.6 * energy_difference(a, late, RATE, path=False)[0]


@pytest.mark.parametrize("name", ["energy-difference", "duration-difference"])
@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        (np.zeros(8000, np.float32), "silent"),
        (np.zeros(0, np.float32), "empty"),
        (np.full(8000, np.nan, np.float32), "non-finite"),
        (np.ones(100, np.float32), "too-short"),
    ],
)
def test_no_sound_has_no_number(name: str, signal: np.ndarray, reason: str) -> None:
    good = (swell(0.3), RATE)
    for pair in ((good, (signal, RATE)), ((signal, RATE), good)):
        found = measure(name, [pair[0]], [pair[1]])
        assert math.isnan(found.value) and reason in found.reason
    some = measure(name, [good, good], [good, (signal, RATE)])
    assert some.value == 0.0 and some.details["left out"] == {reason: 1}


def test_duration_in_seconds_and_as_a_ratio() -> None:
    found = measure("duration-difference", [(swell(0.4), RATE)] * 2, [(swell(0.5), RATE), (swell(0.2), RATE)])
    assert found.value == pytest.approx(0.15)
    assert found.details["mean of synthetic - real, s"] == pytest.approx(-0.05)
    assert found.details["ratio synthetic / real"] == pytest.approx(math.sqrt(1.25 * 0.5))
