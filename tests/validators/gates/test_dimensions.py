"""Valence and arousal: the guarantee, what a wrong value gets, and judges that cannot judge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpora.errors import ParamsError, UserError
from validators.batch import rows_of
from validators.gate import Batch, admit
from validators.gates.dimensions import Dimensions, fit_ridge, predict_ridge

N, NEW = 160, 80


def world(seed: int, noise: float = 0.25) -> tuple[Batch, Batch]:
    """Train and fresh samples from one distribution, each its own group. Valence can be heard, dominance cannot."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N + NEW, 5))
    rated = {
        "valence": np.clip(0.4 * x[:, 0] + noise * rng.normal(size=N + NEW), -1, 1),
        "arousal": np.clip(0.4 * x[:, 1] + noise * rng.normal(size=N + NEW), -1, 1),
        "dominance": rng.uniform(-1, 1, N + NEW),
    }
    rated["arousal"][rng.random(N + NEW) < 0.1] = np.nan
    ids = tuple(f"{seed}/{i}" for i in range(N + NEW))
    emotions = tuple("glad" if v > 0 else "sad" for v in rated["valence"])
    one = [np.zeros((8, 8), np.uint8)] * (N + NEW)
    batch = Batch("face", ids, emotions, one, ids, groups=ids, dimensions=rated, cache={"hog": x})
    return rows_of(batch, np.arange(N)), rows_of(batch, np.arange(N, N + NEW))


def fitted(train: Batch, seed: int = 0, **params: object) -> Dimensions:
    return Dimensions.fit(train, classes=("glad", "sad"), params=params, seed=seed)


def test_real_samples_are_rejected_no_more_often_than_alpha() -> None:
    rejected = {0.1: 0, 0.25: 0}
    for seed in range(12):
        train, fresh = world(seed)
        gate = fitted(train, seed, dimensions=["valence", "arousal"])
        for alpha in rejected:
            rejected[alpha] += int((~admit(gate.score(fresh), alpha, "higher")).sum())
    drawn = 12 * NEW
    for alpha, count in rejected.items():  # one train set makes its answers alike: the spread is taken generously
        assert count / drawn <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / (12 * NEW / 4)), alpha
    assert rejected[0.25] / drawn > 0.1, "a p-value that rejects nobody proves nothing"


def test_coverage_holds_in_every_part_of_the_scale() -> None:
    """Regressions lean to the mean: compared with all samples at once, extreme ratings would be turned away more."""
    turned, drawn = np.zeros(3), np.zeros(3)
    for seed in range(12):
        train, fresh = world(seed, noise=0.5)
        gate = fitted(train, seed, dimensions=["valence"])
        place = np.searchsorted(np.quantile(train.dimensions["valence"], [1 / 3, 2 / 3]), fresh.dimensions["valence"])
        p = gate.score(replace(fresh, dimensions={"valence": fresh.dimensions["valence"]}))
        for b in range(3):
            turned[b] += (p[place == b] <= 0.2).sum()
            drawn[b] += (place == b).sum()
    assert (turned / drawn <= 0.2 + 3 * np.sqrt(0.16 / (drawn / 4))).all(), turned / drawn
    assert (turned / drawn > 0.08).all(), turned / drawn


def test_another_value_than_the_one_asked_for_is_seen() -> None:
    train, fresh = world(1, noise=0.05)
    gate = fitted(train)
    wrong = replace(fresh, dimensions={**fresh.dimensions, "valence": -np.sign(fresh.dimensions["valence"]) * 0.8})
    assert (gate.score(fresh) > 0.05).mean() > 0.85 and (gate.score(wrong) <= 0.05).mean() > 0.8
    only_right = replace(wrong, dimensions={"arousal": fresh.dimensions["arousal"]})
    known = np.isfinite(fresh.dimensions["arousal"])
    p = gate.score(only_right)
    assert (p[known] > 0.05).mean() > 0.85 and np.isnan(p[~known]).all()


def test_judges_that_cannot_judge_say_so_and_reject_nobody() -> None:
    train, fresh = world(2)
    gate = fitted(train)
    assert gate.judged == ("valence", "arousal") and "valence+arousal/" in gate.judge
    assert gate.ccc["valence"] > 0.5 and gate.ccc["dominance"] < 0.1
    only = replace(fresh, dimensions={"dominance": fresh.dimensions["dominance"]})
    assert (gate.score(only) == 1.0).all()
    with pytest.raises(UserError, match=r"no judge can tell .*dominance -?0\.\d\d"):
        fitted(train, dimensions=["dominance"])


def test_nothing_asked_and_beyond_the_scale() -> None:
    train, fresh = world(3)
    gate = fitted(train)
    bad = replace(fresh, dimensions={"valence": np.r_[np.nan, 1.5, fresh.dimensions["valence"][2:]]})
    assert np.isnan(gate.score(bad)[:2]).all() and np.isfinite(gate.score(bad)[2:]).all()
    assert gate.reasons(bad)[:3] == ["nothing-asked", "outside-scale", None]
    assert np.isnan(gate.score(replace(fresh, dimensions={}))).all()


def test_too_few_ratings_and_names_that_are_none() -> None:
    train, _ = world(4)
    with pytest.raises(ParamsError, match="arousal"):
        fitted(train, dimensions=["arrousal"])
    for few in (train.dimensions | {"valence": np.where(np.arange(N) < 19, 0.1, np.nan)}, {}):
        with pytest.raises(UserError, match="at least 20 rated"):
            fitted(replace(train, dimensions=few), dimensions=["valence"])
    with pytest.raises(UserError, match="no judge can tell"):
        fitted(replace(train, dimensions={"valence": np.zeros(N)}))


def test_a_conversion_is_judged_only_by_who_never_saw_its_source() -> None:
    train, fresh = world(5)
    gate = fitted(train)
    own = replace(fresh, source_ids=tuple((train.ids[i],) for i in range(NEW)))
    judged = np.isfinite(gate.predict(own)).all(axis=2)
    assert (judged.sum(axis=1) == 1).all()
    assert (judged.argmax(axis=1) == [gate._fold_of[train.ids[i]] for i in range(NEW)]).all()


def test_reference_is_by_judges_that_never_saw_the_sample(tmp_path: Path) -> None:
    train, fresh = world(6)
    gate = fitted(train, min_ccc=-1.0)
    real = np.concatenate(list(gate.reference().values()))
    assert len(real) == N and (real <= 0.1).mean() <= 0.1 + 3 * np.sqrt(0.09 / N)
    gate.save(tmp_path)
    np.testing.assert_array_equal(Dimensions.load(tmp_path).score(fresh), gate.score(fresh))


def test_ratings_that_are_missing_are_not_learned_from() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    y = np.clip(0.3 * x[:, 0], -1, 1)
    holes = np.where(np.arange(60) % 3 == 0, np.nan, y)
    assert predict_ridge(x, fit_ridge(x, holes)) == pytest.approx(y, abs=0.05)
