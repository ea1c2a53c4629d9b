"""Precision, recall, density and coverage: fidelity and variety of a synthetic set, told apart.

Precision and recall after Kynkaanniemi et al. 2019 ("Improved precision and recall metric"), density and coverage after
Naeem et al. 2020 ("Reliable fidelity and diversity metrics", eq. 4 and 5). A point's ball reaches to its k-th nearest
neighbour in its own set. Distances are computed in blocks: memory is n times a block, and at most 256 MB
for products of a set with itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from corpora.errors import UserError
from validators.kernel import squared_distances
from validators.sets import checked_pair, finite

_BLOCK = 512
_WHOLE = 256 * 2**20  # bytes: n up to 5,792
_WIDTH = 32  # values of a row of which only the smallest is looked at first


@dataclass(frozen=True, slots=True)
class Prdc:
    """precision, recall and coverage are shares in [0, 1]; density is >= 0 and may exceed 1. NaN: no number."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: np.ndarray, synthetic: np.ndarray, *, k: int = 5) -> Prdc:
    """real [n, d], synthetic [m, d] float -> `Prdc`, k nearest neighbours.

    NaN where a set has no more than `k` rows or a value is not finite. Raises `UserError` for k < 1 or unfit shapes.
    """
    if k < 1:
        raise UserError(f"k is {k}; at least 1 neighbour is needed")
    real, synthetic = checked_pair(real, synthetic)
    n, m = len(real), len(synthetic)
    if min(n, m) <= k or not finite(real, synthetic):
        return Prdc(*[float("nan")] * 4)
    centre = real.mean(axis=0)  # squares of differences from a near point lose fewer digits
    real, synthetic = real - centre, synthetic - centre
    reach_real, reach_synthetic = kth_neighbour(real, k), kth_neighbour(synthetic, k)
    inside = np.zeros(m)  # real balls that hold the synthetic point
    recalled = np.zeros(n, bool)
    nearest = np.full(n, np.inf)
    for rows in _blocks(n):
        part = squared_distances(real[rows], synthetic)  # [b, m]
        inside += (part < reach_real[rows, None]).sum(axis=0)
        recalled[rows] = (part < reach_synthetic[None]).any(axis=1)
        nearest[rows] = part.min(axis=1)
    return Prdc(
        precision=float((inside > 0).mean()),
        recall=float(recalled.mean()),
        density=float(inside.mean() / k),
        coverage=float((nearest < reach_real).mean()),
    )


def kth_neighbour(x: np.ndarray, k: int) -> np.ndarray:
    """[n, d] -> [n] squared distance to the k-th nearest other row; equal rows count as neighbours."""
    found = np.empty(len(x))
    # of a matrix with itself BLAS computes half (syrk): worth its memory, up to a bound
    whole = x @ x.T if x.dtype.itemsize * len(x) ** 2 <= _WHOLE else None
    squares = (x * x).sum(axis=1)
    for rows in _blocks(len(x)):
        part = x[rows] @ x.T if whole is None else whole[rows]
        part *= -2.0
        part += squares[rows, None]
        part += squares[None]
        np.maximum(part, 0.0, out=part)
        part[np.arange(part.shape[0]), np.arange(rows.start, rows.stop)] = -1.0  # the row itself comes first
        found[rows] = kth_smallest(part, k)
    return found


def kth_smallest(x: np.ndarray, k: int) -> np.ndarray:
    """[b, n] finite, k from 0 -> [b]: what np.partition(x, k, axis=1)[:, k] is, three times as fast where k is small.

    Of the minima of `_WIDTH`-sized parts of a row, the k-th bounds its k-th smallest value from above; few values are
    below that bound, and only those are sorted.
    """
    b, n = x.shape
    parts = n // _WIDTH
    if parts < 4 * (k + 1):
        found: np.ndarray = np.partition(x, k, axis=1)[:, k]
        return found
    minima = x[:, : parts * _WIDTH].reshape(b, _WIDTH, parts).min(axis=1)
    bound = np.partition(minima, k, axis=1)[:, k]
    rows, columns = np.nonzero(x <= bound[:, None])
    values = x[rows, columns]
    order = np.lexsort((values, rows))
    kth: np.ndarray = values[order][np.searchsorted(rows, np.arange(b)) + k]
    return kth


def _blocks(n: int) -> Iterator[slice]:
    for start in range(0, n, _BLOCK):
        yield slice(start, min(n, start + _BLOCK))
