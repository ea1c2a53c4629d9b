"""How many different samples a set holds: the Vendi score."""

from __future__ import annotations

import numpy as np

from validators.maths.kernel import squared_distances
from validators.maths.sets import checked_pair, finite


def vendi_score(x: np.ndarray, *, kernel: str = "cosine", scale: float | None = None) -> float:
    """x [n, d] -> effective number of different rows, from 1 (all alike) to n (none alike).

    exp of the entropy of the eigenvalues of K / n (Friedman & Dieng 2023, "The Vendi score", definition 3.1). kernel:
    "cosine" (K = x x' of unit rows; a row of zeros is unlike everything) or "rbf" with `scale` (None: the median
    distance). Where n > d the d x d form has the same spectrum. NaN for an empty set or a value that is not finite.
    """
    x, _ = checked_pair(x, x)
    if len(x) == 0 or not finite(x):
        return float("nan")
    if kernel == "cosine":
        norms = np.linalg.norm(x, axis=1)
        rows = x[norms > 0] / norms[norms > 0, None]
        gram = rows.T @ rows if len(rows) > rows.shape[1] else rows @ rows.T
        zeros = int((norms == 0).sum())
        spectrum = np.concatenate([np.linalg.eigvalsh(gram) if len(rows) else np.zeros(0), np.ones(zeros)]) / len(x)
    else:
        distances = squared_distances(x, x)
        if scale is None:
            off = distances[np.triu_indices(len(x), 1)]
            scale = float(np.sqrt(np.median(off[off > 0]))) if (off > 0).any() else 1.0
        spectrum = np.linalg.eigvalsh(np.exp(-distances / (2.0 * scale * scale))) / len(x)
    spectrum = spectrum[spectrum > 1e-12]
    return float(np.exp(-np.sum(spectrum * np.log(spectrum))))
