"""Were the asked classes made at all? Judged over every candidate drawn, before any gate turned one away.

What was accepted agrees with the judges by construction, so a set of accepted samples cannot tell this: a generator
that ignores its condition passes at chance, and passes every measure that knows no labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from validators.gate import Estimate, Limit
from validators.intervals import Z95

MIN_N = 20  # candidates of all classes
SHARE = 0.5  # of the way from chance to the recall on real people


def honoured(made: Mapping[str, np.ndarray], real: Mapping[str, np.ndarray]) -> tuple[Estimate, Limit]:
    """class -> [n] bool, the judges' first choice is the asked class; of candidates and of real held-out samples.

    -> mean recall over the classes that both have (UAR) with its 95 % interval (Agresti & Coull 1998: two successes and
    two failures added to each class, so that a class of three samples is not held for certain), `floor` the same of
    real people, and the limit: halfway between chance and them. NaN with a reason where no class has both.
    """
    names = [name for name in made if len(made[name]) and len(real.get(name, ()))]
    n = sum(len(made[name]) for name in names)
    n_real = sum(len(real[name]) for name in names)
    if not names:
        nan = math.nan
        return Estimate(nan, nan, nan, nan, n_real, n, "no class has judged candidates and real samples"), _limit(1)
    value = float(np.mean([np.mean(made[name]) for name in names]))
    floor = float(np.mean([np.mean(real[name]) for name in names]))
    sizes = np.array([len(made[name]) + 4.0 for name in names])
    p = np.array([(np.sum(made[name]) + 2.0) for name in names]) / sizes
    half = Z95 * float(np.sqrt((p * (1 - p) / sizes).sum())) / len(names)
    centre = float(p.mean())
    low, high = min(value, centre - half), max(value, centre + half)
    return Estimate(value, max(0.0, low), min(1.0, high), floor, n_real, n), _limit(len(real))


def _limit(n_classes: int) -> Limit:
    """chance + SHARE * (floor - chance), chance = 1 / number of classes that the judges may choose from."""
    return Limit(floor=SHARE, margin=(1 - SHARE) / max(n_classes, 1))
