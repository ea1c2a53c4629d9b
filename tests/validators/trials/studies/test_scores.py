"""Scores from counts: against scikit-learn, and undefined where test does not hold a class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from tests.validators.trials.studies.simulated import BASELINES, Plan, keep_answers, simulated
from validators.trials.studies import scores
from validators.trials.studies.answers import Study

STUDY = simulated(Plan(BASELINES), 3)


@pytest.mark.parametrize("cell", [0, 7, 20])
def test_scores_of_a_cell_are_scikit_learns(cell: int) -> None:
    whole = scores.confusions(STUDY)
    tally = scores.tallies(whole.counts[cell].sum(0))
    at = STUDY.cell == cell
    target, answer = STUDY.target[at], STUDY.answer[at]
    labels = range(len(STUDY.classes))
    np.testing.assert_allclose(scores.recalls(tally), recall_score(target, answer, labels=labels, average=None))
    np.testing.assert_allclose(scores.f1s(tally), f1_score(target, answer, labels=labels, average=None))
    assert scores.uar(tally) == pytest.approx(recall_score(target, answer, average="macro"))
    assert scores.macro_f1(tally) == pytest.approx(f1_score(target, answer, average="macro"))
    metrics = scores.metrics_of(tally, 2)
    assert metrics[2] == pytest.approx(f1_score(target, answer, labels=[2], average="macro"))
    assert metrics[3] == pytest.approx(recall_score(target, answer, labels=[2], average="macro"))
    assert np.isnan(scores.metrics_of(tally, None)[2:]).all()


def test_a_weighted_person_counts_as_often() -> None:
    whole = scores.confusions(STUDY)
    subject, names = STUDY.subject_of_answer()
    weights = np.arange(len(names)) % 3
    tally = scores.tallies(np.tensordot(weights, whole.counts[0].astype(float), 1))
    at = np.flatnonzero(STUDY.cell == 0)
    repeated = np.repeat(at, weights[subject[at]])
    expected = recall_score(STUDY.target[repeated], STUDY.answer[repeated], average="macro")
    assert scores.uar(tally) == pytest.approx(expected)


def test_a_class_without_a_target_is_undefined_whatever_was_answered() -> None:
    joy = STUDY.classes.index("joy")
    lacking = keep_answers(STUDY, STUDY.target != joy)
    tally = scores.tallies(scores.confusions(lacking).counts.sum((0, 1)))
    assert tally[scores.ANSWERS, joy] > 0  # it was answered
    assert np.isnan(scores.recalls(tally)[joy]) and np.isnan(scores.f1s(tally)[joy])
    assert np.isfinite(np.delete(scores.f1s(tally), joy)).all()
    assert np.isnan(scores.uar(tally)) and np.isnan(scores.macro_f1(tally))
    assert scores.absent(tally, STUDY.classes) == "test holds no sample of joy"


def test_many_units_are_grouped_whole_and_lose_no_answer() -> None:
    whole, grouped = scores.confusions(STUDY), scores.confusions(STUDY, most_units=5)
    assert grouped.n_units == 5 and grouped.grouped and not whole.grouped
    assert np.array_equal(grouped.counts.sum(1), whole.counts.sum(1))
    for unit in range(5):
        of_unit = np.flatnonzero(grouped.unit_of_subject == unit)
        assert np.array_equal(grouped.counts[:, unit], whole.counts[:, of_unit].sum(1))


def test_memory_of_a_corpus_without_people() -> None:
    n_cells, n_units, k = 1500, 3000, 7
    rng = np.random.default_rng(0)
    cell = np.repeat(np.arange(n_cells), 600)
    sample = rng.integers(0, n_units, len(cell))
    target, answer = rng.integers(0, k, len(cell)), rng.integers(0, k, len(cell))
    names = tuple(f"s{i:05d}" for i in range(n_units))
    study = replace(
        STUDY,
        classes=tuple("abcdefg"),
        cells=STUDY.cells[:1] * n_cells,
        cell=cell,
        sample=sample,
        target=target,
        answer=answer,
        sample_ids=names,
        subjects=names,
    )
    whole = scores.confusions(study)
    assert whole.counts.shape == (n_cells, 200, k, k) and whole.counts.nbytes < 40e6 and not whole.people_known
    assert whole.counts.sum() == len(cell)


def test_ece_and_brier_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.5, 0.5]])
    answers, targets = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0])
    # bins of the answers' probabilities: 0.9 (one of two right), 0.7 (right), 0.5 (wrong)
    assert scores.calibration_error(p, answers, targets) == pytest.approx((abs(1 - 1.8) + abs(1 - 0.7) + 0.5) / 4)
    one_hot = np.eye(2)[targets]
    assert scores.brier(p, targets) == pytest.approx(((p - one_hot) ** 2).sum(1).mean())
    assert np.isnan(scores.brier(p[:0], targets[:0])) and np.isnan(
        scores.calibration_error(p[:0], answers[:0], targets[:0])
    )


def test_well_calibrated_answers_have_a_small_error() -> None:
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(3), 40_000)
    targets = (rng.uniform(size=(len(p), 1)) > p.cumsum(1)[:, :-1]).sum(1)
    assert scores.calibration_error(p, p.argmax(1), targets) < 0.012
    assert scores.calibration_error(p, p.argmax(1), (targets + 1) % 3) > 0.2


def test_probabilities_are_told_from_decision_values() -> None:
    assert scores.are_probabilities(np.array([[0.2, 0.8], [1.0, 0.0]], np.float32))
    for values in ([[0.2, 0.7]], [[-0.2, 1.2]], [[np.nan, 1.0]], np.zeros((0, 2))):
        assert not scores.are_probabilities(np.array(values, np.float32).reshape(-1, 2))


def test_ccc_closed_forms() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(500, 2))
    np.testing.assert_allclose(scores.ccc(true, true), 1.0)
    np.testing.assert_allclose(scores.ccc(-true + 2 * true.mean(0), true), -1.0)
    variance = true.var(0)
    np.testing.assert_allclose(scores.ccc(true + 1.0, true), 2 * variance / (2 * variance + 1.0))  # Lin: bias lowers it
    np.testing.assert_allclose(scores.ccc(3.0 * true, true), 6 * variance / (10 * variance + (2 * true.mean(0)) ** 2))
    constant = np.ones((5, 1))
    assert np.isnan(scores.ccc(constant, constant)).all() and scores.ccc(constant, constant + 1)[0] == 0.0
    assert np.isnan(scores.ccc(true[:1], true[:1])).all()
    with pytest.raises(ValueError, match="shape"):
        scores.ccc(true, true[:3])


def test_multilabel_macro_f1_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    true, predicted = rng.uniform(size=(200, 5)) < 0.3, rng.uniform(size=(200, 5)) < 0.4
    assert scores.multilabel_macro_f1(predicted, true) == pytest.approx(f1_score(true, predicted, average="macro"))
    true[:, 2] = False
    assert np.isnan(scores.multilabel_macro_f1(predicted, true))


def test_people_are_told_from_split_units() -> None:
    assert scores.confusions(STUDY).people_known
    own: Study = replace(STUDY, subjects=STUDY.sample_ids)
    assert not scores.confusions(own).people_known
