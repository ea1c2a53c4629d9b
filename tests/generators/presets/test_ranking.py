"""Presets whose intensity comes from rankers of pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from features.representation import Spec
from flows.stages.fit.ranked import with_ranked_intensity
from generators.generator import Condition, Device, Draw, TrainData, generator_class
from generators.preset import load_preset
from tests.generators.presets.mechanisms import shows

CLASSES = ("anger", "neutral", "sadness")
N, DIMS = 240, 6


def toy(rng: np.random.Generator) -> TrainData:
    """Anger goes along the first axis, sadness along the second, each sample as far as it is intense; nobody rated."""
    emotions = tuple(CLASSES[i % 3] for i in range(N))
    degree = rng.uniform(0.2, 1.0, N)
    x = 0.25 * rng.standard_normal((N, DIMS))
    for i, emotion in enumerate(emotions):
        x[i, :2] += 4 * degree[i] * np.array({"anger": (1, 0), "sadness": (0, 1), "neutral": (0, 0)}[emotion])
    groups = tuple(f"p{i // 3 % 8}" for i in range(N))
    ids = tuple(map(str, range(N)))
    spec = Spec("toy", (DIMS,), "vector")
    return TrainData(spec, CLASSES, x.astype(np.float32), emotions, ids, groups, groups, np.zeros(N, bool))


def steering(data: TrainData, params: dict[str, object]) -> float:
    """How much further along the first column 64 samples of anger lie at full intensity than at a tenth of it."""
    model = generator_class("cvae")(data.spec, CLASSES, **params)
    for _ in model.fit(data, steps=150, seed=1, device=Device()):
        pass

    def drawn(emotion: str | dict[str, float], level: float) -> np.ndarray:
        draws = [Draw(Condition(emotion, {"intensity": level}), i) for i in range(64)]
        sampled: np.ndarray = model.sample(draws, device=Device())[:, :2].mean(axis=0)
        return sampled

    assert drawn({"anger": 1, "sadness": 1}, 1.0).min() > 0.3, "both parts of a mixture are there"
    return float(drawn("anger", 1.0)[0] - drawn("anger", 0.1)[0])


@shows("speech/zhou-2022")
def test_rankers_order_held_out_pairs_and_their_degrees_steer_the_generator() -> None:
    preset, rng = load_preset("speech/zhou-2022"), np.random.default_rng(2)
    assert preset.intensity == "ranked" and preset.params["honours"] == ["intensity"]
    data = toy(rng)
    ranked, summary = with_ranked_intensity(data, "neutral")
    assert summary.order_accuracy > 0.95
    meaningless = replace(data, emotions=tuple(rng.permutation(data.emotions).tolist()))
    assert with_ranked_intensity(meaningless, "neutral")[1].order_accuracy < 0.65, "without an order to learn: chance"
    params = {**preset.params, "width": 8, "latent": 2}
    steered = steering(ranked, params)
    shuffled = replace(ranked, ratings={"intensity": rng.permutation(ranked.ratings["intensity"])})
    unsteered = steering(shuffled, params)
    assert steered > 1.0 and steered > 3 * abs(unsteered), (steered, unsteered)
