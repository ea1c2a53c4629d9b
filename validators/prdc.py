"""Precision, recall, density and coverage: fidelity and variety of a synthetic set, told apart.

Precision and recall after Kynkaanniemi et al. 2019 ("Improved precision and recall metric"), density and coverage after
Naeem et al. 2020 ("Reliable fidelity and diversity metrics", eq. 4 and 5). A point's ball reaches to its k-th nearest
neighbour in its own set. Distances are computed in blocks: memory is n times a block, never n times m.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from corpora.errors import UserError
from validators.kernel import squared_distances
from validators.sets import checked_pair, finite

_BLOCK = 1024


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
    for rows in _blocks(len(x)):
        part = squared_distances(x[rows], x)
        part[np.arange(part.shape[0]), np.arange(rows.start, rows.stop)] = -1.0  # the row itself comes first
        found[rows] = np.partition(part, k, axis=1)[:, k]
    return found


def _blocks(n: int) -> Iterator[slice]:
    for start in range(0, n, _BLOCK):
        yield slice(start, min(n, start + _BLOCK))
