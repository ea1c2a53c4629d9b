"""Rows with a centre taken off, block by block: what stays in the cache is neither written to memory nor read again.

Single precision doubles the rate of a matrix product, and is only for rows that are centred: of rows far from the
origin float32 keeps the offset and loses what tells them apart. Whoever uses it says how it knows that it is enough.
"""

from __future__ import annotations

import numpy as np

from validators.maths.sets import blocks

SINGLE = 2.0**-24  # unit roundoff of float32
_CACHED = 2**17  # values of a block of rows that is centred: 1 MiB of float64
_ROWS = 2048  # rows of one product; float32 sums are no longer than that
_CHECKED = 4  # columns of a covariance that are computed twice
_PANEL = 256  # columns that are added at once


def single_error(columns: int) -> float:
    """Bound of the error of u.v in float32 over |u| |v| (Higham 2002, section 3.1, and two roundings of the factors),
    and a little more for roundings of float64."""
    error = (columns + 4.5) * SINGLE
    return error / (1.0 - error)


def covariance(x: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """x [n, d] float64, n >= 2, and its mean [d] -> covariance [d, d] (ddof 1), of which the upper half is filled (and
    the lower is 0): half the multiplications."""
    from scipy.linalg.blas import dsyrk

    n, d = x.shape
    total = np.zeros((d, d), order="F")
    for rows in blocks(n, _ROWS):
        total = dsyrk(1.0, (x[rows] - mean).T, beta=1.0, c=total, lower=1, overwrite_c=1)
    total /= n - 1
    return total.T


def single_covariance(x: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, float]:
    """As `covariance`, from products of float32 and sums of float32 over `_ROWS` rows, of float64 beyond; the diagonal
    is of float64. -> covariance [d, d], and the root mean square of the errors of what is beside the diagonal, each in
    units of the two standard deviations: of `_CHECKED` columns, which are computed in float64 as well."""
    from scipy.linalg.blas import ssyrk

    n, d = x.shape
    total, part = np.zeros((d, d), order="F"), np.zeros((d, d), np.float32, order="F")
    checked = np.unique(np.linspace(0, d - 1, _CHECKED).astype(int))
    exact, squares = np.zeros((d, len(checked))), np.zeros(d)
    rounded, buffer = np.empty((min(n, _ROWS), d), np.float32), np.empty((max(_CACHED // d, 1), d))
    for rows in blocks(n, _ROWS):
        size = rows.stop - rows.start
        for some in blocks(size, len(buffer)):
            block = buffer[: some.stop - some.start]
            np.subtract(x[rows][some], mean, out=block)
            rounded[some] = block
            exact += block.T @ block[:, checked]
            np.square(block, out=block)
            squares += block.sum(axis=0)
        part = ssyrk(1.0, rounded[:size].T, beta=0.0, c=part, lower=1, overwrite_c=1)
        for columns in blocks(d, _PANEL):
            total[columns.start :, columns] += part[columns.start :, columns]
    np.fill_diagonal(total, squares)
    scale = np.sqrt(squares)
    inside = np.where(np.arange(d)[:, None] >= checked, total[:, checked], total[checked].T)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = (exact - inside) / np.outer(scale, scale[checked])
    beside = np.arange(d)[:, None] != checked
    noise = float(np.sqrt(np.mean(np.square(errors[beside])))) if d > 1 else 0.0
    total /= n - 1
    return total.T, noise


def singles(x: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x [n, d] float64, centre [d] -> x - centre rounded to float32 [n, d], and the squared length of each row [n] in
    float64, before rounding."""
    n, d = x.shape
    rounded, squares = np.empty((n, d), np.float32), np.empty(n)
    size = max(_CACHED // d, 1)
    buffer = np.empty((min(n, size), d))
    for rows in blocks(n, size):
        block = buffer[: rows.stop - rows.start]
        np.subtract(x[rows], centre, out=block)
        squares[rows] = np.vecdot(block, block)
        rounded[rows] = block
    return rounded, squares
