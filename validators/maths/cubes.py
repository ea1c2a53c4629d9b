"""Row sums of KID's kernel (x.y / d + 1)^3 from products of float32, with what that costs.

With rows u = x - c about a common centre, x.y = u.v + c.u + c.v + c.c: only u.v is rounded to float32; the rest, the
cubes and their sums are float64, so that an offset of the features costs nothing. Rounding errors of u.v are of the
order of 2^-24 |u| |v|, and come from both sides of 0: of a mean over n rows little is left. How much that is, is not
taken on trust: `_CHECKED` rows of each set, the longest half among them, are summed in float64 as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from validators.maths.centred import singles
from validators.maths.sets import blocks

MANY = 1024  # rows of a set from which the check costs little beside what it saves
_BLOCK = 1024  # rows and columns of a product
_CHECKED = 16
_CACHED = 64  # rows that are checked against at once


@dataclass(frozen=True, slots=True)
class KernelSums:
    """Sums of a kernel over rows: xx [n] and yy [m] of k(x_i, x_j) over j != i, xy [n] over y and yx [m] over x.

    `error`: the most by which the unbiased MMD^2 of these sums is wrong, were the errors of all rows of one sign and as
    large as those of the rows that were checked. 0 where all is float64."""

    xx: np.ndarray
    yy: np.ndarray
    xy: np.ndarray
    yx: np.ndarray
    error: float = 0.0


@dataclass(frozen=True, slots=True)
class _Side:
    rows: np.ndarray  # [n, d] float64, as they came
    centred: np.ndarray  # [n, d] float32
    lengths: np.ndarray  # [n] squared lengths of centred rows
    offset: np.ndarray  # [n]: c.u / d and half of c.c / d + 1


def cube_sums(x: np.ndarray, y: np.ndarray) -> KernelSums:
    """x [n, d], y [m, d] float64, finite; n, m >= 2. -> sums of (x_i.y_j / d + 1)^3."""
    n, m = len(x), len(y)
    centre = (x.sum(axis=0) + y.sum(axis=0)) / (n + m)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # seen by the check: NaN is never below a limit
        a, b = _side(x, centre), _side(y, centre)
        xy, yx = np.zeros(n), np.zeros(m)
        for rows in blocks(n, _BLOCK):
            for columns in blocks(m, _BLOCK):
                of_rows, of_columns = _cubes(a, rows, b, columns)
                xy[rows] += of_rows
                yx[columns] += of_columns
        xx, yy = _own(a), _own(b)
        first, second = _some(a), _some(b)
        exact_xx, exact_yx = _exact((a, first), (b, second), a, centre)
        exact_xy, exact_yy = _exact((a, first), (b, second), b, centre)
        error = _error(xx, first, exact_xx) / (n - 1) + _error(yy, second, exact_yy) / (m - 1)
        error += _error(xy, first, exact_xy) / m + _error(yx, second, exact_yx) / n
    return KernelSums(xx, yy, xy, yx, error)


def _side(x: np.ndarray, centre: np.ndarray) -> _Side:
    centred, lengths = singles(x, centre)
    d = x.shape[1]
    return _Side(x, centred, lengths, (x @ centre - centre @ centre / 2.0) / d + 0.5)


def _own(a: _Side) -> np.ndarray:
    """[n] sums over all other rows of the set; each pair of blocks is computed once."""
    sums = np.zeros(len(a.rows))
    parts = list(blocks(len(sums), _BLOCK))
    for i, rows in enumerate(parts):
        sums[rows] += _cubes(a, rows, a, rows, own=True)[0]
        for columns in parts[i + 1 :]:
            of_rows, of_columns = _cubes(a, rows, a, columns)
            sums[rows] += of_rows
            sums[columns] += of_columns
    return sums


def _cubes(a: _Side, rows: slice, b: _Side, columns: slice, *, own: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """-> sums of a block of the kernel matrix over its columns and over its rows. `own`: without the diagonal."""
    from validators.maths.compiled import add_cubes  # numba takes half a second to load

    products = a.centred[rows] @ b.centred[columns].T
    of_rows, of_columns = np.zeros(len(products)), np.zeros(products.shape[1])
    add_cubes(products, 1.0 / a.centred.shape[1], a.offset[rows], b.offset[columns], (of_rows, of_columns), own)
    return of_rows, of_columns


def _some(a: _Side) -> np.ndarray:
    """The longest rows, where errors are largest, and rows from all over the set."""
    half = _CHECKED // 2
    spread = np.linspace(0, len(a.rows) - 1, half).astype(int)
    return np.concatenate([spread, np.argpartition(a.lengths, -half)[-half:]])


def _exact(
    one: tuple[_Side, np.ndarray], other: tuple[_Side, np.ndarray], b: _Side, centre: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of the chosen rows of two sets: [chosen] sums of the kernel over all rows of b in float64; of a row itself
    nothing is counted."""
    columns = np.concatenate([side.rows[chosen] - centre for side, chosen in (one, other)]).T / len(centre)
    offsets = np.concatenate([side.offset[chosen] for side, chosen in (one, other)])
    sums = np.zeros(len(offsets))
    first = len(one[1])
    own = np.full(len(offsets), -1)  # the place of a chosen row among those of b
    for (side, chosen), place in ((one, slice(0, first)), (other, slice(first, None))):
        if side is b:
            own[place] = chosen
    for some in blocks(len(b.rows), _CACHED):
        kernel = (b.rows[some] - centre) @ columns
        kernel += offsets
        kernel += b.offset[some, None]
        cubes = kernel * kernel * kernel
        inside = (own >= some.start) & (own < some.stop)
        cubes[own[inside] - some.start, np.flatnonzero(inside)] = 0.0
        sums += cubes.sum(axis=0)
    return sums[:first], sums[first:]


def _error(sums: np.ndarray, chosen: np.ndarray, exact: np.ndarray) -> float:
    """Mean of the errors of the rows from all over the set, or what the longest rows alone add to a mean over all."""
    errors = np.abs(sums[chosen] - exact)
    half = len(chosen) // 2
    return float(max(errors[:half].mean(), errors[half:].sum() / len(sums)))
