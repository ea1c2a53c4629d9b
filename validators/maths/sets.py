"""What all measures over two sets of features ask of their input."""

from __future__ import annotations

import numpy as np

from corpora.errors import UserError


def checked_pair(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x [n, d], y [m, d] (or [n], [m]: one feature) -> float64. Raises `UserError` for shapes that do not fit."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    x, y = (a[:, None] if a.ndim == 1 else a for a in (x, y))
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or x.shape[1] == 0:
        raise UserError(f"features {x.shape} and {y.shape} are not two matrices with the same number of columns")
    return x, y


def finite(*arrays: np.ndarray) -> bool:
    return all(bool(np.isfinite(array).all()) for array in arrays)


def same_rows(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x [n, d], y [m, d] -> numbers [n], [m], equal where rows are equal to the last bit (0.0 and -0.0 are equal)."""
    numbers: dict[bytes, int] = {}
    told = [
        np.array(
            [numbers.setdefault(row.tobytes(), len(numbers)) for row in np.ascontiguousarray(rows + 0.0)], np.int64
        )
        for rows in (x, y)
    ]
    return told[0], told[1]
