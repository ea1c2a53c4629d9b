"""How far raters agree beyond chance: Krippendorff's alpha with gaps, Fleiss' kappa without."""

from __future__ import annotations

from typing import Literal

import numpy as np

Level = Literal["nominal", "ordinal", "interval"]


def krippendorff_alpha(values: np.ndarray, level: Level) -> float:
    """values [R, I] float64, NaN: not rated -> alpha (Krippendorff 2004, Content analysis, ch. 11). 1: all agree, 0: as
    by chance. Items with fewer than two ratings say nothing.

    NaN where no item has two ratings, or where all ratings are the same value: then there is nothing to disagree on.
    """
    codes, levels = _coded(values)
    counts = np.stack([(codes == k).sum(axis=0) for k in range(len(levels))], axis=1).astype(np.float64)  # [I, K]
    m = counts.sum(axis=1)
    counts, m = counts[m > 1], m[m > 1]
    if not len(m) or (counts.sum(axis=0) > 0).sum() < 2:
        return float("nan")
    pairs = (counts.T / (m - 1)) @ counts - np.diag((counts / (m - 1)[:, None]).sum(axis=0))  # coincidences [K, K]
    totals = pairs.sum(axis=1)
    delta = _distances(levels, totals, level)
    n = totals.sum()
    return float(1.0 - (n - 1) * (pairs * delta).sum() / (np.outer(totals, totals) * delta).sum())


def _coded(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-> [R, I] int places in the sorted values, -1: not rated; the values."""
    rated = np.isfinite(values)
    levels = np.unique(values[rated])
    codes = np.full(values.shape, -1)
    codes[rated] = np.searchsorted(levels, values[rated])
    return codes, levels


def _distances(levels: np.ndarray, totals: np.ndarray, level: Level) -> np.ndarray:
    """[K, K] squared differences of two values."""
    if level == "nominal":
        return 1.0 - np.eye(len(levels))
    if level == "interval":
        return np.asarray((levels[:, None] - levels[None, :]) ** 2)
    middles = np.cumsum(totals) - totals / 2  # mean rank of each value
    return np.asarray((middles[:, None] - middles[None, :]) ** 2)


def fleiss_kappa(values: np.ndarray) -> float:
    """values [R, I] float64 without gaps, R >= 2 -> kappa of the categories (Fleiss 1971).

    NaN where all ratings are one category. Raises ValueError for gaps: use alpha.
    """
    if values.ndim != 2 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError("Fleiss' kappa needs at least two raters, and every item rated by each of them")
    codes, levels = _coded(values)
    n_raters = len(values)
    counts = np.stack([(codes == k).sum(axis=0) for k in range(len(levels))], axis=1)
    observed = ((counts**2).sum(axis=1) - n_raters) / (n_raters * (n_raters - 1))
    expected = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return float((observed.mean() - expected) / (1 - expected)) if expected < 1 else float("nan")
