"""Truth curves: followed, flat and reversed dials are told apart, and a mixture of which one class is heard alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.validators.conftest import CLASSES, made
from validators.batch import rows_of
from validators.trials.curves import Curve, Dial, Truth, curve, dimension_curves, mixtures_heard

ABOUT = {"name": "intensity", "measure": "p", "judge": "j", "of": "candidates"}


def dial(slope: float, *, n: int = 200, noise: float = 0.3) -> Dial:
    rng = np.random.default_rng(3)
    strata = np.repeat(["anger", "fear"], n // 2)
    asked = rng.choice([0.2, 0.6, 1.0], n)
    # fear is judged higher and asked for lower: across classes the correlation has another sign
    judged = slope * asked + noise * rng.standard_normal(n) + 5 * (strata == "fear")
    return Dial(np.where(strata == "fear", asked - 0.2, asked), judged, strata, ABOUT)


@pytest.mark.parametrize(("slope", "verdict"), [(1.0, "followed"), (0.0, "not followed"), (-1.0, "not followed")])
def test_a_dial_is_followed_within_classes(slope: float, verdict: str) -> None:
    seen = curve(dial(slope, n=1000), seed=1)
    assert seen.verdict == verdict and seen.rho is not None and seen.low is not None and seen.high is not None
    assert seen.low <= seen.rho <= seen.high and (slope == 0 or np.sign(seen.rho) == np.sign(slope))


def test_rho_of_one_class_is_that_of_scipy() -> None:
    one = dial(1.0)
    own = one.strata == "anger"
    seen = curve(Dial(one.asked[own], one.judged[own], one.strata[own], ABOUT), seed=1)
    assert seen.rho == pytest.approx(spearmanr(one.asked[own], one.judged[own]).statistic)
    assert [p.asked for p in seen.points] == [0.2, 0.6, 1.0] and sum(p.n for p in seen.points) == 100
    assert all(p.low < p.judged < p.high for p in seen.points)


def test_what_says_nothing_is_undecided_or_not_followed() -> None:
    few = dial(1.0, n=10)
    assert "are needed" in curve(few, seed=1).reason
    fixed = dial(1.0)
    assert curve(replace(fixed, asked=np.full(200, 0.7)), seed=1).verdict == "undecided"
    deaf = curve(replace(fixed, judged=np.ones(200)), seed=1)
    assert deaf.verdict == "not followed" and deaf.reason == "judges say the same of all samples"


def test_many_asked_values_stand_in_few_points() -> None:
    rng = np.random.default_rng(0)
    asked = rng.uniform(-1, 1, 300)
    seen = curve(Dial(asked, asked + rng.normal(0, 0.1, 300), np.repeat("a", 300), ABOUT), seed=0)
    assert len(seen.points) == 8 and seen.verdict == "followed"
    assert np.all(np.diff([p.judged for p in seen.points]) > 0)


def test_dimensions_are_judged_by_regressions_of_real_people() -> None:
    train = made("vector", groups=range(8), per_cell=3)
    drawn = made("vector", groups=range(50, 58), per_cell=3, seed=4)
    (valence, arousal) = dimension_curves(train, drawn, classes=CLASSES, seed=1)
    assert {valence.name, arousal.name} == {"valence", "arousal"} and valence.judge.startswith("ridge")
    # within a class ratings are noise here: nothing to follow
    assert valence.verdict != "followed" and valence.rho is not None
    across = replace(drawn, emotions=("anger",) * len(drawn))
    assert all(c.verdict == "followed" for c in dimension_curves(train, across, classes=CLASSES, seed=1))
    assert dimension_curves(train, replace(drawn, dimensions={}), classes=CLASSES, seed=1) == []
    shuffled = replace(train, dimensions={"arousal": np.random.default_rng(2).uniform(-1, 1, len(train))})
    (deaf,) = dimension_curves(
        shuffled, replace(drawn, dimensions={"arousal": drawn.dimensions["arousal"]}), classes=CLASSES, seed=1
    )
    assert deaf.verdict == "undecided" and "people" in deaf.reason


def test_a_mixture_is_heard_where_both_are() -> None:
    train = made("vector", groups=range(8), per_cell=3)
    drawn = made("vector", groups=range(50, 56), per_cell=3, seed=4)
    anger, sadness = (rows_of(drawn, np.asarray(drawn.emotions) == name) for name in ("anger", "sadness"))
    half = [(np.asarray(a) + np.asarray(s)) / 2 for a, s in zip(anger.signals, sadness.signals, strict=True)]
    both = replace(anger, signals=half, ids=tuple(f"m{i}" for i in range(len(half))), cache={})
    shares = [{"anger": 0.5, "sadness": 0.5}] * len(half)
    (heard,) = mixtures_heard(train, both, shares, classes=CLASSES, seed=1)
    assert heard.verdict == "followed" and heard.name == "0.5 anger + 0.5 sadness" and heard.n == len(half)
    (one_alone,) = mixtures_heard(train, anger, shares, classes=CLASSES, seed=1)
    assert one_alone.verdict != "followed" and "sadness" in one_alone.reason
    (few,) = mixtures_heard(train, rows_of(both, np.arange(4)), shares[:4], classes=CLASSES, seed=1)
    assert few.verdict == "undecided" and "are needed" in few.reason


def test_the_truth_goes_to_json_and_back() -> None:
    from pydantic import TypeAdapter

    truth = Truth((curve(dial(1.0), seed=1),))
    again = TypeAdapter(Truth).validate_python(truth.to_json())
    assert again == truth and isinstance(again.curves[0], Curve)
