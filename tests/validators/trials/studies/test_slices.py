"""Slices: UAR of a part of the people, its gap to the others, and what is too small to be one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import recall_score

from tests.validators.trials.studies.simulated import AS_IS, BASELINES, Plan, keep_answers, simulated
from validators.trials.studies.answers import Study
from validators.trials.studies.grid import grid_of
from validators.trials.studies.resampling import Resampling
from validators.trials.studies.slices import Slice, age_band, blocked, slices

PLAN = Plan(BASELINES, people=16, conditions=(AS_IS,))


def sliced(study: Study) -> tuple[dict[tuple[str, str, str], Slice], tuple[str, ...]]:
    rows, said = slices(Resampling.of(grid_of(study), 200, np.random.default_rng(0)))
    return {(s.attribute, s.value, s.arm): s for s in rows}, said


def worse_for_men(study: Study) -> Study:
    """Half of the answers about men are wrong in addition."""
    male = np.array([g == "male" for g in study.genders])[study.sample]
    spoilt = male & (np.random.default_rng(0).uniform(size=len(male)) < 0.5)
    return replace(study, answer=np.where(spoilt, (study.target + 1) % 4, study.answer))


STUDY = worse_for_men(simulated(PLAN, 1))


def test_uar_of_a_slice_and_its_gap_are_the_plain_ones() -> None:
    rows, said = sliced(STUDY)
    own = {}
    for gender in ("male", "female"):
        of_seeds = []
        for seed in (0, 1):
            cells = [n for n, c in enumerate(STUDY.cells) if c.arm == "nothing" and c.seed == seed]
            at = np.isin(STUDY.cell, cells) & (np.array(STUDY.genders)[STUDY.sample] == gender)
            of_seeds.append(recall_score(STUDY.target[at], STUDY.answer[at], average="macro"))
        own[gender] = np.mean(of_seeds)
    men = rows["gender", "male", "nothing"]
    assert men.uar.value == pytest.approx(own["male"]) and (men.n_people, men.n_samples) == (8, 192)
    assert men.to_complement.value == pytest.approx(own["female"] - own["male"])
    assert men.to_complement.low > 0 and men.to_best.value == pytest.approx(men.to_complement.value)
    assert rows["gender", "female", "nothing"].to_best.value == 0.0
    assert "corpus: simulated throughout" in said and "language: en throughout" in said


def test_blocked_needs_the_whole_interval() -> None:
    rows, _ = slices(Resampling.of(grid_of(STUDY), 200, np.random.default_rng(0)))
    men = [s for s in rows if s.value == "male"]
    assert {s.value for s in blocked(rows, 0.1) if s.attribute == "gender"} == {"male"}
    assert not blocked(rows, 0.6)
    low = men[0].to_complement.low
    assert men[0] in blocked(rows, low - 1e-9) and men[0] not in blocked(rows, low)
    assert not [s for s in blocked(rows, -1.0) if s.attribute == "subject"]  # a person has no interval


def test_small_slices_and_lacking_classes_are_undefined() -> None:
    few = replace(STUDY, genders=tuple("other" if s < "person-0002" else "male" for s in STUDY.subjects))
    rows, _ = sliced(few)
    other = rows["gender", "other", "nothing"]
    assert np.isnan(other.uar.value) and other.uar.reason == "2 of at least 3 people"
    assert np.isnan(other.to_best.value)
    male = np.array([g == "male" for g in STUDY.genders])[STUDY.sample]
    lacking, _ = sliced(keep_answers(STUDY, ~(male & (STUDY.target == 2))))
    men = lacking["gender", "male", "nothing"]
    assert np.isnan(men.uar.value) and "joy" in men.uar.reason and np.isnan(men.to_complement.value)
    assert np.isfinite(lacking["gender", "female", "nothing"].uar.low)


def test_a_subject_has_a_score_without_interval() -> None:
    rows, _ = sliced(STUDY)
    person = rows["subject", "person-0003", "nothing"]
    assert np.isfinite(person.uar.value) and np.isnan(person.uar.low) and "no interval" in person.uar.reason


def test_kinds_stand_in_where_nothing_is_as_is() -> None:
    rows, _ = slices(Resampling.of(grid_of(simulated(Plan(BASELINES), 0)), 50, np.random.default_rng(0)))
    assert {s.group for s in rows} == {"one class to 10 %"}


def test_age_bands() -> None:
    values = [age_band(a) for a in (17.9, 18, 29.5, 30, 60, np.nan, -1)]
    assert values == ["0-17", "18-29", "18-29", "30-44", "60 and older", "not known", "not known"]


def test_many_units_are_not_listed() -> None:
    study = simulated(Plan(BASELINES, people=70, per_class=1, conditions=(AS_IS,), seeds=1), 0)
    rows, said = sliced(study)
    assert not [key for key in rows if key[0] == "subject"] and "subject: 70, too many to list" in said
