"""What all measures over two sets of features ask of their input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from corpora.errors import UserError

_KEY = 8  # columns that are looked at first


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
    d = x.shape[1]
    few = slice(0, d) if d <= 2 * _KEY else slice(0, d, d // _KEY)  # rows that differ mostly do so in a few columns
    short = [row.tobytes() for rows in (x, y) for row in np.ascontiguousarray(rows[:, few] + 0.0)]
    times = Counter(short)
    numbers: dict[bytes, int] = {}
    found = np.empty(len(short), np.int64)
    for i, key in enumerate(short):
        if times[key] > 1:
            row = x[i] if i < len(x) else y[i - len(x)]
            key = (row + 0.0).tobytes()
        found[i] = numbers.setdefault(key, len(numbers))
    return found[: len(x)], found[len(x) :]


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
