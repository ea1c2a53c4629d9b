"""Interpolated people."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.effects.people import interpolated_people
from corpora.errors import UserError


def test_a_copy_is_the_row_of_somebody_between_two_subjects() -> None:
    rng = np.random.default_rng(0)
    levels, level_of, rest = rng.normal(size=(4, 3)), rng.integers(0, 4, 200), rng.normal(size=(200, 3))
    copies, people, t = interpolated_people(levels[level_of] + rest, level_of, levels, seed=1)
    assert (people[:, 0] != people[:, 1]).all() and people.min() == 0 and people.max() == 3
    for i in range(200):
        p, q = people[i]
        np.testing.assert_allclose(copies[i], (1 - t[i]) * levels[p] + t[i] * levels[q] + rest[i])
    assert t.min() >= 0 and t.max() < 1 and t.std() > 0.2


def test_the_seed_is_all_the_chance_there_is() -> None:
    x, levels, level_of = np.zeros((30, 2)), np.arange(6.0).reshape(3, 2), np.arange(30) % 3
    one, other = (interpolated_people(x, level_of, levels, seed=5)[0] for _ in range(2))
    assert one.tobytes() == other.tobytes()
    assert (interpolated_people(x, level_of, levels, seed=6)[0] != one).any()


def test_one_person_is_not_two() -> None:
    with pytest.raises(UserError, match="train has 1"):
        interpolated_people(np.zeros((3, 2)), np.zeros(3, int), np.zeros((1, 2)), seed=0)
    with pytest.raises(ValueError, match="do not fit together"):
        interpolated_people(np.zeros((3, 2)), np.zeros(2, int), np.zeros((2, 2)), seed=0)
