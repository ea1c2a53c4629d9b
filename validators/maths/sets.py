"""What all measures over two sets of features ask of their input."""

from __future__ import annotations

from collections.abc import Iterator

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
    """Whether no value of any of them is NaN or infinite."""
    return all(bool(np.isfinite(array).all()) for array in arrays)


def same_rows(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x [n, d], y [m, d] -> numbers [n], [m], equal where rows are equal to the last bit (0.0 and -0.0 are equal)."""
    numbers: dict[bytes, int] = {}
    numbered = [
        np.array(
            [numbers.setdefault(row.tobytes(), len(numbers)) for row in np.ascontiguousarray(rows + 0.0)], np.int64
        )
        for rows in (x, y)
    ]
    return numbered[0], numbered[1]


def blocks(n: int, size: int) -> Iterator[slice]:
    """0 to n in slices of `size` rows, the last one shorter: what bounds the memory of a matrix of distances."""
    for start in range(0, n, size):
        yield slice(start, min(n, start + size))


def unit_rows(x: np.ndarray, *, least: float = 0.0) -> np.ndarray:
    """[n, d] -> rows of length 1; a row that is not longer than `least` becomes 0."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    nothing = length <= least
    scaled: np.ndarray = np.where(nothing, 0.0, x / np.where(nothing, 1.0, length))
    return scaled


def column_scale(spread: np.ndarray, level: np.ndarray) -> np.ndarray:
    """[d] standard deviations of columns at `level` [d] -> what to divide them by: 1 where a column is constant but for
    rounding."""
    scale: np.ndarray = np.where(spread > 1e-9 * (1.0 + np.abs(level)), spread, 1.0)
    return scale
