"""What a corpus can show: the smallest difference in UAR that its test people reveal, and how many people it takes.

Both questions are those of a paired t-test over people, two-sided 5 %, 80 % power (statsmodels TTestPower). After a
study the spread between people is measured; before a run it follows from counts of samples and a stated prior.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from validators.trials.studies.compare import people_differences
from validators.trials.studies.grid import Group
from validators.trials.studies.resampling import NAN, Resampling
from validators.trials.studies.roles import Roles

POWER = 0.8
ALPHA = 0.05
POINTS = (1.0, 3.0, 5.0)  # of UAR
MOST_PEOPLE = 100_000  # beyond, the number of people is not stated


@dataclass(frozen=True, slots=True)
class Needed:
    """People that a difference of `points` of UAR needs; None: more than MOST_PEOPLE, or undefined."""

    points: float
    people: int | None


@dataclass(frozen=True, slots=True)
class Power:
    """Of one paired comparison. n_people: test people whose own UAR is defined. sd: between people, of the paired
    difference in points of UAR. smallest: points that n_people show with 80 % power. NaN with a reason where undefined.
    sentence: the same in words."""

    arm: str
    baseline: str
    classifier: str
    group: str
    n_people: int
    sd: float
    smallest: float
    needed: tuple[Needed, ...]
    sentence: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Prior:
    """What is assumed of two arms before anything ran.

    discordance: mean square over test samples of the difference in being right (-1, 0, 1), after averaging over seeds
    and conditions; of a single run the share of samples of which exactly one arm is right (McNemar's (b + c) / n).
    between_sd: standard deviation between people of the true difference in UAR (0.01 is a point), over what samples
    explain.

    Defaults: `benchmarks/study_power_prior.py`, the oracle against one class pruned to 10 %, averaged over 8 classes
    and 5 seeds; logistic regression on functionals of RAVDESS, actors 01-10, 5 folds. Class weights and oversampling
    differ less there (0.007 and 0.008). Of one run of one class and seed the discordance was 0.115 (oracle) and 0.057.
    """

    discordance: float = 0.012
    between_sd: float = 0.024

    def __post_init__(self) -> None:
        if not (0.0 <= self.discordance <= 1.0 and self.between_sd >= 0.0):
            raise ValueError(f"{self}: discordance lies in [0, 1], between_sd is not negative")


SINGLE_RUN = Prior(discordance=0.115)  # of one classifier, class and seed, as a run's own evaluation trains it


@dataclass(frozen=True, slots=True)
class Expectation:
    """What can be shown with these test people, before a run: as `Power`, of any two arms."""

    n_people: int
    people_known: bool
    sd: float
    smallest: float
    needed: tuple[Needed, ...]
    sentence: str
    reason: str = ""


def power_of(resampling: Resampling, roles: Roles, group: Group) -> tuple[Power, ...]:
    """Every arm against `roles.nothing`, of each classifier, from a finished study: spread of the units' own paired
    UAR differences, averaged over seeds and the conditions of the group."""
    grid, rows = resampling.grid, []
    for classifier, name in enumerate(grid.classifiers):
        for arm in grid.arms:
            if arm == roles.nothing:
                continue
            own = people_differences(resampling, (arm, roles.nothing), classifier, group)[:, 0]
            own = 100.0 * own[np.isfinite(own)]
            what = (arm, roles.nothing, name, group.name)
            word = unit_word(resampling)
            if len(own) < 2:
                reason = f"{len(own)} of {resampling.n_units} {word} show every class: nothing is known of their spread"
                rows.append(Power(*what, len(own), NAN, NAN, _needed(NAN), f"Power is undefined: {reason}.", reason))
                continue
            sd = float(own.std(ddof=1))
            if sd == 0.0:
                reason = f"all {len(own)} {word} differ by the same"
                rows.append(Power(*what, len(own), 0.0, NAN, _needed(NAN), f"Power is undefined: {reason}.", reason))
                continue
            smallest, needed = smallest_difference(sd, len(own)), _needed(sd)
            rows.append(Power(*what, len(own), sd, smallest, needed, sentence_of(len(own), smallest, needed, word)))
    return tuple(rows)


def expected_power(
    counts: np.ndarray, classes: Sequence[str], prior: Prior | None = None, *, people_known: bool = True
) -> Expectation:
    """Before a run, from counts alone. counts: [S, K] test samples of each person (or split unit) and class, over all
    folds. prior: None for the defaults.

    The difference in UAR is a mean over K classes of differences in recall, pooled over people. Its variance is
    discordance / K^2 x sum over classes of 1 / n_k, plus between_sd^2 x sum over people of w_s^2, w_s the mean over
    classes of the person's share of the class. Where no people are known, between_sd is taken as 0 and said so.

    Raises `ValueError` for counts of another shape or below 0.
    """
    prior = prior or Prior()
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape[1] != len(classes) or (counts < 0).any():
        raise ValueError(f"counts {counts.shape} of {len(classes)} classes: need [S, K], none below 0")
    counts = counts[counts.sum(1) > 0]
    n, of_class = len(counts), counts.sum(0)
    lacking = [name for name, of in zip(classes, of_class, strict=True) if of == 0]
    reason = ""
    if n == 0 or lacking:
        reason = "there is no test sample" if n == 0 else f"test holds no sample of {', '.join(lacking)}"
    elif n == 1:
        reason = "one person: whatever is measured holds for that person alone"
    if reason:
        return Expectation(n, people_known, NAN, NAN, _needed(NAN), f"Power is undefined: {reason}.", reason)
    share = (counts / of_class).mean(1)  # [S], adds up to 1
    within = prior.discordance / len(classes) ** 2 * float((1.0 / of_class).sum())
    between = prior.between_sd**2 * float((share**2).sum()) if people_known else 0.0
    sd = 100.0 * math.sqrt((within + between) * n)  # of one person: n of them give the variance above
    if sd == 0.0:
        reason = "the prior says that no two arms ever differ"
        return Expectation(n, people_known, 0.0, NAN, _needed(NAN), f"Power is undefined: {reason}.", reason)
    smallest, needed = smallest_difference(sd, n), _needed(sd)
    if people_known:
        return Expectation(n, True, sd, smallest, needed, sentence_of(n, smallest, needed, "people"))
    said = sentence_of(n, smallest, needed, "split units")
    return Expectation(n, False, sd, smallest, needed, f"{said} No people are known: how they differ is not in this.")


def unit_word(resampling: Resampling) -> str:
    """What is resampled: "people", "split units" where nobody is known, "groups of ..." where they are grouped."""
    whole = resampling.grid.confusion
    word = "people" if whole.people_known else "split units"
    return f"groups of {word}" if whole.grouped else word


@lru_cache(maxsize=4096)
def smallest_effect(n: int) -> float:
    """Standardised effect (d_z) that n people show: the root of TTestPower's power (`solve_power` fails for two or
    three people, where the noncentral t is NaN in places). Raises `ValueError` for n < 2."""
    from scipy.optimize import brentq

    if n < 2:
        raise ValueError(f"a paired test of {n} people: need 2 or more")
    return float(brentq(lambda d: _power(d, n) - POWER, 1e-6, 60.0))


def smallest_difference(sd: float, n: int) -> float:
    """Points that n people show with 80 % power where the paired difference has this sd (points) between people."""
    return sd * smallest_effect(n)


def people_needed(difference: float, sd: float) -> int | None:
    """Smallest number of people that show `difference` (both in points); None beyond MOST_PEOPLE. At least 2."""
    if not (sd > 0 and difference > 0):
        return None
    effect = difference / sd
    low, high = 2, MOST_PEOPLE
    if _power(effect, high) < POWER:
        return None
    while low < high:  # power grows with n
        middle = (low + high) // 2
        low, high = (low, middle) if _power(effect, middle) >= POWER else (middle + 1, high)
    return low


def sentence_of(n: int, smallest: float, needed: Sequence[Needed], word: str) -> str:
    """ "2 test people can show a difference of 9 points of UAR or more; for 3 points 14 are needed." """
    text = f"{n} test {word} can show a difference of {_short(smallest)} points of UAR or more"
    more = [each for each in needed if each.points < smallest]
    if not more:
        return f"{text}."
    asked = more[-1]
    people = f"more than {MOST_PEOPLE:,}" if asked.people is None else f"{asked.people:,}"
    return f"{text}; for {_short(asked.points)} point{'s' if asked.points != 1 else ''} {people} are needed."


def _needed(sd: float) -> tuple[Needed, ...]:
    return tuple(Needed(p, people_needed(p, sd) if math.isfinite(sd) else None) for p in POINTS)


@lru_cache(maxsize=65536)
def _power(effect: float, n: int) -> float:
    from statsmodels.stats.power import TTestPower

    value = float(TTestPower().power(effect, n, ALPHA))
    return value if math.isfinite(value) else _power_by_quadrature(effect, n)


def _power_by_quadrature(effect: float, n: int) -> float:
    """The same where scipy's noncentral t is NaN (few people, large effects): the mean over the standard deviation s
    that n people show of P(Z > c s - d sqrt(n)), c the critical value of t."""
    from scipy.stats import chi2, norm, t

    s = np.sqrt(chi2.ppf((np.arange(20_000) + 0.5) / 20_000, n - 1) / (n - 1))
    critical, shift = float(t.ppf(1.0 - ALPHA / 2, n - 1)), effect * math.sqrt(n)
    return float((norm.cdf(shift - critical * s) + norm.cdf(-shift - critical * s)).mean())


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:.0f}"
