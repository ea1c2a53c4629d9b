"""Over both registries: what real samples cannot tell is undecided, what synthetic files lack is a fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import UserError
from tests.validators.test_contract import CLASSES, FEATURES, PARAMS, _fit
from validators.batch import rows_of
from validators.crossfit import too_few_to_refuse
from validators.gate import (
    SAMPLE_GATES,
    SET_GATES,
    Batch,
    Estimate,
    Limit,
    class_limits,
    default_limit,
    foresee,
    gate_class,
    judge,
    lets_in,
    measured_groups,
)
from validators.roster import Roster
from validators.trials.conditions import honoured, honoured_by_class, unheard

MakeBatch = Callable[..., Batch]
NUMBERS = st.floats(-5, 5) | st.just(math.nan)


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.integers(0, 30), st.sampled_from(["", "reference", "synthetic"]))
def test_judge(value: float, low: float, high: float, limit: float, n: int, fault: Any) -> None:
    found = Estimate(value, min(low, value), max(high, value), limit, 50, n, "so it is", fault)
    verdict, why = judge(found, limit=limit, min_n=10, better="lower")
    assert why
    finite = all(map(math.isfinite, (found.value, found.low, found.high)))
    if fault:
        assert (verdict, why) == ("fail" if fault == "synthetic" else "undecided", "so it is")
    elif n < 10:
        assert verdict == "undecided" and why.startswith(f"{n} synthetic sample") and "needs 10" in why
    elif not finite:
        assert verdict == "fail"
    elif not math.isfinite(limit):
        assert verdict == "undecided", "no limit is for want of real samples"
    else:
        assert verdict == ("pass" if found.high <= limit else "fail" if found.low > limit else "undecided")


def _said(gate: Any, synthetic: Batch) -> dict[str, tuple[str, str]]:
    return {
        group: judge(e, limit=default_limit(gate).resolve_floor(e), min_n=gate.min_n, better=gate.better)
        for group, e in measured_groups(gate, synthetic, seed=1).items()
    }


def _set_gate(name: str, train: Batch, dev: Batch | None) -> Any:
    params = {} if name == "mia" else {"embedding": FEATURES[train.modality][0], "dims": 4}
    return gate_class(name).fit(train, dev, classes=CLASSES, params=params | {"min_n": 4}, seed=0)


def as_dev(batch: Batch) -> Batch:
    groups = tuple(f"dev {g}" for g in batch.groups)
    return replace(batch, ids=tuple(f"dev/{i}" for i in range(len(batch))), groups=groups, subjects=groups)


def broken(batch: Batch) -> Batch:
    nothing = np.zeros(0, batch.signals[0].dtype)
    return replace(batch, signals=[nothing, *batch.signals[1:]], errors=("truncated", *batch.errors[1:]), cache={})


@pytest.mark.parametrize("name", sorted(SET_GATES))
class TestSetGates:
    def test_too_few_people_are_undecided(self, name: str, train: Batch, strangers: Batch) -> None:
        few = np.isin(train.groups, train.groups[:1])
        gate = _set_gate(name, rows_of(train, few), None)
        verdict, why = _said(gate, strangers)["all"]
        assert (verdict == "undecided" and "group" in why) or "speaker" in why or "person" in why, (verdict, why)
        assert _said(gate, broken(strangers))["all"][0] == "fail", "NaN of synthetic files is a fail whatever is real"

    def test_real_samples_that_are_all_alike_are_undecided(self, name: str, train: Batch, strangers: Batch) -> None:
        alike = replace(train, signals=[train.signals[0]] * len(train), cache={})
        dev = as_dev(alike)
        verdict, why = _said(_set_gate(name, alike, dev), strangers)["all"]
        assert verdict == "undecided" and "alike" in why, (verdict, why)

    def test_a_synthetic_file_that_cannot_be_decoded_fails(self, name: str, train: Batch, strangers: Batch) -> None:
        gate = _set_gate(name, train, as_dev(strangers) if name == "mia" else None)
        for made in (broken(strangers), broken(rows_of(strangers, np.arange(2)))):
            said = _said(gate, made)["all"]
            assert said[0] == "fail" and "cannot be decoded" in said[1]

    def test_what_is_foreseen_is_what_comes(self, name: str, train: Batch, strangers: Batch) -> None:
        labels, groups = np.asarray(strangers.emotions), np.asarray(strangers.groups)
        dev = as_dev(rows_of(strangers, (labels != "anger") | (groups == groups[0])))
        alone = rows_of(train, np.isin(train.groups, train.groups[:1]))
        for learn, real in ((train, dev), (train, None), (alone, None)):
            gate = _set_gate(name, learn, real)
            params = {} if name == "mia" else {"dims": 4}
            told = foresee(
                type(gate),
                Roster.of(learn),
                None if real is None else Roster.of(real),
                classes=CLASSES,
                params=params | {"min_n": 4},
                limit=default_limit(gate),
                seed=0,
            ).undecided
            said = _said(gate, strangers)
            for group, (verdict, why) in said.items():
                if group in told:
                    assert verdict == "undecided" and why == told.get("all", told[group]), (group, why, told)
            if real is dev and "anger" in said:
                one = "speaker" if train.modality == "speech" else "person"
                assert told["anger"] == f"anger has 1 {one} in dev; 2 are needed"


@pytest.mark.parametrize("name", sorted(SAMPLE_GATES))
class TestSampleGates:
    def test_without_real_scores_it_has_no_say_and_says_so(
        self, name: str, train: Batch, strangers: Batch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate = _fit(name, train)
        monkeypatch.setattr(gate, "reference", lambda: {c: np.array([np.nan]) for c in CLASSES}, raising=False)
        monkeypatch.setattr(gate, "cannot_judge", lambda limit: {}, raising=False)
        limits, silent = class_limits(gate, Limit(quantile=0.5), CLASSES)
        assert set(silent) == set(CLASSES) and all("no real sample of" in why for why in silent.values())
        values = gate.score(strangers)
        passed = lets_in(gate, values, [None] * len(strangers), limits["anger"])
        assert passed[np.isfinite(values)].all() and not passed[~np.isfinite(values)].any()
        made = broken(strangers)
        assert not lets_in(gate, gate.score(made), [None] * len(made), limits["anger"])[0], "no file, no entry"

    def test_an_absolute_limit_stands(self, name: str, train: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
        gate = _fit(name, train)
        monkeypatch.setattr(gate, "cannot_judge", lambda limit: {"anger": "cannot be judged: so"}, raising=False)
        limits, silent = class_limits(gate, Limit(absolute=0.3), CLASSES)
        assert limits == dict.fromkeys(CLASSES, 0.3) and silent == {"anger": "cannot be judged: so"}
        limits, _ = class_limits(gate, Limit(quantile=0.5), CLASSES)
        assert math.isinf(limits["anger"]) and math.isfinite(limits["sadness"])

    def test_what_it_cannot_be_fitted_with_is_foreseen(self, name: str, train: Batch) -> None:
        """One person alone: whatever raises then was told before, in the user's words."""
        one = rows_of(train, np.isin(train.groups, train.groups[:1]))
        kind = gate_class(name)
        if train.modality not in kind.modalities:
            pytest.skip(f"{name} is not for {train.modality}")
        told = foresee(
            kind, Roster.of(one), None, classes=CLASSES, params=PARAMS.get(name, {}), limit=default_limit(kind), seed=0
        )
        try:
            _fit(name, one)
        except UserError as error:
            assert told.error or name == "dimensions", error  # ratings are no labels; `plan` refuses the gate
        else:
            assert not told.error


