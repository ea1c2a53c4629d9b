"""Intensity by relative attributes: known degrees come back, held-out pairs are ordered, sums are those of pairs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from corpora.errors import UserError
from training.intensity import fit_ranker, pairwise_hinge, rank_intensity


def corpus(n: int = 240, *, shift: float = 2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """-> x [n, 6], emotions, groups, true degree [n]: an emotion of degree d moves its own column by shift * (0.3 + d);
    column 2 is who speaks, the others are noise."""
    rng = np.random.default_rng(seed)
    kind, people = np.arange(n) % 3, (np.arange(n) // 3) % 8
    degree = rng.random(n)
    x = rng.normal(0, 0.4, (n, 6))
    x[:, 2] += people
    for k in (1, 2):
        x[kind == k, k - 1] += shift * (0.3 + degree[kind == k])
    x *= (1.0, 1.0, 1.0, 100.0, 1e-3, 1.0)  # columns in units of their own
    return x, np.array(["neutral", "anger", "fear"])[kind], np.array([f"p{p}" for p in people]), degree


def test_known_degrees_come_back_within_each_emotion() -> None:
    x, emotions, groups, degree = corpus()
    ranked = rank_intensity(x, emotions, groups)
    assert ranked.intensity.shape == (240,) and ranked.intensity.dtype == np.float64
    assert ranked.intensity.min() == 0.0 and ranked.intensity.max() == 1.0
    assert (ranked.intensity[emotions == "neutral"] == 1.0).all()
    for emotion in ("anger", "fear"):
        own = emotions == emotion
        assert spearmanr(ranked.intensity[own], degree[own])[0] > 0.7
        inside = (ranked.intensity[own] > 0) & (ranked.intensity[own] < 1)
        assert 0.85 < inside.mean() < 0.95, "clipped at the 5 % and 95 % quantiles"
    assert ranked.order_accuracy > 0.93 and set(ranked.by_emotion) == {"anger", "fear"}
    assert ranked.n_pairs == 2 * sum(
        int((emotions[fold] == "neutral").sum() * (emotions[fold] == "anger").sum())
        for fold in _folds_of_the_ranking(groups)
    )


def _folds_of_the_ranking(groups: np.ndarray) -> list[np.ndarray]:
    """8 groups of one size in 5 folds: three of two groups, two of one."""
    return [np.isin(groups, names) for names in (["p0", "p5"], ["p1", "p6"], ["p2", "p7"], ["p3"], ["p4"])]


def test_without_a_difference_the_order_is_chance() -> None:
    """In-sample, 60 columns order 80 samples well whatever they hold; held-out pairs say that nothing was learned."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(160, 60))
    emotions = np.array(["neutral", "joy"])[np.arange(160) % 2]
    groups = np.array([f"p{i}" for i in (np.arange(160) // 2) % 10])
    ranked = rank_intensity(x, emotions, groups)
    scores = ranked.rankers["joy"].score(x)
    felt = emotions == "joy"
    assert (scores[felt][:, None] > scores[~felt][None]).mean() > 0.85
    assert abs(ranked.order_accuracy - 0.5) < 0.12


def test_no_sample_is_scored_by_a_ranker_that_saw_its_group() -> None:
    """What one group alone could teach must not lift its own scores."""
    x, emotions, groups, _ = corpus(shift=0.0)
    own = groups == "p3"
    x[:, 5] = 0.0
    x[own & (emotions == "anger"), 5] = 50.0
    ranked = rank_intensity(x, emotions, groups)
    others = rank_intensity(x[~own], emotions[~own], groups[~own])
    assert abs(ranked.order_accuracy - others.order_accuracy) < 0.12
    assert ranked.order_accuracy < 0.65


def test_ties_keep_a_class_together() -> None:
    """Of two columns that set the emotion apart alike, the one that scatters within classes weighs less."""
    rng = np.random.default_rng(2)
    felt = np.arange(200) % 2 == 0
    x = np.stack([felt + rng.normal(0, 0.05, 200), felt + rng.normal(0, 0.6, 200)], axis=1)
    weights = fit_ranker(x, felt).weights
    assert weights[0] > 4 * abs(weights[1])


def test_the_sums_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(3)
    for n, m in ((1, 1), (7, 5), (30, 40)):
        above, below = rng.normal(0.5, 1, n), rng.normal(0, 1, m)
        loss, to_above, to_below = pairwise_hinge(above, below)
        hinge = np.maximum(0.0, 1.0 - above[:, None] + below[None])
        assert loss == pytest.approx((hinge**2).mean())
        np.testing.assert_allclose(to_above, -2 * hinge.sum(axis=1) / (n * m), atol=1e-12)
        np.testing.assert_allclose(to_below, 2 * hinge.sum(axis=0) / (n * m), atol=1e-12)


def test_new_samples_are_scored_on_the_same_scale() -> None:
    x, emotions, groups, _ = corpus()
    ranker = rank_intensity(x, emotions, groups).rankers["anger"]
    mild, strong = np.zeros((1, 6)), np.zeros((1, 6))
    mild[:, 2] = strong[:, 2] = 3.0
    mild[:, 0], strong[:, 0] = 0.6, 2.6
    assert ranker.intensity(mild)[0] < 0.25 and ranker.intensity(strong)[0] > 0.75


def test_neutral_may_be_of_other_groups_than_the_emotions() -> None:
    x, emotions, groups, _ = corpus()
    apart = np.where(emotions == "neutral", np.char.add("n", groups), groups)
    assert rank_intensity(x, list(emotions), list(apart)).order_accuracy > 0.9


def test_where_nothing_can_be_learned_says_why() -> None:
    x, emotions, groups, _ = corpus()
    nobody = np.array(["p0"] * len(x))
    few = np.arange(len(x)) % 3 != 2
    few[2] = True
    cases = [
        ((x, np.where(emotions == "neutral", "calm", emotions), groups), "'neutral'.*anger, calm, fear"),
        ((x, ["neutral"] * len(x), groups), "every sample is 'neutral'"),
        ((x, emotions, nobody), "1 groups"),
        ((x[few], emotions[few], groups[few]), "'fear' has 1 samples"),
        ((np.zeros_like(x), emotions, groups), "ranks alike"),
    ]
    for (values, labels, people), says in cases:
        with pytest.raises(UserError, match="no intensity to learn from.*" + says):
            rank_intensity(values, list(labels), list(people))
    with pytest.raises(UserError, match="NaN"):
        rank_intensity(np.where(x > 3, np.nan, x), list(emotions), list(groups))
