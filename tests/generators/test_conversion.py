from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from corpora.errors import ParamsError, UserError
from features.speech.world import WorldRepresentation
from generators.conversion import Transfer
from generators.generator import Condition, Device, Draw, generator_class, require_way_back
from generators.spaces import principal_axes
from tests.generators.toy import CLASSES, IMAGES, SPEECH, toy_data

CPU = Device()


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
    transfer = Transfer(SPEECH, CLASSES, strength_range=0.0, estimator="naive")  # lengths here have no spread at all
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


def test_what_needs_source_names_the_generators_that_convert() -> None:
    class Edits(WorldRepresentation):
        needs_source = True

    require_way_back("transfer", generator_class("transfer"), Edits())
    with pytest.raises(ParamsError, match=r"generator cvae starts from none.*: transfer"):
        require_way_back("cvae", generator_class("cvae"), Edits())
