"""How an arm serves people of each kind: UAR by gender, age, language, subject, corpus, and the gap to the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from validators.trials.studies.answers import AS_IS, Study
from validators.trials.studies.compare import why_undefined
from validators.trials.studies.grid import Grid, Group, part_of
from validators.trials.studies.resampling import NAN, Interval, Resampling, interval_of

FEWEST_PEOPLE = 3  # of a slice; fewer are persons, not a kind of people
MOST_SUBJECTS = 60  # with more, they are not listed one by one
AGE_BANDS = ((0, 17), (18, 29), (30, 44), (45, 59), (60, 150))  # years, both ends in
UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Slice:
    """UAR of one arm and classifier over the samples of one kind of people, averaged over the group's conditions and
    seeds. n_people, n_samples: of the slice.

    to_complement: UAR of all other samples minus the slice's own, on the same resamples; above 0: the slice is served
    worse. to_best: of the best slice of the same attribute minus its own (optimistic: the best of several is luck).
    """

    attribute: str
    value: str
    arm: str
    classifier: str
    group: str
    n_people: int
    n_samples: int
    uar: Interval
    to_complement: Interval
    to_best: Interval


@dataclass(frozen=True, slots=True)
class Attribute:
    """One way to cut the study: value of each of its N samples."""

    name: str
    values: tuple[str, ...]


def attributes(study: Study) -> tuple[tuple[Attribute, ...], tuple[str, ...]]:
    """-> those that tell samples apart, and what is to be said of the others ("gender: not known")."""
    every = [
        Attribute("gender", tuple(value or UNKNOWN for value in study.genders)),
        Attribute("age", tuple(age_band(float(age)) for age in study.ages)),
        Attribute("language", tuple(value or UNKNOWN for value in study.languages)),
        Attribute("corpus", study.corpora),
        Attribute("subject", study.subjects),
    ]
    tested = np.unique(study.sample)
    kept, said = [], []
    for attribute in every:
        values = {attribute.values[i] for i in tested}
        if len(values) < 2:
            said.append(f"{attribute.name}: {next(iter(values), UNKNOWN)} throughout")
        elif attribute.name == "subject" and len(values) > MOST_SUBJECTS:
            said.append(f"subject: {len(values)}, too many to list")
        else:
            kept.append(attribute)
    return tuple(kept), tuple(said)


def age_band(age: float) -> str:
    """ "18-29", "60 and older", "not known" of NaN and of what is no age."""
    if not math.isfinite(age):
        return UNKNOWN
    for low, high in AGE_BANDS:
        if low <= age < high + 1:
            return f"{low} and older" if high == AGE_BANDS[-1][1] else f"{low}-{high}"
    return UNKNOWN


def slices(resampling: Resampling) -> tuple[tuple[Slice, ...], tuple[str, ...]]:
    """Of every arm and classifier: over `as is` where the study has it, else over each kind. -> slices, and what is to
    be said of attributes that cannot cut this study.

    A slice other than a subject with fewer than three people is undefined, as is one that lacks a class; a subject has
    a UAR without interval, since an interval is over people.
    """
    study = resampling.grid.study
    groups = slice_groups(resampling.grid)
    kept, said = attributes(study)
    rows = []
    for attribute in kept:
        values = np.array(attribute.values, dtype=object)
        tested = np.isin(np.arange(len(values)), study.sample)
        cut = [
            _Cut(resampling, attribute.name, value, (values == value) & tested, (values != value) & tested)
            for value in sorted(set(values[tested]))
        ]
        for group in groups:
            rows += _of_attribute(cut, group)
    return tuple(rows), said


def slice_groups(grid: Grid) -> tuple[Group, ...]:
    """The groups that slices are taken over: `as is`, or all kinds where the study has no such condition; where there
    is no kind either, every condition."""
    as_is = tuple(g for g in grid.groups if g.name == AS_IS)
    return as_is or tuple(g for g in grid.groups if g.is_kind) or grid.groups


def blocked(rows: Sequence[Slice], threshold: float) -> tuple[Slice, ...]:
    """Slices whose gap to the others is real and larger than `threshold` (in [0, 1]; 0.1 is 10 points): the whole
    interval of the gap lies above it. A slice without interval (a person, too few people) is never among them."""
    return tuple(row for row in rows if row.to_complement.low > threshold)


class _Cut:
    """One value of an attribute: its grid, its complement's, and its people."""

    def __init__(self, resampling: Resampling, attribute: str, value: str, own: np.ndarray, rest: np.ndarray) -> None:
        study = resampling.grid.study
        self.attribute, self.value = attribute, value
        self.n_samples = int(own.sum())
        self.n_people = len({study.subjects[i] for i in np.flatnonzero(own)})
        self.n_rest = len({study.subjects[i] for i in np.flatnonzero(rest)})
        alone = attribute == "subject"  # one person: nothing to resample
        self.own = resampling.with_grid(part_of(resampling.grid, own), estimate_alone=alone)
        self.rest = resampling.with_grid(part_of(resampling.grid, rest), estimate_alone=alone)

    def draws(self, side: Resampling, arm: str, classifier: int, group: Group) -> tuple[np.ndarray, str]:
        """[R + 1] UAR, and why it may be undefined."""
        draws = side.mean_over((arm,), classifier, group.conditions)[0, :, 0]
        return draws, why_undefined(side.grid, (arm,), classifier, group)

    @property
    def too_few(self) -> str:
        """Why this is no slice; "" where it is one."""
        if self.attribute == "subject" or self.n_people >= FEWEST_PEOPLE:
            return ""
        return f"{self.n_people} of at least {FEWEST_PEOPLE} people"


def _of_attribute(cut: Sequence[_Cut], group: Group) -> list[Slice]:
    grid, rows = cut[0].own.grid, []
    for classifier, name in enumerate(grid.classifiers):
        for arm in grid.arms:
            own = [each.draws(each.own, arm, classifier, group) for each in cut]
            usable = [n for n, each in enumerate(cut) if not each.too_few and math.isfinite(own[n][0][0])]
            best = max(usable, key=lambda n: own[n][0][0]) if usable else None
            for n, (each, (draws, why)) in enumerate(zip(cut, own, strict=True)):
                people = min(each.n_people, each.own.n_units)
                what = (each.attribute, each.value, arm, name, group.name, each.n_people, each.n_samples)
                if each.too_few:
                    rows.append(Slice(*what, *(Interval.undefined(each.too_few) for _ in range(3))))
                    continue
                rest, why_rest = each.draws(each.rest, arm, classifier, group)
                smaller = min(people, each.n_rest)
                said = why or why_rest
                to_best = Interval.undefined(why or "no slice is defined")
                if best is not None:
                    to_best = _to_best(draws, own[best][0], n == best, min(people, cut[best].n_people))
                rows.append(
                    Slice(
                        *what,
                        _interval(draws, people, why),
                        _interval(rest - draws, smaller, said and f"{said} (slice or complement)"),
                        to_best,
                    )
                )
    return rows


def _to_best(draws: np.ndarray, best: np.ndarray, itself: bool, people: int) -> Interval:
    if itself:
        return Interval(0.0, NAN, NAN, "the best slice itself")
    return _interval(best - draws, people, "undefined")


def _interval(draws: np.ndarray, people: int, why: str) -> Interval:
    """As `interval_of`, with the number of people of the smaller side; without ends below three people."""
    if people < FEWEST_PEOPLE and math.isfinite(draws[0]):
        return Interval(float(draws[0]), NAN, NAN, f"{people} {'person' if people == 1 else 'people'}: no interval")
    return interval_of(draws, people, why)
