"""Frechet distance against closed forms, scipy's matrix root, its own laws, and what the gate claims to see."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg.lapack import dsygst

from corpora.errors import ParamsError, UserError
from validators.batch import rows_of
from validators.gate import Batch, judge
from validators.gates.frechet import FrechetGate
from validators.maths import frechet
from validators.maths.frechet import features_frechet, frechet_distance

CLASSES = ("anger", "happiness", "sadness")


def _sqrtm_form(x: np.ndarray, y: np.ndarray) -> float:
    """The usual implementation: tr (C1 C2)^(1/2) by scipy.linalg.sqrtm."""
    c1, c2 = np.atleast_2d(np.cov(x.T)), np.atleast_2d(np.cov(y.T))
    root = scipy.linalg.sqrtm(c1 @ c2)
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * np.trace(root).real)


def _random(seed: int, n: int, d: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)


def test_one_dimension_is_the_textbook_formula() -> None:
    # N(1, 4) and N(4, 9): (1 - 4)^2 + (2 - 3)^2 = 10
    found = frechet_distance(np.array([1.0]), np.array([[4.0]]), np.array([4.0]), np.array([[9.0]]))
    assert found == pytest.approx(10.0, rel=1e-12)


def test_commuting_covariances_have_a_closed_form() -> None:
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    a, b = np.array([4.0, 1, 9, 0, 2, 5]), np.array([1.0, 1, 16, 3, 0, 7])
    found = frechet_distance(np.zeros(6), (q * a) @ q.T, np.full(6, 0.5), (q * b) @ q.T)
    assert found == pytest.approx(6 * 0.25 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum(), rel=1e-9)


@pytest.mark.parametrize(("n", "m", "d"), [(60, 60, 5), (200, 90, 20), (50, 400, 1)])
def test_agrees_with_the_matrix_root(n: int, m: int, d: int) -> None:
    x, y = _random(1, n, d), _random(2, m, d)
    assert features_frechet(x, y) == pytest.approx(_sqrtm_form(x, y), rel=1e-7)


@pytest.mark.parametrize(("n", "m"), [(7, 100), (100, 7), (5, 9), (2, 2)])
def test_low_rank_form_equals_the_full_one(n: int, m: int) -> None:
    x, y = _random(3, n, 30), _random(4, m, 30)
    full = frechet_distance(x.mean(0), np.cov(x.T), y.mean(0), np.cov(y.T))
    assert features_frechet(x, y) == pytest.approx(full, rel=1e-9)
    assert features_frechet(x, x) == pytest.approx(0.0, abs=1e-9 * np.trace(np.cov(x.T)))


def test_golden_value() -> None:
    """From torch-fidelity 0.3.0's formula (metric_fid.fid_statistics_to_metric: scipy.linalg.sqrtm of C1 C2,
    numpy.cov), evaluated with scipy 1.17.1 on these two sets."""
    i = np.arange(40)[:, None]
    x, y = np.sin(i * np.arange(1, 5) * 0.7), np.cos(i * np.arange(1, 5) * 0.4) * 1.5 + 0.25
    assert features_frechet(x, y) == pytest.approx(GOLDEN, rel=1e-9)


GOLDEN = 0.8134422109092316


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 40), m=st.integers(2, 40), d=st.integers(1, 12))
def test_laws(seed: int, n: int, m: int, d: int) -> None:
    x, y = _random(seed, n, d), _random(seed + 1, m, d)
    scale = np.trace(np.atleast_2d(np.cov(x.T))) + np.trace(np.atleast_2d(np.cov(y.T))) + 1.0
    value = features_frechet(x, y)
    assert value >= 0
    assert features_frechet(x, x) == pytest.approx(0.0, abs=1e-6 * scale)
    assert features_frechet(y, x) == pytest.approx(value, rel=1e-6, abs=1e-6 * scale)
    assert features_frechet(x + 3.0, y + 3.0) == pytest.approx(value, rel=1e-6, abs=1e-6 * scale)
    assert features_frechet(x, x + 2.0) == pytest.approx(4.0 * d, rel=1e-6, abs=1e-6 * scale)
    assert features_frechet(2 * x, 2 * y) == pytest.approx(4 * value, rel=1e-6, abs=1e-5 * scale)


def test_bad_input_gives_no_number() -> None:
    x = _random(0, 10, 3)
    assert math.isnan(features_frechet(x[:1], x)) and math.isnan(features_frechet(x[:0], x))
    assert math.isnan(features_frechet(np.where(x == x[0, 0], np.nan, x), x))
    assert math.isfinite(features_frechet(np.zeros((5, 3)), x))
    with pytest.raises(UserError, match="same number of columns"):
        features_frechet(x, x[:, :2])
    with pytest.raises(UserError, match="do not fit"):
        frechet_distance(np.zeros(2), np.eye(3), np.zeros(2), np.eye(2))


def test_the_cheap_way_is_taken_where_the_pivots_tell_full_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways give one value, up to rounding: the first is for speed, the second where its factor would be noise."""
    reduced = []
    monkeypatch.setattr(frechet, "dsygst", lambda *a, **k: reduced.append(1) or dsygst(*a, **k))  # type: ignore[func-returns-value]
    eps = float(np.finfo(np.float64).eps)
    for smallest, cheap in ((1.0, True), (4 * eps, True), (2 * eps, False), (0.0, False)):
        reduced.clear()
        cov = np.diag([1.0, 1.0, smallest])
        found = frechet_distance(np.zeros(3), cov, np.zeros(3), np.eye(3))
        assert bool(reduced) == cheap, smallest  # the limit is 3 eps of the largest
        assert found == pytest.approx((1 - math.sqrt(smallest)) ** 2, abs=1e-6)


