"""Effects of classes on all of train: the fit takes a bounded number of arrays of its size."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from generators.effects.estimate import _rest, _variance, class_effects
from generators.effects.twoway import TwoWay


def test_rests_are_those_of_whole_arrays_in_one_of_the_size() -> None:
    rng = np.random.default_rng(0)
    n, d = 5000, 40
    x, level_of, y = rng.standard_normal((n, d)), rng.integers(0, 9, n), rng.integers(0, 3, n)
    fit = TwoWay(rng.standard_normal((9, d)), rng.standard_normal((3, d)))
    tracemalloc.start()
    rest = _rest(x, fit, level_of, y)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(rest, x - fit.levels[level_of] - fit.effects[y])
    assert most < 2.0 * x.nbytes, "and not a level and an effect for each row beside it"


def test_effects_take_two_arrays_beside_train() -> None:
    rng = np.random.default_rng(1)
    n, d = 5000, 40
    x, y = rng.standard_normal((n, d)), rng.integers(0, 3, n)
    people = [f"p{i % 50}" for i in range(n)]
    class_effects(x, y, people, 3)
    tracemalloc.start()
    class_effects(x, y, people, 3)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2.6 * x.nbytes


@pytest.mark.parametrize("ddof", [0, 1])
def test_variances_are_the_bits_of_numpy(ddof: int) -> None:
    x = np.random.default_rng(2).standard_normal((999, 17)) + 3.0
    np.testing.assert_array_equal(_variance(x.copy(), ddof), x.var(axis=0, ddof=ddof))
