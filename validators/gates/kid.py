"""Kernel distance of each class to real people of that class, and of all classes together.

KID is unbiased (Binkowski et al. 2018), so it may be compared across sizes, and a class of a few dozen samples can be
judged on its own. The pooled number is the mean over classes, weighted by their sizes: labels count in it. Shuffled
labels leave the pooled distribution as it is, and move every class.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from validators.batch import Batch, relative_weights
from validators.gate import Limit
from validators.maths.folds import group_halves
from validators.maths.kernel import polynomial_kernel
from validators.reference import ROUNDING, MatchedGate, Part, SetParams, by_weight

MOST = 1500  # samples of a class and side that enter the kernel matrices: 18 MB each


class KidParams(SetParams):
    """Parameters of the gate `kid`."""

    min_n: int | None = Field(8, ge=1, description="of real and of synthetic samples; none: 2 for each of `dims`")


class KidGate(MatchedGate):
    """Unbiased MMD^2 with the kernel (x.y / d + 1)^3 within each class, real people against synthetic samples.

    Unlike a biased distance it needs no equal sizes: A and B are all of their halves, S is half of the synthetic
    samples of the class. Over the repeats the mean is all but the estimate from every pair there is.
    """

    name = "kid"
    unit = "squared MMD"
    question = "how far is each class from real people of that class?"
    default_limit = Limit(floor=1.25, margin=0.06)
    Params = KidParams
    measures_groups = True

    def pairs(self, part: Part, synthetic: Batch, seed: int) -> np.ndarray:
        """-> [R, 2]: the weighted mean over classes of KID(S_c, A_c) and of KID(B_c, A_c), for each repeat."""
        points, emotions = part.embedding.embed(synthetic), np.asarray(synthetic.emotions, dtype=str)
        classes = [name for name in np.unique(emotions) if (part.emotions == name).any()]
        kept = np.flatnonzero(np.isin(part.emotions, classes))
        if len(np.unique(part.groups[kept])) < 2:
            return np.full((1, 2), np.nan)
        rng, weights = np.random.default_rng(seed), relative_weights(synthetic)
        halves = np.asarray(list(group_halves(part.groups[kept], part.emotions[kept], self._options.repeats, seed)))
        total, weight = np.zeros((len(halves), 2)), np.zeros((len(halves), 1))
        for name in classes:
            of_r = np.flatnonzero(part.emotions[kept] == name)
            of_s = np.flatnonzero(emotions == name)
            own = weights[of_s]
            if np.ptp(own) > ROUNDING:
                of_s = by_weight(of_s, own, int(own.sum() / own.max() + ROUNDING), rng)
            of_r, of_s = (rng.permutation(rows)[:MOST] for rows in (of_r, of_s))
            distances = _class_pairs(part.points[kept[of_r]], points[of_s], halves[:, of_r], rng)
            ok = np.isfinite(distances).all(axis=1, keepdims=True)
            size = min(own.sum(), MOST)  # as many rows as count for a whole one
            total += np.where(ok, distances, 0.0) * size
            weight += ok * size
        with np.errstate(invalid="ignore", divide="ignore"):
            every: np.ndarray = total / weight
        return every  # a rare class falls on one side of some halves: NaN, those repeats say nothing about it


def _class_pairs(real: np.ndarray, synthetic: np.ndarray, in_a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """real [n, d], made [m, d], in_a [R, n] bool -> [R, 2]: unbiased KID of a half of `made` to A, and of B to A."""
    m, repeats = len(synthetic), len(in_a)
    half = (m + 1) // 2
    order = np.argsort(rng.random((repeats, m)), axis=1)
    u_s = np.zeros((repeats, m))
    np.put_along_axis(u_s, order[:, :half], 1.0, axis=1)
    u_a, u_b = in_a.astype(float), (~in_a).astype(float)
    k_rr, k_ss, k_sr = (
        polynomial_kernel(real, real),
        polynomial_kernel(synthetic, synthetic),
        polynomial_kernel(synthetic, real),
    )
    np.fill_diagonal(k_rr, 0.0)
    np.fill_diagonal(k_ss, 0.0)
    a, b = u_a.sum(axis=1), u_b.sum(axis=1)

    def within(u: np.ndarray, k: np.ndarray, size: np.ndarray | int) -> np.ndarray:
        return ((u @ k) * u).sum(axis=1) / np.where(np.asarray(size) > 1, size * (np.asarray(size) - 1.0), np.nan)

    with np.errstate(invalid="ignore", divide="ignore"):
        own_a, own_b, own_s = within(u_a, k_rr, a), within(u_b, k_rr, b), within(u_s, k_ss, half)
        s_a = own_s + own_a - 2.0 * ((u_s @ k_sr) * u_a).sum(axis=1) / (half * a)
        b_a = own_b + own_a - 2.0 * ((u_b @ k_rr) * u_a).sum(axis=1) / (a * b)
    return np.stack([s_a, b_a], axis=1)
