"""Pitch marks: strictly increasing whatever comes in, a period apart where the period is known, to a fraction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.speech.differential.analysis import analyse
from features.speech.differential.marks import local_mean, pitch_marks

from .voices import RATE, hiss, vowel, word


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4000), st.sampled_from([0.0, 1e-6, 0.3]))
def test_marks_increase_whatever_signal_and_track(seed: int, n: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    x = level * rng.standard_normal(n)
    f0 = np.where(rng.random(n // 80 + 1) < 0.8, rng.uniform(60, 800, n // 80 + 1), 0.0)
    marks = pitch_marks(x, f0, 80, RATE)
    assert (np.diff(marks.at) > 0).all() and marks.at[0] == 0 and marks.at[-1] == n - 1
    assert len(marks.run) == len(marks.at)
    unvoiced = ~marks.voiced
    assert marks.periods[unvoiced].max(initial=0) <= 2 * 0.005 * RATE


@pytest.mark.parametrize("f0_hz", [90.0, 143.7, 251.3, 390.0])
def test_marks_are_a_period_apart(f0_hz: float) -> None:
    marks = analyse(vowel(f0_hz), RATE).marks
    inner = marks.periods[marks.voiced][3:-3]
    assert len(inner) > 0.6 * 0.8 * f0_hz
    # real-valued: whole samples would scatter by 0.3
    assert abs(inner.mean() - RATE / f0_hz) < 0.02 and inner.std() < 0.1


def test_marks_follow_jitter() -> None:
    steady, rough = (
        marks.periods[marks.voiced].std() for marks in (analyse(vowel(jitter=j), RATE).marks for j in (0.0, 0.02))
    )
    assert steady < 0.1 < 1.0 < rough


def test_noise_has_no_voiced_marks() -> None:
    marks = analyse(hiss(), RATE).marks
    assert marks.voiced.mean() < 0.15
    assert np.allclose(marks.periods[~marks.voiced], 80, rtol=0.3)


def test_local_mean_is_symmetric_and_stays_in_its_run() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 50.0, 60.0, 70.0, 9.0])
    run = np.array([0, 0, 0, 0, 1, 1, 1, -1])
    # a glide is its own local mean; at the ends nothing is averaged
    assert np.allclose(local_mean(values, run), values)
    values[1] = 5.0
    assert np.allclose(local_mean(values, run)[:4], [1.0, (1 + 5 + 3) / 3, (5 + 3 + 4) / 3, 4.0])


def test_marks_of_a_word_have_two_runs() -> None:
    marks = analyse(word(), RATE).marks
    assert len(set(marks.run[marks.run >= 0])) == 2