@pytest.mark.parametrize(
    ("n", "m", "wide"), [(9, 9, True), (8, 8, False), (7, 40, True), (40, 7, True), (8, 40, False)]
)
def test_wide_features_never_become_a_matrix_of_their_width(
    n: int, m: int, wide: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """d = 2048 and 50 samples: 50 x 50 is enough."""
    full = []
    monkeypatch.setattr(frechet, "frechet_distance", lambda *a: full.append(1) or frechet_distance(*a))  # type: ignore[func-returns-value]
    d = 10 if n == m == 9 else 8
    features_frechet(_random(1, n, d), _random(2, m, d))
    assert bool(full) == (not wide)


# --- the gate ---------------------------------------------------------------------------------------------------------

PLAIN = {"speech": {"embedding": "functionals", "dims": 12}, "face": {"embedding": "hog", "dims": 12}}


@pytest.fixture
def gate(train: Batch) -> FrechetGate:
    return FrechetGate.fit(train, None, classes=CLASSES, params=PLAIN[train.modality], seed=0)


def _verdict(gate: FrechetGate, synthetic: Batch) -> str:
    found = gate.measure(synthetic, seed=1)
    return judge(found, limit=gate.default_limit.resolve_floor(found), min_n=gate.min_n, better=gate.better)[0]


def test_other_people_pass(gate: FrechetGate, strangers: Batch) -> None:
    found = gate.measure(strangers, seed=1)
    assert found.low <= found.value <= found.high and found.floor > 0
    assert (found.n_real, found.n_synthetic) == (72, 72)
    assert _verdict(gate, strangers) != "fail" and found.low < found.floor  # 72 are too few to be sure
    assert found == gate.measure(strangers, seed=1)


def test_defects_fail(gate: FrechetGate, strangers: Batch, change: Callable[..., Batch]) -> None:
    rng = np.random.default_rng(0)
    if strangers.modality == "speech":
        noisy = change(strangers, lambda s: np.clip(s + rng.normal(0, 0.1, s.shape), -1, 1).astype(np.float32))
        dull = change(strangers, lambda s: np.convolve(s, np.ones(24) / 24, "same").astype(np.float32))
    else:
        noisy = change(strangers, lambda s: np.clip(s + rng.normal(0, 40, s.shape), 0, 255).astype(np.uint8))
        dull = change(strangers, lambda s: np.repeat(np.repeat(s[::4, ::4], 4, 0), 4, 1))
    first = {name: strangers.signals[strangers.emotions.index(name)] for name in CLASSES}
    collapsed = replace(strangers, signals=[first[name] for name in strangers.emotions], cache={})
    assert _verdict(gate, noisy) == "fail"
    for defect in (noisy, dull, collapsed):
        found = gate.measure(defect, seed=1)
        assert judge(found, limit=found.floor, min_n=gate.min_n, better=gate.better)[0] == "fail"
    found = gate.measure(strangers, seed=1)
    assert judge(found, limit=found.floor, min_n=gate.min_n, better=gate.better)[0] != "fail"


def test_balance_and_a_missing_class_do_not_count_as_a_difference(
    gate: FrechetGate, make: Callable[..., Batch]
) -> None:
    many = make(gate_modality := _modality(gate), groups=range(30, 46), per_cell=3, seed=5)
    kept = np.asarray([name == "anger" or (name == "sadness" and i % 9 == 6) for i, name in enumerate(many.emotions)])
    lopsided = rows_of(many, kept)
    assert gate_modality == lopsided.modality and "happiness" not in lopsided.emotions
    found = gate.measure(lopsided, seed=1)
    assert found.n_real == 48 and found.low <= 3.0 * found.floor


def _modality(gate: FrechetGate) -> str:
    return "speech" if "functionals" in gate.judge else "face"


def test_small_and_broken_sets_get_no_number(gate: FrechetGate, strangers: Batch) -> None:
    for n in (0, 1, 2):
        found = gate.measure(rows_of(strangers, np.arange(n)), seed=1)
        assert math.isnan(found.value) and found.reason
        assert judge(found, limit=1.0, min_n=gate.min_n, better="lower")[0] == "undecided"
    empty = np.zeros(0, strangers.signals[0].dtype)
    broken = replace(strangers, signals=[empty, *strangers.signals[1:]], cache={})
    found = gate.measure(broken, seed=1)
    assert math.isnan(found.value) and "1 of 72" in found.reason
    assert judge(found, limit=1.0, min_n=gate.min_n, better="lower")[0] == "fail"


def test_too_few_people_are_undecided(train: Batch, strangers: Batch) -> None:
    few = rows_of(train, np.isin(np.asarray(train.groups), ["demo:0", "demo:1", "demo:2"]))
    gate = FrechetGate.fit(few, few, classes=CLASSES, params=PLAIN[train.modality], seed=0)
    found = gate.measure(strangers, seed=1)
    assert "4 groups" in found.reason
    assert judge(found, limit=1.0, min_n=gate.min_n, better="lower")[0] == "undecided"


def test_dev_is_the_reference_where_it_has_enough_groups(train: Batch, strangers: Batch) -> None:
    params = PLAIN[train.modality]
    assert FrechetGate.fit(train, strangers, classes=CLASSES, params=params, seed=0).judge.count("+") == 0
    assert FrechetGate.fit(train, None, classes=CLASSES, params=params, seed=0).judge.count("+") == 1


def test_unknown_embedding_is_named(train: Batch) -> None:
    with pytest.raises(ParamsError, match="Did you mean 'trained'"):
        FrechetGate.fit(train, None, classes=CLASSES, params={"embedding": "trainde"}, seed=0)


def test_trained_embedding_sees_noise(make: Callable[..., Batch], change: Callable[..., Batch]) -> None:
    """The default embedding, on faces: the network is fitted on half of train, twice, and the other half is the
    yardstick."""
    train, other = make("face", groups=range(8)), make("face", groups=range(20, 28), seed=1)
    gate = FrechetGate.fit(train, None, classes=CLASSES, params={"steps": 25, "dims": 8}, seed=0)
    assert gate.judge.startswith("trained-face/")
    rng = np.random.default_rng(0)
    noisy = change(other, lambda s: np.clip(s + rng.normal(0, 60, s.shape), 0, 255).astype(np.uint8))
    good, bad = gate.measure(other, seed=1), gate.measure(noisy, seed=1)
    assert bad.value > 2 * good.value and bad.low > 3 * bad.floor
