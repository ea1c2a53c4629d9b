"""What fits are stopped by: the same at every look, of held-out rows alone, and better for a model that learned."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpora.errors import UserError
from features.representation import Spec
from generators.condition import ConditionFields
from generators.generator import Device, TrainData, generator_class
from generators.held_out import PER_CLASS, held_out
from tests.generators.tiny import ARRAYS, KINDS, TINY
from tests.generators.toy import CLASSES, IMAGES, SPEECH, VECTOR, toy_data

CPU = Device()
KNOWING = [name for name in ARRAYS if hasattr(KINDS[name], "held_out_loss")]
SPECS = {"faces": IMAGES, "speech": SPEECH, "vector": VECTOR}


def make(name: str, spec: Spec, **params: Any) -> Any:
    return generator_class(name)(spec, CLASSES, **{**TINY[name].params, **params})


def fitted(generator: Any, data: TrainData, steps: int, **more: Any) -> Any:
    for _ in generator.fit(data, steps=steps, seed=1, device=CPU, **more):
        pass
    return generator


def test_rows_of_each_class_their_conditions_and_a_seed_each() -> None:
    data = toy_data(VECTOR, n=600)
    data = dataclasses.replace(data, held_out=np.arange(600) % 2 == 0)
    held = held_out(data, ConditionFields())
    assert len(held.arrays) == len(held.seeds) == len(set(held.seeds)) == PER_CLASS * len(CLASSES)
    by_bytes = {row.tobytes(): i for i, row in enumerate(data.arrays)}
    rows = [by_bytes[row.tobytes()] for row in held.arrays]
    assert data.held_out[rows].all()
    assert [data.emotions[i] for i in rows] == [CLASSES[k] for k in held.conditions["emotion"].argmax(dim=1).tolist()]
    with pytest.raises(UserError, match="no train sample is held out"):
        held_out(dataclasses.replace(data, held_out=np.zeros(600, bool)), ConditionFields())


@pytest.mark.parametrize("modality", SPECS)
@pytest.mark.parametrize("name", [n for n in KNOWING if not TINY[n].shares])
def test_it_falls_while_there_is_something_to_learn_and_depends_on_held_out_rows_alone(
    name: str, modality: str
) -> None:
    data = toy_data(SPECS[modality])
    few, many = (fitted(make(name, data.spec), data, steps) for steps in (4, 60))
    state = torch.get_rng_state()
    early, late = few.held_out_loss(data, CPU), many.held_out_loss(data, CPU)
    assert torch.equal(state, torch.get_rng_state()) and many.held_out_loss(data, CPU) == late
    assert late < early
    seen = data.arrays.copy()
    seen[~data.held_out] = 0.0
    assert many.held_out_loss(dataclasses.replace(data, arrays=seen), CPU) == late
    other = data.arrays.copy()
    other[data.held_out] = other[data.held_out][::-1]  # arrays of other classes
    assert many.held_out_loss(dataclasses.replace(data, arrays=other), CPU) > late


@pytest.mark.parametrize(
    "params",
    [
        {"space": "latent", "latent": 4, "patch": None},
        {"prediction": "edm", "guide": "auto", "network": "unet"},
        {"learned_variance": True, "sampler": "ddpm", "min_snr": 5.0},
        {"guide": "classifier"},
    ],
    ids=lambda p: next(iter(p)),
)
def test_every_kind_of_diffusion_knows_it(params: dict[str, Any]) -> None:
    data = toy_data(IMAGES)
    looked: list[float] = []
    generator = make("diffusion", data.spec, **params)

    def monitor(model: Any) -> float:
        looked.append(model.held_out_loss(data, CPU))
        return looked[-1]

    fitted(generator, data, 30, monitor=monitor, monitor_every=10)
    assert np.isfinite(looked).all() and generator.held_out_loss(data, CPU) == pytest.approx(min(looked), rel=1e-5)


@pytest.mark.parametrize("name", [n for n in KNOWING if not TINY[n].shares])
def test_a_fit_that_was_killed_stops_where_it_would_have(name: str, tmp_path: Path) -> None:
    data = toy_data(SPEECH)
    options = {"steps": 60, "seed": 1, "device": CPU, "checkpoint_every": 5, "monitor_every": 5, "patience": 1}

    def look(model: Any) -> float:  # stalls at once, whatever is learned
        return round(model.held_out_loss(data, CPU) * 0.2)

    whole = make(name, data.spec)
    curve = list(whole.fit(data, monitor=look, **options))
    assert curve[-1].step < 60
    for report in make(name, data.spec).fit(data, monitor=look, checkpoints=tmp_path, **options):
        if report.step == curve[-1].step - 2:
            break
    resumed = make(name, data.spec)
    again = list(resumed.fit(data, monitor=look, checkpoints=tmp_path, **options))
    assert [(r.step, r.losses) for r in again] == [(r.step, r.losses) for r in curve]
    expected = whole.network.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in resumed.network.state_dict().items())
