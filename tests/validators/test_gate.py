"""How numbers become limits and verdicts: each edge is on the side that the docs say."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import ParamsError, UnknownNameError
from validators.gate import SAMPLE_GATES, SET_GATES, Estimate, Limit, admit, default_limit, gate_class, judge

NAN, INF = math.nan, math.inf


def estimate(value: float, low: float, high: float, floor: float = 1.0, n_real: int = 50, n: int = 50) -> Estimate:
    return Estimate(value, low, high, floor, n_real, n)


@pytest.mark.parametrize("forms", [{}, {"absolute": 1.0, "floor": 1.0}, {"quantile": 0.5, "floor": 1.0}])
def test_a_limit_has_one_form(forms: dict[str, float]) -> None:
    with pytest.raises(ParamsError, match="exactly one"):
        Limit(**forms)


@pytest.mark.parametrize("quantile", [-0.01, 1.01, NAN])
def test_a_quantile_is_a_share(quantile: float) -> None:
    with pytest.raises(ParamsError, match="outside"):
        Limit(quantile=quantile)
    assert Limit(quantile=0.0).quantile == 0.0 and Limit(quantile=1.0).quantile == 1.0


def test_limits_come_from_finite_real_scores() -> None:
    scores = np.array([3.0, NAN, 1.0, INF, 2.0])
    assert Limit(quantile=0.5).resolve(scores) == 2.0 and Limit(quantile=0.5, times=1.5).resolve(scores) == 3.0
    assert Limit(quantile=1.0).resolve(scores) == 3.0 and Limit(absolute=9.0).resolve(scores) == 9.0
    assert math.isnan(Limit(quantile=0.5).resolve(np.array([NAN]))) and math.isnan(Limit(floor=1.0).resolve(scores))


def test_limits_of_sets_are_multiples_of_the_floor() -> None:
    found = estimate(1.0, 0.5, 1.5, floor=2.0)
    assert Limit(floor=1.25).resolve_floor(found) == 2.5 and Limit(floor=1.25, margin=0.5).resolve_floor(found) == 3.0
    below = estimate(0.0, -0.1, 0.1, floor=-0.25)  # KID of few real people against others
    assert Limit(floor=1.25).resolve_floor(below) == -0.25, "no stricter than what real people get"
    assert Limit(floor=1.25, margin=0.5).resolve_floor(below) == 0.25
    assert Limit(absolute=7.0).resolve_floor(found) == 7.0 and math.isnan(Limit(quantile=0.5).resolve_floor(found))
    assert math.isnan(Limit(floor=1.25).resolve_floor(estimate(1.0, 0.5, 1.5, floor=NAN)))


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_what_has_no_number_never_passes(better: str) -> None:
    values = np.array([1.0, 2.0, 3.0, NAN, INF, -INF])
    passed = admit(values, 2.0, better)  # type: ignore[arg-type]
    assert passed.tolist() == [better == "lower", True, better == "higher", False, False, False]
    assert not admit(values, NAN, better).any()  # type: ignore[arg-type]
    assert not admit(np.array([NAN]), INF if better == "lower" else -INF, better).any()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.0, 0.9, "pass"), (0.0, 1.0, "pass"), (0.5, 1.1, "undecided"), (1.0, 2.0, "undecided"), (1.1, 2.0, "fail")],
)
def test_a_verdict_needs_the_whole_interval(low: float, high: float, verdict: str) -> None:
    assert judge(estimate((low + high) / 2, low, high), limit=1.0, min_n=10, better="lower")[0] == verdict
    turned = estimate(-(low + high) / 2, -high, -low)
    assert judge(turned, limit=-1.0, min_n=10, better="higher")[0] == verdict


@pytest.mark.parametrize("broken", ["value", "low", "high"])
def test_a_number_that_is_none_fails(broken: str) -> None:
    facts = {"value": 0.5, "low": 0.4, "high": 0.6} | {broken: NAN}
    verdict, reason = judge(estimate(**facts), limit=1.0, min_n=10, better="lower")
    assert verdict == "fail" and reason


def test_the_smaller_set_decides_whether_there_are_enough() -> None:
    good = {"value": 0.5, "low": 0.4, "high": 0.6}
    assert judge(estimate(**good, n=10, n_real=10), limit=1.0, min_n=10, better="lower")[0] == "pass"
    for few in ({"n": 9}, {"n_real": 9}):
        verdict, reason = judge(estimate(**good, **few), limit=1.0, min_n=10, better="lower")
        assert verdict == "undecided" and "9" in reason and "10" in reason


@given(*[st.floats(-5, 5)] * 4)
def test_turning_the_scale_turns_no_verdict(a: float, b: float, value: float, limit: float) -> None:
    low, high = min(a, b), max(a, b)
    lower = judge(estimate(value, low, high), limit=limit, min_n=1, better="lower")[0]
    assert judge(estimate(-value, -high, -low), limit=-limit, min_n=1, better="higher")[0] == lower


def test_a_gate_without_a_limit_of_its_own_asks_for_one() -> None:
    with pytest.raises(ParamsError, match=r"'g' has no default limit"):
        default_limit(SimpleNamespace(name="g", default_limit=None))
    with pytest.raises(UnknownNameError, match="Did you mean 'frechet'"):
        gate_class("freche")


@pytest.mark.parametrize("name", sorted({**SAMPLE_GATES, **SET_GATES}))
def test_every_gate_says_in_plain_words_what_it_asks(name: str) -> None:
    """The report's first screen says it of a gate that failed."""
    question = gate_class(name).question
    assert question.endswith("?") and len(question) < 120
