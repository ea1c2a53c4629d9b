"""Everything that a study says, from its tables alone: the one entry point of the statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from validators.trials.studies.answers import Study
from validators.trials.studies.compare import Difference, Line, differences, lines
from validators.trials.studies.gap import Gap, Share, gaps_and_shares
from validators.trials.studies.gates import GatePair, GateReading, GateValue, GateWorth, gate_values, gate_worths
from validators.trials.studies.grid import Grid, grid_of
from validators.trials.studies.power import Expectation, Power, expected_power, power_of, unit_word
from validators.trials.studies.resampling import NAN, Resampling
from validators.trials.studies.roles import Roles
from validators.trials.studies.scores import are_probabilities, brier, calibration_error
from validators.trials.studies.slices import Slice, slices
from validators.trials.studies.verdict import Evidence, Verdict, verdicts


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of all answers of one arm, classifier and condition. ece in [0, 1], brier in [0, 2]; NaN with a reason where the
    scores are no probabilities or there is no answer."""

    arm: str
    classifier: str
    condition: str
    n: int
    ece: float
    brier: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Cells that could not be computed: n of one arm, classifier, status and reason."""

    arm: str
    classifier: str
    status: str
    reason: str
    n: int


@dataclass(frozen=True, slots=True)
class About:
    """What the numbers are of. units: what is resampled ("people", "groups of split units", ...), n_units of them;
    n_subjects people or split units. n_cells: with status ok, of n_expected."""

    classes: tuple[str, ...]
    arms: tuple[str, ...]
    classifiers: tuple[str, ...]
    groups: tuple[str, ...]
    n_subjects: int
    people_known: bool
    n_units: int
    units: str
    n_samples: int
    n_cells: int
    n_expected: int
    n_seeds: int
    n_folds: int
    n_bootstrap: int
    seed: int


@dataclass(frozen=True, slots=True)
class StudySummary:
    """All statistics of a study. Frozen and of plain types throughout: `dataclasses.asdict` gives what JSON takes, but
    for NaN ("undefined"), which the caller turns into null.

    verdicts: one a group, the first is the study's. groups: conditions averaged over classes first, then each by
    itself. power: against `roles.nothing`, of the first group; expected: from counts and the default prior alone.
    single_conditions: those that belong to a kind. not_sliced: attributes that cannot cut this study, and why.
    """

    about: About
    roles: Roles
    single_conditions: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    lines: tuple[Line, ...]
    differences: tuple[Difference, ...]
    gaps: tuple[Gap, ...]
    shares: tuple[Share, ...]
    power: tuple[Power, ...]
    expected: Expectation
    slices: tuple[Slice, ...]
    not_sliced: tuple[str, ...]
    calibration: tuple[Calibration, ...]
    unusable: tuple[Unusable, ...]
    gate_worths: tuple[GateWorth, ...] = ()
    gate_values: tuple[GateValue, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The study's own: of its first group."""
        return self.verdicts[0]


def summarised(
    study: Study,
    roles: Roles,
    *,
    n_bootstrap: int,
    seed: int,
    pairs: Sequence[GatePair] = (),
    readings: Sequence[GateReading] = (),
) -> StudySummary:
    """All statistics of `study`. n_bootstrap: resamples (1,000 give ends that are stable to about a tenth of an
    interval's width); `seed` of them. pairs, readings: arms that differ in a gate, and what gates
    gave. The same tables give the same numbers, in whatever order their rows stand.

    Raises `UnknownNameError` where no arm is `roles.nothing`, `ValueError` for a study without answers, or of cells
    that cannot be paired (`grid.grid_of`).
    """
    roles.checked(study)
    if not len(study.sample):
        raise ValueError(f"a study of {len(study.cells)} cells without an answer: no cell has status ok")
    study = ordered(study)
    grid = grid_of(study)
    resampling = Resampling.of(grid, n_bootstrap, np.random.default_rng(seed))
    scored, differ = lines(resampling), differences(resampling, roles)
    gaps, shares = gaps_and_shares(resampling, roles)
    cut, not_sliced = slices(resampling)
    return StudySummary(
        about=_about(resampling, n_bootstrap, seed),
        roles=roles,
        single_conditions=tuple(grid.conditions[n] for g in grid.groups if g.is_kind for n in g.conditions),
        verdicts=verdicts(grid, roles, Evidence(scored, differ, gaps, shares, n_bootstrap)),
        lines=scored,
        differences=differ,
        gaps=gaps,
        shares=shares,
        power=power_of(resampling, roles, grid.groups[0]),
        expected=expected_power(samples_of_people(grid), study.classes, people_known=grid.confusion.people_known),
        slices=cut,
        not_sliced=not_sliced,
        calibration=calibration(grid),
        unusable=unusable(study),
        gate_worths=gate_worths(resampling, pairs, readings),
        gate_values=gate_values(resampling, roles, readings),
    )


