"""Intensity of emotion where the corpus rates none: relative attributes (Parikh & Grauman 2011, "Relative attributes",
ICCV; for speech Zhu et al. 2019, ASRU, and Zhou et al. 2022).

One linear ranker an emotion: a sample of the emotion scores above a neutral one by a margin of 1, two samples of one
class score alike. What scores higher than its class' others expresses more of what sets the emotion apart from neutral.
Scores are of rankers that never saw the sample's group, else each sample would sit at its own margin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from corpora.errors import UserError

FOLDS = 5
FEWEST = 4  # samples of a class
QUANTILES = (0.05, 0.95)  # of an emotion's scores: what counts as intensity 0 and 1
INVERSE_PENALTY = 10.0  # of the margin and the ties, against the squared length of the weights
MAX_STEPS = 500


@dataclass(frozen=True, slots=True)
class Ranker:
    """One emotion against neutral. mean, scale, weights: [D] float64; low, high: scores that are intensity 0 and 1."""

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    origin: float  # score of the mean neutral sample of train; taken off, so that 0 is neutral
    unit: float  # from there to the mean sample of the emotion
    low: float = 0.0
    high: float = 1.0

    def score(self, x: np.ndarray) -> np.ndarray:
        """[n, D] -> [n] float64; over what it was fitted to, 0 is the mean of neutral and 1 that of the emotion."""
        raw = (np.asarray(x, np.float64) - self.mean) / self.scale @ self.weights
        return np.asarray((raw - self.origin) / self.unit)

    def intensity(self, x: np.ndarray) -> np.ndarray:
        """[n, D] -> [n] float64 in [0, 1]."""
        return np.clip((self.score(x) - self.low) / (self.high - self.low), 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Ranked:
    """intensity: [N] float64 in [0, 1], of each sample by rankers that did not see its group; 1 for neutral, which has
    no degrees (and is what a draw asks for that says nothing of intensity).

    order_accuracy: of held-out pairs of an emotional and a neutral sample, the share that is ranked right (a tie counts
    half; 0.5 is chance): over all of the n_pairs, and by_emotion. rankers: of each emotion, fitted to everything.
    """

    intensity: np.ndarray
    order_accuracy: float
    n_pairs: int
    by_emotion: Mapping[str, float]
    rankers: Mapping[str, Ranker]


def rank_intensity(
    x: np.ndarray,
    emotions: Sequence[str],
    groups: Sequence[str],
    neutral: str = "neutral",
    *,
    folds: int = FOLDS,
    inverse_penalty: float = INVERSE_PENALTY,
) -> Ranked:
    """x [N, D] finite features of train samples, their emotions and groups -> `Ranked`.

    An emotion's scores of all folds together are scaled to [0, 1] between their 5 % and 95 % quantiles. Raises
    `UserError` ("no intensity to learn from") where no sample or every sample is neutral, where a class has fewer than
    4 samples or one group alone, and where held-out groups never have both an emotion and neutral.
    """
    values = np.asarray(x, np.float64)
    labels, people = np.asarray(emotions, str), np.asarray(groups, str)
    if values.ndim != 2 or not len(values) == len(labels) == len(people):
        raise UserError(f"features have shape {values.shape} for {len(labels)} emotions and {len(people)} groups")
    if not np.isfinite(values).all():
        raise UserError("features from which intensity is to be learned hold NaN or infinity")
    require_enough(labels, people, neutral)
    intensity, by_emotion, rankers = np.ones(len(values)), {}, {}
    right, n_pairs = 0.0, 0
    for emotion in sorted(set(labels.tolist()) - {neutral}):
        rows = np.flatnonzero((labels == emotion) | (labels == neutral))
        felt = labels[rows] == emotion
        scores, own_right, own_pairs = _crossfitted(values[rows], felt, people[rows], emotion, folds, inverse_penalty)
        low, high = np.quantile(scores[felt], QUANTILES)
        if not high > low:
            raise UserError(f"no intensity to learn from: every sample of {emotion!r} ranks alike; leave intensity out")
        whole = fit_ranker(values[rows], felt, inverse_penalty)
        rankers[emotion] = Ranker(
            whole.mean, whole.scale, whole.weights, whole.origin, whole.unit, float(low), float(high)
        )
        intensity[rows[felt]] = np.clip((scores[felt] - low) / (high - low), 0.0, 1.0)
        by_emotion[emotion] = own_right / own_pairs
        right, n_pairs = right + own_right, n_pairs + own_pairs
    return Ranked(intensity, right / n_pairs, n_pairs, MappingProxyType(by_emotion), MappingProxyType(rankers))


def require_enough(labels: np.ndarray, people: np.ndarray, neutral: str) -> None:
    """[N] classes and groups of train -> nothing. Raises `UserError` where labels and groups alone say that no ranker
    can be fitted and tried on held-out pairs (see `rank_intensity`)."""
    if neutral not in labels:
        raise UserError(
            f"no intensity to learn from: no sample is of class {neutral!r}, which the others are compared "
            f"with (classes: {', '.join(sorted(set(labels.tolist())))}). Name the neutral class or leave intensity out"
        )
    if len(set(labels)) < 2:
        raise UserError(f"no intensity to learn from: every sample is {neutral!r}; leave intensity out")
    for name in sorted(set(labels.tolist())):
        n, k = int((labels == name).sum()), len(set(people[labels == name]))
        if n < FEWEST or k < 2:
            raise UserError(
                f"no intensity to learn from: class {name!r} has {n} samples of {k} groups; wanted are at least "
                f"{FEWEST} samples and 2 groups. Drop the class or leave intensity out"
            )


def _crossfitted(
    x: np.ndarray, felt: np.ndarray, people: np.ndarray, emotion: str, folds: int, inverse_penalty: float
) -> tuple[np.ndarray, float, int]:
    """-> [n] scores of rankers that did not see the sample's group, pairs of held-out samples ranked right, pairs."""
    fold_of = _folds(people, felt, folds)
    scores, right, pairs = np.zeros(len(x)), 0.0, 0
    for fold in range(int(fold_of.max()) + 1):
        out = fold_of == fold
        ranker = fit_ranker(x[~out], felt[~out], inverse_penalty)
        scores[out] = ranker.score(x[out])
        above, below = scores[out & felt], np.sort(scores[out & ~felt])
        won = np.searchsorted(below, above, "left").sum() + np.searchsorted(below, above, "right").sum()
        right, pairs = right + 0.5 * float(won), pairs + len(above) * len(below)
    if pairs == 0:
        raise UserError(
            f"no intensity to learn from: no held-out groups have both {emotion!r} and neutral samples: "
            "nothing says whether the order is right; leave intensity out"
        )
    return scores, right, pairs


