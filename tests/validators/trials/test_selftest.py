"""Planted defects are what they say, and the quick self-test catches them while real people get through."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from validators.gate import SAMPLE_GATES, Limit, default_limit, gate_class, judge
from validators.trials.conditions import honoured
from validators.trials.defects import DEFECTS, Batch, blurred, low_passed, noisy
from validators.trials.selftest import HELD_OUT, QUICK, SelfTest, quick

CLASSES = ("anger", "happiness", "sadness")


def test_every_defect_says_which_rows_it_is_in(train: Batch, strangers: Batch) -> None:
    for defect in DEFECTS[train.modality]:
        planted = defect.plant(strangers, train, np.random.default_rng(0))
        made, rows = planted.batch, planted.planted
        assert len(made) == len(strangers) == len(rows) and rows.any(), defect.name
        assert len(set(made.ids)) == len(made) and all(i.startswith("syn/") for i in made.ids)
        assert not any(made.source_ids) and set(made.emotions) <= set(CLASSES)
        again = defect.plant(strangers, train, np.random.default_rng(0))
        assert made.sha256 == again.batch.sha256, f"{defect.name} is not deterministic"
        if defect.scope == "samples":
            assert rows.mean() <= max(0.21, 1 / len(rows))
            for i in np.flatnonzero(~rows):
                np.testing.assert_array_equal(made.signals[i], strangers.signals[i])
        if defect.of_train and defect.change is None:
            assert {made.sha256[i] for i in np.flatnonzero(rows)} <= set(train.sha256)
    assert set(QUICK[train.modality]) <= {d.name for d in DEFECTS[train.modality]}


def test_strengths_are_graded() -> None:
    rng = np.random.default_rng(0)
    voice = rng.normal(0, 0.1, 8000).astype(np.float32)
    kept = [float(np.sum(low_passed(hz)(voice, 16000.0, rng) ** 2)) for hz in (4000, 2000, 1000)]
    assert kept[0] > 1.5 * kept[1] > 2 * kept[2]
    assert np.std(noisy(10.0)(voice, 16000.0, rng) - voice) == pytest.approx(0.1 * 10**-0.5, rel=0.05)
    face = rng.integers(0, 256, (48, 48)).astype(np.uint8)
    spread = [float(blurred(px)(face, 0.0, rng).std()) for px in (0.7, 1.0, 2.0)]
    assert spread[0] > spread[1] > spread[2]


def test_the_quick_form(make: Callable[..., Batch], modality: str) -> None:
    train = make(modality, groups=range(12), per_cell=3)
    gates = {name: ({}, gate_class(name).default_limit) for name in ("frechet", "kid", "vendi")}
    sample = {name: ({}, default_limit(gate_class(name))) for name in SAMPLE_GATES if gate_class(name).fits_at_once}

    def ask(batch: Batch, sets: dict[str, Any], sample: dict[str, Any] = sample) -> SelfTest:
        return quick(batch, classes=CLASSES, sample_gates=sample, set_gates=sets, seed=0)

    found = {o.defect: o for o in ask(train, gates).outcomes}
    assert set(found) == {HELD_OUT, *QUICK[modality]}
    assert not found[HELD_OUT].caught and found[HELD_OUT].rejected < 0.2
    assert "copies" in found["copies 5%"].by and "copies" in found["one class collapsed"].by
    worst = "noisy 10 dB" if modality == "speech" else "noisy 32 levels"
    assert found[worst].caught, found[worst]
    blind = {name: (params, Limit(absolute=1e9)) for name, (params, _) in gates.items() if name != "vendi"}
    missed = {o.defect: o for o in ask(train, blind, {"validity": sample["validity"]}).outcomes}
    assert not missed[worst].caught, "a gate that cannot say no is found out"
    unfit = ask(train, gates, sample | {"support": ({"k": 0}, sample["support"][1])})
    assert list(unfit.left_out) == ["support"] and unfit.outcomes, "a gate that cannot be fitted keeps no other from it"
    alone = ask(make(modality, groups=range(1)), gates)
    assert not alone.outcomes and "group" in alone.why_not


def test_conditions() -> None:
    rng = np.random.default_rng(0)
    real = {c: rng.random(60) < 0.6 for c in CLASSES}

    def said(recall: float, n: int) -> str:
        estimate, limit = honoured({c: np.arange(n) < recall * n for c in CLASSES}, real)
        return judge(estimate, limit=limit.resolve_floor(estimate), min_n=20, better="higher")[0]

    assert said(0.6, 60) == "pass" and said(1 / 3, 60) == "fail" and said(0.45, 60) == "undecided"
    assert said(0.6, 4) == "undecided"
    estimate, limit = honoured({c: np.ones(60, bool) for c in CLASSES}, real)
    assert limit.resolve_floor(estimate) == pytest.approx((estimate.floor + 1 / 3) / 2)
    deaf = {c: np.arange(60) < 20 for c in CLASSES}  # one in three, as by chance
    unheard, limit = honoured({c: np.zeros(60, bool) for c in CLASSES}, deaf)
    verdict, why = judge(unheard, limit=limit.resolve_floor(unheard), min_n=20, better="higher")
    assert verdict == "undecided" and "chance is 0.33" in why
    assert math.isnan(honoured({}, real)[0].value) and honoured({}, real)[0].reason


@pytest.mark.parametrize("sizes", [(6, 6, 6), (40, 10, 5), (200, 30, 30)])
def test_the_interval_of_conditions_holds(sizes: tuple[int, ...]) -> None:
    """95 % of intervals hold the true mean recall, up to the error of 600 draws; with small classes as well."""
    rng, recalls = np.random.default_rng(0), (0.9, 0.5, 0.2)
    real = {c: np.ones(9, bool) for c in CLASSES}
    held = 0
    for _ in range(600):
        made = {c: rng.random(n) < p for c, n, p in zip(CLASSES, sizes, recalls, strict=True)}
        found = honoured(made, real)[0]
        held += found.low <= np.mean(recalls) <= found.high
    assert held / 600 > 0.93
