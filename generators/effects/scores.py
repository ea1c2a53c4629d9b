"""Normal scores: each feature, by its ranks among the train rows, to a standard normal one, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

CLIP = 3.5  # standard deviations; a score further out says more about the number of rows than about the sample
MARGIN = 0.05  # of a feature's range in train: how far outside of it `inverse` goes


@dataclass(frozen=True)
class NormalScores:
    """Fitted on train rows [N, D] with `NormalScores.fit`; `transform` and `inverse` are monotone in every feature.

    A value of rank r of N (ties: their mean rank) scores Phi^-1(p), p = (r - 1/2) / N squeezed evenly into
    [Phi(-CLIP), Phi(CLIP)], so that different train values always differ in score and come back exactly. Between train
    values both ways are linear; outside, the score reaches +-CLIP at `MARGIN` of the feature's range beyond its ends,
    and nothing goes further. A constant feature scores 0 and comes back as its constant.
    """

    values: tuple[np.ndarray, ...]  # of each feature: its different train values and the two ends, ascending
    scores: tuple[np.ndarray, ...]  # of each of them

    @classmethod
    def fit(cls, x: np.ndarray) -> Self:
        """[N, D] finite rows, N >= 1. Raises `ValueError` for another shape or a value that is not finite."""
        from scipy.stats import norm, rankdata

        x = _rows(x)
        if not len(x):
            raise ValueError("normal scores need at least one row")
        low, high = norm.cdf([-CLIP, CLIP])
        values, scores = [], []
        for column in x.T:
            knots, where = np.unique(column, return_index=True)
            if len(knots) > 1:
                p = (rankdata(column)[where] - 0.5) / len(column)
                margin = MARGIN * (knots[-1] - knots[0])
                values.append(np.concatenate([[knots[0] - margin], knots, [knots[-1] + margin]]))
                scores.append(np.concatenate([[-CLIP], norm.ppf(low + (high - low) * p), [CLIP]]))
            else:
                values.append(knots)
                scores.append(np.zeros(1))
        return cls(tuple(values), tuple(scores))

    def transform(self, x: np.ndarray) -> np.ndarray:
        """[M, D] in the features' own units -> [M, D] float64 scores in [-CLIP, CLIP]."""
        return self._between(x, self.values, self.scores)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """[M, D] scores -> [M, D] float64 in the features' own units, within train's range and `MARGIN` of it."""
        return self._between(z, self.scores, self.values)

    def _between(self, x: np.ndarray, here: tuple[np.ndarray, ...], there: tuple[np.ndarray, ...]) -> np.ndarray:
        x = _rows(x)
        if x.shape[1] != len(here):
            raise ValueError(f"rows have {x.shape[1]} features; the scores were fitted on {len(here)}")
        columns = [np.interp(c, a, b) for c, a, b in zip(x.T, here, there, strict=True)]
        return np.stack(columns, axis=1) if columns else np.zeros(x.shape)


def _rows(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise ValueError(f"normal scores want finite rows [N, D], got shape {x.shape}")
    return x
