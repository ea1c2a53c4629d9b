"""Can raters tell? Signal detection: d' and the criterion from hits and false alarms (Green and Swets 1966).

The log-linear correction (Hautus 1995) adds half an answer to each cell of the table, so that a perfect rater has a
finite d', and it is less biased than putting 1/(2n) in place of 0 alone.
"""

from __future__ import annotations

import numpy as np

from validators.maths.raters.crossed import Estimate, Sums, crossed

REAL, SYNTHETIC = 0, 1  # parts of the items


def rates(hits: np.ndarray, n_signal: np.ndarray, alarms: np.ndarray, n_noise: np.ndarray) -> tuple[np.ndarray, ...]:
    """Counts (may be weighted) -> corrected rates of hits and false alarms, in (0, 1)."""
    return (hits + 0.5) / (n_signal + 1.0), (alarms + 0.5) / (n_noise + 1.0)


def d_prime(hits: float, n_signal: float, alarms: float, n_noise: float) -> float:
    """`hits` of `n_signal` synthetic items called synthetic, `alarms` of `n_noise` real ones. 0: chance.

    Raises ValueError where there is no item of a kind, or more answers than items.
    """
    if not (0 <= hits <= n_signal and 0 <= alarms <= n_noise and n_signal > 0 and n_noise > 0):
        raise ValueError(f"{hits} hits of {n_signal}, {alarms} false alarms of {n_noise}")
    return float(_distance(*rates(*(np.asarray(x, np.float64) for x in (hits, n_signal, alarms, n_noise)))))


def _distance(hit_rate: np.ndarray, alarm_rate: np.ndarray) -> np.ndarray:
    from scipy.special import ndtri

    return np.asarray(ndtri(hit_rate) - ndtri(alarm_rate))


def _sensitivity(sums: list[Sums]) -> np.ndarray:
    real, made = sums
    drawn = _distance(*rates(made.total, made.weight, real.total, real.weight))
    return np.where((real.weight > 0) & (made.weight > 0), drawn, np.nan)


def _criterion(sums: list[Sums]) -> np.ndarray:
    from scipy.special import ndtri

    real, made = sums
    hit, alarm = rates(made.total, made.weight, real.total, real.weight)
    return np.where((real.weight > 0) & (made.weight > 0), -0.5 * (ndtri(hit) + ndtri(alarm)), np.nan)


def _correct(sums: list[Sums]) -> np.ndarray:
    real, made = sums
    return 0.5 * (made.total / made.weight + 1.0 - real.total / real.weight)


def sensitivity(called: np.ndarray, parts: np.ndarray, *, seed: int = 0) -> Estimate:
    """d' of raters together: called [R, I], 1: called synthetic, 0: called real, NaN: not asked; parts [I]: `REAL` or
    `SYNTHETIC`. Of counts over all raters: raters who know less pull it down, raters with other criteria too."""
    return crossed(called, parts, _sensitivity, seed=seed)


def criterion(called: np.ndarray, parts: np.ndarray, *, seed: int = 0) -> Estimate:
    """The bias c of raters together; above 0: they say "real" more than they should."""
    return crossed(called, parts, _criterion, seed=seed)


def share_correct(called: np.ndarray, parts: np.ndarray, *, seed: int = 0) -> Estimate:
    """Mean of the shares of real and of synthetic items that were called what they are; 0.5 is chance."""
    return crossed(called, parts, _correct, seed=seed)
