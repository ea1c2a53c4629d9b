"""Edits through a VAE: what comes back unchanged, what is kept, what moves, and how far noise leads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from corpora.errors import UserError
from generators.draws.sources import SourceTable, choose_sources
from generators.generator import Condition, Device, Draw, TrainData, generator_class, source_class
from generators.normalise import on_grid
from tests.generators.toy import CLASSES, IMAGES, VECTOR, class_means, nearest, toy_data, units_of

CPU = Device()


def fitted(data: TrainData, steps: int = 150, **params: Any) -> Any:
    params = {"width": 8, "latent": 4, "batch_size": 16, "lr": 5e-3, **params}
    model = generator_class("vae_edit")(data.spec, data.classes, **params)
    for _ in model.fit(data, steps=steps, seed=1, device=CPU):
        pass
    return model


def with_params(model: Any, **changes: Any) -> Any:
    """The same weights under other parameters of sampling."""
    other = type(model)(model.spec, model.classes, **{**model.params.model_dump(), **changes})
    other.network, other.source_emotions, other.fields = model.network, model.source_emotions, model.fields
    return other


def draws_of(data: TrainData, n: int, of: Any, seed: int = 0) -> tuple[list[Draw], np.ndarray]:
    table = SourceTable(data.ids, data.emotions, data.subjects, of)
    draws = [
        Draw(Condition(emotion), seed + k, choose_sources([k], table, emotion, 0)[0])
        for k, emotion in enumerate(CLASSES[k % 3] for k in range(n))
    ]
    return draws, np.stack([data.arrays[data.ids.index(d.sources["from"])] for d in draws])


@pytest.fixture(scope="module")
def model() -> Any:
    return fitted(toy_data(VECTOR), source="same")


def test_without_noise_a_source_of_the_class_comes_back(model: Any) -> None:
    data = toy_data(VECTOR)
    draws, sources = draws_of(data, 24, "same")
    seen = [i for i, d in enumerate(draws) if not data.held_out[data.ids.index(d.sources["from"])]]  # within the range
    same = with_params(model, latent_noise=0.0).sample(draws, sources, device=CPU)
    assert len(seen) > 12
    np.testing.assert_allclose(same[seen], sources[seen], atol=1e-6 * np.abs(sources).max())


def test_noise_0_without_what_is_left_over_is_the_reconstruction(model: Any) -> None:
    data = toy_data(VECTOR)
    draws, sources = draws_of(data, 12, "same")
    network = model.network
    x = network.normaliser(torch.from_numpy(np.ascontiguousarray(on_grid(sources, data.spec))))
    emotion = {"emotion": torch.eye(3)[[CLASSES.index(str(d.condition.emotion)) for d in draws]]}
    with torch.inference_mode():
        code, _ = network.encode(x, network.read_under(emotion))
        rebuilt = network.normaliser.inverse(network.decode(code, network.write_under(emotion))).numpy()
    plain = with_params(model, latent_noise=0.0, keep=0.0).sample(draws, sources, device=CPU)
    np.testing.assert_allclose(plain, rebuilt.reshape(plain.shape), atol=1e-5)


def test_more_noise_leads_further_and_the_class_stays(model: Any) -> None:
    data = toy_data(VECTOR)
    draws, sources = draws_of(data, 60, "same")
    unit = units_of(data)
    away = []
    for amount in (0.25, 0.5, 1.0):
        x = with_params(model, latent_noise=amount).sample(draws, sources, device=CPU)
        away.append(float((np.abs(x - sources) / unit).mean()))
        asked = np.array([CLASSES.index(str(d.condition.emotion)) for d in draws])
        means = class_means(data) / unit
        assert (nearest(x / unit, means) == asked).mean() > 0.9
    assert away[0] < away[1] < away[2] and away[0] > 0.0


def test_a_swap_takes_the_class_that_is_asked_for_and_keeps_who_it_is() -> None:
    data = toy_data(VECTOR)
    swap = fitted(data, latent_noise=0.0)
    draws, sources = draws_of(data, 60, "other")
    x = swap.sample(draws, sources, device=CPU)
    unit = units_of(data)
    asked = np.array([CLASSES.index(str(d.condition.emotion)) for d in draws])
    assert (nearest(x / unit, class_means(data) / unit) == asked).mean() > 0.9
    kept = np.corrcoef(x[:, 3], sources[:, 3])[0, 1]
    assert kept > 0.9, f"column 3 is the subject's: {kept:.2f}"
    assert np.corrcoef(x[:, 5], sources[:, 5])[0, 1] > 0.8, "what no class touches"


def test_images_leave_no_ghost_by_default() -> None:
    data = toy_data(IMAGES)
    swap = fitted(data, steps=80, latent_noise=0.0)
    draws, sources = draws_of(data, 12, "other")
    plain, ghost = (with_params(swap, keep=k).sample(draws, sources, device=CPU) for k in (None, 1.0))
    np.testing.assert_array_equal(plain, with_params(swap, keep=0.0).sample(draws, sources, device=CPU))
    assert not np.array_equal(plain, ghost)


def test_of_which_class_sources_are_is_said_before_anything_is_fitted() -> None:
    kind = generator_class("vae_edit")
    assert source_class(kind, {"source": "same"}) == "same" and source_class(kind, {}) == "other"
    assert source_class(generator_class("transfer"), {}) == "other"


def test_variants_need_no_second_class_and_a_swap_does() -> None:
    data = toy_data(VECTOR)
    own = [i for i, e in enumerate(data.emotions) if e == "fear"]
    one = TrainData(
        spec=VECTOR,
        classes=("fear",),
        arrays=data.arrays[own],
        emotions=("fear",) * len(own),
        ids=tuple(data.ids[i] for i in own),
        groups=tuple(data.groups[i] for i in own),
        subjects=tuple(data.subjects[i] for i in own),
        held_out=np.zeros(len(own), bool),
    )
    assert fitted(one, steps=2, source="same").network is not None
    with pytest.raises(UserError, match="needs a class to come from"):
        fitted(one, steps=2, source="other")
