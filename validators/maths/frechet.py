"""Frechet distance between two sets of features, in a form that is exact where the usual one breaks.

    d^2 = |mu1 - mu2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2)          (Dowson & Landau 1982; Heusel et al. 2017, FID)

The trace of the root is the sum of the roots of the eigenvalues of R^T C2 R for any R R^T = C1, which is symmetric and
positive semi-definite whatever the rank: no complex roots, no epsilon on the diagonal. R is the Cholesky factor where
C1 has full rank, else it comes from the eigenvectors. Covariances use ddof = 1 (as FID does).

The distance of two finite samples is biased upwards, the more the smaller they are. Whoever compares it does so with
what real data gets against real data at the very same sizes and class counts.

Large sets are multiplied in float32 (`single_covariance`), where a bound on what that can change, taken from the very
matrices, is below a millionth of the distance (`_loss`); else in float64.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.blas import dsymm, dtrmm, dtrsm
from scipy.linalg.lapack import dpotrf, dsterf, dsygst, dsytrd, dsytrd_lwork

from corpora.errors import UserError
from validators.maths.centred import covariance, single_covariance
from validators.maths.sets import blocks

_WORK = 2**31  # multiplications (n d^2) from which float32 saves more than its bound costs
_TALL = 1.5  # rows for each column from which float32 has a chance: fewer, and the covariance is close to singular
_LOSS = 1e-6  # of the distance: the most that float32 may change
_SAFETY = 8.0  # standard deviations of a sum of rounding errors
_STRONG = 0.05  # change of C1 relative to itself up to which the first order tells what it does to the distance
_PROBES = 8  # random vectors of an estimated trace
_BLOCK = 512  # rows of a product
_FAR = 0.9  # of the squares of all values: the mean's part up to which 15 digits of them are enough


def frechet_distance(mu1: np.ndarray, cov1: np.ndarray, mu2: np.ndarray, cov2: np.ndarray) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians. mu [d], cov [d, d] symmetric positive semi-definite
    (the upper half is read).

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
    if min(n, m) < 2 or d == 0:
        return float("nan")
    with np.errstate(over="ignore", invalid="ignore"):
        mu1, mu2 = x.mean(axis=0), y.mean(axis=0)
    # a mean is not finite where a value is not (or, which is as bad, where the sum of finite ones is not)
    if not (np.isfinite(mu1).all() and np.isfinite(mu2).all()):
        return float("nan")
    if min(n, m) < d:
        return _wide(x, mu1, y, mu2, mu1 - mu2) if n <= m else _wide(y, mu2, x, mu1, mu1 - mu2)
    if min(n, m) >= _TALL * d and min(n, m) * d * d >= _WORK:
        value = _in_singles(x, mu1, y, mu2)
        if value is not None:
            return value
    return frechet_distance(mu1, covariance(x, mu1), mu2, covariance(y, mu2))


def _wide(x: np.ndarray, mu1: np.ndarray, y: np.ndarray, mu2: np.ndarray, difference: np.ndarray) -> float:
    """As `features_frechet`, for x with the fewer rows and fewer of them than columns; `difference` [d] of the means.

    The mean of y comes off after the product with the few rows of x, which is n columns instead of d. It costs digits
    as the offset exceeds the spread; from `_FAR` on it comes off before."""
    n, m = len(x), len(y)
    few = (x - mu1).T / np.sqrt(n - 1)  # [d, n]
    shift, square, squares = mu2 @ few, np.zeros((n, n)), 0.0
    buffer = np.empty((min(m, _BLOCK), n))
    for rows in blocks(m, _BLOCK):
        cross = np.matmul(y[rows], few, out=buffer[: rows.stop - rows.start])
        cross -= shift
        square += cross.T @ cross
        squares += float(np.vdot(y[rows], y[rows]))
    offset = m * float(mu2 @ mu2)
    if offset > _FAR * squares:
        return _wide(x, mu1, y - mu2, np.zeros_like(mu2), difference)
    square /= m - 1
    return _distance(difference, float(np.vdot(few, few)) + (squares - offset) / (m - 1), square)


def _in_singles(x: np.ndarray, mu1: np.ndarray, y: np.ndarray, mu2: np.ndarray) -> float | None:
    """As `features_frechet`, for many rows, with covariances from float32 products; None where that might change the
    distance by more than `_LOSS` of it."""
    with np.errstate(over="ignore", invalid="ignore"):
        (cov1, noise1), (cov2, noise2) = single_covariance(x, mu1), single_covariance(y, mu2)
    variances = cov1.diagonal().copy(), cov2.diagonal().copy()
    lower1, lower2 = _factor(cov1, destroy=True), _factor(cov2)
    if lower1 is None or lower2 is None:
        return None
    loss = _loss(lower1, variances[0], noise1, lower2) + _loss(lower2, variances[1], noise2, lower1)
    if not np.isfinite(loss):
        return None
    traces = float(variances[0].sum() + variances[1].sum())
    value = _distance(mu1 - mu2, traces, dsygst(cov2.T, lower1, itype=2, lower=1, overwrite_a=1)[0])
    return value if loss <= _LOSS * value else None


def _loss(lower: np.ndarray, variances: np.ndarray, noise: float, other: np.ndarray) -> float:
    """What a random symmetric error E of C = L L^T, 0 on the diagonal, can do to the distance from C' = L' L'^T
    (`other`); inf where the first order does not tell.

    E_ij has standard deviation e s_i s_j (e = `noise`, s_i^2 = D_ii = `variances`). To first order the distance changes
    by tr T E, T being the map of optimal transport from C to C', the geometric mean of C^-1 and C'. The geometric mean
    keeps congruences, and |A # B|_F^2 <= tr A B (Heinz), so that the standard deviation is at most
    e sqrt(2 tr D C^-1 D C'), and that trace is |L^-1 D L'|_F^2. The first order holds where C + E = L (I + F) L^T has a
    small F: its mean square |F|_F^2 is at most e^2 (tr C^-1 D)^2. Both traces are estimated by random signs
    (Hutchinson).
    """
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (len(variances), _PROBES))
    sides = np.hstack([variances[:, None] * dtrmm(1.0, other, signs, lower=1), np.sqrt(variances)[:, None] * signs])
    solved = np.square(dtrsm(1.0, lower, sides, lower=1)).sum(axis=0)
    transport, inverse = solved[:_PROBES].mean(), solved[_PROBES:].mean()
    if not noise * inverse <= _STRONG:
        return float("inf")
    return float(_SAFETY * noise * np.sqrt(2.0 * transport))


def _factor(cov: np.ndarray, *, destroy: bool = False) -> np.ndarray | None:
    """The lower Cholesky factor L of cov [d, d] (its upper half; what is above L's diagonal is 0 where it is so below
    that of `cov`); None where the pivots do not tell full rank: a factor of what is singular but for rounding would be
    made of that rounding. `destroy`: in the place of `cov`."""
    lower, failed = dpotrf(cov.T, lower=1, clean=0, overwrite_a=destroy)  # .T: in Fortran's order as it is
    if failed == 0:
        pivots = np.square(np.diagonal(lower))
        if pivots.min() > pivots.max() * pivots.size * np.finfo(np.float64).eps:
            factor: np.ndarray = lower
            return factor
    return None


def _like_product(cov1: np.ndarray, cov2: np.ndarray) -> np.ndarray:
    """[d, d] symmetric positive semi-definite (upper halves), twice -> [d, d] symmetric with the spectrum of C1 C2, its
    lower half alone.

    L^T C2 L with C1 = L L^T (the reduction of LAPACK's sygst) costs a quarter of an eigendecomposition.
    """
    lower = _factor(cov1)
    if lower is not None:
        reduced: np.ndarray = dsygst(cov2.T, lower, itype=2, lower=1)[0]
        return reduced
    values, vectors = np.linalg.eigh(cov1, UPLO="U")
    root = vectors * np.sqrt(np.clip(values, 0.0, None))  # root @ root.T = C1; the spectrum asks for no more than that
    product: np.ndarray = root.T @ dsymm(1.0, cov2.T, root, lower=1)
    return product


def _distance(difference: np.ndarray, traces: float, product: np.ndarray) -> float:
    """From the mean difference, tr C1 + tr C2, and a symmetric matrix with the non-zero spectrum of C1 C2, of which the
    lower half is read."""
    if len(product) == 1:
        spectrum = product[0].copy()
    else:
        size = int(dsytrd_lwork(len(product), lower=1)[0])
        _, diagonal, beside, _, _ = dsytrd(product, lower=1, lwork=size, overwrite_a=1)
        spectrum, _ = dsterf(diagonal, beside)
    # Of a singular product, eigenvalues that should be 0 come out as +-1e-16 of the largest; their roots would be
    # 1e-8 of it.
    spectrum[spectrum < max(spectrum[-1], 0.0) * spectrum.size * np.finfo(np.float64).eps] = 0.0
    return max(float(difference @ difference + traces - 2.0 * np.sqrt(spectrum).sum()), 0.0)