def test_words_for_groups(train: Batch, make: MakeBatch) -> None:
    roster = Roster.of(train)
    assert roster.unit == ("speaker" if train.modality == "speech" else "person")
    pairs = replace(roster, groups=tuple(f"dialogue {i // 7}" for i in range(len(roster))))
    assert pairs.unit == "group" and replace(roster, subjects=()).unit == "group"


DEAF = {
    "anger": np.arange(50) < 1,  # heard once in fifty
    "neutral": np.arange(50) < 40,
    "sadness": np.arange(50) < 35,
}


def test_a_class_that_judges_do_not_hear_cannot_be_judged() -> None:
    why = unheard(DEAF)
    assert list(why) == ["anger"] and "1 of 50 real samples of it (0.02, chance is 0.33)" in why["anger"]
    made = {"anger": np.zeros(48, bool), "neutral": np.arange(48) < 40, "sadness": np.arange(48) < 2}
    said = {
        name: judge(found, limit=limit.resolve_floor(found), min_n=8, better="higher")
        for name, (found, limit) in honoured_by_class(made, DEAF).items()
    }
    assert said["anger"] == ("undecided", why["anger"])
    assert said["neutral"][0] == "pass" and said["sadness"][0] == "fail", "a class that is not made fails on its own"
    assert honoured_by_class(made, DEAF)["anger"][0].value == 0.0, "the number is told all the same"


def test_judges_who_always_say_the_same_hear_nothing() -> None:
    constant = {"anger": np.zeros(50, bool), "neutral": np.ones(50, bool)}
    assert set(unheard(constant)) == {"anger", "neutral"}
    assert honoured({"neutral": np.ones(40, bool)}, constant)[0].reason


def test_a_class_without_real_samples_cannot_be_judged() -> None:
    assert set(unheard({"anger": np.zeros(0, bool), "neutral": np.ones(50, bool)})) == {"anger"}
    assert unheard({}) == {} and set(unheard({"a": np.zeros(0, bool)})) == {"a"}


@given(st.integers(1, 200), st.sampled_from([0.01, 0.05, 0.1, 0.2]))
def test_p_values_that_can_be_under_a_limit(n: int, alpha: float) -> None:
    assert ("c" in too_few_to_refuse({"c": n}, Limit(absolute=alpha))) == (1 / (1 + n) >= alpha)
    assert not too_few_to_refuse({"c": n}, Limit(quantile=alpha))
