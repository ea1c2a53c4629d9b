from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from corpora.errors import ParamsError, UserError
from features.representation import Spec
from features.speech.world import WorldRepresentation
from generators.conversion import Transfer
from generators.generator import Condition, Device, Draw, TrainData, generator_class, refused, require_way_back
from generators.spaces import principal_axes
from tests.generators.toy import CLASSES, IMAGES, SIGNALS, SPEECH, VECTOR, toy_data

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


def rows_of(data: TrainData, kept: list[int]) -> TrainData:
    """These rows of train data."""
    own = {name: tuple(getattr(data, name)[i] for i in kept) for name in ("emotions", "ids", "groups", "subjects")}
    ratings = {name: values[kept] for name, values in data.ratings.items()}
    return dataclasses.replace(data, arrays=data.arrays[kept], held_out=data.held_out[kept], ratings=ratings, **own)


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
    with pytest.raises(ParamsError, match=r"generator cvae starts from none.*: .*transfer") as refused:
        require_way_back("cvae", generator_class("cvae"), Edits())
    assert "vae_edit" in str(refused.value) and "infill" not in str(refused.value), "what models the layout alone"


@pytest.mark.parametrize("spec", [IMAGES, SPEECH, SIGNALS, VECTOR], ids=lambda spec: spec.name)
@pytest.mark.parametrize("scale", ["units", "scores"])
def test_strength_nothing_is_the_source_to_the_last_bit(spec: Spec, scale: str) -> None:
    data, still = fitted(spec, strength=0.0, scale=scale)
    rows = [i for i, e in enumerate(data.emotions) if e != "fear"][:5]
    draws = [Draw(Condition("fear"), i, {"from": data.ids[i]}) for i in rows]
    np.testing.assert_array_equal(still.sample(draws, data.arrays[rows], device=CPU), data.arrays[rows])


def test_scores_stay_where_train_is_and_survive_the_file(tmp_path: Path) -> None:
    data, transfer = fitted(VECTOR, scale="scores", strength=5.0)
    rows = [i for i, e in enumerate(data.emotions) if e != "fear"]
    draws = [Draw(Condition("fear"), i, {"from": data.ids[i]}) for i in rows]
    made = transfer.sample(draws, data.arrays[rows], device=CPU)
    seen = data.arrays[~data.held_out]
    margin = 0.06 * (seen.max(axis=0) - seen.min(axis=0)) + 1e-6
    held = data.arrays[rows]  # a source that was held out may itself lie beyond
    assert (made <= np.maximum(seen.max(axis=0) + margin, held)).all()
    assert (made >= np.minimum(seen.min(axis=0) - margin, held)).all()
    assert np.abs(made[:, 2] - data.arrays[rows][:, 2]).mean() > 1.0, "the class's column moved"
    transfer.save(tmp_path)
    np.testing.assert_array_equal(
        Transfer.load(tmp_path, device=CPU).sample(draws, data.arrays[rows], device=CPU), made
    )


def test_a_class_of_two_samples_is_refused_and_no_source(tmp_path: Path) -> None:
    data = toy_data(VECTOR)
    seen = [i for i, e in enumerate(data.emotions) if e == "fear" and not data.held_out[i]]
    kept = [i for i in range(len(data.emotions)) if i not in seen[2:]]
    data = rows_of(data, kept)
    transfer = Transfer(VECTOR, CLASSES)
    list(transfer.fit(data, steps=0, seed=0, device=CPU))
    transfer.save(tmp_path)
    for model in (transfer, Transfer.load(tmp_path, device=CPU)):
        assert refused(model) == {"fear": "refused: 2 samples; at least 3 are needed"}
        for asked, source, says in (
            ("fear", "anger", "converts nothing to 'fear': refused: 2 samples"),
            ("anger", "fear", "is of 'fear', which has too few train samples"),
        ):
            i = source_of(data, source)
            with pytest.raises(UserError, match=says):
                model.sample([Draw(Condition(asked), 0, {"from": data.ids[i]})], data.arrays[i : i + 1], device=CPU)
        i = source_of(data, "neutral")
        assert np.isfinite(
            model.sample([Draw(Condition("anger"), 0, {"from": data.ids[i]})], data.arrays[i : i + 1], device=CPU)
        ).all()


def test_a_source_moves_by_what_its_own_corpus_shows(tmp_path: Path) -> None:
    """Two corpora whose fear goes opposite ways: all rows together would say that it does nothing."""
    data = toy_data(VECTOR, n=120)
    arrays, other = data.arrays.copy(), np.arange(120) % 2 == 1
    fear = np.array([e == "fear" for e in data.emotions])
    arrays[fear & other, 2] -= 6.0  # +3 in one, -3 in the other
    ids = tuple(f"{'b' if o else 'a'}/{i}" for i, o in enumerate(other))
    data = dataclasses.replace(data, arrays=arrays, ids=ids)
    transfer = Transfer(VECTOR, CLASSES, strength_range=0.0)
    list(transfer.fit(data, steps=0, seed=0, device=CPU))
    transfer.save(tmp_path)
    for model in (transfer, Transfer.load(tmp_path, device=CPU)):
        for corpus, way in ((False, 1), (True, -1)):
            i = next(i for i in range(120) if other[i] == corpus and data.emotions[i] == "neutral")
            made = model.sample([Draw(Condition("fear"), 0, {"from": ids[i]})], arrays[i : i + 1], device=CPU)[0]
            assert way * (made[2] - arrays[i, 2]) > 1.5
