"""Ranks: the regression against a brute-force likelihood, orders that are none, and the conformal guarantee."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from corpora.errors import ParamsError, UserError
from validators.batch import rows_of
from validators.crossfit import conformal_p, own_p, unseen
from validators.gate import Batch, admit
from validators.gates.ordinal import Ordinal, expected_rank, fit_proportional_odds, ranks_of

CLASSES = ("low", "middle", "high")
SIZES = (60, 40, 50)
NEW = 30


def world(seed: int, shift: float = 1.0) -> tuple[Batch, Batch]:
    """Train and fresh samples from one distribution, each its own group; planted features that rise with the rank."""
    rng = np.random.default_rng(seed)
    rank = np.concatenate([np.repeat(np.arange(3), SIZES), np.repeat(np.arange(3), NEW)])
    x = rng.normal(size=(len(rank), 6))
    x[:, 0] += shift * rank
    ids = tuple(f"{seed}/{i}" for i in range(len(rank)))
    one = [np.zeros((8, 8), np.uint8)] * len(rank)
    batch = Batch("face", ids, tuple(CLASSES[r] for r in rank), one, ids, groups=ids, cache={"hog": x})
    n = sum(SIZES)
    return rows_of(batch, np.arange(n)), rows_of(batch, np.arange(n, len(rank)))


def fitted(train: Batch, seed: int = 0, **params: object) -> Ordinal:
    return Ordinal.fit(train, classes=CLASSES, params={"order": list(CLASSES), **params}, seed=seed)


def test_the_regression_finds_the_minimum_of_its_likelihood() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 2))
    target = np.searchsorted([-0.8, 0.1, 0.9], x @ [1.0, -0.5] + rng.logistic(size=150) * 0.5)
    labels = target.astype(str)
    found = fit_proportional_odds(x, target, labels, 0.5)
    weight = 0.5 * 150 / (4 * np.bincount(target)[target])

    def loss(flat: np.ndarray) -> float:  # McCullagh's likelihood as it is written, no trick
        edges = np.concatenate([[-np.inf], np.sort(flat[2:]), [np.inf]])
        z = x @ flat[:2]
        p = expit(edges[target + 1] - z) - expit(edges[target] - z)
        return float(flat[:2] @ flat[:2] / 2 - weight @ np.log(np.maximum(p, 1e-300)))

    ours = np.concatenate([found["weights"], found["cuts"]])
    brute = minimize(
        loss,
        np.array([0.0, 0.0, -1.0, 0.0, 1.0]),
        method="Nelder-Mead",
        options={"maxiter": 4000, "maxfev": 4000, "xatol": 1e-7, "fatol": 1e-10},
    )
    assert loss(ours) <= brute.fun + 1e-6
    np.testing.assert_allclose(ours, brute.x, atol=2e-3)
    assert (np.diff(found["cuts"]) > 0).all()
    rank = expected_rank(x, **found)
    assert ((rank >= 0) & (rank <= 3)).all() and np.corrcoef(rank, target)[0, 1] > 0.5


def test_p_values_by_hand() -> None:
    real, fold = np.array([0.1, 0.2, 0.3, 0.4, 0.5]), np.array([0, 0, 1, 1, 1])
    strange = np.array([[0.2, np.nan], [np.nan, 0.35], [0.25, 0.25], [np.nan, np.nan], [9.0, 9.0]])
    assert conformal_p(strange, real, fold) == pytest.approx([2 / 3, 3 / 4, 4 / 6, np.nan, 1 / 6], nan_ok=True)
    assert own_p(real) == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])
    assert own_p(np.zeros(0)).size == 0 and conformal_p(strange[:0], real, fold).size == 0


def test_real_samples_are_rejected_no_more_often_than_alpha() -> None:
    rejected = {0.1: 0, 0.25: 0}
    for seed in range(10):
        train, fresh = world(seed)
        p = fitted(train, seed).score(fresh)
        for alpha in rejected:
            rejected[alpha] += int((~admit(p, alpha, "higher")).sum())
    drawn = 10 * 3 * NEW
    for alpha, count in rejected.items():
        assert count / drawn <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / (10 * NEW)), alpha
    assert rejected[0.25] / drawn > 0.12, "a p-value that rejects nobody proves nothing"


def test_a_wrong_rank_is_seen_the_more_the_farther() -> None:
    train, fresh = world(3, shift=2.5)
    gate = fitted(train)
    high = rows_of(fresh, np.flatnonzero(np.asarray(fresh.emotions) == "high"))
    p = {name: gate.score(replace(high, emotions=(name,) * len(high))) for name in CLASSES}
    assert np.median(p["high"]) > 0.3 and (p["low"] < 0.05).mean() > 0.8
    assert p["low"].mean() < p["middle"].mean() < p["high"].mean()
    assert gate._facts["rank_correlation"] > 0.7 and gate._facts["mean_absolute_rank_error"] < 0.6


def test_a_conversion_is_judged_only_by_who_never_saw_its_source() -> None:
    train, fresh = world(4)
    gate = fitted(train)
    own = replace(fresh, source_ids=tuple((train.ids[i],) for i in range(len(fresh))))
    judged = np.isfinite(gate.expect(own))
    folds = [gate._fold_of[train.ids[i]] for i in range(len(fresh))]
    assert (judged.sum(axis=1) == 1).all() and (judged.argmax(axis=1) == folds).all()
    np.testing.assert_array_equal(judged, unseen(own, gate._fold_of, 4))
    other = next(name for name in train.ids if gate._fold_of[name] != folds[0])
    assert np.isnan(gate.score(replace(fresh, source_ids=((train.ids[0], other),) * len(fresh)))).all()


def test_reference_is_what_the_gate_says_of_real_people(tmp_path: Path) -> None:
    train, _ = world(5)
    gate = fitted(train)
    again = gate.score(train)  # a train sample is judged by its own fold alone: fewer to compare with, the same judge
    for name, values in gate.reference().items():
        rows = np.asarray(train.emotions) == name
        assert values.shape == (rows.sum(),) and ((values > 0) & (values <= 1)).all()
        fold = np.asarray([gate._fold_of[i] for i in train.ids])[rows]
        for f in range(4):  # the same judge, and the order that it sees
            order = np.argsort(values[fold == f], kind="stable")
            assert (np.diff(again[rows][fold == f][order]) >= 0).all()
    gate.save(tmp_path)
    np.testing.assert_array_equal(Ordinal.load(tmp_path).score(train), again)


@pytest.mark.parametrize(
    "order",
    [
        None,
        "low",
        [],
        ["low", "middle"],
        ["low", "middle", "high", "high"],
        [["low", "middle", "high"]],
        ["low", "middle", "top"],
    ],
)
def test_an_order_names_each_class_once(order: object) -> None:
    with pytest.raises(ParamsError, match=r"order: \[low, middle, high\]"):
        ranks_of(order, CLASSES)


def test_classes_may_share_a_rank_and_must_be_there() -> None:
    assert ranks_of([["low", "middle"], "high"], CLASSES) == {"low": 0, "middle": 0, "high": 1}
    train, fresh = world(6)
    gate = fitted(train, order=[["low", "middle"], "high"])
    assert ((gate.expect(fresh) >= 0) & (gate.expect(fresh) <= 1)).all()
    assert np.isnan(gate.score(replace(fresh, emotions=("anger",) * len(fresh)))).all()
    with pytest.raises(UserError, match="'high' has no usable sample"):
        fitted(rows_of(train, np.asarray(train.emotions) != "high"))
