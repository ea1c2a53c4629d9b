"""SMOTE's family a row at a time: one step towards a neighbour, and which rows the family starts from.

imbalanced-learn, which draws for studies (neighbours.py), draws all rows of a class from one random state, so that no
row could be drawn again without the others.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.neighbors import NearestNeighbors

from generators.classical.method import Among
from generators.classical.vectors import between


class Towards:
    """What moves a row towards one of its `params.k` nearest of its class."""

    partners: ClassVar[int] = 1
    params: Any

    def one(self, row: np.ndarray, scaled: np.ndarray, among: Among, rng: np.random.Generator) -> np.ndarray:
        """See `VectorMethod.one`: anywhere between the row and one of its k nearest (or as many as there are) by
        Euclidean distance of what is scaled; of equally near ones the first. Chawla et al. 2002, section 4.2."""
        distance = ((among.scaled - scaled) ** 2).sum(axis=1)
        near = np.argsort(distance, kind="stable")[: self.params.k]
        return between(row, among.x[int(rng.choice(near))], float(rng.random()))


def others_near(scaled: np.ndarray, y: np.ndarray, k: int) -> tuple[np.ndarray, int]:
    """scaled [N, D], y [N] -> [N] int64 how many of the k nearest rows of each are of other classes; and k, or N - 1
    where that is less."""
    k = min(k, len(y) - 1)
    if k < 1:
        return np.zeros(len(y), np.int64), 0
    near = NearestNeighbors(n_neighbors=k + 1).fit(scaled).kneighbors(scaled, return_distance=False)[:, 1:]
    return (y[near] != y[:, None]).sum(axis=1).astype(np.int64), k
