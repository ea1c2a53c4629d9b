"""Were the asked classes made at all? Judged over every candidate drawn, before any gate turned one away.

What was accepted agrees with the judges by construction, so a set of accepted samples cannot tell this: a generator
that ignores its condition passes at chance, and passes every measure that knows no labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from validators.gate import Estimate, Limit
from validators.intervals import wilson_interval

MIN_N = 20  # candidates of all classes
SHARE = 0.5  # of the way from chance to the recall on real people


def honoured(made: Mapping[str, np.ndarray], real: Mapping[str, np.ndarray]) -> tuple[Estimate, Limit]:
    """class -> [n] bool, the judges' first choice is the asked class; of candidates and of real held-out samples.

    -> mean recall over the classes that both have (UAR) with its 95 % interval, `floor` the same of real people, and
    the limit: halfway between chance and them. NaN with a reason where no class has both. Where the judges cannot be
    told from chance on real people, the interval is all of [0, 1], with a reason: a candidate cannot be blamed for what
    they do not hear.

    The interval is Wilson's at the effective number of candidates, K^2 / sum over classes of 1 / n_c: the variance of a
    mean of K proportions, with the mean in place of each (so it is never too narrow where classes are of one size).
    """
    names = [name for name in made if len(made[name]) and len(real.get(name, ()))]
    n = sum(len(made[name]) for name in names)
    n_real = sum(len(real[name]) for name in names)
    if not names:
        nan = math.nan
        return Estimate(nan, nan, nan, nan, n_real, n, "no class has judged candidates and real samples"), _limit(1)
    value = float(np.mean([np.mean(made[name]) for name in names]))
    floor = float(np.mean([np.mean(real[name]) for name in names]))
    chance, lowest = 1.0 / len(real), _interval(floor, [len(real[name]) for name in names])[0]
    if lowest <= chance:
        why = f"judges find {floor:.2f} of {n_real} real samples of these classes, chance is {chance:.2f}"
        return Estimate(value, 0.0, 1.0, floor, n_real, n, why), _limit(len(real))
    low, high = _interval(value, [len(made[name]) for name in names])
    return Estimate(value, low, high, floor, n_real, n), _limit(len(real))


def _interval(mean: float, sizes: list[int]) -> tuple[float, float]:
    """Of a mean of proportions of samples of these sizes."""
    effective = len(sizes) ** 2 / sum(1.0 / n for n in sizes)
    return wilson_interval(min(mean, 1.0) * effective, effective)


def _limit(n_classes: int) -> Limit:
    """chance + SHARE * (floor - chance), chance = 1 / number of classes that the judges may choose from."""
    return Limit(floor=SHARE, margin=(1 - SHARE) / max(n_classes, 1))
