"""The effect of a class with few samples, from its naive effect and from what the other classes do.

Both estimates are posterior means of a normal model, u ~ N(m, V / n) with m ~ N(c, P). `diagonal` takes each feature
for itself (Efron & Morris 1975); `low_rank` takes P from the directions in which the other classes differ, plus the
same spread in every direction (as probabilistic principal components, Tipping & Bishop 1999), in coordinates where V
is the identity. They err differently, so their mean is better than either.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

SURPRISING = 4.0  # times the prior variance: effects twice as large as those of the other classes
FLOOR = 0.02  # of a feature's variance: the least that effects are taken to vary by


def diagonal(
    u: np.ndarray, n: int, effects: np.ndarray, within: np.ndarray, floor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """u: [D] naive effect of n rows; effects: [J, D] of the other classes; within: [D] variance of rows around their
    class; floor: [D] added to the variance between classes -> posterior mean and variance, [D] each.

    One other class says nothing of how far classes lie apart; the spread is then one number for all features, by
    moments of u in units of `within`, never negative.
    """
    noise = np.maximum(within / n, 1e-300)  # a constant feature has neither spread nor effect
    if len(effects) > 1:
        prior, centre = effects.var(axis=0, ddof=1) + floor, effects.mean(axis=0)
    else:
        centre = effects.mean(axis=0)
        prior = max(0.0, float(((u - centre) ** 2 / noise).mean()) - 1.0) * noise + floor
    prior = prior * surprise(u - centre, prior, noise)
    kept = prior / (prior + noise)
    of_centre = (1.0 - kept) ** 2 * prior / len(effects)  # the mean of J effects is not the mean of all effects
    return centre + kept * (u - centre), kept * noise + of_centre


def surprise(deviation: np.ndarray, prior: np.ndarray, noise: np.ndarray) -> float:
    """By how much the prior variances [D] are too small for deviations [D] of variance prior + noise: a moment estimate
    of one factor (as of the variance between studies: DerSimonian & Laird 1986), 1 where it is not above `SURPRISING`.

    A class that differs from the others in what they all share is an outlier of the prior, and its own samples say so.
    What a few samples say of less than that is noise, and raising the prior for it would cost what the prior saves.
    """
    share = float((prior / (prior + noise)).sum())
    excess = float(((deviation**2 - noise) / (prior + noise)).sum())
    factor = excess / share if share > 0 else 1.0
    return factor if SURPRISING < factor < np.inf else 1.0  # priors of next to nothing say nothing of a factor


def low_rank(
    u: np.ndarray,
    n: int,
    effects: np.ndarray,
    residuals: np.ndarray,
    elsewhere: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """u: [D] naive effect of n rows; effects: [J, D] of the other classes, J >= 3; residuals: [N, D] of their rows ->
    posterior mean and variance, [D] each.

    elsewhere: what other corpora say, times the trust in it: of this class [D] and of the other classes [J, D]. It is
    the centre of the prior, and the spread is that of what it leaves unexplained.

    Whitening is by a Cholesky factor of the shrunk covariance (OAS, Chen et al. 2010): the estimate is the same for
    every square root, and this one is the cheapest.
    """
    from scipy.linalg import solve_triangular
    from sklearn.covariance import OAS

    covariance = OAS(store_precision=False, assume_centered=True).fit(residuals).covariance_
    scale = float(np.trace(covariance)) / len(covariance)
    root = np.linalg.cholesky(covariance + 1e-9 * max(scale, 1e-300) * np.eye(len(covariance)))  # S = L L'
    own, theirs = (np.zeros_like(u), np.zeros_like(effects)) if elsewhere is None else elsewhere
    white = solve_triangular(root, np.vstack([u, own, effects - theirs]).T, lower=True).T
    z, bonus, q = white[0], white[1], white[2:]
    centre = q.mean(axis=0) + bonus
    _, s, directions = np.linalg.svd(q - q.mean(axis=0), full_matrices=False)
    spread = s**2 / (len(q) - 1)
    rest = spread.sum() / len(z)  # t: as much again, evenly over all directions
    along = directions @ (z - centre)
    left = float(((z - centre) ** 2).sum() - (along**2).sum())  # squared length outside the directions
    free = max(1, len(z) - len(spread))
    seen = np.append(along, np.full(free, np.sqrt(max(left, 0.0) / free)))
    wider = surprise(seen, np.append(spread + rest, np.full(free, rest)), np.full(len(seen), 1.0 / n))
    spread, rest = wider * spread, wider * rest
    gain, gain_0 = (spread + rest) / (spread + rest + 1.0 / n), rest / (rest + 1.0 / n)
    moved = centre + gain_0 * (z - centre) + ((gain - gain_0) * along) @ directions
    loss = gain / n + (1.0 - gain) ** 2 * (spread + rest) / len(q)
    loss_0 = gain_0 / n + (1.0 - gain_0) ** 2 * rest / len(q)
    variance = loss_0 * (root**2).sum(axis=1) + ((directions @ root.T) ** 2 * (loss - loss_0)[:, None]).sum(axis=0)
    return root @ moved, variance


def from_elsewhere(
    k: int, well_known: np.ndarray, others: Mapping[int, np.ndarray], trust: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """What `low_rank` takes as `elsewhere`: effects of other corpora, times `trust`, in the gauge in which those of
    the classes `well_known` [J] have mean 0. None unless class k and three of those are among them. A class of
    `well_known` that they do not have counts as 0."""
    common = [int(j) for j in well_known if int(j) in others]
    if k not in others or len(common) < 3:
        return None
    zero = np.mean([others[j] for j in common], axis=0)
    theirs = [others[int(j)] - zero if int(j) in others else np.zeros_like(zero) for j in well_known]
    return trust * (others[k] - zero), trust * np.stack(theirs)
