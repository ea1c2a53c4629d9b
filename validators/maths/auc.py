"""Area under the ROC curve: of scores by their ranks, and its interval."""

from __future__ import annotations

import numpy as np

from validators.maths.intervals import Z95


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Scores [n] of positives and [m] of negatives -> the chance in [0, 1] that a positive one is higher; ties count
    half (Mann-Whitney, Hanley & McNeil 1982). Raises `ValueError` where a side is empty."""
    from scipy.stats import rankdata

    n, m = len(positive), len(negative)
    if not n or not m:
        raise ValueError(f"{n} positive and {m} negative scores; each side needs one")
    ranks = rankdata(np.concatenate([positive, negative]))
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def auc_interval(auc: float, n_positive: int, n_negative: int) -> tuple[float, float]:
    """95 % interval of an AUC (Hanley & McNeil 1982, eq. 1), clipped to [0, 1]."""
    q1, q2 = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    variance = auc * (1 - auc) + (n_positive - 1) * (q1 - auc**2) + (n_negative - 1) * (q2 - auc**2)
    half = Z95 * float(np.sqrt(max(variance, 0.0) / (n_positive * n_negative)))
    return max(0.0, auc - half), min(1.0, auc + half)
