"""Who is nearer than what: decisions over distances from products of float32, none of which rounding could turn.

With rows u = x - c, |x_i - x_j|^2 = s_i + s_j - 2 u_i.u_j. The product of float32 is wrong by at most
e = gamma |u_i| |u_j| <= gamma (s_i + s_j) / 2 with gamma = (d + 4) v / (1 - (d + 4) v) and v = 2^-24, in whatever order
BLAS adds (Higham 2002, section 3.1, and two roundings of the factors). A comparison that this bound leaves open is
made again with the sum of squared differences of the rows as they came, in float64. Where too many are open (points in
tight clumps far apart, or nearly equal distances), where lengths leave float32's range or rows are few, there is no
answer, and float64 is the way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from validators.maths.centred import SINGLE, single_error, singles
from validators.maths.sets import blocks

MANY = 1024  # rows of both sets from which float32 saves more than it costs
_BLOCK = 1024  # rows of a product, if it stays below
_BLOCK_BYTES = 2**25  # of it; each product packs the other set anew, a tenth of its cost with 256 rows
_TILE = 256  # rows and columns that are mirrored at once
_CACHED = 32  # rows of a product that are compared at once
_WHOLE = 256 * 2**20  # bytes of a product of a set with itself: n up to 8,192; beyond, nothing is gained by symmetry
_WIDTH = 32  # values of which only the smallest is looked at first
_OPEN = 16  # open comparisons a row, and
_SHARE = 2**-7  # of all pairs, from which float64 is as fast
_RANGE = 1e-20, 1e20  # of the largest squared length: far from where float32 has subnormal numbers or infinities
_WIDEST = 2**20  # columns
_TINY = 1e-31  # more than that many products that underflow to 0 can lose together


class OpenError(Exception):
    """Too much is left open by float32; the caller takes float64."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A set for comparisons. `rows` [n, d] float64 as they came, `centred` [n, d] float32, `squares` [n] float64."""

    rows: np.ndarray
    centred: np.ndarray
    squares: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def gamma(self) -> float:
        """Bound of the error of u_i.u_j over |u_i| |u_j|."""
        return single_error(self.rows.shape[1])


def rows_about(x: np.ndarray, centre: np.ndarray) -> Rows:
    """x [n, d] float64, finite. Raises `OpenError` where float32 has no room for it."""
    with np.errstate(over="ignore"):
        centred, squares = singles(x, centre)
    if not _RANGE[0] <= squares.max() <= _RANGE[1] or x.shape[1] > _WIDEST:
        raise OpenError
    return Rows(x, centred, squares)


def reach(of: Rows, k: int) -> np.ndarray:
    """[n] squared distance to the k-th nearest other row, n > k >= 1, in float64 by differences. Raises `OpenError`."""
    n, gamma = len(of), of.gamma
    products = _whole(of.centred) if 4 * n * n <= _WHOLE else None
    near = (0.5 * (1.0 - gamma)) * of.squares
    single = _down(near)
    result, left = np.empty(n), max(_OPEN * n, int(_SHARE * n * n))
    buffer = np.empty((_CACHED, n), np.float32)
    for block in blocks(n, _rows_of_product(n)):
        whole = of.centred[block] @ of.centred.T if products is None else products[block]
        for rows in blocks(block.stop - block.start, _CACHED):
            first = block.start + rows.start
            low = np.subtract(single, whole[rows], out=buffer[: rows.stop - rows.start])
            low[np.arange(len(low)), np.arange(first, first + len(low))] = np.inf  # not the row itself
            kth, asked = _kth(low, first, of, k)
            result[first : first + len(low)] = kth
            left -= asked
            if left < 0:
                raise OpenError
    return result


def within(one: Rows, other: Rows, reach_one: np.ndarray, reach_other: np.ndarray) -> tuple[np.ndarray, ...]:
    """Who lies strictly inside whose ball: squared radii reach_one [n] about rows of `one`, reach_other [m] about those
    of `other`. -> for each row of `one`, the rows of `other` in its ball, counted [n]; for each of `other`, the balls
    of `one` that it lies in, counted [m]; for each of `one`, whether it lies in any ball of `other` [n]. Raises
    `OpenError`."""
    n, m, gamma = len(one), len(other), one.gamma
    holds, held, found = np.zeros(n, np.int64), np.zeros(m, np.int64), np.zeros(n, bool)
    near_one, near_other = (0.5 * (1.0 - gamma)) * one.squares, (0.5 * (1.0 - gamma)) * other.squares
    # s_i + s_j - 2 g < R_i or S_j, with everything of j on the left, of i on the right; rounded towards yes
    left_one, right_one = _down(near_other), _up(reach_one / 2.0 - near_one)
    left_other, right_other = _down(near_other - reach_other / 2.0), _up(-near_one)
    left = max(_OPEN * n, int(_SHARE * n * m))
    buffer = np.empty((_CACHED, m), np.float32)
    for block in blocks(n, _rows_of_product(m)):
        whole = one.centred[block] @ other.centred.T
        for rows in blocks(block.stop - block.start, _CACHED):
            some = slice(block.start + rows.start, block.start + rows.stop)
            size = rows.stop - rows.start
            low = np.subtract(left_one, whole[rows], out=buffer[:size])
            i, j = _pairs(low <= right_one[some, None])
            i, j, asked = _inside(one, other, i + some.start, j, whole[i + rows.start, j], reach_one[i + some.start])
            holds += np.bincount(i, minlength=n)
            held += np.bincount(j, minlength=m)
            low = np.subtract(left_other, whole[rows], out=buffer[:size])
            i, j = _pairs(low <= right_other[some, None])
            i, j, more = _inside(one, other, i + some.start, j, whole[i + rows.start, j], reach_other[j])
            found[i] = True
            left -= asked + more
            if left < 0:
                raise OpenError
    return holds, held, found


