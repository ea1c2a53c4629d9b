"""Weights of synthetic rows: full for what real rows are like, less for corrupted ones, and by ranks that are known."""

from __future__ import annotations

import numpy as np
import pytest

from generators.draws.plausible import plausibility

RNG = np.random.default_rng(4)
LABELS = np.arange(120) % 2
REAL = RNG.normal(0, 1, (120, 5)) + 6.0 * LABELS[:, None] * np.eye(5)[0]


def fresh(n: int = 60, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    asked = np.arange(n) % 2
    return np.random.default_rng(seed).normal(0, 1, (n, 5)) + 6.0 * asked[:, None] * np.eye(5)[0], asked


def test_the_more_a_row_is_corrupted_the_less_it_counts() -> None:
    rows, asked = fresh()
    noise = np.random.default_rng(6).normal(0, 1, rows.shape)
    means = [plausibility(REAL, LABELS, rows + spread * noise, asked).mean() for spread in (0.0, 1.0, 2.0, 4.0)]
    assert means[0] > 0.6 and means[0] > means[1] > means[2] > means[3] and means[3] < 0.1


def test_a_row_of_another_class_does_not_count() -> None:
    rows, asked = fresh()
    right, wrong = plausibility(REAL, LABELS, rows, asked), plausibility(REAL, LABELS, rows, 1 - asked)
    assert wrong.max() < 0.1 and right.mean() > 0.6
    between = np.array([[3.5, 0.0, 0.0, 0.0, 0.0]])  # nearer to class 1, and not far from either
    assert plausibility(REAL, LABELS, between, np.array([0])) < 0.1


def test_by_hand_of_one_class() -> None:
    real = np.arange(5.0)[:, None]  # third nearest of the others: 3, 2, 2, 2, 3
    rows = np.array([[2.0], [0.0], [7.0]])  # third nearest: 1, 2, 5
    weights = plausibility(real, np.zeros(5, int), rows, np.zeros(3, int))
    np.testing.assert_allclose(weights, [1.0, 1.0, (1 / 6) / 0.5])


def test_few_real_rows_and_bad_ones() -> None:
    one = plausibility(REAL[:1], LABELS[:1], np.full((2, 5), 99.0), np.zeros(2, int))
    np.testing.assert_array_equal(one, [1.0, 1.0])
    two = plausibility(REAL[:4], LABELS[:4], np.full((1, 5), 99.0), np.zeros(1, int))
    assert 0 < two[0] <= 1
    with pytest.raises(ValueError, match="one width"):
        plausibility(REAL, LABELS, np.zeros((2, 3)), np.zeros(2, int))
    with pytest.raises(ValueError, match="NaN"):
        plausibility(REAL, LABELS, np.full((2, 5), np.nan), np.zeros(2, int))
