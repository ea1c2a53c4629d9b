"""Precision, recall, density and coverage: fidelity and variety of a synthetic set, told apart.

Precision and recall after Kynkaanniemi et al. 2019 ("Improved precision and recall metric"), density and coverage after
Naeem et al. 2020 ("Reliable fidelity and diversity metrics", eq. 4 and 5). A point's ball reaches to its k-th nearest
neighbour in its own set. Distances are computed in blocks: memory is n times a block, and at most 256 MB
for products of a set with itself.

A row with k equals in its own set has a ball of radius 0. Whether a point at its centre lies inside depends on the edge
alone (Kynkaanniemi et al. count it in, the tools do not); such points are left out and
counted, and where none is left there is no number.

Large sets are compared by distances in float32, and again in float64 wherever rounding could turn a comparison
(validators/maths/nearness.py): the numbers are the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from corpora.errors import UserError
from validators.maths import nearness
from validators.maths.kernel import squared_distances
from validators.maths.sets import blocks, checked_pair, finite, same_rows

_BLOCK = 512
_WHOLE = 256 * 2**20  # bytes: n up to 5,792
_WIDTH = 32  # values of a row of which only the smallest is looked at first


@dataclass(frozen=True, slots=True)
class Prdc:
    """precision, recall and coverage are shares in [0, 1]; density is >= 0 and may exceed 1. NaN: no number.

    `left_out`: measure -> rows that lie at the centre of a ball of radius 0, where there are any."""

    precision: float
    recall: float
    density: float
    coverage: float
    left_out: Mapping[str, int] = field(default_factory=dict)


def prdc(real: np.ndarray, synthetic: np.ndarray, *, k: int = 5) -> Prdc:
    """real [n, d], synthetic [m, d] float -> `Prdc`, k nearest neighbours.

    NaN where a set has no more than `k` rows, a value is not finite, or no row is left (see the module). Raises
    `UserError` for k < 1 or unfit shapes.
    """
    if k < 1:
        raise UserError(f"k is {k}; at least 1 neighbour is needed")
    real, synthetic = checked_pair(real, synthetic)
    n, m = len(real), len(synthetic)
    if min(n, m) <= k or not finite(real, synthetic):
        nan = float("nan")
        return Prdc(nan, nan, nan, nan)
    point_real, point_synthetic, in_real, in_synthetic = _repeats(real, synthetic)
    flat_real, flat_synthetic = in_real[point_real] > k, in_synthetic[point_synthetic] > k  # but for rounding, radius 0
    inside, covered, recalled = _balls(real, synthetic, k, flat_real, flat_synthetic)
    at_real, at_synthetic = in_real[point_synthetic] > k, in_synthetic[point_real] > k  # at the centre of such a ball
    unclear = {
        "precision": at_real & (inside == 0),
        "recall": at_synthetic & ~recalled,
        "density": at_real,
        "coverage": flat_real & (in_synthetic[point_real] > 0),
    }
    parts = {"precision": inside > 0, "recall": recalled, "density": inside / k, "coverage": covered}
    values = {name: _mean(parts[name][~unclear[name]]) for name in parts}
    return Prdc(**values, left_out={name: int(rows.sum()) for name, rows in unclear.items() if rows.any()})


def _balls(
    real: np.ndarray, synthetic: np.ndarray, k: int, flat_real: np.ndarray, flat_synthetic: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`flat_*`: rows whose ball has no radius. -> real balls that hold each synthetic row [m], real rows whose ball
    holds a synthetic one [n], and real rows in a synthetic one's ball [n]."""
    centre = real.mean(axis=0)  # squares of differences from a near point lose fewer digits
    if min(len(real), len(synthetic)) >= nearness.MANY:
        with contextlib.suppress(nearness.OpenError):
            one, other = nearness.rows_about(real, centre), nearness.rows_about(synthetic, centre)
            reach_one = np.where(flat_real, 0.0, nearness.reach(one, k))
            reach_other = np.where(flat_synthetic, 0.0, nearness.reach(other, k))
            holds, held, recalled = nearness.within(one, other, reach_one, reach_other)
            return held, holds > 0, recalled
    return _balls_of_doubles(real - centre, synthetic - centre, k, flat_real, flat_synthetic)


def _balls_of_doubles(
    real: np.ndarray, synthetic: np.ndarray, k: int, flat_real: np.ndarray, flat_synthetic: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `_balls`, of centred rows, with all distances in float64."""
    n = len(real)
    reach_real, reach_synthetic = kth_neighbour(real, k), kth_neighbour(synthetic, k)
    reach_real[flat_real], reach_synthetic[flat_synthetic] = 0.0, 0.0
    inside = np.zeros(len(synthetic))
    recalled = np.zeros(n, bool)
    nearest = np.full(n, np.inf)
    for rows in blocks(n, _BLOCK):
        part = squared_distances(real[rows], synthetic)  # [b, m]
        inside += (part < reach_real[rows, None]).sum(axis=0)
        recalled[rows] = (part < reach_synthetic[None]).any(axis=1)
        nearest[rows] = part.min(axis=1)
    return inside, nearest < reach_real, recalled


def _repeats(real: np.ndarray, synthetic: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """-> the number of the point of each row of real [n] and of synthetic [m], and how often each point stands in
    real and in synthetic [points]."""
    points = same_rows(real, synthetic)
    size = int(max(points[0].max(), points[1].max())) + 1
    return points[0], points[1], np.bincount(points[0], minlength=size), np.bincount(points[1], minlength=size)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def kth_neighbour(x: np.ndarray, k: int) -> np.ndarray:
    """[n, d] -> [n] squared distance to the k-th nearest other row; equal rows count as neighbours."""
    kth = np.empty(len(x))
    # of a matrix with itself BLAS computes half (syrk): worth its memory, up to a bound
    whole = x @ x.T if x.dtype.itemsize * len(x) ** 2 <= _WHOLE else None
    squares = (x * x).sum(axis=1)
    for rows in blocks(len(x), _BLOCK):
        part = x[rows] @ x.T if whole is None else whole[rows]
        part *= -2.0
        part += squares[rows, None]
        part += squares[None]
        np.maximum(part, 0.0, out=part)
        part[np.arange(part.shape[0]), np.arange(rows.start, rows.stop)] = -1.0  # the row itself comes first
        kth[rows] = kth_smallest(part, k)
    return kth


def kth_smallest(x: np.ndarray, k: int) -> np.ndarray:
    """[b, n] finite, k from 0 -> [b]: what np.partition(x, k, axis=1)[:, k] is, three times as fast where k is small.

    Of the minima of `_WIDTH`-sized parts of a row, the k-th bounds its k-th smallest value from above; few values are
    below that bound, and only those are sorted.
    """
    b, n = x.shape
    parts = n // _WIDTH
    if parts < 4 * (k + 1):
        plain: np.ndarray = np.partition(x, k, axis=1)[:, k]
        return plain
    minima = x[:, : parts * _WIDTH].reshape(b, _WIDTH, parts).min(axis=1)
    bound = np.partition(minima, k, axis=1)[:, k]
    rows, columns = np.nonzero(x <= bound[:, None])
    values = x[rows, columns]
    order = np.lexsort((values, rows))
    kth: np.ndarray = values[order][np.searchsorted(rows, np.arange(b)) + k]
    return kth
