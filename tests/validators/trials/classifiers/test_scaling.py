"""Scales are learned from reference rows, by rank or by moments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, rankdata

from validators.trials.classifiers.scaling import CLIP, Scaler, ScalingParams, normal_knots

NORMAL = ScalingParams()
RNG = np.random.default_rng(0)


def test_reference_rows_get_the_normal_quantile_of_their_rank() -> None:
    x = np.exp(RNG.normal(size=(50, 3)))
    x[:10, 1] = x[0, 1]  # ties share their mean rank
    expected = norm.ppf((rankdata(x, axis=0) - 0.5) / 50)
    assert np.allclose(Scaler.fit(x, NORMAL).apply(x), expected)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.lists(st.floats(-1e7, 1e7), min_size=2, max_size=9))
def test_scores_rise_with_values_and_stay_within_the_clip(reference: list[float], new: list[float]) -> None:
    out = Scaler.fit(np.array(reference)[:, None], NORMAL).apply(np.sort(new)[:, None])[:, 0]
    assert (np.diff(out) >= -1e-12).all() and np.abs(out).max() <= CLIP


def test_the_clip_is_reached_by_many_rows() -> None:
    ((_, scores),) = normal_knots(np.arange(100_000.0)[:, None])
    assert scores[0] == -CLIP and scores[-1] == CLIP


@pytest.mark.parametrize("scaling", ["normal", "standard"])
def test_a_constant_is_zero_whatever_comes(scaling: str) -> None:
    x = RNG.normal(size=(30, 2))
    x[:, 1] = 0.1 + 0.2  # a mean of these rounds
    out = Scaler.fit(x, ScalingParams(scaling=scaling)).apply(np.array([[0.0, 7.0], [1.0, -7.0]]))
    assert (out[:, 1] == 0).all() and (out[:, 0] != 0).any()


def test_standard_has_mean_0_and_variance_1() -> None:
    x = RNG.normal(size=(40, 4)) * 9 + 5
    out = Scaler.fit(x, ScalingParams(scaling="standard")).apply(x)
    assert np.allclose(out.mean(axis=0), 0) and np.allclose(out.std(axis=0), 1)
    assert (Scaler.fit(x, ScalingParams(scaling="none")).apply(x) == x).all()


def test_components_keep_the_directions_that_vary_most() -> None:
    x = RNG.normal(size=(200, 1)) @ RNG.normal(size=(1, 6)) + 0.01 * RNG.normal(size=(200, 6))
    out = Scaler.fit(x, ScalingParams(scaling="standard", components=2)).apply(x)
    assert out.shape == (200, 2)
    assert out[:, 0].var() / x.shape[1] > 0.95
    few = Scaler.fit(x[:4], ScalingParams(scaling="standard", components=50)).apply(x)
    assert few.shape == (200, 3)  # four rows span no more


def test_other_features_than_those_learned_are_refused() -> None:
    with pytest.raises(ValueError, match="scales are of 2 features"):
        Scaler.fit(RNG.normal(size=(9, 2)), NORMAL).apply(RNG.normal(size=(9, 3)))
