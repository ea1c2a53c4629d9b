"""Is a row of features one that could have been measured? Columns, and how far each goes, against what real rows do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from validators.maths.sets import column_scale


class VectorRules:
    """What real rows allow. arrays: centre [D], the median of each column; reach [D], how far from it a row may be."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._centre, self._reach = arrays["centre"], arrays["reach"]

    @staticmethod
    def learn(rows: Sequence[np.ndarray], reach_times: float) -> dict[str, np.ndarray]:
        """-> arrays, from rows with the commonest number of columns: `reach_times` as far as the farthest of them.

        Where a column is constant nothing is known of its scale, and it is taken to be 1, as embeddings do.
        """
        sizes = np.array([np.size(row) for row in rows])
        x = np.stack([np.ravel(row) for row in rows if np.size(row) == np.bincount(sizes).argmax()]).astype(np.float64)
        centre = np.median(x, axis=0, overwrite_input=True)  # which sorts columns, each for itself: no second array
        x -= centre
        farthest = np.abs(x, out=x).max(axis=0)
        return {"centre": centre, "reach": reach_times * column_scale(farthest, centre)}

    def reason(self, row: np.ndarray) -> str | None:
        """Finite [D] -> the first rule that it breaks: wrong-columns, out-of-range; None: possible."""
        if row.shape != self._centre.shape:
            return "wrong-columns"
        return "out-of-range" if (np.abs(row - self._centre) > self._reach).any() else None
