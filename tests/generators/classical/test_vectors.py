"""Where new rows lie: on segments of their class, at the border, as often as ADASYN's weights say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imblearn.over_sampling import SMOTE

from corpora.errors import UserError
from generators.classical.method import Drawn, vector_method
from generators.classical.vectors import within_sd
from tests.generators.classical.payloads import rows

MIXING = ("smote", "borderline", "adasyn", "mixup")


def drawn(name: str, x: np.ndarray, y: np.ndarray, lacks: dict[int, int], seed: int = 0, **params: object) -> Drawn:
    return vector_method(name, params).rows(x, y, [None] * len(y), lacks, np.random.default_rng(seed))


def weight_on_segment(row: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """Where on the segment from `start` (0) to `end` (1) a row lies; NaN where it lies beside it."""
    step = end - start
    along = float((row - start) @ step / (step @ step)) if step.any() else 0.0
    return along if np.allclose(start + along * step, row, rtol=0, atol=1e-9) else float("nan")


@pytest.mark.parametrize("name", MIXING)
@pytest.mark.parametrize("seed", range(3))
def test_rows_lie_on_segments_of_their_class(name: str, seed: int) -> None:
    x, y = rows(seed)
    result = drawn(name, x, y, {1: 30, 2: 20}, seed)
    for row, label, first, second in zip(result.x, result.y, result.source, result.second, strict=True):
        assert y[first] == y[second] == label
        assert 0 <= weight_on_segment(row, x[first], x[second]) <= 0.5  # the first is the nearer one
    assert len(set(result.source)) > 6 or name == "borderline"


@pytest.mark.parametrize("name", ["smote", "borderline", "adasyn"])
def test_the_other_row_is_a_neighbour(name: str) -> None:
    """One of both is among the k nearest of its class to the other one; by brute force."""
    x, y = rows(1)
    k = 2
    result = drawn(name, x, y, {1: 40}, k=k)
    members = np.flatnonzero(y == 1)
    far = np.linalg.norm(x[members][:, None] - x[members][None], axis=2)
    near = {int(i): set(members[np.argsort(d)[1 : k + 1]].tolist()) for i, d in zip(members, far, strict=True)}
    assert all(b in near[a] or a in near[b] for a, b in zip(result.source, result.second, strict=True))


def test_smote_is_the_library_s() -> None:
    """The rows are those that imbalanced-learn draws from the same seed; parents cost no row."""
    x, y = rows()
    seed = int(np.random.default_rng(4).integers(2**31))
    theirs, _ = SMOTE(sampling_strategy={2: 6 + 25}, random_state=seed, k_neighbors=5).fit_resample(x, y)
    assert np.allclose(drawn("smote", x, y, {2: 25}, seed=4).x, theirs[60:], rtol=0, atol=1e-12)


def test_parents_of_equal_rows_and_of_rows_on_one_line() -> None:
    x = np.array([0.0, 0.0, 1.0, 1.0, 2.0, 5.0, 9.0])[:, None]
    y = np.array([0, 0, 0, 0, 0, 1, 1])
    result = drawn("smote", x, y, {0: 200}, k=3)
    assert all(
        0 <= weight_on_segment(row, x[a], x[b]) <= 0.5
        for row, a, b in zip(result.x, result.source, result.second, strict=True)
    )
    assert set(result.source) == {0, 1, 2, 3, 4}


@given(n=st.integers(2, 40), seed=st.integers(0, 2**32 - 1))
def test_parents_for_any_number_of_rows(n: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(n, 3))
    result = drawn("smote", x, np.zeros(n, int), {0: 15}, seed)
    assert all(
        0 <= weight_on_segment(row, x[a], x[b]) <= 0.5
        for row, a, b in zip(result.x, result.source, result.second, strict=True)
    )


def test_borderline_starts_at_the_border() -> None:
    """On a line: class 1 from 0 to 9, class 0 from 9.5 on. Rows in danger have at least half, not all, strangers."""
    x = np.r_[np.arange(10.0), 9.5 + 0.1 * np.arange(10)][:, None]
    y = np.repeat([1, 0], 10)
    result = drawn("borderline", x, y, {1: 50}, m=4, k=2)
    strangers = [(y[np.argsort(np.abs(x[:, 0] - v))[1:5]] == 0).sum() for v in x[:10, 0]]
    danger = [i for i, n in enumerate(strangers) if 2 <= n < 4]
    assert danger == [8]  # 9 lies among strangers alone
    assert all({a, b} & {8} for a, b in zip(result.source, result.second, strict=True))
    apart = x + 100 * (y == 0)[:, None]
    with pytest.raises(UserError, match="no row of class 1 is in danger"):
        drawn("borderline", apart, y, {1: 5})
    with pytest.raises(UserError, match="no row of class 1 has one of another class"):
        drawn("adasyn", apart, y, {1: 5})


@pytest.mark.parametrize("lack", [1, 2, 3, 50, 1000])
def test_adasyn_gives_the_exact_number_at_the_shares_of_the_paper(lack: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 2)), np.repeat([0, 1], [60, 20])
    x[y == 1] += 1.0
    result = drawn("adasyn", x, y, {1: lack})
    assert len(result.x) == lack and f"{lack} rows kept at random of" in result.notes[0]
    if lack == 1000:
        far = np.linalg.norm(x[60:, None] - x[None], axis=2)
        strangers = (y[np.argsort(far, axis=1)[:, 1:6]] == 0).sum(axis=1) / 5
        touched = {*result.source.tolist(), *result.second.tolist()}
        assert {60 + i for i in np.flatnonzero(strangers)} <= touched


def test_fewer_neighbours_are_stated() -> None:
    x, y = rows()
    assert drawn("smote", x, y, {1: 5}).notes == ()
    notes = drawn("smote", x, y, {1: 5, 2: 5}, k=10).notes
    assert notes == ("smote: class 2 has 6 rows, so 5 neighbours instead of 10",)
    y[y == 0] = 1  # 54 of class 1, 6 of class 2: at most half of 59 neighbours are strangers to a row of class 2
    notes = drawn("borderline", x, y, {2: 5}, m=100, k=3).notes
    assert notes == ("borderline: train has 60 rows, so 59 neighbours instead of 100",)


def test_mixup_with_alpha_0_and_jitter_with_sd_0_repeat() -> None:
    x, y = rows()
    for name, params in (("mixup", {"alpha": 0}), ("jitter", {"sd": 0}), ("oversample", {})):
        result = drawn(name, x, y, {2: 20}, **params)
        assert np.array_equal(result.x, x[result.source])
        counts = np.bincount(result.source, minlength=60)[54:]
        assert counts.sum() == 20 and counts.min() >= 3 and counts.max() <= 4  # as often as one another


def test_mixup_weights_are_beta() -> None:
    """Of alpha = 1 the lesser weight is even on [0, 0.5]; each partner of the class is as likely."""
    x, y = rows()
    result = drawn("mixup", x, y, {2: 6000}, alpha=1)
    weights = np.array(
        [weight_on_segment(r, x[a], x[b]) for r, a, b in zip(result.x, result.source, result.second, strict=True)]
    )
    assert np.quantile(weights, [0.25, 0.5, 0.75]) == pytest.approx([0.125, 0.25, 0.375], abs=0.01)
    assert (result.source != result.second).all()
    assert np.bincount(result.second, minlength=60)[54:] == pytest.approx(1000, abs=120)


def test_jitter_is_in_units_of_the_spread_within_classes() -> None:
    x, y = rows()
    result = drawn("jitter", x, y, {0: 4000}, sd=0.5)
    noise = (result.x - x[result.source]).std(axis=0)
    own = [np.sqrt(sum(((x[y == k, j] - x[y == k, j].mean()) ** 2).sum() for k in range(3)) / 57) for j in range(4)]
    assert within_sd(x, y) == pytest.approx(own)
    assert noise == pytest.approx(0.5 * np.array(own), rel=0.05) and noise[3] == 0
    with pytest.raises(UserError, match="no class has two rows"):
        drawn("jitter", x[[0, 40, 59]], np.arange(3), {1: 2})
