from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from corpora.errors import UserError
from validators.maths.labels import ccc, class_scores, expected_calibration_error, macro_auc

CLASSES = ("anger", "fear", "joy")


@pytest.mark.parametrize("seed", range(4))
def test_class_scores_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, answer = rng.choice(CLASSES, 60).tolist(), rng.choice(CLASSES, 60).tolist()
    found = class_scores(truth, answer, CLASSES)
    assert found.uar == pytest.approx(balanced_accuracy_score(truth, answer))
    assert found.macro_f1 == pytest.approx(f1_score(truth, answer, average="macro"))
    assert found.confusion.sum() == 60 and np.diag(found.confusion).sum() / 60 == found.accuracy


def test_a_majority_answer_has_the_uar_of_chance() -> None:
    truth = ["anger"] * 90 + ["fear"] * 10
    found = class_scores(truth, ["anger"] * 100)
    assert found.accuracy == 0.9 and found.uar == 0.5


def test_class_that_occurs_nowhere_is_left_out() -> None:
    found = class_scores(["anger", "fear"], ["anger", "fear"], CLASSES)
    assert found.uar == 1 and found.macro_f1 == 1 and found.confusion.shape == (3, 3)


def test_auc_of_each_class_against_the_rest() -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice(CLASSES, 80)
    scores = rng.dirichlet(np.ones(3), 80)
    expected = roc_auc_score(truth, scores, multi_class="ovr", average="macro", labels=CLASSES)
    assert macro_auc(truth.tolist(), scores, CLASSES) == pytest.approx(expected)
    assert macro_auc(["anger"] * 5, scores[:5], CLASSES) != macro_auc(["anger"] * 5, scores[:5], CLASSES)  # NaN


def test_ccc() -> None:
    x = np.array([1.0, 2, 3, 4])
    assert ccc(x, x) == pytest.approx(1) and ccc(x, -x + 5) == pytest.approx(-1)
    # Lin's formula by hand: s_xy = 1.25, s_x^2 = s_y^2 = 1.25, means 1 apart
    assert ccc(x, x + 1) == pytest.approx(2 * 1.25 / (1.25 + 1.25 + 1))
    assert ccc(x, x + 1, ddof=1) == pytest.approx(2 * (5 / 3) / (5 / 3 + 5 / 3 + 1))
    assert ccc(np.ones(3), np.ones(3)) == 1 and ccc(np.ones(3), np.full(3, 2.0)) == 0
    assert np.isnan(ccc(np.ones(1), np.ones(1))) and np.isnan(ccc(x, np.array([1, 2, np.nan, 4])))


def test_calibration() -> None:
    sure = np.array([[1.0, 0, 0]] * 10)
    assert expected_calibration_error(["anger"] * 10, sure, CLASSES) == 0
    assert expected_calibration_error(["anger"] * 5 + ["fear"] * 5, sure, CLASSES) == pytest.approx(0.5)
    honest = np.array([[0.7, 0.3, 0.0]] * 10)
    assert expected_calibration_error(["anger"] * 7 + ["fear"] * 3, honest, CLASSES) == pytest.approx(0, abs=1e-12)


def test_bad_input_is_an_error() -> None:
    with pytest.raises(UserError, match="as many"):
        class_scores(["anger"], [])
    with pytest.raises(UserError, match="bliss"):
        class_scores(["anger"], ["bliss"], CLASSES)
    with pytest.raises(UserError, match="need"):
        macro_auc(["anger"], np.ones((1, 2)), CLASSES)
    with pytest.raises(UserError, match="as many"):
        ccc(np.ones(3), np.ones(2))


def test_a_truth_outside_the_classes_is_an_error() -> None:
    scores = np.full((2, 3), 1 / 3)
    for ask in (macro_auc, expected_calibration_error):
        with pytest.raises(UserError, match=r"the truth, row 2: 'Fear' is not among .* Did you mean 'fear'"):
            ask(["anger", "Fear"], scores, CLASSES)


def test_one_string_is_no_list_of_classes() -> None:
    scores = np.full((2, 3), 1 / 3)
    for ask in (
        lambda: expected_calibration_error(["a", "b"], scores, "abc"),
        lambda: macro_auc(["a", "b"], scores, "abc"),
        lambda: class_scores(["a", "b"], ["a", "b"], "abc"),
    ):
        with pytest.raises(UserError, match="one string"):
            ask()
