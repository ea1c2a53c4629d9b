"""Means shrunk towards no difference, and levels of subjects."""

from __future__ import annotations

import numpy as np
import pytest

from generators.effects import centre_by_subject, shrunk_means, stein_means


def test_shrinking_is_the_posterior_mean_and_a_rare_class_is_trusted_less() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [400, 400, 4])
    theta = np.array([[2.0, 0.0], [-2.0, 0.0], [1.0, 0.0]])
    values = theta[labels] + rng.normal(0, 1, (804, 2))
    means, kept = shrunk_means(values, labels, 3)
    plain = np.stack([values[labels == k].mean(axis=0) for k in range(3)])
    within = sum(((values[labels == k] - plain[k]) ** 2).sum(axis=0) for k in range(3)) / (804 - 3)
    tau = np.maximum(np.mean([plain[k] ** 2 - within / (labels == k).sum() for k in range(3)], axis=0), 0)
    for k in range(3):  # by hand
        share = tau / (tau + within / (labels == k).sum())
        np.testing.assert_allclose(kept[k], share)
        np.testing.assert_allclose(means[k], share * plain[k])
    assert kept[2, 0] < kept[0, 0] and kept[0, 0] > 0.99
    assert np.abs(means[:, 1]).max() < 0.1, "where classes do not differ nothing is left"


def test_shrunk_means_err_less_than_plain_ones() -> None:
    """Stein's point: over many dimensions without difference the shrunk means are nearer to the truth."""
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2, 3], [60, 60, 60, 5])
    theta = rng.normal(0, 0.3, (4, 200))
    values = theta[labels] + rng.normal(0, 1, (185, 200))
    plain = np.stack([values[labels == k].mean(axis=0) for k in range(4)])
    means, _ = shrunk_means(values, labels, 4)
    assert ((means[3] - theta[3]) ** 2).mean() < 0.7 * ((plain[3] - theta[3]) ** 2).mean()


def test_a_mean_shrunk_as_a_whole_is_james_and_stein_s() -> None:
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1, 2], [3000, 3000, 8])
    mixing = rng.normal(size=(20, 20))
    theta = rng.normal(0, 0.4, (3, 20))
    values = (theta[labels] + rng.normal(0, 1, (6008, 20))) @ mixing
    means, kept = stein_means(values, labels, 3)
    white = np.stack([values[labels == k].mean(axis=0) for k in range(3)]) @ np.linalg.inv(mixing)
    for k, n in enumerate((3000, 3000, 8)):  # by hand, in the coordinates that the mixing hides
        assert kept[k, 0] == pytest.approx(1 - 18 / (n * (white[k] ** 2).sum()), abs=0.05)
    assert kept[2, 0] < 0.75 and kept[0, 0] > 0.99
    error = ((means[2] @ np.linalg.inv(mixing) - theta[2]) ** 2).sum()
    assert error < ((white[2] - theta[2]) ** 2).sum()
    nothing, kept = stein_means(rng.normal(size=(40, 20)), np.repeat([0, 1], 20), 2)
    assert kept.max() < 0.6 and np.abs(nothing).max() < 0.5


def test_a_subject_with_one_class_keeps_its_emotion() -> None:
    labels = np.array([0, 1, 0, 1, 1, 1])
    subjects = ["a", "a", "b", "b", "c", "c"]
    level = {"a": 0.0, "b": 10.0, "c": -5.0}
    values = np.array([[level[s] + 3.0 * k] for s, k in zip(subjects, labels, strict=True)])
    centred = centre_by_subject(values, labels, subjects, 2)
    np.testing.assert_allclose(centred[labels == 1] - centred[labels == 0].mean(), 3.0, atol=1e-3)
