"""The score to stop early by: of models that draw, and of models that convert."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from corpora.errors import UserError
from features.representation import Spec
from flows.stages.fit.monitor import SAMPLES_PER_CLASS, held_out_distance
from generators.generator import Device, Draw, TrainData
from validators.maths.kernel import energy_distance

CPU = Device()
N = 40  # of two classes in turns, ten groups, the last two of which are held out


def toy() -> TrainData:
    rng = np.random.default_rng(1)
    emotions = tuple("ab"[i % 2] for i in range(N))
    arrays = rng.normal(0, 1, (N, 3)).astype(np.float32) + np.array([[3.0 * (e == "b")] for e in emotions], np.float32)
    groups = tuple(f"g{i // 4}" for i in range(N))
    return TrainData(
        spec=Spec("toy", (3,), layout="vector"),
        classes=("a", "b"),
        arrays=arrays,
        emotions=emotions,
        ids=tuple(f"x/{i}" for i in range(N)),
        groups=groups,
        subjects=groups,
        held_out=np.array([g in ("g8", "g9") for g in groups]),
    )


class Drawn:
    """Draws from its own idea of each class."""

    takes: tuple[str, ...] = ()

    def __init__(self, shift: float) -> None:
        self.shift, self.calls = shift, 0

    def sample(self, draws: Sequence[Draw], sources: Any = None, *, device: Device) -> np.ndarray:
        assert sources is None
        noise = np.stack([np.random.default_rng(d.seed).normal(0, 1, 3) for d in draws])
        return (noise + [[3.0 * (d.condition.emotion == "b") + self.shift] for d in draws]).astype(np.float32)


class Moved:
    """A conversion: adds to each source what it thinks the other class is away."""

    takes = ("from",)

    def __init__(self, data: TrainData, step: float) -> None:
        self.data, self.step = data, step
        self.seen: list[tuple[Draw, np.ndarray]] = []

    def sample(self, draws: Sequence[Draw], sources: np.ndarray | None = None, *, device: Device) -> np.ndarray:
        assert sources is not None and sources.shape == (len(draws), 3) and sources.dtype == np.float32
        self.seen += list(zip(draws, sources, strict=True))
        sign = np.array([[1.0 if d.condition.emotion == "b" else -1.0] for d in draws], np.float32)
        return sources + sign * self.step


def test_the_better_model_has_the_smaller_distance_and_the_same_at_every_look() -> None:
    monitor = held_out_distance(toy(), CPU, 3)
    good, bad = monitor(Drawn(0.0)), monitor(Drawn(4.0))  # type: ignore[arg-type]
    assert good < bad and monitor(Drawn(4.0)) == bad  # type: ignore[arg-type]


def test_a_conversion_starts_from_train_rows_of_other_classes_that_gradients_see() -> None:
    data = toy()
    monitor = held_out_distance(data, CPU, 3)
    model = Moved(data, 3.0)
    good, bad = monitor(model), monitor(Moved(data, 0.0))  # type: ignore[arg-type]
    assert good < bad
    assert len(model.seen) == 2 * SAMPLES_PER_CLASS
    row = {sample_id: i for i, sample_id in enumerate(data.ids)}
    for draw, source in model.seen:
        i = row[draw.sources["from"]]
        assert not data.held_out[i] and data.emotions[i] != draw.condition.emotion
        np.testing.assert_array_equal(source, data.arrays[i])
    again = Moved(data, 3.0)
    assert monitor(again) == good and [d for d, _ in again.seen] == [d for d, _ in model.seen]  # type: ignore[arg-type]


def test_it_is_the_energy_distance_of_the_measures() -> None:
    data = toy()
    one = dataclasses.replace(data, classes=("a",))
    held = np.flatnonzero(data.held_out)
    centre, scale = data.arrays[held].mean(0), data.arrays[held].std(0) + 1e-6
    model = Moved(data, 3.0)
    value = held_out_distance(one, CPU, 3)(model)  # type: ignore[arg-type]
    sampled = model.sample([d for d, _ in model.seen], np.stack([s for _, s in model.seen]), device=CPU)
    real = data.arrays[[i for i in held if data.emotions[i] == "a"]]
    assert value == pytest.approx(energy_distance((sampled - centre) / scale, (real - centre) / scale).value)


def test_a_class_with_one_held_out_row_is_left_out_and_none_at_all_is_an_error() -> None:
    data = toy()
    held = np.zeros(N, bool)
    held[[0, 2, 1]] = True  # two of a, one of b
    model = Moved(data, 3.0)
    assert np.isfinite(held_out_distance(dataclasses.replace(data, held_out=held), CPU, 3)(model))  # type: ignore[arg-type]
    assert {d.condition.emotion for d, _ in model.seen} == {"a"}
    held[2] = False
    with pytest.raises(UserError, match=r"holds out 2 train samples, and no class has 2.*early_stop"):
        held_out_distance(dataclasses.replace(data, held_out=held), CPU, 3)
