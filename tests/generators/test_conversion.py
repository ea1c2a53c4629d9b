from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from corpora.errors import UserError
from generators.conversion import Transfer, centre_by_subject, principal_axes, shrunk_means, stein_means
from generators.generator import Condition, Device, Draw
from tests.generators.toy import CLASSES, IMAGES, SPEECH, toy_data

CPU = Device()


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


def test_axes_are_those_of_a_singular_value_decomposition() -> None:
    rng = np.random.default_rng(0)
    for shape in ((30, 8), (8, 30)):
        x = rng.normal(size=shape)
        x -= x.mean(axis=0)
        axes = principal_axes(x, 4)
        _, _, vt = np.linalg.svd(x, full_matrices=False)
        np.testing.assert_allclose(np.abs((axes * vt[:4]).sum(axis=1)), 1.0, atol=1e-8)
        np.testing.assert_allclose(axes @ axes.T, np.eye(4), atol=1e-8)


def fitted(spec, **params):  # type: ignore[no-untyped-def]
    data = toy_data(spec)
    made = Transfer(spec, CLASSES, **params)
    assert len(list(made.fit(data, steps=0, seed=0, device=CPU))) == 1
    return data, made


def source_of(data, emotion):  # type: ignore[no-untyped-def]
    return next(i for i, e in enumerate(data.emotions) if e == emotion)


def test_a_conversion_to_its_own_class_leaves_the_source_alone() -> None:
    for spec in (IMAGES, SPEECH):
        data, transfer = fitted(spec)
        i = source_of(data, "anger")
        made = transfer.sample([Draw(Condition("anger"), 1, {"from": data.ids[i]})], data.arrays[i : i + 1], device=CPU)
        np.testing.assert_allclose(made[0], data.arrays[i], atol=1e-5)


def test_the_strength_hangs_on_the_seed_within_its_range() -> None:
    data, transfer = fitted(SPEECH, strength_range=0.2, move_duration=False)
    i = source_of(data, "neutral")
    draws = [Draw(Condition("fear"), seed, {"from": data.ids[i]}) for seed in range(40)]
    made = transfer.sample(draws, np.repeat(data.arrays[i : i + 1], 40, axis=0), device=CPU)
    length = int((data.arrays[i, 5] > 0).sum())
    moved = made[:, 2, :length].mean(axis=1) - data.arrays[i, 2, :length].mean()
    whole = moved.mean()
    assert 0.8 * whole * 0.95 < moved.min() < 0.9 * whole and 1.1 * whole < moved.max() < 1.2 * whole * 1.05
    _, still = fitted(SPEECH, strength=0.0)
    np.testing.assert_allclose(
        still.sample(draws[:1], data.arrays[i : i + 1], device=CPU)[0], data.arrays[i], atol=1e-5
    )


def test_pitch_moves_over_voiced_frames_and_duration_with_it() -> None:
    data, _ = fitted(SPEECH)
    arrays = data.arrays.copy()
    for i, e in enumerate(data.emotions):  # fear is twice as long
        length = 20 if e == "fear" else 10
        arrays[i, 3] = 5.0 + 0.3 * CLASSES.index(e)
        arrays[i, 3, :4] = 9.0  # unvoiced columns: whatever stands there is not pitch
        arrays[i, 4] = np.arange(22) >= 4
        arrays[i, 5] = np.where(np.arange(22) < length, 1, -1)
        arrays[i, :5, length:] = 0
    data = dataclasses.replace(data, arrays=arrays)
    transfer = Transfer(SPEECH, CLASSES, strength_range=0.0)
    list(transfer.fit(data, steps=0, seed=0, device=CPU))
    i = source_of(data, "neutral")
    made = transfer.sample([Draw(Condition("fear"), 0, {"from": data.ids[i]})], arrays[i : i + 1], device=CPU)[0]
    assert 19 <= (made[5] > 0).sum() <= 20
    assert set(np.unique(made[4])) <= {0.0, 1.0}, "voicing stays a decision"
    voiced = (made[4] > 0) & (made[5] > 0)
    assert np.median(made[3][voiced]) == pytest.approx(5.6, abs=0.05)


def test_sources_that_cannot_serve_are_named() -> None:
    data, transfer = fitted(IMAGES)
    one = data.arrays[:1]
    with pytest.raises(UserError, match="'toy/999' is not a train sample"):
        transfer.sample([Draw(Condition("anger"), 0, {"from": "toy/999"})], one, device=CPU)
    with pytest.raises(UserError, match="every draw names one source"):
        transfer.sample([Draw(Condition("anger"), 0)], one, device=CPU)
    with pytest.raises(UserError, match="every draw names one source"):
        transfer.sample([Draw(Condition("anger"), 0, {"from": "toy/0"})], None, device=CPU)
    with pytest.raises(UserError, match="finite"):
        transfer.sample([Draw(Condition("anger"), 0, {"from": "toy/0"})], one * np.nan, device=CPU)
    with pytest.raises(UserError, match="not fitted"):
        Transfer(IMAGES, CLASSES).sample([], None, device=CPU)
