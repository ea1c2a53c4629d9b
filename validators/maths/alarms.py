"""What four ways of going wrong do to a batch: too few kinds, no fine detail, weak emotions, copies. Arrays alone.

Each number is a ratio of synthetic to real at equal sizes (1: as real), so it has no unit, and stands beside the same
of real people against other real people (halves that share no group). Each looks where the others do not: collapse at
how many different rows there are, over-smoothing at the level of fine detail in rows that are different, loss of
intensity at where the class lies, copies at the distance to train.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from validators.maths.diversity import vendi_score
from validators.maths.intervals import wilson_interval
from validators.maths.kernel import squared_distances

MOST = 64  # rows of a class in one matched set: a Vendi score takes n^3
SAME = 0.2  # of the typical distance of a real row to the nearest of another group: rows nearer than this are one
BOOTSTRAP = 400
LEVEL = 0.05  # of the intervals of one alarm, all its classes together
ALL = "all"


@dataclass(frozen=True, slots=True)
class Reading:
    """value: synthetic over real (of copies: a share), low, high: its 95 % interval; floor: the same, real against
    real. n_real, n_synthetic: rows that were compared. NaN: no number, `reason` says why."""

    value: float
    low: float
    high: float
    floor: float
    n_real: int
    n_synthetic: int
    reason: str = ""


@dataclass(frozen=True)
class Labelled:
    """Rows of one side. labels: [n] class names; groups: [n] names of people (of synthetic rows: rows that are one and
    the same share a group)."""

    labels: np.ndarray
    groups: np.ndarray

    def of(self, name: str) -> np.ndarray:
        """Indices of the rows of a class."""
        return np.flatnonzero(self.labels == name)


def no_reading(n_real: int, n_synthetic: int, reason: str) -> Reading:
    """Nothing can be said."""
    return Reading(math.nan, math.nan, math.nan, math.nan, n_real, n_synthetic, reason)


def one_and_the_same(x: np.ndarray, typical: float) -> np.ndarray:
    """[n, d] rows, typical real distance -> [n] numbers, equal where a row lies within SAME x typical of the first of
    its number: a batch of 100 rows that shows 3 things has 3."""
    reach, first = (SAME * typical) ** 2, np.zeros((0, x.shape[1]))
    numbers = np.empty(len(x), np.int64)
    for i, row in enumerate(x):
        near = ((first - row) ** 2).sum(axis=1) if len(first) else np.zeros(0)
        if near.size and near.min() <= reach:
            numbers[i] = near.argmin()
        else:
            numbers[i] = len(first)
            first = np.concatenate([first, row[None]])
    return numbers


def typical_distance(x: np.ndarray, groups: np.ndarray) -> float:
    """[n, d] real rows -> median distance to the nearest row of another group (of another row, in a single group); 0
    where there is none."""
    alone = len(np.unique(groups)) < 2
    numbers = np.arange(len(x)) if alone else np.unique(groups, return_inverse=True)[1]
    distances = squared_distances(x, x)
    distances[numbers[:, None] == numbers[None]] = np.inf
    nearest = distances.min(axis=1)
    nearest = nearest[np.isfinite(nearest)]
    return float(np.sqrt(np.median(nearest))) if nearest.size else 0.0


def modes(x: np.ndarray, scale: float) -> float:
    """[n, d] -> log of the Vendi score with a Gaussian kernel of half the width `scale`: how many different rows there
    are, whatever way they lie from the middle."""
    return math.log(vendi_score(x, kernel="rbf", scale=scale / 2))


def collapse(
    synthetic: Labelled,
    real: Labelled,
    halves: Iterable[np.ndarray],
    count: Callable[[bool, np.ndarray], float],
    classes: Sequence[str],
    *,
    least: int,
    seed: int,
) -> dict[str, Reading]:
    """How many different rows the batch has, over as many real ones: "all" and each class of `classes`.

    halves: masks [n_real] of group-disjoint halves; count(is_synthetic, rows) -> log of how many different rows there
    are among them. A matched set has as many rows as half of the synthetic ones, at most `MOST`. "all": the geometric
    mean over classes. A class with fewer than `least` rows on a side has no number.
    """
    from scipy.stats import norm

    rng = np.random.default_rng(seed)
    masks = list(halves)
    logs: dict[str, np.ndarray] = {}
    out: dict[str, Reading] = {}
    for name in classes:
        of_s, of_r = synthetic.of(name), real.of(name)
        if why := _lacking(name, len(of_s), len(of_r), real, least):
            out[name] = no_reading(len(of_r), len(of_s), why)
            continue
        rows = []
        for mask in masks:
            a, b = of_r[mask[of_r]], of_r[~mask[of_r]]
            m = min(len(a), len(b), (len(of_s) + 1) // 2, MOST)
            if m >= 2:
                s = count(True, rng.choice(of_s, m, replace=False))
                rows.append((s, *(count(False, rng.choice(part, m, replace=False)) for part in (a, b))))
        if len(rows) < len(masks) / 2:
            out[name] = no_reading(len(of_r), len(of_s), f"too few real people of {name} for two halves")
            continue
        logs[name] = np.asarray(rows)
    z = float(norm.ppf(1 - LEVEL / (2 * max(len(logs), 1))))
    for name, of_class in logs.items():
        out[name] = _of_logs(of_class, z, len(real.of(name)), len(synthetic.of(name)))
    if logs:
        size = min(map(len, logs.values()))
        mean = np.mean([of_class[:size] for of_class in logs.values()], axis=0)
        n_real, n = (sum(len(side.of(name)) for name in logs) for side in (real, synthetic))
        out[ALL] = _of_logs(mean, float(norm.ppf(1 - LEVEL / 2)), n_real, n)
    return out


def _of_logs(logs: np.ndarray, z: float, n_real: int, n_synthetic: int) -> Reading:
    """[R, 3] of S, A, B -> S over the mean of both halves; the interval is that of S - A over the repeats."""
    middle = float((logs[:, 0] - logs[:, 1:].mean(axis=1)).mean())
    half = z * float((logs[:, 0] - logs[:, 1]).std())
    floor = math.exp(float((logs[:, 2] - logs[:, 1]).mean()))
    value, low, high = (math.exp(v) for v in (middle, middle - half, middle + half))
    return Reading(value, low, high, floor, n_real, n_synthetic)


def level_ratio(
    synthetic: Labelled,
    real: Labelled,
    levels: tuple[np.ndarray, np.ndarray],
    classes: Sequence[str],
    *,
    least: int,
    seed: int,
    together: int = 1,
) -> dict[str, Reading]:
    """Level of detail of the batch over that of real rows: "all" and each class. levels: [n_synthetic], [n_real] >= 0
    of each row, such as the power of its high frequencies.

    A ratio of means, with a bootstrap of groups on both sides (synthetic rows that are one and the same are one group),
    95 % for all classes of `together` such measures. floor: 1, the mean over the bootstrap of real over real. "all":
    the geometric mean over classes. Fewer than `least` synthetic groups: no number, for then the batch shows too few
    things to tell.
    """
    rng = np.random.default_rng(seed)
    means, logs, out = {}, {}, {}
    for name in classes:
        of_s, of_r = synthetic.of(name), real.of(name)
        kinds = len(np.unique(synthetic.groups[of_s]))
        if why := _lacking(name, kinds, len(of_r), real, least, "different synthetic"):
            out[name] = no_reading(len(of_r), kinds, why)
            continue
        s = _means(levels[0][of_s], synthetic.groups[of_s], rng)
        r = _means(levels[1][of_r], real.groups[of_r], rng)
        if not (r > 0).all():
            out[name] = no_reading(len(of_r), kinds, f"real samples of {name} have nothing of it")
            continue
        with np.errstate(divide="ignore"):
            logs[name] = np.log(s) - np.log(r)
        means[name] = (len(of_r), kinds)
    tail = LEVEL / (2 * max(len(logs), 1) * together)
    for name, of_class in logs.items():
        out[name] = _of_bootstrap(of_class, tail, *means[name])
    if logs:
        sizes = np.sum(list(means.values()), axis=0).tolist()
        out[ALL] = _of_bootstrap(np.mean(list(logs.values()), axis=0), LEVEL / (2 * together), *sizes)
    return out


def _means(values: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[n] -> [1 + BOOTSTRAP] means, the first of the data as they are, the others of groups drawn with replacement."""
    _, of_row, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    sums = np.bincount(of_row, values)
    counts = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=BOOTSTRAP)
    again: np.ndarray = (counts @ sums) / (counts @ sizes)
    return np.concatenate([[values.mean()], again])


