"""Is the synthetic set a copy of its train set? Distances to train against distances to people that were held out.

All of it compares two questions asked of the same rows, so the scale of the features does not matter: how near is
train, and how near is a holdout of the same kind that no generator saw. With equally many rows of both, nearness to
train means no more than chance if the two answers agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpora.errors import UserError
from validators.maths.auc import auc, auc_interval
from validators.maths.intervals import wilson_interval
from validators.maths.kernel import squared_distances
from validators.maths.sets import blocks, checked_pair, finite, same_rows

_BLOCK = 1024  # rows compared at once
_KEPT = 200  # neighbours remembered; a resample misses all of them with a chance of 1e-80 at equal sizes
_CUTS, _RESAMPLES = 20, 200


@dataclass(frozen=True, slots=True)
class Share:
    """A share in [0, 1] with its 95 % interval, of n rows."""

    value: float
    low: float
    high: float
    n: int


class Near:
    """A reference [m, d], m >= 1, that others ask for their nearest rows, laid out once: they come in lists of a
    few."""

    def __init__(self, reference: np.ndarray) -> None:
        self._centre = reference.mean(axis=0)  # squares of differences from a near point lose fewer digits
        self._rows = reference - self._centre
        self._squares = (self._rows * self._rows).sum(axis=1)

    def __len__(self) -> int:
        return len(self._rows)

    def distances(self, x: np.ndarray, k: int) -> np.ndarray:
        """x [n, d] float64, 1 <= k <= m -> [n, k] distances to the k nearest rows, ascending."""
        distances = np.empty((len(x), k))
        for rows in blocks(len(x), _BLOCK):
            part = squared_distances(x[rows] - self._centre, self._rows, self._squares)
            distances[rows] = np.sqrt(np.sort(np.partition(part, k - 1, axis=1)[:, :k], axis=1))
        return distances


def nearest(x: np.ndarray, reference: np.ndarray, k: int = 1) -> np.ndarray:
    """x [n, d], reference [m, d] -> [n, k] distances to the k nearest rows, ascending. Raises `UserError` for m < k."""
    x, reference = checked_pair(x, reference)
    if len(reference) < k:
        raise UserError(f"{len(reference)} reference rows; at least {k} are needed")
    return Near(reference).distances(x, k)


def dcr_share(train: np.ndarray, holdout: np.ndarray, synthetic: np.ndarray, *, seed: int = 0) -> Share:
    """Share of synthetic rows that are nearer to train than to a holdout (distance to closest record). 0.5: no memory.

    Train and holdout are cut to equally many rows, for the larger set is nearer by chance; the share is the mean over
    such cuts, and rows that are equally near to both count half. The interval is a bootstrap over the rows of all three
    sets: a few holdout rows decide for many synthetic ones, which an interval over the latter alone would hide. NaN
    for fewer than 2 rows or values that are not finite.
    """
    train, synthetic = checked_pair(train, synthetic)
    holdout, _ = checked_pair(holdout, synthetic)
    nan, n = float("nan"), len(synthetic)
    size = min(len(train), len(holdout))
    if min(size, n) < 2 or not finite(train, holdout, synthetic):
        return Share(nan, nan, nan, n)
    rng = np.random.default_rng(seed)
    sides = [_neighbours(synthetic, reference) for reference in (train, holdout)]

    def share(weights: np.ndarray, *, again: bool) -> float:
        to_train, to_holdout = (_closest(side, _drawn(rng, len(side.order), size, again=again)) for side in sides)
        return float(weights @ ((to_train < to_holdout) + 0.5 * (to_train == to_holdout)) / weights.sum())

    value = float(np.mean([share(np.ones(n), again=False) for _ in range(_CUTS)]))
    resampled = [share(rng.multinomial(n, np.full(n, 1 / n)).astype(float), again=True) for _ in range(_RESAMPLES)]
    low, high = np.clip(value + np.quantile(resampled, [0.025, 0.975]) - np.mean(resampled), 0.0, 1.0)
    return Share(value, float(low), float(high), n)


@dataclass(frozen=True, slots=True)
class _Neighbours:
    """Rows of a reference in the order of nearness to each synthetic row, the first `_KEPT` of them."""

    which: np.ndarray  # [n, kept] int
    distance: np.ndarray  # [n, kept]
    order: np.ndarray  # [m], only its length is used


def _neighbours(x: np.ndarray, reference: np.ndarray) -> _Neighbours:
    kept = min(_KEPT, len(reference))
    centre = reference.mean(axis=0)
    x, reference = x - centre, reference - centre
    which, distance = np.empty((len(x), kept), np.int64), np.empty((len(x), kept))
    for rows in blocks(len(x), _BLOCK):
        part = squared_distances(x[rows], reference)
        near = np.argpartition(part, kept - 1, axis=1)[:, :kept]
        far = np.take_along_axis(part, near, axis=1)
        order = np.argsort(far, axis=1, kind="stable")
        which[rows] = np.take_along_axis(near, order, axis=1)
        distance[rows] = np.take_along_axis(far, order, axis=1)
    return _Neighbours(which, distance, np.arange(len(reference)))


def _drawn(rng: np.random.Generator, n: int, size: int, *, again: bool) -> np.ndarray:
    """[n] bool: `size` of n rows without replacement, or those that a resample of that size holds at least once."""
    chosen = np.zeros(n, bool)
    chosen[rng.integers(n, size=size) if again else rng.permutation(n)[:size]] = True
    return chosen


def _closest(side: _Neighbours, chosen: np.ndarray) -> np.ndarray:
    """[n] squared distance to the nearest chosen row; beyond the rows kept, the farthest of them stands in."""
    there = chosen[side.which]
    first = np.where(there.any(axis=1), there.argmax(axis=1), side.which.shape[1] - 1)
    return side.distance[np.arange(len(first)), first]


def nndr(train: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    """[m] distance to the nearest train row over the distance to the second nearest, in [0, 1]; near 0: a copy of one.

    Lowe 2004's ratio, as used for synthetic tables (Zhao et al. 2021, CTAB-GAN). Two equally near: 1.
    """
    two = nearest(synthetic, train, k=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = two[:, 0] / two[:, 1]
    return np.where(two[:, 1] == 0, 1.0, ratio)


def auth_pct(train: np.ndarray, synthetic: np.ndarray) -> Share:
    """Share of synthetic rows that are authentic: farther from their nearest train row than that one is from its own.

    Alaa et al. 2022, "How faithful is your synthetic data?", section 4.3 (authenticity A): a row is a copy if
    d(synthetic, r*) < d(r*, nearest other train row), r* the train row nearest to it. In [0, 1]. A copy of a train row
    that has an equal in train is neither (0 < 0): it is left out, and `n` counts the rest. NaN as above, or none left.
    """
    train, synthetic = checked_pair(train, synthetic)
    nan = float("nan")
    if len(train) < 2 or len(synthetic) == 0 or not finite(train, synthetic):
        return Share(nan, nan, nan, len(synthetic))
    point, of_synthetic = same_rows(train, synthetic)
    times = np.bincount(point, minlength=int(max(point.max(), of_synthetic.max())) + 1)
    synthetic = synthetic[times[of_synthetic] < 2]
    if len(synthetic) == 0:
        return Share(nan, nan, nan, 0)
    own = nearest(train, train, k=2)[:, 1]  # [:, 0] is the row itself
    own[times[point] > 1] = 0.0  # but for rounding
    authentic = 0
    for rows in blocks(len(synthetic), _BLOCK):
        part = squared_distances(synthetic[rows], train)
        closest = part.argmin(axis=1)
        authentic += int((np.sqrt(part[np.arange(len(part)), closest]) >= own[closest]).sum())
    low, high = wilson_interval(authentic, len(synthetic))
    return Share(authentic / len(synthetic), low, high, len(synthetic))


def membership_auc(train: np.ndarray, holdout: np.ndarray, synthetic: np.ndarray, *, k: int = 1) -> Share:
    """AUC of the attack "who is near a synthetic row was in train", with its interval. 0.5: it learns nothing.

    A real row's score is minus its mean distance to the k nearest synthetic rows (Chen et al. 2020, GAN-Leaks, the
    full-black-box attack, which needs no shadow model). `train` and `holdout` must be of one kind (the same corpus,
    other people), or the attack sees the difference between the two. NaN for fewer than 2 rows.
    """
    train, synthetic = checked_pair(train, synthetic)
    holdout, _ = checked_pair(holdout, synthetic)
    n, m = len(train), len(holdout)
    nan = float("nan")
    if min(n, m) < 2 or len(synthetic) < k or not finite(train, holdout, synthetic):
        return Share(nan, nan, nan, n + m)
    inside, outside = (-nearest(rows, synthetic, k).mean(axis=1) for rows in (train, holdout))
    area = auc(inside, outside)
    low, high = auc_interval(area, n, m)
    return Share(area, low, high, n + m)
