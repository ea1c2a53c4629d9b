"""Can a classifier tell synthetic samples from real people, better than it tells real people from other real people?"""

from __future__ import annotations

import numpy as np
from pydantic import Field
from scipy.stats import rankdata

from validators.gate import Limit
from validators.reference import MatchedGate, SetParams

FOLDS = 3
SHRINKAGE = 0.1  # of the within-set covariance towards its mean variance: a fold holds few rows


class C2stParams(SetParams):
    """Parameters of the gate `c2st`."""

    repeats: int = Field(50, ge=2, le=1_000_000, description="group-disjoint halves")
    min_n: int | None = Field(20, ge=1, description="of real and of synthetic samples; none: 2 for each of `dims`")


class C2stGate(MatchedGate):
    """AUC of a cross-validated classifier two-sample test (Lopez-Paz & Oquab 2017); 0.5: it cannot tell.

    The classifier is Fisher's discriminant with a shrunk covariance, in closed form: it is fitted many times. Two sets
    of real people can be told apart too, by their voices and faces; the floor says how well.
    """

    name = "c2st"
    unit = "AUC"
    default_limit = Limit(floor=1.0, margin=0.12)
    Params = C2stParams

    def compare(self, s: list[np.ndarray], a: list[np.ndarray]) -> float:
        return discriminant_auc(np.concatenate(a), np.concatenate(s))


def discriminant_auc(x: np.ndarray, y: np.ndarray) -> float:
    """x [n, d], y [m, d] -> mean over folds of the AUC of a discriminant that never saw the rows; NaN for < 6 rows."""
    if min(len(x), len(y)) < 2 * FOLDS:
        return float("nan")
    found = []
    for fold in range(FOLDS):
        out_x, out_y = (np.arange(len(z)) % FOLDS == fold for z in (x, y))
        learn_x, learn_y = x[~out_x], y[~out_y]
        difference = learn_y.mean(axis=0) - learn_x.mean(axis=0)
        within = np.concatenate([learn_x - learn_x.mean(axis=0), learn_y - learn_y.mean(axis=0)])
        cov = within.T @ within / max(len(within) - 2, 1)
        level = max(float(np.trace(cov)) / len(cov), 1e-12)
        cov = (1 - SHRINKAGE) * cov + SHRINKAGE * level * np.eye(len(cov))
        weights = np.linalg.solve(cov, difference)
        ranks = rankdata(np.concatenate([y[out_y], x[out_x]]) @ weights)
        m, n = int(out_y.sum()), int(out_x.sum())
        found.append((ranks[:m].sum() - m * (m + 1) / 2) / (m * n))
    return float(np.mean(found))
