"""Ranked intensity: features of every layout that rank, held-out rows that rankers do not see, and clear refusals."""

from __future__ import annotations

import numpy as np
import pytest

from corpora.errors import ParamsError, UserError
from features.representation import Spec
from flows.params import GeneratorParams
from flows.stages.fit.ranked import ranking_features, require_rankable, with_ranked_intensity
from generators.generator import TrainData, generator_class

N = 120
CLASSES = ("anger", "neutral")


def specs() -> list[Spec]:
    return [
        Spec("v", (5,), "vector"),
        Spec("r", (3, 20), "rows", rows=("a", "b", "mask"), units=("", "", ""), mask_row=2),
        Spec("i", (1, 12, 12), "image"),
    ]


def data_of(spec: Spec) -> tuple[TrainData, np.ndarray]:
    """Anger raises the array by its own true intensity; neutral is noise. -> data, true intensity [N]."""
    rng = np.random.default_rng(4)
    emotions = tuple(CLASSES[i % 2] for i in range(N))
    true = np.where(np.arange(N) % 2 == 0, rng.uniform(0.3, 1.0, N), 0.0)
    x = rng.standard_normal((N, *spec.shape)) * 0.3 + true.reshape(-1, *[1] * len(spec.shape)) * 3
    if spec.mask_row is not None:
        x[:, spec.mask_row] = 1.0
        x[:, spec.mask_row, 15:] = -1.0
        x[:, :2, 15:] = 1e6 * rng.standard_normal((N, 2, 5))  # padding says nothing
    groups = tuple(f"p{i // 2 % 10}" for i in range(N))
    held = np.array([g == "p9" for g in groups])
    ids = tuple(str(i) for i in range(N))
    return TrainData(spec, CLASSES, x.astype(np.float32), emotions, ids, groups, groups, held), true


@pytest.mark.parametrize("spec", specs(), ids=lambda s: s.layout)
def test_rankers_recover_an_intensity_that_nobody_rated(spec: Spec) -> None:
    data, true = data_of(spec)
    ranked, summary = with_ranked_intensity(data, "neutral")
    given = ranked.ratings["intensity"]
    angry = ~data.held_out & (true > 0)
    assert np.corrcoef(given[angry], true[angry])[0, 1] > 0.6
    assert np.isnan(given[data.held_out]).all() and np.isfinite(given[~data.held_out]).all()
    assert summary.order_accuracy > 0.95 and summary.n_pairs > 0 and set(summary.by_emotion) == {"anger"}
    features = ranking_features(data.arrays, spec, np.arange(N))
    assert features.shape[0] == N and features.shape[1] > 1 and np.abs(features).max() < 1e3


def test_labels_that_mean_nothing_are_ordered_by_chance() -> None:
    data, _ = data_of(specs()[0])
    noise = TrainData(
        **{f: getattr(data, f) for f in data.__slots__} | {"arrays": np.random.default_rng(1).random((N, 5))}
    )
    assert abs(with_ranked_intensity(noise, "neutral")[1].order_accuracy - 0.5) < 0.2


def test_refusals_come_before_anything_is_fitted() -> None:
    vector, tokens = specs()[0], Spec("t", (9,), "tokens")
    learns = GeneratorParams(name="cvae", params={"honours": ["intensity"]}, intensity="ranked")
    require_rankable("runs.x", learns, generator_class("cvae"), vector)
    with pytest.raises(ParamsError, match=r"runs\.x\.generator\.intensity.*layout tokens are no quantities"):
        require_rankable("runs.x", learns, generator_class("cvae"), tokens)
    with pytest.raises(ParamsError, match="does not honour intensity as it is set up; add intensity to"):
        require_rankable("runs.x", GeneratorParams(name="cvae", intensity="ranked"), generator_class("cvae"), vector)
    with pytest.raises(UserError, match="no intensity to learn from: no sample is of class 'calm'"):
        with_ranked_intensity(data_of(vector)[0], "calm")