def _rows_of_product(columns: int) -> int:
    return max(min(_BLOCK, _BLOCK_BYTES // (4 * columns)), _CACHED)


def _whole(u: np.ndarray) -> np.ndarray:
    """u u^T [n, n]; what is below the diagonal is copied."""
    from scipy.linalg.blas import ssyrk

    products: np.ndarray = ssyrk(1.0, u.T, trans=1, lower=1).T  # by rows; what is below the diagonal is 0
    for rows in blocks(len(u), _TILE):
        for columns in blocks(rows.start, _TILE):
            products[rows, columns] = products[columns, rows].T
        corner = products[rows, rows]
        corner += np.triu(corner, 1).T
    return products


def _kth(low: np.ndarray, first: int, of: Rows, k: int) -> tuple[np.ndarray, int]:
    """low [b, n] float32: lower bounds of half the squared distances of rows `first` and on, less s_i / 2. -> the
    squared distances to the k-th neighbour [b], and how many pairs were open."""
    rows, columns = _pairs(low <= _kth_bound(low, k)[:, None])
    lows, highs = _bounds(low[rows, columns], rows + first, columns, of)
    most = _kth_of(rows, highs, len(low), k)  # the k-th distance is at most that
    limit = _up((most - (1.0 - of.gamma) * of.squares[first : first + len(low)]) / 2.0)
    rows, columns = _pairs(low <= limit[:, None])
    lows, highs = _bounds(low[rows, columns], rows + first, columns, of)
    least = _kth_of(rows, lows, len(low), k)  # and at least that
    sure = highs < least[rows]
    before = np.bincount(rows[sure], minlength=len(low))
    rows, columns = rows[~sure], columns[~sure]
    exact = _differences(of.rows, rows + first, of.rows, columns)
    order = np.lexsort((exact, rows))
    start = np.searchsorted(rows, np.arange(len(low)))
    kth: np.ndarray = exact[order][start + k - 1 - before]
    return kth, len(rows)


def _bounds(low: np.ndarray, i: np.ndarray, j: np.ndarray, of: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds of squared distances in float64, from values of `low` at (i, j)."""
    value, sums = low.astype(np.float64), of.squares[i] + of.squares[j]
    rounding = 4.0 * SINGLE * (np.abs(value) + of.squares[j])
    middle = 2.0 * value + of.squares[i] + of.gamma * of.squares[j]
    return middle - of.gamma * sums - rounding - _TINY, middle + of.gamma * sums + rounding + _TINY


def _kth_bound(x: np.ndarray, k: int) -> np.ndarray:
    """[b, n] -> [b]: at least k values of the row are not above it, and few more."""
    b, n = x.shape
    parts = n // _WIDTH
    if parts < 4 * k:
        return np.partition(x, k - 1, axis=1)[:, k - 1]
    minima = x[:, : parts * _WIDTH].reshape(b, _WIDTH, parts).min(axis=1)
    return np.partition(minima, k - 1, axis=1)[:, k - 1]


def _kth_of(rows: np.ndarray, values: np.ndarray, size: int, k: int) -> np.ndarray:
    """rows sorted, values -> [size]: the k-th smallest value of each row."""
    order = np.lexsort((values, rows))
    kth: np.ndarray = values[order][np.searchsorted(rows, np.arange(size)) + k - 1]
    return kth


def _inside(
    one: Rows, other: Rows, i: np.ndarray, j: np.ndarray, products: np.ndarray, radius: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Of the pairs (i, j) with u_i.u_j in float32, those nearer than their squared radius; and how many were open."""
    sums = one.squares[i] + other.squares[j]
    sure = sums * (1.0 + one.gamma) - 2.0 * products.astype(np.float64) + _TINY < radius
    open_ = np.flatnonzero(~sure)
    sure[open_] = _differences(one.rows, i[open_], other.rows, j[open_]) < radius[open_]
    return i[sure], j[sure], len(open_)


def _differences(x: np.ndarray, i: np.ndarray, y: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Squared distances of x[i] and y[j], pair by pair, in float64."""
    found = np.empty(len(i))
    for some in blocks(len(i), max(2**16 // x.shape[1], 1)):
        difference = x[i[some]] - y[j[some]]
        found[some] = np.vecdot(difference, difference)
    return found


def _pairs(where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of what is True, by rows: np.nonzero of a matrix, at the speed of that of a vector."""
    flat = np.flatnonzero(where)
    return flat // where.shape[1], flat % where.shape[1]


def _down(x: np.ndarray) -> np.ndarray:
    """float64 -> float32, never above."""
    return np.nextafter((x - _TINY).astype(np.float32), np.float32(-np.inf))


def _up(x: np.ndarray) -> np.ndarray:
    """float64 -> float32, never below."""
    return np.nextafter((x + _TINY).astype(np.float32), np.float32(np.inf))
