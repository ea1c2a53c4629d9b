"""Rows that are released one at a time: the methods of studies, with sources of the class and the corpus."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from corpora.errors import ParamsError, UserError
from features.representation import Spec
from generators.classical.method import vector_method
from generators.classical.resampling import Resampling
from generators.draws.sources import SourceTable, choose_sources
from generators.generator import Condition, Device, Draw, TrainData

CPU = Device()
CLASSES = ("calm", "stress")
SPEC = Spec("toy", (2,), layout="vector", rows=("hz", "share"), units=("Hz", ""))


def data_of(x: np.ndarray, y: list[int], ids: list[str] | None = None, subjects: list[str | None] | None = None) -> Any:
    n = len(x)
    ids = ids or [f"a/{i}" for i in range(n)]
    held = np.zeros(n, bool)
    names = tuple(CLASSES[k] for k in y)
    rows = np.asarray(x, np.float32)
    return TrainData(SPEC, CLASSES, rows, names, tuple(ids), tuple(ids), tuple(subjects or [None] * n), held)


def overlapping(n: int = 60, seed: int = 0) -> TrainData:
    """Two classes in one plane, the first column in units a thousand times those of the second."""
    rng = np.random.default_rng(seed)
    y = [int(k) for k in np.arange(n) % 3 == 0]
    x = rng.normal(0, 1, (n, 2)) + 1.5 * np.array(y)[:, None]
    return data_of(x * [1000.0, 1.0], y)


def fitted(data: TrainData, **params: Any) -> Resampling:
    model = Resampling(data.spec, data.classes, **params)
    list(model.fit(data, steps=1, seed=0, device=CPU))
    return model


def drawn(model: Resampling, data: TrainData, draws: list[Draw]) -> np.ndarray:
    sources = np.stack([data.arrays[data.ids.index(d.sources["from"])] for d in draws])
    return model.sample(draws, sources, device=CPU).astype(np.float64)


def draw(source: str, seed: int, emotion: Any = "stress") -> Draw:
    return Draw(Condition(emotion), seed, {"from": source})


def test_smote_lies_between_its_source_and_one_of_its_neighbours_in_scaled_columns() -> None:
    data = overlapping()
    model = fitted(data, method="smote", of_method={"k": 3})
    own = np.flatnonzero(np.array(data.emotions) == "stress")
    scaled = data.arrays / data.arrays.std(axis=0)
    near = own[NearestNeighbors(n_neighbors=4).fit(scaled[own]).kneighbors(scaled[own], return_distance=False)[:, 1:]]
    reached: set[int] = set()
    for place, i in enumerate(own[:6]):
        rows = drawn(model, data, [draw(data.ids[i], seed) for seed in range(40)])
        start, ends = data.arrays[i].astype(float), data.arrays[near[place]].astype(float)
        steps = (rows - start)[:, None] / (ends - start)  # [draws, neighbours, columns]: equal where it is on the line
        on = np.isclose(steps[..., 0], steps[..., 1], rtol=1e-3) & (steps[..., 0] >= -1e-4) & (steps[..., 0] <= 1.0001)
        assert on.any(axis=1).all()
        reached |= {int(near[place][j]) for j in np.flatnonzero(on.any(axis=0))}
    assert len(reached) > 6


@pytest.mark.parametrize("method", ["borderline", "adasyn"])
def test_starts_are_those_of_the_study_arms(method: str) -> None:
    """Every row of the arm lies on a segment that begins in a row with turns (imbalanced-learn is the oracle)."""
    data = overlapping(90)
    scaled, y = data.arrays.astype(float) / data.arrays.std(axis=0), np.array([CLASSES.index(e) for e in data.emotions])
    model = fitted(data, method=method)
    arm = vector_method(method).rows(scaled, y, [None] * 90, {1: 200}, np.random.default_rng(0))
    serving = {i for i in np.flatnonzero(y == 1) if model.turns.get(data.ids[i], 1) > 0}
    assert 0 < len(serving) < (y == 1).sum()
    ends = list(zip(arm.source.tolist(), arm.second.tolist(), strict=True))
    assert all(a in serving or b in serving for a, b in ends)
    assert serving <= {i for pair in ends for i in pair}, "each that serves is started from"


def test_adasyn_starts_in_proportion_to_neighbours_of_other_classes() -> None:
    data = overlapping(90)
    model = fitted(data, method="adasyn")
    own = [i for i, e in zip(data.ids, data.emotions, strict=True) if e == "stress"]
    table = SourceTable(data.ids, data.emotions, data.subjects, "same").with_turns(model.turns)
    turns = {i: model.turns.get(i, 1) for i in own}
    whole = sum(turns.values())
    chosen = [s["from"] for s in choose_sources(range(2 * whole), table, "stress", 0)]
    assert {i: chosen.count(i) for i in own} == {i: 2 * n for i, n in turns.items()}
    assert max(turns.values()) > 1
    first = chosen[: sum(n > 0 for n in turns.values())]
    assert len(set(first)) == len(first), "each once before any twice"


def test_a_mixture_is_a_row_of_each_class_mixed_by_its_share() -> None:
    data = overlapping()
    model = fitted(data, method="oversample")
    source = data.ids[data.emotions.index("stress")]
    row = drawn(model, data, [draw(source, 5, {"calm": 0.25, "stress": 0.75})])[0]
    start = data.arrays[data.ids.index(source)].astype(float)
    other = (row - 0.75 * start) / 0.25
    calm = data.arrays[np.array(data.emotions) == "calm"].astype(float)
    assert np.isclose(calm, other, rtol=1e-3, atol=1e-3).all(axis=1).any()


def test_a_row_is_moved_towards_its_own_corpus_or_its_own_subject() -> None:
    x = np.array([[0, 0], [0, 1], [10, 0], [10, 1], [50, 50], [51, 51]], float)
    ids = ["a/0", "a/1", "b/2", "b/3", "a/4", "b/5"]
    people: list[str | None] = ["a:1", "a:1", "b:1", "b:2", "a:1", "b:2"]
    data = data_of(x, [1, 1, 1, 1, 0, 0], ids, people)
    model = fitted(data, method="mixup")
    for seed in range(20):
        a, b = drawn(model, data, [draw("a/0", seed), draw("b/2", seed)])
        assert a[0] == 0 and b[0] == 10, "no row between the corpora"
    own = fitted(data, method="mixup", within="subject")
    assert own.turns == {"b/2": 0, "b/3": 0, "a/4": 0, "b/5": 0}
    assert own.refuses.keys() == {"calm"} and "2 rows of one subject" in own.refuses["calm"]
    with pytest.raises(UserError, match=r"never starts from source 'b/2': there is no other row.*subject"):
        drawn(own, data, [draw("b/2", 0)])
    with pytest.raises(UserError, match="draws nothing of calm"):
        drawn(own, data, [draw("a/0", 0, {"calm": 0.5, "stress": 0.5})])


def test_what_cannot_be_is_said_before_anything_is_fitted() -> None:
    ids, emotions, nobody = ["a/0", "b/1", "a/2", "a/3"], ["stress", "stress", "calm", "calm"], [None] * 4
    (text,) = Resampling.foresee({"method": "smote"}, ids, emotions, nobody)
    assert text.startswith("stress: smote needs 2 rows of one corpus, and the most that any has is 1")
    assert Resampling.foresee({"method": "jitter"}, ids, emotions, nobody) == []
    assert len(Resampling.foresee({"method": "jitter", "within": "subject"}, ids, emotions, nobody)) == 2
    with pytest.raises(ParamsError, match="smote"):
        Resampling(SPEC, CLASSES, method="smot")
    with pytest.raises(ParamsError, match="'k'"):
        Resampling(SPEC, CLASSES, method="smote", of_method={"kk": 3})
    with pytest.raises(ParamsError, match=r"layouts vector.*rows"):
        Resampling(Spec("w", (2, 4), layout="rows"), CLASSES)


def test_classes_that_lie_apart_are_refused() -> None:
    rng = np.random.default_rng(0)
    y = [0] * 20 + [1] * 20
    apart = data_of(rng.normal(0, 0.1, (40, 2)) + np.array(y)[:, None] * 10.0, y)
    with pytest.raises(UserError, match="starts from none of its rows"):
        fitted(apart, method="borderline")


def test_sources_are_of_the_class_that_is_asked_for() -> None:
    data = overlapping()
    model = fitted(data)
    with pytest.raises(UserError, match="is of 'calm', and what is asked for is stress"):
        drawn(model, data, [draw(data.ids[data.emotions.index("calm")], 0)])
    with pytest.raises(UserError, match="not a train sample"):
        model.sample([draw("a/999", 0)], data.arrays[:1], device=CPU)


def test_jitter_is_in_units_within_classes() -> None:
    data = overlapping(300)
    model = fitted(data, method="jitter", of_method={"sd": 0.5})
    source = data.ids[data.emotions.index("stress")]
    rows = drawn(model, data, [draw(source, seed) for seed in range(400)])
    y = np.array(data.emotions)
    within = np.sqrt(np.mean([data.arrays[y == c].var(axis=0) for c in CLASSES], axis=0))
    np.testing.assert_allclose(rows.std(axis=0) / within, 0.5, rtol=0.12)
    np.testing.assert_allclose(rows.mean(axis=0), data.arrays[data.ids.index(source)], atol=0.1 * within.max())


def test_held_out_rows_are_nobodys_neighbours() -> None:
    data = overlapping()
    held = np.zeros(60, bool)
    held[::5] = True
    data = dataclasses.replace(data, held_out=held)
    far = data.arrays.copy()
    far[held] += 1e6
    a, b = fitted(data), fitted(dataclasses.replace(data, arrays=far))
    own = [i for i, e, out in zip(data.ids, data.emotions, held, strict=True) if e == "stress" and not out]
    draws = [draw(i, seed) for seed, i in enumerate(own)]
    np.testing.assert_array_equal(drawn(a, data, draws), drawn(b, data, draws))
