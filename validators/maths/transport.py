"""Sliced Wasserstein distance: how far mass has to move, averaged over directions."""

from __future__ import annotations

import numpy as np

from validators.maths.sets import checked_pair, finite


def wasserstein_1d(a: np.ndarray, b: np.ndarray, *, p: int = 2) -> float:
    """W_p^p of two samples [n], [m] on a line, exact for unequal n: integral of |F^-1 - G^-1|^p (Villani 2003)."""
    a, b = np.sort(np.asarray(a, np.float64)), np.sort(np.asarray(b, np.float64))
    if len(a) == len(b):
        return float(np.mean(np.abs(a - b) ** p))
    edges = np.union1d(np.arange(1, len(a) + 1) / len(a), np.arange(1, len(b) + 1) / len(b))
    widths = np.diff(edges, prepend=0.0)
    middle = edges - widths / 2
    of_a = np.minimum((middle * len(a)).astype(int), len(a) - 1)
    of_b = np.minimum((middle * len(b)).astype(int), len(b) - 1)
    return float(np.sum(widths * np.abs(a[of_a] - b[of_b]) ** p))


def sliced_wasserstein(x: np.ndarray, y: np.ndarray, *, directions: int = 256, p: int = 2, seed: int = 0) -> float:
    """x [n, d], y [m, d] -> (mean over random directions of W_p^p)^(1/p), in units of the features.

    Bonneel et al. 2015, "Sliced and Radon Wasserstein barycenters of measures". Directions are uniform on the sphere,
    the same for the same `seed` and d. NaN for an empty set or a value that is not finite. Raises `UserError`.
    """
    x, y = checked_pair(x, y)
    if min(len(x), len(y)) == 0 or not finite(x, y):
        return float("nan")
    rng = np.random.default_rng(seed)
    axes = rng.normal(size=(x.shape[1], directions))
    axes /= np.linalg.norm(axes, axis=0)
    along_x, along_y = x @ axes, y @ axes
    powers = [wasserstein_1d(along_x[:, k], along_y[:, k], p=p) for k in range(directions)]
    return float(np.mean(powers) ** (1.0 / p))
