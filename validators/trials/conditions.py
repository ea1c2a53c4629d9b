"""Were the asked classes made at all? Judged over every candidate drawn, before any gate rejected one.

What was accepted agrees with the judges by construction, so a set of accepted samples cannot tell this: a generator
that ignores its condition passes at chance, and passes every measure that knows no labels.

All classes together hide one that is never made, and judges that do not hear a class on real people can say nothing of
it: so each class is judged on its own as well, or has a reason why it cannot be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy.stats import norm

from validators.gate import Estimate, Fault, Limit, judge
from validators.maths.chance import UNJUDGED, above_chance, interval_of_mean, unheard
from validators.maths.intervals import wilson_interval

MIN_N = 20  # candidates of all classes
MIN_N_CLASS = 8  # of one
SHARE = 0.5  # of the way from chance to the recall on real people


def honoured(candidates: Mapping[str, np.ndarray], real: Mapping[str, np.ndarray]) -> tuple[Estimate, Limit]:
    """class -> [n] bool, the judges' first choice is the asked class; of candidates and of real held-out samples.

    -> mean recall over the classes that both have (UAR) with its 95 % interval, `floor` the same of real people, and
    the limit: halfway between chance and them. NaN with a reason where no class has both. Where the judges are
    no better than chance on real people, the interval is all of [0, 1], with a reason: a candidate cannot be blamed for
    what they do not hear.

    The interval is Wilson's at the effective number of candidates, K^2 / sum over classes of 1 / n_c: the variance of a
    mean of K proportions, with the mean in place of each (so it is never too narrow where classes are of one size).
    """
    names = [name for name in candidates if len(candidates[name]) and len(real.get(name, ()))]
    n = sum(len(candidates[name]) for name in names)
    n_real = sum(len(real[name]) for name in names)
    if not names:
        nan = math.nan
        why = "no class has judged candidates and real samples"
        return Estimate(nan, nan, nan, nan, n_real, n, why, "reference"), _limit(1)
    value = float(np.mean([np.mean(candidates[name]) for name in names]))
    floor = float(np.mean([np.mean(real[name]) for name in names]))
    chance = 1.0 / len(real)
    if not all(above_chance({name: real[name] for name in some if len(real[name])}, chance) for some in (names, real)):
        why = f"judges find {floor:.2f} of {n_real} real samples of these classes, chance is {chance:.2f}"
        return Estimate(value, 0.0, 1.0, floor, n_real, n, why), _limit(len(real))
    low, high = interval_of_mean(value, [len(candidates[name]) for name in names])
    return Estimate(value, low, high, floor, n_real, n), _limit(len(real))


def honoured_by_class(
    candidates: Mapping[str, np.ndarray], real: Mapping[str, np.ndarray]
) -> dict[str, tuple[Estimate, Limit]]:
    """As `honoured`, for each class that has candidates: recall, its interval (Wilson; all classes' hold together:
    Bonferroni) and the limit, halfway between chance and the recall on real people of the class. No verdict can rest
    on the number of a class that `unheard` names: `fault` says so."""
    deaf = unheard(real)
    drawn = [name for name in candidates if len(candidates[name])]
    z = float(norm.ppf(1.0 - 0.05 / (2 * max(len(drawn), 1))))
    estimates = {}
    for name in drawn:
        v, heard = np.asarray(candidates[name], dtype=bool), np.asarray(real.get(name, ()), dtype=bool)
        value, floor = float(v.mean()), float(heard.mean()) if heard.size else math.nan
        low, high = wilson_interval(float(v.sum()), v.size, z)
        why = deaf.get(name, "") if heard.size else f"{UNJUDGED}: no real sample of {name} was heard by judges"
        fault: Fault = "reference" if why else ""
        estimates[name] = Estimate(value, low, high, floor, heard.size, v.size, why, fault), _limit(len(real))
    return estimates


def agrees(score: float | None) -> bool:
    """The asked class is the judges' first choice: a score of a gate that `tells_class` (validators/gate.py) is 1."""
    return score is not None and math.isfinite(score) and score >= 1.0


def not_honoured(candidates: Mapping[str, np.ndarray], real: Mapping[str, np.ndarray]) -> dict[str, Estimate]:
    """As `honoured_by_class`, of the classes alone whose verdict is fail: surely nearer to chance than to people."""
    failed = {}
    for name, (estimate, limit) in honoured_by_class(candidates, real).items():
        verdict, _ = judge(estimate, limit=limit.resolve_floor(estimate), min_n=MIN_N_CLASS, better="higher")
        if verdict == "fail":
            failed[name] = estimate
    return failed


def _limit(n_classes: int) -> Limit:
    """chance + SHARE * (floor - chance), chance = 1 / number of classes that the judges may choose from."""
    return Limit(floor=SHARE, margin=(1 - SHARE) / max(n_classes, 1))
