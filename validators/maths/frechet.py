"""Frechet distance between two sets of features, in a form that is exact where the usual one breaks.

    d^2 = |mu1 - mu2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2)          (Dowson & Landau 1982; Heusel et al. 2017, FID)

The trace of the root is the sum of the roots of the eigenvalues of R^T C2 R for any R R^T = C1, which is symmetric and
positive semi-definite whatever the rank: no complex roots, no epsilon on the diagonal. R is the Cholesky factor where
C1 has full rank, else it comes from the eigenvectors. Covariances use ddof = 1 (as FID does).

The distance of two finite samples is biased upwards, the more the smaller they are. Whoever compares it does so with
what real data gets against real data at the very same sizes and class counts.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigvalsh
from scipy.linalg.lapack import dpotrf, dsygst

from corpora.errors import UserError


def frechet_distance(mu1: np.ndarray, cov1: np.ndarray, mu2: np.ndarray, cov2: np.ndarray) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians. mu [d], cov [d, d] symmetric positive semi-definite.

    Returns a value >= 0 in squared feature units; NaN where an input is not finite. Raises `UserError` for shapes
    that do not fit each other.
    """
    mu1, mu2 = np.atleast_1d(np.asarray(mu1, np.float64)), np.atleast_1d(np.asarray(mu2, np.float64))
    cov1, cov2 = np.atleast_2d(np.asarray(cov1, np.float64)), np.atleast_2d(np.asarray(cov2, np.float64))
    d = mu1.size
    if mu1.shape != (d,) or mu2.shape != (d,) or cov1.shape != (d, d) or cov2.shape != (d, d):
        raise UserError(
            f"means {mu1.shape}, {mu2.shape} and covariances {cov1.shape}, {cov2.shape} do not fit together"
        )
    if not all(np.isfinite(x).all() for x in (mu1, mu2, cov1, cov2)):
        return float("nan")
    return _distance(mu1 - mu2, float(np.trace(cov1) + np.trace(cov2)), _like_product(cov1, cov2))


def features_frechet(x: np.ndarray, y: np.ndarray) -> float:
    """Frechet distance between features x [n, d] and y [m, d]; n and m may differ; each needs at least 2 rows.

    Where min(n, m) < d, the d x d covariances are never built: with centred factors A = Xc/sqrt(n-1), B = Yc/sqrt(m-1),
    the eigenvalues of C1 C2 other than zero are the squared singular values of A B^T [n, m].
    NaN where there are fewer than 2 rows or a value is not finite.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise UserError(f"features {x.shape} and {y.shape} are not two matrices with the same number of columns")
    n, d = x.shape
    m = y.shape[0]
    if min(n, m) < 2 or d == 0 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    mu1, mu2 = x.mean(axis=0), y.mean(axis=0)
    a, b = x - mu1, y - mu2
    a /= np.sqrt(n - 1)
    b /= np.sqrt(m - 1)
    if min(n, m) >= d:
        return frechet_distance(mu1, a.T @ a, mu2, b.T @ b)
    cross = a @ b.T
    product = cross @ cross.T if n <= m else cross.T @ cross
    return _distance(mu1 - mu2, float(np.vdot(a, a) + np.vdot(b, b)), product)


def _like_product(cov1: np.ndarray, cov2: np.ndarray) -> np.ndarray:
    """[d, d] symmetric positive semi-definite, twice -> [d, d] symmetric with the spectrum of C1 C2, its lower half
    alone.

    L^T C2 L with C1 = L L^T (the reduction of LAPACK's sygst) costs a quarter of an eigendecomposition. It is taken
    where the pivots tell full rank; a factor of what is singular but for rounding would be made of that rounding.
    """
    lower, failed = dpotrf(cov1.T, lower=1, clean=0)  # .T: symmetric, and in Fortran's order as it is
    if failed == 0:
        pivots = np.square(np.diagonal(lower))
        if pivots.min() > pivots.max() * pivots.size * np.finfo(np.float64).eps:
            reduced: np.ndarray = dsygst(cov2.T, lower, itype=2, lower=1)[0]
            return reduced
    values, vectors = np.linalg.eigh(cov1)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))  # root @ root.T = C1; the spectrum asks for no more than that
    product: np.ndarray = root.T @ cov2 @ root
    return product


def _distance(difference: np.ndarray, traces: float, product: np.ndarray) -> float:
    """From the mean difference, tr C1 + tr C2, and a symmetric matrix with the non-zero spectrum of C1 C2, of which the
    lower half is read."""
    spectrum = eigvalsh(product, lower=True, driver="evr", check_finite=False, overwrite_a=True)
    # Of a singular product, eigenvalues that should be 0 come out as +-1e-16 of the largest; their roots would be
    # 1e-8 of it.
    spectrum[spectrum < max(spectrum[-1], 0.0) * spectrum.size * np.finfo(np.float64).eps] = 0.0
    return max(float(difference @ difference + traces - 2.0 * np.sqrt(spectrum).sum()), 0.0)
