"""Vectors by name: every network that learns conditions learns them, keeps them, and follows them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpora.errors import UserError
from generators.condition import ConditionFields, VectorField, encode_conditions, train_conditions
from generators.draws.sources import SourceTable, choose_sources
from generators.generator import Condition, Device, Draw, TrainData, generator_class, source_class
from tests.generators.tiny import KINDS, TINY
from tests.generators.toy import CLASSES, VECTOR, toy_data

CPU = Device()
LEARN = [name for name in TINY if getattr(KINDS[name], "learns_given", False)]


def with_units(n: int = 60) -> TrainData:
    """Two units, one of them of another size, that say nothing of the arrays."""
    rng = np.random.default_rng(3)
    units = rng.normal(0, 1, (n, 2)) * [1.0, 50.0] + [0.0, 200.0]
    return dataclasses.replace(toy_data(VECTOR, n), vectors={"units": units.astype(np.float32)})


def sampled(generator: Any, data: TrainData, given: dict[str, Any]) -> np.ndarray:
    """Four draws of fear."""
    table = SourceTable(data.ids, data.emotions, data.subjects, source_class(generator, TINY[generator.name].params))
    chosen = choose_sources(range(4), table, "fear", 0) if generator.takes else [{}] * 4
    draws = [Draw(Condition("fear", given), k, source) for k, source in enumerate(chosen)]
    sources = np.stack([data.arrays[data.ids.index(d.sources["from"])] for d in draws]) if generator.takes else None
    return np.asarray(generator.sample(draws, sources, device=CPU))


@pytest.mark.parametrize("name", LEARN)
def test_what_is_given_is_learned_kept_and_followed(name: str, tmp_path: Path) -> None:
    data = with_units()
    generator = generator_class(name)(VECTOR, CLASSES, **TINY[name].params)
    for _ in generator.fit(data, steps=6, seed=1, device=CPU):
        pass
    assert "units" in generator.honours
    low, high = (sampled(generator, data, {"units": u}) for u in ((-2.0, 100.0), (2.0, 300.0)))
    assert np.abs(low - high).max() > 0, "another vector is another sample"
    mean = tuple(np.mean(data.vectors["units"][~data.held_out], axis=0, dtype=np.float64).tolist())
    np.testing.assert_allclose(sampled(generator, data, {}), sampled(generator, data, {"units": mean}), atol=1e-5)
    generator.save(tmp_path)
    loaded = generator_class(name).load(tmp_path, device=CPU)
    np.testing.assert_array_equal(sampled(loaded, data, {"units": (2.0, 300.0)}), high)
    for wrong in ((1.0,), (1.0, float("nan"))):
        with pytest.raises(UserError, match="2 finite numbers"):
            sampled(generator, data, {"units": wrong})
    with pytest.raises(UserError, match="sets texts"):
        sampled(generator, data, {"texts": (1.0, 2.0)})


def test_vectors_are_seen_less_their_mean_over_their_spread() -> None:
    data = with_units()
    field = VectorField.of("units", data.vectors["units"])
    fields = ConditionFields(vectors=(field,))
    z = train_conditions(data, fields)["given_units"]
    torch.testing.assert_close(z.mean(dim=0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.std(dim=0, correction=0), torch.ones(2), atol=1e-4, rtol=0)
    asked = encode_conditions(
        [Condition("fear"), Condition("fear", {"units": tuple(data.vectors["units"][0].tolist())})], CLASSES, fields
    )
    torch.testing.assert_close(asked["given_units"], torch.stack([torch.zeros(2), z[0]]), atol=1e-4, rtol=0)
    flat = VectorField.of("flat", np.full((5, 2), 7.0))
    assert flat.scale == (1.0, 1.0), "a column that never changes is not blown up"


def test_broken_vectors_are_refused() -> None:
    data = with_units()
    generator = generator_class("cvae")(VECTOR, CLASSES, **TINY["cvae"].params)
    for values in (data.vectors["units"][:5], np.full((60, 2), np.nan)):
        with pytest.raises(UserError, match="wanted: 60 rows of finite numbers"):
            list(generator.fit(dataclasses.replace(data, vectors={"units": values}), steps=1, seed=1, device=CPU))
