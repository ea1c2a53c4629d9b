"""Class weights and the correction of the prior."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from corpora.errors import UserError
from validators.trials.classifiers.priors import adjusted_answers, class_weights, logit_adjusted, train_prior
from validators.trials.classifiers.registry import classifier

RNG = np.random.default_rng(0)


def test_weights_make_classes_equal() -> None:
    y = np.repeat([0, 2, 3], [60, 30, 10])  # class 1 is absent
    weights = class_weights(y, 4)
    sums = np.bincount(y, weights=weights, minlength=4)
    assert np.allclose(sums, [100 / 3, 0, 100 / 3, 100 / 3])
    assert weights.mean() == pytest.approx(1.0)
    assert np.allclose(class_weights(y, 4, power=0.0), 1.0)
    half = class_weights(y, 4, power=0.5)
    assert half.mean() == pytest.approx(1.0)
    assert half[-1] / half[0] == pytest.approx(np.sqrt(6.0))
    with pytest.raises(UserError, match="train is empty"):
        class_weights(y[:0], 4)
    with pytest.raises(ValueError, match="of 3 classes"):
        class_weights(y, 3)


def test_the_prior_of_weighted_rows() -> None:
    y = np.array([0, 0, 0, 2])
    assert np.allclose(train_prior(y, 3), [0.75, 0, 0.25])
    assert np.allclose(train_prior(y, 3, np.array([1.0, 1, 1, 3])), [0.5, 0, 0.5])
    assert np.allclose(train_prior(y, 3, class_weights(y, 3)), [0.5, 0, 0.5])


def test_with_tau_1_the_answers_are_those_of_bayes_under_equal_classes() -> None:
    """Two Gaussians of known density, posteriors under a skewed prior: exchanging the prior gives likelihoods back."""
    x = np.linspace(-3, 3, 101)
    density = np.stack([norm.pdf(x, -1), norm.pdf(x, 1)], axis=1)
    prior = np.array([0.95, 0.05])
    posterior = density * prior / (density * prior).sum(axis=1, keepdims=True)
    equal = density / density.sum(axis=1, keepdims=True)
    answers, adjusted = adjusted_answers(posterior, prior, probabilities=True)
    assert np.allclose(adjusted, equal, atol=1e-6)
    assert (answers == equal.argmax(axis=1)).all() and (answers != posterior.argmax(axis=1)).any()
    assert (logit_adjusted(np.log(posterior), prior, 0.0) == posterior.argmax(axis=1)).all()
    # more than 1 leans further towards the rare class
    assert logit_adjusted(np.log(posterior), prior, 2.0).sum() > answers.sum()


def test_a_class_that_train_lacks_stays_unanswered() -> None:
    scores = np.array([[0.7, 0.0, 0.3], [0.2, 0.0, 0.8]])
    answers, adjusted = adjusted_answers(scores, np.array([0.9, 0.0, 0.1]), probabilities=True)
    assert answers.tolist() == [2, 2] and (adjusted[:, 1] == 0).all()
    with pytest.raises(ValueError, match="no class with a finite"):
        adjusted_answers(np.array([[0.0, 1.0]]), np.array([1.0, 0.0]), probabilities=True)
    with pytest.raises(ValueError, match="of 3 classes"):
        adjusted_answers(scores, np.array([0.9, 0.1]), probabilities=True)


def test_margins_have_no_prior_to_correct() -> None:
    with pytest.raises(UserError, match=r"logit adjustment of svm is undefined.*margins"):
        adjusted_answers(np.zeros((2, 2)), np.array([0.5, 0.5]), probabilities=False, name="svm")


def test_a_rare_class_is_recalled_again() -> None:
    """Simulated truth: classes of equal spread, one with 1 row in 40; adjustment lifts UAR towards the balanced fit."""

    def draw(counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
        y = np.repeat([0, 1], counts)
        return RNG.normal(size=(len(y), 4)) + np.where(y, 0.8, 0.0)[:, None], y

    x, y = draw([780, 20])
    x_test, y_test = draw([500, 500])
    model = classifier("logistic")
    scores = model.fit(x, y, n_classes=2, seed=0).answers(x_test)[1]
    plain = (scores.argmax(axis=1) == y_test).mean()
    answers, _ = adjusted_answers(scores, train_prior(y, 2), probabilities=model.probabilities)
    weighted = model.fit(x, y, weights=class_weights(y, 2), n_classes=2, seed=0).answers(x_test)[0]
    assert plain < 0.6
    assert (answers == y_test).mean() > 0.7
    assert (weighted == y_test).mean() > 0.7
