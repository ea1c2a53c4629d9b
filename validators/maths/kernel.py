"""Kernel distances between two sets of features: KID, CMMD and the energy distance, with intervals.

All three are of the form MMD^2(x, y) = E k(x, x') + E k(y, y') - 2 E k(x, y) (Gretton et al. 2012, JMLR 13, eq. 3).
Only row sums of the three kernel matrices are needed, for the estimate and for its jackknife alike, so memory is
bounded by blocks of rows and nothing is resampled.

KID of large sets takes its products in float32 (validators/maths/cubes.py), where a check of some rows shows that all
of that together stays far inside the interval; else in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from validators.maths.cubes import MANY, KernelSums, cube_sums
from validators.maths.intervals import Z95
from validators.maths.sets import blocks, checked_pair, finite

_BLOCK = 1024  # rows of a kernel matrix in memory at once
_PART = 1e-4  # of the half width of KID's interval: what float32 products may change at most

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]  # [a, d], [b, d] float64 -> [a, b]


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A squared maximum mean discrepancy with its 95 % interval (jackknife). Unbiased, so it may be negative."""

    value: float
    low: float
    high: float


def kid(x: np.ndarray, y: np.ndarray) -> Discrepancy:
    """Kernel Inception distance of features x [n, d], y [m, d]: unbiased MMD^2 with the kernel (x.y / d + 1)^3.

    Binkowski et al. 2018, "Demystifying MMD GANs", section 4: degree 3, gamma 1/d, coefficient 1; all of both sets, no
    subsets; not multiplied by 100 or 1000. n and m may differ. NaN for fewer than 2 rows or a value that is not finite.
    Raises `UserError` for shapes that do not fit.
    """
    x, y = checked_pair(x, y)
    if len(x) + len(y) >= 2 * MANY and min(len(x), len(y)) > 2 and finite(x, y):
        sums = cube_sums(x, y)
        estimate = _discrepancy(sums)
        if sums.error <= _PART * (estimate.high - estimate.low) / 2.0:
            return estimate
    return mmd2(x, y, polynomial_kernel)


def cmmd(x: np.ndarray, y: np.ndarray, *, sigma: float = 10.0, scale: float = 1000.0) -> Discrepancy:
    """CMMD of features (CLIP's in the paper) x [n, d], y [m, d]: MMD^2 with a Gaussian kernel, times `scale`.

    Jayasumana et al. 2024, "Rethinking FID", section 4: sigma 10, multiplied by 1000 for reading. Unbiased here, as the
    paper defines it (eq. 4); its code keeps the diagonal, which adds a positive constant that falls with n.
    """

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-squared_distances(a, b) / (2.0 * sigma * sigma))

    plain = mmd2(x, y, kernel)
    return Discrepancy(plain.value * scale, plain.low * scale, plain.high * scale)


def energy_distance(x: np.ndarray, y: np.ndarray) -> Discrepancy:
    """2 E|x - y| - E|x - x'| - E|y - y'|, unbiased (Szekely & Rizzo 2013, eq. 5; U-statistics). Units of the features.

    It is the MMD^2 of the kernel -|x - y| (Sejdinovic et al. 2013).
    """
    return mmd2(x, y, lambda a, b: -np.sqrt(squared_distances(a, b)))


def polynomial_kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(a.b / d + 1)^3"""
    product = a @ b.T
    product /= a.shape[1]
    product += 1.0
    return product * product * product


def squared_distances(a: np.ndarray, b: np.ndarray, b_squares: np.ndarray | None = None) -> np.ndarray:
    """[a, d], [b, d] -> [a, b], never below 0. `b_squares`: squared lengths [b], where they are known."""
    squares = a @ b.T
    squares *= -2.0
    squares += (a * a).sum(axis=1)[:, None]
    squares += ((b * b).sum(axis=1) if b_squares is None else b_squares)[None]
    return np.maximum(squares, 0.0, out=squares)


def mmd2(x: np.ndarray, y: np.ndarray, kernel: Kernel) -> Discrepancy:
    """Unbiased MMD^2 with its jackknife interval. The kernel must be symmetric; its diagonal does not count."""
    x, y = checked_pair(x, y)
    n, m = len(x), len(y)
    nan = float("nan")
    if min(n, m) < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return Discrepancy(nan, nan, nan)
    xy, yx = _cross_sums(x, y, kernel)
    return _discrepancy(KernelSums(_own_sums(x, kernel), _own_sums(y, kernel), xy, yx))


def _discrepancy(sums: KernelSums) -> Discrepancy:
    """The estimate and its jackknife interval, which needs 3 rows of both."""
    xx, yy, xy, yx = sums.xx, sums.yy, sums.xy, sums.yx
    n, m, nan = len(xx), len(yy), float("nan")
    total_xx, total_yy, total_xy = xx.sum(), yy.sum(), xy.sum()
    value = total_xx / (n * (n - 1)) + total_yy / (m * (m - 1)) - 2.0 * total_xy / (n * m)
    if min(n, m) < 3:
        return Discrepancy(float(value), nan, nan)
    # leaving row i out of x takes its row and its column out of the sum over pairs
    without_x = (
        (total_xx - 2.0 * xx) / ((n - 1) * (n - 2)) + total_yy / (m * (m - 1)) - 2.0 * (total_xy - xy) / ((n - 1) * m)
    )
    without_y = (
        total_xx / (n * (n - 1)) + (total_yy - 2.0 * yy) / ((m - 1) * (m - 2)) - 2.0 * (total_xy - yx) / (n * (m - 1))
    )
    variance = (n - 1) * without_x.var() + (m - 1) * without_y.var()
    half = Z95 * float(np.sqrt(variance))
    return Discrepancy(float(value), float(value) - half, float(value) + half)


def _own_sums(x: np.ndarray, kernel: Kernel) -> np.ndarray:
    """[n, d] -> [n] sums of k(x_i, x_j) over j != i; each block of pairs is computed once, for it is symmetric."""
    sums = np.zeros(len(x))
    parts = list(blocks(len(x), _BLOCK))
    for i, rows in enumerate(parts):
        square = kernel(x[rows], x[rows])
        np.fill_diagonal(square, 0.0)
        sums[rows] += square.sum(axis=1)
        for columns in parts[i + 1 :]:
            part = kernel(x[rows], x[columns])
            sums[rows] += part.sum(axis=1)
            sums[columns] += part.sum(axis=0)
    return sums


def _cross_sums(x: np.ndarray, y: np.ndarray, kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """-> [n] sums over y and [m] sums over x of k(x_i, y_j)."""
    of_x, of_y = np.zeros(len(x)), np.zeros(len(y))
    for rows in blocks(len(x), _BLOCK):
        for columns in blocks(len(y), _BLOCK):
            part = kernel(x[rows], y[columns])
            of_x[rows] += part.sum(axis=1)
            of_y[columns] += part.sum(axis=0)
    return of_x, of_y