def _of_bootstrap(logs: np.ndarray, tail: float, n_real: int, n_synthetic: int) -> Reading:
    low, high = np.quantile(logs[1:], [tail, 1 - tail])
    value, low, high = (float(np.exp(v)) for v in (logs[0], low, high))
    return Reading(value, low, high, 1.0, n_real, n_synthetic)


def strength(
    synthetic: tuple[np.ndarray, Labelled],
    real: tuple[np.ndarray, Labelled],
    halves: Iterable[np.ndarray],
    classes: Sequence[str],
    *,
    least: int,
    seed: int,
) -> dict[str, Reading]:
    """How far the batch goes towards each class, over how far real people go: points [n, d] and their labels.

    The direction of a class (Fisher's, with a shrunk covariance) comes from one half A of the real groups; the other
    half B says how far real people lie along it from the mean of the other classes, and S is measured from there too.
    1: as far as real people; 0: at the middle of the others; the interval is that of S - B over the repeats. A class
    of which real people go nowhere that A and B agree on has no number. "all": the mean over classes.
    """
    from scipy.stats import norm

    (x_s, labelled_s), (x_r, labelled_r) = synthetic, real
    rng = np.random.default_rng(seed)
    out: dict[str, Reading] = {}
    shifts: dict[str, list[tuple[float, float]]] = {}
    for name in classes:
        kinds = len(np.unique(labelled_s.groups[labelled_s.of(name)]))
        n_real = len(labelled_r.of(name))
        why = _lacking(name, kinds, n_real, labelled_r, least, "different synthetic")
        why = why or (
            "" if len(np.unique(labelled_r.labels)) > 1 else "there is one class alone: nothing to differ from"
        )
        if why:
            out[name] = no_reading(n_real, kinds, why)
        else:
            shifts[name] = []
    for mask in halves:
        for name in shifts:
            pair = _shift(x_r, labelled_r, mask, name)
            if pair is None:
                continue
            direction, origin, of_b = pair
            of_s = labelled_s.of(name)
            of_s = of_s[np.unique(labelled_s.groups[of_s], return_index=True)[1]]  # each thing once
            of_s = rng.choice(of_s, (len(of_s) + 1) // 2, replace=False)
            shifts[name].append((float((x_s[of_s] @ direction).mean() - origin), of_b))
    lying_apart = {}
    for name, rows in shifts.items():
        pairs = np.asarray(rows).reshape(-1, 2)
        n_real, kinds = len(labelled_r.of(name)), len(np.unique(labelled_s.groups[labelled_s.of(name)]))
        if len(pairs) < 2 or pairs[:, 1].mean() <= 2 * pairs[:, 1].std():
            out[name] = no_reading(n_real, kinds, f"real people of {name} do not lie apart from the other classes")
        else:
            lying_apart[name] = (pairs / pairs[:, 1].mean(), n_real, kinds)
    z = float(norm.ppf(1 - LEVEL / (2 * max(len(lying_apart), 1))))
    for name, (pairs, n_real, kinds) in lying_apart.items():
        out[name] = _of_shifts(pairs, z, n_real, kinds)
    if lying_apart:
        size = min(len(pairs) for pairs, _, _ in lying_apart.values())
        mean = np.mean([pairs[:size] for pairs, _, _ in lying_apart.values()], axis=0)
        n_real, kinds = (sum(entry[k] for entry in lying_apart.values()) for k in (1, 2))
        out[ALL] = _of_shifts(mean, float(norm.ppf(1 - LEVEL / 2)), n_real, kinds)
    return out


def _shift(x: np.ndarray, labelled: Labelled, mask: np.ndarray, name: str) -> tuple[np.ndarray, float, float] | None:
    """-> direction [d] of the class by half A (mask), where B's other classes lie along it, and how far B's class lies
    from there. None where a half lacks the class."""
    others = [c for c in np.unique(labelled.labels) if c != name]
    parts: dict[tuple[str, bool], np.ndarray] = {}
    for label in (name, *others):
        for half in (True, False):
            parts[label, half] = x[(labelled.labels == label) & (mask == half)]
    if min(len(parts[name, True]), len(parts[name, False])) < 2:
        return None
    rest = {half: [parts[c, half] for c in others if len(parts[c, half]) >= 2] for half in (True, False)}
    if not rest[True] or not rest[False]:
        return None
    own = parts[name, True]
    within = np.concatenate([p - p.mean(axis=0) for p in (own, *rest[True])])
    cov = within.T @ within / max(len(within) - 1 - len(rest[True]), 1)
    cov += (0.1 * np.trace(cov) / len(cov) + 1e-12) * np.eye(len(cov))
    direction = np.linalg.solve(cov, own.mean(axis=0) - np.mean([p.mean(axis=0) for p in rest[True]], axis=0))
    direction /= max(float(np.linalg.norm(direction)), 1e-12)
    origin = float(np.mean([p.mean(axis=0) for p in rest[False]], axis=0) @ direction)
    return direction, origin, float(parts[name, False].mean(axis=0) @ direction) - origin


def _of_shifts(pairs: np.ndarray, z: float, n_real: int, n_synthetic: int) -> Reading:
    value, half = float(pairs[:, 0].mean()), z * float((pairs[:, 0] - pairs[:, 1]).std())
    return Reading(value, value - half, value + half, float(pairs[:, 1].mean()), n_real, n_synthetic)


def copied(scores: np.ndarray, real: np.ndarray, limit: float) -> Reading:
    """[m] distances of synthetic rows to the nearest train row, [n] of real rows to the nearest of other people, both
    over the typical real one -> share of synthetic rows below `limit`, with its 95 % interval (Wilson), and the share
    of real ones as floor. NaN scores have no say."""
    scores, real = scores[np.isfinite(scores)], real[np.isfinite(real)]
    if not scores.size or not real.size:
        return no_reading(real.size, scores.size, "no sample has a distance to train")
    near = int((scores < limit).sum())
    low, high = wilson_interval(near, scores.size)
    return Reading(near / scores.size, low, high, float((real < limit).mean()), real.size, scores.size)


def chance_of_copies(real: Reading) -> float:
    """The largest share that real people can be said to have: the upper end of the floor's interval (Wilson)."""
    return wilson_interval(round(real.floor * real.n_real), real.n_real)[1]


def _lacking(name: str, n: int, n_real: int, real: Labelled, least: int, of: str = "synthetic") -> str:
    groups = len(np.unique(real.groups[real.of(name)]))
    for have, what in ((n, of), (n_real, "real")):
        if have < least:
            return f"{name}: {have} {what} sample{'' if have == 1 else 's'}; {least} are needed"
    return "" if groups >= 2 else f"{name}: real samples of a single group"


def worst(readings: Mapping[str, Reading]) -> list[str]:
    """Groups that have a number, "all" first, then classes from the smallest value."""
    known = [name for name, reading in readings.items() if not reading.reason]
    return sorted(known, key=lambda name: (name != ALL, readings[name].value))