def ordered(study: Study) -> Study:
    """The same study with its rows in the one order that depends on nothing but their content."""
    cells = sorted(
        range(len(study.cells)),
        key=lambda n: (
            *(getattr(study.cells[n], axis) for axis in ("arm", "classifier", "condition", "seed", "fold")),
            study.cells[n].cell,
        ),
    )
    samples = sorted(range(len(study.sample_ids)), key=lambda n: study.sample_ids[n])
    new_cell, new_sample = np.argsort(cells), np.argsort(samples)
    cell, sample = new_cell[study.cell], new_sample[study.sample]
    rows = np.lexsort((sample, cell))
    return Study(
        classes=study.classes,
        cells=tuple(study.cells[n] for n in cells),
        cell=cell[rows],
        sample=sample[rows],
        target=study.target[rows],
        answer=study.answer[rows],
        scores=study.scores[rows],
        sample_ids=tuple(study.sample_ids[n] for n in samples),
        subjects=tuple(study.subjects[n] for n in samples),
        corpora=tuple(study.corpora[n] for n in samples),
        genders=tuple(study.genders[n] for n in samples),
        ages=study.ages[samples],
        languages=tuple(study.languages[n] for n in samples),
    )


def samples_of_people(grid: Grid) -> np.ndarray:
    """[S, K] test samples of each subject and class, each sample once."""
    study = grid.study
    subject, names = study.subject_of_answer()
    _, first = np.unique(study.sample, return_index=True)
    counts = np.zeros((len(names), len(study.classes)), np.int64)
    np.add.at(counts, (subject[first], study.target[first]), 1)
    return counts


def calibration(grid: Grid) -> tuple[Calibration, ...]:
    """Of every arm, classifier and condition that has an answer, over all its folds and seeds."""
    study, rows = grid.study, []
    starts = np.searchsorted(study.cell, np.arange(len(study.cells) + 1))
    for a, arm in enumerate(grid.arms):
        for f, classifier in enumerate(grid.classifiers):
            for n, condition in enumerate(grid.conditions):
                own = grid.place[a, f, n][grid.ok[a, f, n]]
                at = np.concatenate([np.arange(starts[c], starts[c + 1]) for c in own] or [np.zeros(0, int)])
                if not len(at):
                    continue
                scores = study.scores[at]
                if scores.shape[1] != len(study.classes) or not are_probabilities(scores):
                    why = "scores are no probabilities"
                    rows.append(Calibration(arm, classifier, condition, len(at), NAN, NAN, why))
                    continue
                ece = calibration_error(scores, study.answer[at], study.target[at])
                rows.append(Calibration(arm, classifier, condition, len(at), ece, brier(scores, study.target[at])))
    return tuple(rows)


def unusable(study: Study) -> tuple[Unusable, ...]:
    """Cells whose status is not ok, by arm, classifier, status and reason."""
    counts = Counter((c.arm, c.classifier, c.status, c.reason) for c in study.cells if c.status != "ok")
    return tuple(Unusable(*key, n) for key, n in sorted(counts.items()))


def _about(resampling: Resampling, n_bootstrap: int, seed: int) -> About:
    grid = resampling.grid
    whole, study = grid.confusion, grid.study
    return About(
        classes=study.classes,
        arms=grid.arms,
        classifiers=grid.classifiers,
        groups=tuple(group.name for group in grid.groups),
        n_subjects=len(whole.subjects),
        people_known=whole.people_known,
        n_units=whole.n_units,
        units=unit_word(resampling),
        n_samples=len(np.unique(study.sample)),
        n_cells=int(grid.ok.sum()),
        n_expected=len(grid.arms) * int(grid.expected.sum()),
        n_seeds=len(grid.seeds),
        n_folds=len(grid.folds),
        n_bootstrap=n_bootstrap,
        seed=seed,
    )
