"""Which of many points are nearest to one: looked for in products of float32, decided in float64.

A product of float32 bounds every distance from below (validators/maths/nearness.py has the bound, with gamma and where
it comes from); what could be the nearest by that bound, a few rows of thousands, is computed in float64, pair by pair.
Such a distance depends on its two points alone, not on how BLAS cuts a product of many.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import numpy as np

from validators.maths.centred import SINGLE, single_error
from validators.maths.sets import blocks

_VALUES = 2**24  # of a block of products: 64 MiB
_LEAST, _MOST = 32, 512  # rows of a block
_ROUNDING = 8.0 * SINGLE  # of a bound in float32, over the squared lengths
_TINY = 1e-30  # more than that many products that underflow to 0 can lose together


class Crowd:
    """rows [n, D] float32, finite, |values| < 1e15: points that others are compared with. They are not copied.
    `on_sphere`: all have length 1, and so do those that they are compared with; one of length 0 is at distance sqrt(2)
    from each."""

    def __init__(self, rows: np.ndarray, *, on_sphere: bool) -> None:
        self.rows, self.on_sphere = rows, on_sphere
        self.squares = self.lengths(rows)  # [n]
        self.gamma = single_error(rows.shape[1])
        self.near = ((0.5 * (1.0 - self.gamma)) * self.squares).astype(np.float32)
        self.largest = float(self.squares.max(initial=0.0))

    def __len__(self) -> int:
        return len(self.rows)

    def lengths(self, points: np.ndarray) -> np.ndarray:
        """[b, D] -> squared lengths [b] float64, 1 on the sphere."""
        if self.on_sphere:
            return np.ones(len(points))
        squares = np.empty(len(points))
        for some in blocks(len(points), _MOST):
            squares[some] = np.square(points[some], dtype=np.float64).sum(axis=1)
        return squares

    def distances(self, point: np.ndarray, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """point [D] float64 -> [k] float64 Euclidean distances to these rows."""
        square = float(self.lengths(point[None])[0])
        squares = square + self.squares[rows] - 2.0 * np.vecdot(self.rows[rows].astype(np.float64), point)
        distances: np.ndarray = np.sqrt(np.maximum(squares, 0.0))
        return distances

    def after(self, start: int) -> Crowd:
        """Its rows from `start` on."""
        part = copy.copy(self)
        part.rows, part.squares, part.near = self.rows[start:], self.squares[start:], self.near[start:]
        return part


class Ranking:
    """The rows of a crowd by their distance to one point, the nearest first, as far as somebody asks."""

    def __init__(self, crowd: Crowd, point: np.ndarray, mirrored: np.ndarray | None, low: np.ndarray) -> None:
        """point, mirrored [D] float64; low [n] float32: lower bounds of half the squared distances, but for what all
        of them have in common. It is written to."""
        self._crowd, self._points, self._low = crowd, [point] if mirrored is None else [point, mirrored], low
        self._square = float(crowd.lengths(point[None])[0])
        self._rounding = _ROUNDING * (crowd.largest + self._square) + _TINY

    def distances(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """[k] float64 Euclidean distances to these rows; the smaller of plain and mirrored."""
        plain, *turned = [self._crowd.distances(point, rows) for point in self._points]
        return np.minimum(plain, turned[0]) if turned else plain

    def leave_out(self, rows: Sequence[int] | np.ndarray) -> None:
        """These are not among the nearest, whatever their distance."""
        self._low[rows] = np.inf

    def take(self, within: float = np.inf) -> tuple[np.ndarray, np.ndarray] | None:
        """Rows [k] with their distances [k], among them the nearest of all that were neither left out nor taken before;
        None where all of those are farther than `within`, or none is left."""
        first = int(self._low.argmin())
        least, crowd = float(self._low[first]), self._crowd
        if least == np.inf:
            return None
        if 2.0 * (least - self._rounding) + (1.0 - crowd.gamma) * self._square > max(within, 0.0) ** 2:
            return None
        # the nearest is no farther than the upper bound of `first`: nor are others whose lower bound is not above it
        most = least + crowd.gamma * (float(crowd.squares[first]) + self._square) + 3.0 * self._rounding
        rows = np.flatnonzero(self._low <= most)
        distances = self.distances(rows)
        self.leave_out(rows)
        return rows, distances

    def within(self, limit: float) -> np.ndarray:
        """Rows nearer than `limit`, ascending."""
        bound = 0.5 * (limit * limit - (1.0 - self._crowd.gamma) * self._square) + self._rounding
        rows = np.flatnonzero(self._low <= bound)
        near: np.ndarray = rows[self.distances(rows) < limit]
        return near


def rankings(points: np.ndarray, crowd: Crowd, mirrored: np.ndarray | None = None) -> Iterator[tuple[int, Ranking]]:
    """points [b, D] -> (number of the point, the crowd's ranking) for each; `mirrored` [b, D]: the same samples seen in
    a mirror, of which the nearer counts (on the sphere alone). A ranking is good until the next one is asked for."""
    for some in blocks(len(points), min(max(_VALUES // max(len(crowd), 1), _LEAST), _MOST)):
        plain = points[some].astype(np.float64)
        turned = None if mirrored is None else mirrored[some].astype(np.float64)
        low = _low(plain, turned, crowd)
        for place, i in enumerate(range(some.start, some.stop)):
            yield i, Ranking(crowd, plain[place], None if turned is None else turned[place], low[place])


def pairs_within(crowd: Crowd, points: np.ndarray, mirrored: np.ndarray | None, limit: float) -> list[tuple[int, int]]:
    """Pairs i < j of which point i [n, D] is nearer than `limit` to row j of the crowd, which holds the same points."""
    pairs = []
    for some in blocks(len(points), _MOST):
        later = crowd.after(some.start)  # half of the products say it all
        turned = None if mirrored is None else mirrored[some]
        for place, ranking in rankings(points[some], later, turned):
            i = some.start + place
            pairs += [(i, j) for j in (ranking.within(limit) + some.start).tolist() if j > i]
    return pairs


def _low(plain: np.ndarray, turned: np.ndarray | None, crowd: Crowd) -> np.ndarray:
    """[b, n] float32, as `Ranking` wants them."""
    products = plain.astype(np.float32) @ crowd.rows.T
    if turned is not None:
        np.maximum(products, turned.astype(np.float32) @ crowd.rows.T, out=products)
    low: np.ndarray = np.subtract(crowd.near, products, out=products)
    return low
