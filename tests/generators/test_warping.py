"""Warps between class means: identities, a known shift, and a mean that comes out as the other."""

from __future__ import annotations

import numpy as np
import pytest

from generators.warping import MAX_SHARE, flow, moved_face, warp

SIZE = 48


def blob(down: float = 0.0, across: float = 0.0) -> np.ndarray:
    """A mouth, roughly: a dark ellipse and two dots above it."""
    y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
    y, x = y - down, x - across
    mouth = np.exp(-(((y - 10) / 4) ** 2) - (x / 9) ** 2)
    eyes = sum(np.exp(-(((y + 8) / 4) ** 2) - ((x - side) / 5) ** 2) for side in (-9, 9))
    return np.asarray(120.0 - 60.0 * mouth - 50.0 * eyes)


def test_nothing_moves_where_means_are_equal() -> None:
    rng = np.random.default_rng(0)
    face = rng.uniform(0, 255, (SIZE, SIZE))
    assert not flow(blob(), blob()).any() and not flow(np.full((8, 8), 3.0), np.full((8, 8), 3.0)).any()
    np.testing.assert_array_equal(warp(face, flow(blob(), blob())), face)
    np.testing.assert_array_equal(warp(face, flow(blob(), blob(1)), 0.0), face)
    np.testing.assert_array_equal(moved_face(face, blob(), blob(), 2.0), face)
    np.testing.assert_array_equal(moved_face(face, blob(), blob(1), 0.0), face)


def test_a_known_shift_is_seen_and_made() -> None:
    moved = flow(blob(), blob(1.0, -1.5))
    inner = (slice(12, 38), slice(12, 38))
    # the target's pixel p stands at p - shift in the source
    np.testing.assert_allclose(moved[0][inner].mean(), -1.0, atol=0.25)
    np.testing.assert_allclose(moved[1][inner].mean(), 1.5, atol=0.35)
    before, after = blob() - blob(1.0, -1.5), warp(blob(), moved) - blob(1.0, -1.5)
    assert (after**2).sum() < 0.15 * (before**2).sum()
    half = warp(blob(), moved, 0.5)
    assert abs((half - blob(0.5, -0.75)) ** 2).sum() < 0.15 * ((blob() - blob(0.5, -0.75)) ** 2).sum()


def test_the_scale_of_grey_is_no_part_of_a_flow() -> None:
    np.testing.assert_allclose(flow(blob(), blob(1)), flow(blob() / 60 - 2, blob(1) / 60 - 2), atol=1e-3)


def test_a_flow_is_no_longer_than_a_class_moves_a_face() -> None:
    noise = np.random.default_rng(1).normal(size=(2, SIZE, SIZE))
    assert np.hypot(*flow(noise[0], noise[1])).max() <= MAX_SHARE * SIZE + 1e-9
    assert (flow(noise[0], noise[1]) == flow(noise[0], noise[1])).all()


def test_at_strength_one_a_mean_becomes_the_other() -> None:
    np.testing.assert_allclose(moved_face(blob(), blob(), blob(2.0)), blob(2.0), atol=1e-9)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="class means have shapes"):
        flow(blob(), blob()[:-1])
    with pytest.raises(ValueError, match="does not fit a picture"):
        warp(blob()[:-1], np.zeros((2, SIZE, SIZE)))
