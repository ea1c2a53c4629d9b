"""Do raters and gates put items in the same order? Spearman's rank correlation with an interval."""

from __future__ import annotations

import math

import numpy as np

from validators.maths.intervals import Z95
from validators.maths.raters.crossed import Estimate

FEWEST = 5  # items below which an interval says nothing


def rank_relation(x: np.ndarray, y: np.ndarray) -> Estimate:
    """x, y [n] float64; pairs with a NaN are left out -> Spearman's rho with the interval of Bonett and Wright (2000),
    by Fisher's z with variance (1 + rho^2 / 2) / (n - 3). Ties get their mean rank. NaN where fewer than `FEWEST` pairs
    are there or one side is constant."""
    from scipy.stats import spearmanr

    both = np.isfinite(x) & np.isfinite(y)
    x, y, n = x[both], y[both], int(both.sum())
    if n < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Estimate(math.nan, math.nan, math.nan, n)
    rho = float(spearmanr(x, y).statistic)
    if abs(rho) >= 1.0 - 1e-12:
        return Estimate(float(np.sign(rho)), math.nan, math.nan, n)
    half = Z95 * math.sqrt((1 + rho**2 / 2) / (n - 3))
    z = math.atanh(rho)
    return Estimate(rho, math.tanh(z - half), math.tanh(z + half), n)
