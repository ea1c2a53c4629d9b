"""How features are scaled before a classifier sees them, learned from reference rows (the real ones of train) alone.

normal      rank-based normal scores of each feature, at most 3.5 in size: for functionals and physiology, whose
            distributions have long tails
standard    mean 0 and variance 1 of each feature: for HOG, n-grams and embeddings
none        as they are

Principal components may follow. A feature that is constant in the reference rows says nothing and is 0 for every row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.special import ndtri

from corpora.params import StrictParams
from validators.maths.principal import leading

CLIP = 3.5
Scaling = Literal["normal", "standard", "none"]


class ScalingParams(StrictParams):
    """What every classifier of vectors shares."""

    scaling: Scaling = Field(
        "normal", description="how features are scaled, by real train rows alone: normal scores, standard, or none"
    )
    components: int | None = Field(
        None, ge=1, le=100_000, description="principal components of the scaled features that are kept; null: no PCA"
    )


@dataclass(frozen=True, slots=True)
class Scaler:
    """Learned scales of D features. knots: of each feature its distinct reference values, ascending, and their normal
    scores (scaling normal); mean, scale: [D] (scaling standard; scale 0: constant). components: [D, C] after centring
    by `centre` [D], or None."""

    scaling: Scaling
    knots: tuple[tuple[np.ndarray, np.ndarray], ...]
    mean: np.ndarray
    scale: np.ndarray
    centre: np.ndarray
    components: np.ndarray | None

    @classmethod
    def fit(cls, reference: np.ndarray, params: ScalingParams) -> Scaler:
        """reference: [n, D] finite, n >= 1. Keeps at most min(n - 1, D) components (at least one)."""
        reference = np.asarray(reference, np.float64)
        n, d = reference.shape
        knots: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
        mean, scale = np.zeros(d), np.ones(d)
        if params.scaling == "normal":
            knots = normal_knots(reference)
        elif params.scaling == "standard":
            mean, scale = reference.mean(axis=0), reference.std(axis=0)
            scale[np.ptp(reference, axis=0) == 0] = 0.0  # the rounding of a mean is no variance
        plain = cls(params.scaling, knots, mean, scale, np.zeros(d), None)
        if params.components is None:
            return plain
        kept = max(1, min(params.components, n - 1, d))
        centre, components, _ = leading(plain.apply(reference), kept)
        return cls(params.scaling, knots, mean, scale, centre, components.T)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """[n, D] -> [n, D], or [n, C] with components; float64.

        Raises `ValueError` for another number of features.
        """
        x = np.asarray(x, np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.mean):
            raise ValueError(f"rows of shape {x.shape[1:]}, but scales are of {len(self.mean)} features")
        if self.scaling == "normal":
            out = np.empty_like(x)
            for j, (values, scores) in enumerate(self.knots):
                out[:, j] = np.interp(x[:, j], values, scores)
        elif self.scaling == "standard":
            out = np.divide(x - self.mean, self.scale, out=np.zeros_like(x), where=self.scale > 0)
        else:
            out = x
        return out if self.components is None else (out - self.centre) @ self.components


def normal_knots(reference: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """[n, D] -> of each feature its distinct values, ascending, and the normal score of each: the normal quantile of
    (mean rank - 1/2) / n (rankits: Bliss 1967, "Statistics in Biology" I; ties share their mean rank), at most CLIP in
    size. Between two values scores are interpolated, beyond the outermost they stay. A constant has the score 0."""
    n = len(reference)
    # Mean ranks are multiples of 1/2, so one table of quantiles serves all features: score[i + j] of ranks i ... j.
    score = np.clip(ndtri((np.arange(2 * n - 1) / 2 + 0.5) / n), -CLIP, CLIP)
    knots = []
    for column in np.sort(np.ascontiguousarray(reference.T), axis=1):
        first = np.flatnonzero(np.concatenate([[True], column[1:] != column[:-1]]))
        last = np.append(first[1:], n) - 1
        knots.append((column[first], score[first + last]))
    return tuple(knots)
