"""Components from inner products are those of the decomposition, also where the decomposition is needed."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from validators.maths.principal import directions, leading


@pytest.mark.parametrize(("n", "columns"), [(30, 200), (200, 30), (40, 40), (2, 3)])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_as_the_decomposition(n: int, columns: int, offset: float) -> None:
    rng = np.random.default_rng(n)
    x = rng.standard_normal((n, columns)) * np.geomspace(1, 1e-2, columns) + offset
    d = min(n - 1, columns, 12)
    oracle = PCA(d, svd_solver="full").fit(x)
    mean, components, variances = leading(x, d)
    np.testing.assert_allclose(mean, oracle.mean_, rtol=1e-12)
    np.testing.assert_allclose(variances, oracle.explained_variance_, rtol=1e-8)
    np.testing.assert_allclose(components, oracle.components_, atol=1e-7)
    np.testing.assert_allclose(components @ components.T, np.eye(d), atol=1e-9)


@pytest.mark.parametrize("columns", [50, 8])
def test_of_rows_that_span_less_than_asked_for_the_components_are_orthonormal(columns: int) -> None:
    rng = np.random.default_rng(0)
    x = np.repeat(rng.standard_normal((3, columns)), 4, axis=0)  # rank 2 about its mean
    _, components, variances = leading(x, 6)
    np.testing.assert_allclose(components @ components.T, np.eye(6), atol=1e-9)
    assert (variances[2:] < 1e-20).all() and (variances[:2] > 0.1).all()


def test_a_component_far_below_the_largest_keeps_its_digits() -> None:
    rng = np.random.default_rng(1)
    z = rng.standard_normal((20, 60)) * np.r_[1e8, np.ones(59)]
    _, squares = directions(z, 20)
    singular = np.linalg.svd(z, compute_uv=False)
    np.testing.assert_allclose(squares, singular**2, rtol=1e-6)


@pytest.mark.parametrize("x", [np.ones((1, 4)), np.zeros((5, 3)), np.full((4, 6), 7.0)])
def test_what_does_not_vary_has_components_of_no_variance(x: np.ndarray) -> None:
    _, components, variances = leading(x, 1)
    assert np.isfinite(components).all() and abs(np.linalg.norm(components) - 1) < 1e-9 and variances[0] < 1e-20
