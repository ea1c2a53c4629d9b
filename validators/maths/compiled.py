"""Loops that are compiled: one pass over memory instead of several. The first call compiles for a second, once."""

from __future__ import annotations

import numba
import numpy as np

_SUMS = {"reassoc", "contract"}  # sums in any order, as a vector unit adds; NaN and infinity stay what they are


@numba.njit(cache=True, nogil=True, fastmath=_SUMS, error_model="numpy")
def add_cubes(
    products: np.ndarray,
    scale: float,
    row_offset: np.ndarray,
    column_offset: np.ndarray,
    sums: tuple[np.ndarray, np.ndarray],
    own: bool,
) -> None:
    """products [n, m] float32, offsets [n], [m] float64: adds (scale products_ij + row_i + column_j)^3 to the sums of
    rows [n] and of columns [m], in float64. own: products [n, n] of rows with themselves, without the diagonal; taken
    off afterwards it would take the digits of the rest along, where a row is long."""
    of_rows, of_columns = sums
    n, m = products.shape
    for i in range(n):
        offset, total = row_offset[i], 0.0
        for begin, end in ((0, i if own else m), (i + 1 if own else m, m)):
            for j in range(begin, end):
                kernel = np.float64(products[i, j]) * scale + column_offset[j] + offset
                cube = kernel * kernel * kernel
                total += cube
                of_columns[j] += cube
        of_rows[i] += total
