"""MAUVE: the area under the frontier of two kinds of error between two sets of embeddings.

Pillutla et al. 2021 (NeurIPS, "MAUVE: measuring the gap between neural text and human text using divergence
frontiers"), section 3; defaults as in the authors' package, but for k-means, which is scikit-learn's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpora.errors import UserError
from validators.maths.sets import checked_pair, finite

SCALING = 5.0  # c in exp(-c KL)
POINTS = 25  # of the frontier
VARIANCE = 0.9  # kept by the principal components
RESTARTS, ITERATIONS = 5, 500  # of k-means
MIN_ROWS = 20  # of each set: two clusters of ten
CONVENTION = "MAUVE, c 5, 25 points, PCA 90 % whitened, k-means"


@dataclass(frozen=True, slots=True)
class Mauve:
    """value in (0, 1], 1: alike. frontier_integral >= 0, 0: alike (Liu et al. 2021). clusters: bins of the histograms.
    value_smoothed: with half a sample more in each bin (Pillutla et al. 2023), steadier where sets are small."""

    value: float
    value_smoothed: float
    frontier_integral: float
    clusters: int


def mauve(real: np.ndarray, synthetic: np.ndarray, *, clusters: int = 0, seed: int = 0) -> Mauve:
    """Embeddings real [n, d], synthetic [m, d] -> `Mauve`. clusters: 0 for a tenth of the smaller set, at least 2.

    It depends on n, on the clusters and a little on the seed: compare numbers of equal n only. NaN for fewer than 20
    rows of either, or values that are not finite. Raises `UserError` for shapes that do not fit.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    real, synthetic = checked_pair(real, synthetic)
    n, m = len(real), len(synthetic)
    k = clusters or max(2, round(min(n, m) / 10))
    if k < 2 or k > n + m:
        raise UserError(f"{k} clusters of {n + m} rows; 2 to {n + m} are possible")
    nan = float("nan")
    if min(n, m) < MIN_ROWS or not finite(real, synthetic):
        return Mauve(nan, nan, nan, k)
    rows = np.concatenate([real, synthetic])
    if np.ptp(rows, axis=0).max() == 0:  # one point: nothing to tell apart, and nothing to scale by
        return Mauve(1.0, 1.0, 0.0, 1)
    pca = PCA(whiten=True, svd_solver="full").fit(rows)
    kept = int(np.argmax(np.cumsum(pca.explained_variance_ratio_) >= VARIANCE)) + 1
    points = pca.transform(rows)[:, :kept]
    k = min(k, len(np.unique(points, axis=0)))
    labels = KMeans(k, n_init=RESTARTS, max_iter=ITERATIONS, random_state=seed).fit_predict(points)
    p, q = (np.bincount(part, minlength=k).astype(np.float64) for part in (labels[:n], labels[n:]))
    return Mauve(
        frontier_area(p / p.sum(), q / q.sum()),
        frontier_area((p + 0.5) / (p + 0.5).sum(), (q + 0.5) / (q + 0.5).sum()),
        frontier_integral(p / p.sum(), q / q.sum()),
        k,
    )


def frontier_area(p: np.ndarray, q: np.ndarray, *, scaling: float = SCALING, points: int = POINTS) -> float:
    """Histograms p, q [k] that sum to 1 -> area in (0, 1] under {(exp(-c KL(q|r)), exp(-c KL(p|r)))}.

    Eq. 1 of the paper: r = w p + (1-w) q; w on an even grid of (0, 1), the corners (0, 1) and (1, 0) added, area by
    trapezoids, mean over the two ways to choose the abscissa.
    """
    weights = np.linspace(1e-6, 1.0 - 1e-6, points)
    mixed = weights[:, None] * p + (1.0 - weights[:, None]) * q
    x = np.r_[0.0, np.exp(-scaling * _divergences(q, mixed)), 1.0]
    y = np.r_[1.0, np.exp(-scaling * _divergences(p, mixed)), 0.0]
    along, across = np.lexsort((-y, x)), np.lexsort((-x, y))
    return float(0.5 * (np.trapezoid(y[along], x[along]) + np.trapezoid(x[across], y[across])))


def frontier_integral(p: np.ndarray, q: np.ndarray) -> float:
    """Histograms [k] -> 2 * integral over w of w KL(p|r) + (1-w) KL(q|r), r = w p + (1-w) q, in [0, 1] nats.

    Liu et al. 2021 ("Divergence frontiers for generative models"), proposition 2: a bin adds
    (p + q) / 2 - p q (ln p - ln q) / (p - q), which is (p + q) / 2 where one of both is 0, and 0 where p = q.
    """
    total = 0.0
    for a, b in zip(p.tolist(), q.tolist(), strict=True):
        if min(a, b) == 0:
            total += (a + b) / 2
        elif abs(a - b) > 1e-8:
            total += (a + b) / 2 - a * b * (np.log(a) - np.log(b)) / (a - b)
    return float(total)


def _divergences(p: np.ndarray, mixed: np.ndarray) -> np.ndarray:
    """KL(p | row) in nats of each row of [points, k]; 0 ln 0 = 0. Mixtures are positive wherever p is."""
    there = p > 0
    return (p[there] * np.log(p[there] / mixed[:, there])).sum(axis=1)
