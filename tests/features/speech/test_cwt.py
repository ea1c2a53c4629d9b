"""Wavelet components of F0: sines lie on their scale, components sum to the contour."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import fftconvolve

from corpora.errors import ParamsError
from features.speech.cwt import decompose, operator, periods, reconstruct, scale_lengths

HOP = 0.01


def test_a_sine_lies_on_its_scale() -> None:
    times = np.arange(4000) * HOP
    for k in range(1, 8):  # the fastest scale's own period is 4.4 hops, the slowest ones' longer than the contour
        sine = np.cos(2 * np.pi * times / periods(HOP)[k])
        power = (decompose(sine, HOP).components ** 2).mean(axis=1)
        assert power.argmax() == k
        assert power[k] == pytest.approx(0.5 * (np.log(2) * 2 / np.e) ** 2, rel=0.02), "2 / e is the wavelet's peak"


def test_two_sines_are_taken_apart() -> None:
    times = np.arange(4000) * HOP
    fast, slow = (np.cos(2 * np.pi * times / periods(HOP)[k]) for k in (1, 6))
    both = decompose(3 * fast + 0.5 * slow, HOP).components
    assert abs(np.corrcoef(both[1], fast)[0, 1]) > 0.999 and abs(np.corrcoef(both[6], slow)[0, 1]) > 0.995


def test_nothing_is_lost_and_within_reach_the_rest_is_small() -> None:
    rng = np.random.default_rng(0)
    for length in (1, 2, 31, 320):
        contour = 5.0 + np.cumsum(rng.normal(0, 0.02, length))
        np.testing.assert_allclose(reconstruct(decompose(contour, HOP)), contour, atol=1e-12)
    times = np.arange(3000) * HOP
    for period in (0.3, 0.4, 1.0, 2.5, 5.0):
        prosody = decompose(np.cos(2 * np.pi * times / period), HOP)
        assert np.abs(prosody.rest).max() < 0.02, "the scales alone give the contour back within 2 %"
    flat = decompose(np.full(300, 5.3), HOP)
    np.testing.assert_allclose(flat.rest, 5.3)
    np.testing.assert_allclose(flat.components, 0.0, atol=1e-12)


def test_it_is_the_transform_with_the_mexican_hat() -> None:
    """Against a convolution in time, far from the ends."""
    rng = np.random.default_rng(1)
    contour = np.convolve(rng.normal(size=2000), np.hanning(9), "same")
    for k in (2, 4):
        a = scale_lengths(HOP)[k] / HOP  # hops
        t = np.arange(-400, 401)
        hat = (1 - (t / a) ** 2) * np.exp(-((t / a) ** 2) / 2) / (np.sqrt(2 * np.pi) * a)
        expected = np.log(2) * fftconvolve(contour, hat, "same")
        np.testing.assert_allclose(decompose(contour, HOP).components[k][500:1500], expected[500:1500], atol=1e-6)


def test_the_operator_does_the_same() -> None:
    contour = np.sin(np.arange(40) / 3.0)
    prosody = decompose(contour, HOP, 5)
    stacked = operator(40, HOP, 5) @ contour
    np.testing.assert_allclose(stacked[:5], prosody.components, atol=1e-12)
    np.testing.assert_allclose(stacked[5], prosody.rest, atol=1e-12)


def test_what_is_no_contour_is_refused() -> None:
    for wrong in (np.zeros((2, 3)), np.zeros(0), np.array([1.0, np.nan])):
        with pytest.raises(ParamsError, match="contour"):
            decompose(wrong, HOP)
    with pytest.raises(ParamsError, match="scales"):
        decompose(np.zeros(5), HOP, 0)
