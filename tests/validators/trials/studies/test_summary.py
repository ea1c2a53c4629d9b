"""The whole of a study: what it is called a win for, and what it depends on."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from corpora.errors import UnknownNameError
from tests.validators.trials.studies.simulated import AS_IS, BASELINES, Plan, keep_answers, simulated, without
from validators.trials.studies.answers import Study
from validators.trials.studies.compare import differences, lines
from validators.trials.studies.gap import gaps_and_shares
from validators.trials.studies.grid import grid_of
from validators.trials.studies.resampling import Resampling
from validators.trials.studies.roles import Roles
from validators.trials.studies.summary import StudySummary, ordered, summarised
from validators.trials.studies.verdict import Evidence, Verdict, verdicts

ARMS = BASELINES | {"transfer": 0.1, "mixup": 0.0, "fill": 0.0, "oracle": 0.15, "oracle + fill": 0.15}


def verdict_of(study: Study, n: int = 400) -> Verdict:
    """The first verdict, without what it does not need."""
    grid, roles = grid_of(study), Roles()
    resampling = Resampling.of(grid, n, np.random.default_rng(0))
    evidence = Evidence(
        lines(resampling), differences(resampling, roles, mixed=()), *gaps_and_shares(resampling, roles), n
    )
    return verdicts(grid, roles, evidence)[0]


def summary(study: Study) -> StudySummary:
    return summarised(study, Roles(), n_bootstrap=400, seed=1)


WIN = simulated(Plan(ARMS, classifiers=("LR", "SVM"), people=16), 0)


def test_a_planted_win_is_a_win() -> None:
    verdict = verdict_of(WIN)
    assert verdict.outcome == "win" and verdict.arm == "transfer" and verdict.wins == ("LR", "SVM")
    assert "points of UAR" in verdict.sentence and "2 of 2 classifiers" in verdict.sentence
    assert "clean oracle gap" in verdict.sentence and verdict.sentence.startswith("Transfer beats ")


def test_ten_points_are_seen_and_nothing_is_not() -> None:
    """40 studies each: an arm with +10 is called a win in nearly all, one without effect in at most 4."""
    outcomes: dict[float, list[str]] = {0.0: [], 0.1: []}
    for gain, own in outcomes.items():
        for seed in range(40):
            plan = Plan(BASELINES | {"arm": gain, "oracle": 0.15}, people=20, seeds=2)
            own.append(verdict_of(simulated(plan, 100 + seed), 200).outcome)
    assert outcomes[0.1].count("win") >= 36
    assert outcomes[0.0].count("win") <= 4


def test_who_beats_nothing_but_not_class_weights_does_not_win() -> None:
    arms = ARMS | {"class weights": 0.15, "transfer": 0.12}
    verdict = verdict_of(simulated(Plan(arms, people=16), 0))
    assert verdict.outcome == "no win" and verdict.sentence.startswith(
        "Nothing beats class weights: the best arm, transfer"
    )


def test_where_even_the_oracle_is_no_better_nothing_can_be_told() -> None:
    verdict = verdict_of(simulated(Plan(ARMS | {"transfer": 0.0, "oracle": 0.0}, people=16), 3))
    assert verdict.outcome == "cannot tell" and "even oracle differs from nothing by no more than" in verdict.sentence


@pytest.mark.parametrize(("people", "word"), [(5, "5 test people"), (1, "1 test person")])
def test_few_people_cannot_tell(people: int, word: str) -> None:
    verdict = verdict_of(simulated(Plan(ARMS, people=people, folds=1), 0))
    assert verdict.outcome == "cannot tell" and verdict.sentence.startswith(f"This study cannot tell: {word}")


def test_a_baseline_has_to_be_there() -> None:
    arms = {name: gain for name, gain in ARMS.items() if name != "logit adjustment"}
    verdict = verdict_of(simulated(Plan(arms, people=16), 0))
    assert verdict.outcome == "cannot tell" and "no arm 'logit adjustment'" in verdict.sentence


def test_a_baseline_that_is_impossible_need_not_be_beaten_one_that_failed_must() -> None:
    own = [n for n, c in enumerate(WIN.cells) if c.arm == "logit adjustment" and c.classifier == "SVM"]
    assert verdict_of(without(WIN, dict.fromkeys(own, ("impossible", "no probabilities")))).outcome == "win"
    failed = verdict_of(without(WIN, dict.fromkeys(own[:1], ("failed", "x"))))
    assert failed.outcome == "cannot tell" and "logit adjustment lacks 1 of 12 cells" in failed.sentence


def test_an_arm_that_lacks_cells_is_not_ranked() -> None:
    own = [n for n, c in enumerate(WIN.cells) if c.arm == "transfer"]
    verdict = verdict_of(without(WIN, {own[0]: ("failed", "out of memory")}))
    assert verdict.arm != "transfer" and verdict.outcome != "win"
    assert "Not ranked, since cells are missing: transfer" in verdict.sentence


def test_too_few_resamples_are_said() -> None:
    verdict = verdict_of(WIN, 100)
    assert verdict.outcome == "cannot tell" and "100 resamples give no p below 0.05" in verdict.sentence


def test_a_win_of_one_classifier_is_not_one_of_two() -> None:
    answer = WIN.answer.copy()
    rng = np.random.default_rng(0)
    for n, cell in enumerate(WIN.cells):
        if cell.arm == "transfer" and cell.classifier == "SVM":
            at = np.flatnonzero(WIN.cell == n)
            answer[at] = np.where(rng.uniform(size=len(at)) < 0.3, (WIN.target[at] + 1) % 4, answer[at])
    verdict = verdict_of(replace(WIN, answer=answer))
    assert verdict.outcome == "win" and verdict.wins == ("LR",) and "1 of 2 classifiers" in verdict.sentence


@pytest.fixture(scope="module")
def whole() -> StudySummary:
    return summary(WIN)


def test_a_summary_is_plain_data(whole: StudySummary) -> None:
    text = json.dumps(dataclasses.asdict(whole))
    assert "transfer" in text and whole.about.n_cells == whole.about.n_expected == len(WIN.cells)
    assert whole.about.units == "people" and whole.about.n_units == 16
    assert whole.verdict == verdict_of(WIN) or whole.verdict.outcome == "win"
    assert {c.reason for c in whole.calibration} == {""} and all(0 <= c.ece <= 1 for c in whole.calibration)
    assert not whole.unusable and whole.expected.n_people == 16


def test_the_order_of_rows_changes_nothing(whole: StudySummary) -> None:
    rng = np.random.default_rng(0)
    cells, samples, rows = (rng.permutation(n) for n in (len(WIN.cells), len(WIN.sample_ids), len(WIN.cell)))
    back = [np.argsort(order) for order in (cells, samples)]
    mixed = Study(
        classes=WIN.classes,
        cells=tuple(WIN.cells[n] for n in cells),
        cell=back[0][WIN.cell][rows],
        sample=back[1][WIN.sample][rows],
        target=WIN.target[rows],
        answer=WIN.answer[rows],
        scores=WIN.scores[rows],
        sample_ids=tuple(WIN.sample_ids[n] for n in samples),
        subjects=tuple(WIN.subjects[n] for n in samples),
        corpora=tuple(WIN.corpora[n] for n in samples),
        genders=tuple(WIN.genders[n] for n in samples),
        ages=WIN.ages[samples],
        languages=tuple(WIN.languages[n] for n in samples),
    )
    assert json.dumps(dataclasses.asdict(summary(mixed))) == json.dumps(dataclasses.asdict(whole))
    assert ordered(mixed).sample_ids == tuple(sorted(WIN.sample_ids))


def test_failed_cells_are_listed_with_their_reasons() -> None:
    study = without(
        WIN, {3: ("failed", "out of memory"), 4: ("failed", "out of memory"), 20: ("impossible", "no fear")}
    )
    rows = {(u.status, u.reason): u.n for u in summary(study).unusable}
    assert rows == {("failed", "out of memory"): 2, ("impossible", "no fear"): 1}


def test_scores_that_are_no_probabilities_have_no_calibration() -> None:
    svm = [n for n, c in enumerate(WIN.cells) if c.classifier == "SVM"]
    scores = np.where(np.isin(WIN.cell, svm)[:, None], WIN.scores * 3 - 1, WIN.scores).astype(np.float32)
    rows = summary(replace(WIN, scores=scores)).calibration
    assert {(c.classifier, c.reason) for c in rows} == {("LR", ""), ("SVM", "scores are no probabilities")}
    assert all(math.isnan(c.ece) for c in rows if c.classifier == "SVM")


def test_a_class_absent_in_test_is_said_in_the_verdict() -> None:
    verdict = verdict_of(keep_answers(WIN, WIN.target != 2))
    assert verdict.outcome == "cannot tell" and "test holds no sample of joy" in verdict.sentence


def test_units_without_people() -> None:
    plan = Plan(ARMS | {"oracle": 0.0}, people=300, per_class=1, conditions=(AS_IS,), seeds=1, folds=2)
    study = simulated(plan, 0)
    result = summary(replace(study, subjects=study.sample_ids))
    assert result.about.units == "groups of split units" and result.about.n_units == 200
    assert result.about.n_subjects == 1200 and not result.about.people_known
    assert result.verdict.outcome == "win" and "No people are known" in result.expected.sentence
    assert any("subject: 1200" in said for said in result.not_sliced)


def test_a_study_needs_its_first_arm_and_an_answer() -> None:
    with pytest.raises(UnknownNameError, match="plain"):
        summarised(WIN, Roles(nothing="plain"), n_bootstrap=10, seed=0)
    with pytest.raises(ValueError, match="without an answer"):
        summary(without(WIN, dict.fromkeys(range(len(WIN.cells)), ("failed", "x"))))


def test_what_is_won_for_the_pruned_class_is_said_where_uar_shows_nothing() -> None:
    arms = {"nothing": 0.0, "class weights": 0.0, "logit adjustment": 0.0, "rare": 0.0, "oracle": 0.3}
    study = simulated(Plan(arms, people=14), seed=5)
    answer = study.answer.copy()
    rng = np.random.default_rng(0)
    rare = {n for n, cell in enumerate(study.cells) if cell.arm == "rare"}
    for i in range(len(answer)):
        cell = study.cells[study.cell[i]]
        if study.cell[i] in rare and cell.pruned is not None:
            pruned = study.classes.index(cell.pruned)
            if study.target[i] == pruned:
                answer[i] = pruned if rng.random() < 0.9 else answer[i]
            elif rng.random() < 0.18:  # what it costs the others
                answer[i] = (study.target[i] + 1) % len(study.classes)
    summary = summarised(replace(study, answer=answer), Roles(), n_bootstrap=400, seed=0)
    assert summary.verdict.outcome == "no win"
    assert "In F1 of the pruned class rare beats" in summary.verdict.sentence
    plain = summarised(study, Roles(), n_bootstrap=400, seed=0)
    assert "In F1 of the pruned class" not in plain.verdict.sentence
