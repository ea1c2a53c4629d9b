"""Normal scores: there and back, and what they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from generators.effects import NormalScores
from generators.effects.scores import CLIP, MARGIN

COLUMNS = arrays(np.float64, st.tuples(st.integers(1, 40), st.integers(1, 3)), elements=st.floats(-1e6, 1e6, width=32))


def test_scores_are_those_of_normal_ranks() -> None:
    x = np.random.default_rng(0).exponential(size=(101, 1))
    z = NormalScores.fit(x).transform(x)
    ranks = np.argsort(np.argsort(x[:, 0])) + 1
    np.testing.assert_allclose(z[:, 0], norm.ppf((ranks - 0.5) / 101), atol=0.02)
    assert z[ranks == 51, 0] == pytest.approx(0.0, abs=1e-12)
    many = NormalScores.fit(np.arange(20_000.0)[:, None]).transform(np.arange(20_000.0)[:, None])
    assert np.abs(many).max() < CLIP and abs(many.std() - 1) < 0.01


@given(COLUMNS)
def test_train_values_come_back_exactly_and_order_is_kept(x: np.ndarray) -> None:
    scores = NormalScores.fit(x)
    z = scores.transform(x)
    np.testing.assert_array_equal(scores.inverse(z), x)
    for column, score in zip(x.T, z.T, strict=True):
        order = np.argsort(column, kind="stable")
        np.testing.assert_array_equal(np.diff(column[order]) > 0, np.diff(score[order]) > 0)


@given(COLUMNS)
def test_nothing_goes_further_than_the_margin(x: np.ndarray) -> None:
    scores = NormalScores.fit(x)
    far = scores.inverse(np.full((1, x.shape[1]), 99.0))
    wide = x.max(axis=0) - x.min(axis=0)
    np.testing.assert_allclose(far[0], x.max(axis=0) + MARGIN * wide, rtol=1e-9, atol=1e-9)
    assert np.abs(scores.transform(np.full((1, x.shape[1]), 1e9))).max() <= CLIP
    z = np.linspace(-5, 5, 50)[:, None].repeat(x.shape[1], axis=1)
    assert (np.diff(scores.inverse(z), axis=0) >= 0).all()


def test_a_constant_stays() -> None:
    scores = NormalScores.fit(np.full((5, 1), 3.0))
    assert scores.transform(np.array([[3.0], [4.0]])).tolist() == [[0.0], [0.0]]
    assert scores.inverse(np.array([[-2.0], [2.0]])).tolist() == [[3.0], [3.0]]


def test_other_shapes_are_refused() -> None:
    scores = NormalScores.fit(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="2 features; the scores were fitted on 3"):
        scores.transform(np.zeros((1, 2)))
    with pytest.raises(ValueError, match="at least one row"):
        NormalScores.fit(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="finite rows"):
        NormalScores.fit(np.array([[np.nan]]))
