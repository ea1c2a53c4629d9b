"""Intervals of what several raters say of several items: both are a sample of those who could be asked.

The bootstrap draws raters and items with replacement, independently, and weighs each answer by the product of how often
its rater and its item were drawn (Owen 2007, The pigeonhole bootstrap). It never understates the variance of a mean
over a crossed table, which resampling answers as if they were independent does. One rater, or one item, is kept as it
is: the interval then says nothing of others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval (NaN where it cannot be had) and the answers that it stands on."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over answers, one for each draw: [draws]. weight: of the answers that are there."""

    weight: np.ndarray
    total: np.ndarray


def drawn_weights(n_raters: int, n_items: int, seed: int, draws: int = DRAWS) -> tuple[np.ndarray, np.ndarray]:
    """-> how often each rater [draws + 1, R] and each item [draws + 1, I] was drawn; row 0 is the data as it is."""
    rng = np.random.default_rng(seed)

    def drawn(n: int) -> np.ndarray:
        if n < 2:
            return np.ones((draws + 1, n))
        times = rng.multinomial(n, np.full(n, 1.0 / n), size=draws).astype(np.float64)
        return np.concatenate([np.ones((1, n)), times])

    return drawn(n_raters), drawn(n_items)


def crossed(
    values: np.ndarray, parts: np.ndarray, statistic: Callable[[list[Sums]], np.ndarray], *, seed: int = 0
) -> Estimate:
    """values [R, I] float64, NaN: not answered; parts [I] int >= 0: which part an item belongs to (real, synthetic).
    `statistic`: sums of each part -> [draws]; NaN and infinities of a draw are left out of the interval.

    Raises ValueError for shapes that do not fit.
    """
    if values.ndim != 2 or parts.shape != values.shape[1:]:
        raise ValueError(f"values {values.shape}, parts {parts.shape}: need [R, I] and [I]")
    answered = np.isfinite(values)
    n_raters, n_items = values.shape
    of_raters, of_items = drawn_weights(n_raters, n_items, seed)
    there, said = answered.astype(np.float64), np.where(answered, values, 0.0)
    sums = []
    for part in range(int(parts.max(initial=-1)) + 1):
        own = parts == part
        items = of_items[:, own]
        sums.append(
            Sums(
                ((of_raters @ there[:, own]) * items).sum(axis=1),
                ((of_raters @ said[:, own]) * items).sum(axis=1),
            )
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = np.asarray(statistic(sums), dtype=np.float64)
    return estimate(float(drawn[0]), drawn[1:], int(answered.sum()))


def estimate(value: float, drawn: np.ndarray, n: int) -> Estimate:
    """The value with the central 95 % of what was drawn; an interval only where most draws have a value."""
    finite = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or finite.size < 0.9 * drawn.size:
        return Estimate(value, float("nan"), float("nan"), n)
    low, high = np.quantile(finite, [0.025, 0.975])
    return Estimate(value, float(low), float(high), n)


def mean(sums: list[Sums]) -> np.ndarray:
    """Of all parts together."""
    return np.asarray(sum(s.total for s in sums) / sum(s.weight for s in sums))


def difference(sums: list[Sums]) -> np.ndarray:
    """Mean of part 1 minus mean of part 0."""
    return sums[1].total / sums[1].weight - sums[0].total / sums[0].weight