def _folds(people: np.ndarray, felt: np.ndarray, folds: int) -> np.ndarray:
    """[n] -> [n] int fold of each sample's group: large groups first, each to the fold that has least of the class that
    the group has most of. Every fold leaves samples of both kinds to learn from."""
    names, index = np.unique(people, return_inverse=True)
    counts = np.stack([np.bincount(index[felt == kind], minlength=len(names)) for kind in (False, True)], axis=1)
    folds = min(folds, *(int((counts[:, kind] > 0).sum()) for kind in (0, 1)))
    load, chosen = np.zeros((folds, 2)), np.zeros(len(names), np.int64)
    for group in np.argsort(-counts.sum(axis=1), kind="stable"):
        after = (load + counts[group]) / counts.sum(axis=0)
        # the fold whose larger share stays smallest; then the one with the fewest samples
        chosen[group] = np.lexsort((after.sum(axis=1), after.max(axis=1)))[0]
        load[chosen[group]] += counts[group]
    _require_both_left(load)
    return chosen[index]


def _require_both_left(load: np.ndarray) -> None:
    if ((load.sum(axis=0) - load) < 1).any():
        raise UserError(
            "no intensity to learn from: all samples of a class lie in one fold of groups; leave intensity out"
        )


def fit_ranker(x: np.ndarray, felt: np.ndarray, inverse_penalty: float = INVERSE_PENALTY) -> Ranker:
    """x [n, D], felt [n] bool (True: the emotion, False: neutral; both occur) -> `Ranker` not yet scaled to [0, 1].

    Minimises w.w / 2 + C (mean over ordered pairs of max(0, 1 - w.(x_i - x_j))^2 + mean over the pairs of one class of
    (w.(x_i - x_j))^2): equation 3 of Parikh & Grauman with means in place of sums, so that C means the same for any
    number of samples. Columns are standardised first.
    """
    from scipy.optimize import minimize

    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 1e-12 * max(1.0, float(np.abs(mean).max(initial=0.0))), scale, 1.0)
    z = (x - mean) / scale
    above, below = z[felt], z[~felt]
    # the mean squared difference of two draws from a class is twice its variance: ties need no pairs
    ties = [part - part.mean(axis=0) for part in (above, below)]

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin, to_above, to_below = pairwise_hinge(above @ w, below @ w)
        loss, slope = margin, above.T @ to_above + below.T @ to_below
        for part in ties:
            spread = part @ w
            loss += 2.0 * float(spread @ spread) / len(part)
            slope = slope + 4.0 * (part.T @ spread) / len(part)
        return 0.5 * float(w @ w) + inverse_penalty * loss, w + inverse_penalty * slope

    start = np.zeros(x.shape[1])
    weights = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": MAX_STEPS}).x
    origin, end = float((below @ weights).mean()), float((above @ weights).mean())
    unit = end - origin if end - origin > 1e-12 else 1.0  # nothing sets the two apart: all scores are 0
    return Ranker(mean, scale, weights, origin, unit)


def pairwise_hinge(above: np.ndarray, below: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scores [n] and [m] -> mean over all n m pairs of max(0, 1 - (above_i - below_j))^2, and its slopes [n] and [m].

    Sums over sorted scores: n log n instead of n m.
    """
    n, m = len(above), len(below)
    low, high = np.argsort(below), np.argsort(above)
    t, s = below[low], above[high]
    sums_t, squares_t, sums_s = (np.concatenate([[0.0], np.cumsum(v)]) for v in (t, t**2, s))
    first = np.searchsorted(t, above - 1.0, side="right")  # from here on, neutral scores are within the margin
    count, total = m - first, sums_t[-1] - sums_t[first]
    loss = count * (1.0 - above) ** 2 + 2.0 * (1.0 - above) * total + squares_t[-1] - squares_t[first]
    to_above = -2.0 * (count * (1.0 - above) + total)
    upto = np.searchsorted(s, below + 1.0, side="left")
    to_below = 2.0 * (upto * (1.0 + below) - sums_s[upto])
    return float(loss.sum()) / (n * m), to_above / (n * m), to_below / (n * m)
