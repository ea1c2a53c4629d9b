"""What verdicts and unfilled classes do to a release, by policy, and what its users are told."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from flows.artifacts.evaluated import VerdictRow
from flows.stages.release import decide, notes, selftest_notes, synthetic_splits, unjudged
from tests.flows import typed
from tests.flows.typed import balance, policy, summary, tally
from validators.trials.selftest import HELD_OUT, Outcome, SelfTest

FULL = balance(tally("fear", True))
LACKING = balance(tally("fear", False), tally("anger", True))


def verdict(gate: str, said: str, group: str = "all", reason: str = "because") -> VerdictRow:
    """Of something that no number could be measured of."""
    return replace(typed.verdict(gate, said, group, reason), value=float("nan"))


@pytest.mark.parametrize(
    ("on_fail", "on_undecided", "said"), product(["block", "flag"], ["block", "flag"], ["pass", "fail", "undecided"])
)
def test_each_verdict_goes_where_the_policy_says(on_fail: str, on_undecided: str, said: str) -> None:
    rules = policy(on_fail, on_undecided, "flag")
    blocking, flagged = decide(rules, [verdict("kid", said)], FULL)
    line = [f"kid (all): {said}, because"]
    assert blocking == (
        line if (said, on_fail) == ("fail", "block") or (said, on_undecided) == ("undecided", "block") else []
    )
    assert flagged == (line if (said, on_fail) == ("fail", "flag") else []), "what is undecided is told in the notes"


def test_one_line_for_all_groups_of_a_gate_and_verdict() -> None:
    rows = [
        verdict("kid", "fail", "anger", "far"),
        verdict("kid", "fail", "fear", "far"),
        verdict("kid", "pass", "all"),
        verdict("mcd", "fail", "anger", "anger is x"),
        verdict("mcd", "fail", "fear", "y"),
    ]
    rules = policy("flag", "flag", "flag")
    assert decide(rules, rows, FULL) == (
        [],
        ["kid (anger, fear): fail, far", "mcd (anger, fear): fail, anger is x; fear: y"],
    )


@pytest.mark.parametrize("on_unfilled", ["block", "flag"])
def test_a_class_that_was_not_filled_blocks_if_it_shall(on_unfilled: str) -> None:
    rules = policy("block", "block", on_unfilled)
    blocking, flagged = decide(rules, [verdict("kid", "pass")], LACKING)
    told = "class 'fear' has 7 of 9 train samples (the budget of draws is spent)"
    assert (blocking, flagged) == ([told] if on_unfilled == "block" else [], [])


def test_users_are_told_what_is_undecided_unfilled_leaked_and_real_alone() -> None:
    audit = [
        {"kind": "split_unit", "splits": ["train", "test"], "counts": {"keys": 2}, "action": "fail", "members": {}}
    ]
    rows = [
        verdict("kid", "undecided", "fear", "few"),
        verdict("kid", "undecided", "anger", "few"),
        verdict("mcd", "fail"),
        verdict("conditions", "undecided", "fear", "cannot be judged: deaf"),
        verdict("agreement", "undecided", "fear", "cannot be judged: deaf"),
        verdict("conditions", "undecided", "all", "cannot be judged: deaf"),
    ]
    said = notes(rows, LACKING, summary(audit=audit))
    assert said == [
        "class 'fear' cannot be judged by conditions and agreement, 4 synthetic samples of it are released all the "
        "same: deaf",
        "gate kid (fear, anger) is undecided: few",
        "gate conditions (all) is undecided: cannot be judged: deaf",
        "class 'fear' was not filled: 7 of 9 train samples (the budget of draws is spent)",
        "audit: split unit in train and test, 2 found, by default: fail",
    ]
    assert unjudged(rows) == {"fear": {"deaf": ["conditions", "agreement"]}}
    real = notes([], FULL, summary(representation=None))
    assert len(real) == 1 and real[0].startswith("no generator: real samples alone")


def test_the_self_test_says_what_it_missed_and_whom_it_rejected() -> None:
    assert selftest_notes(None) == []
    assert selftest_notes(SelfTest((), "no people")) == ["the gates could not be tested on planted defects: no people"]
    real = Outcome(HELD_OUT, 9, True, ("kid", "mcd"), (), 0.1)
    noise, copies = Outcome("noise", 9, True, ("kid",), (), 0.9), Outcome("copies", 9, False, (), (), 0.1)
    assert selftest_notes(SelfTest((real, noise, copies))) == [
        "self-test: 9 real samples of held-out people failed kid, mcd",
        "self-test: the gates did not catch a planted defect (copies, n = 9)",
    ]
    assert selftest_notes(SelfTest((replace(real, caught=False),))) == []


def test_synthetic_rows_are_in_train_alone() -> None:
    import pyarrow as pa

    rows = synthetic_splits(pa.table({"sample_id": ["a", "b"]}), "group").to_pylist()
    assert rows == [{"view": "group", "sample_id": i, "split": "train"} for i in ("a", "b")]


def test_a_failure_says_what_was_measured_and_what_was_wanted() -> None:
    """Without the numbers nobody knows whether it was close."""
    far = replace(verdict("conditions", "fail", "all", "far"), value=0.1302, low=0.0898, high=0.185, limit=0.2083)
    rules = policy("block", "flag", "flag")
    blocking, _ = decide(rules, [far, replace(far, group="neutral")], FULL)
    assert blocking == ["conditions (all, neutral): fail, far (0.13 [0.0898, 0.185], limit 0.208)"]
    blocking, _ = decide(rules, [far, replace(far, group="fear", value=0.12)], FULL)
    each = "all 0.13 [0.0898, 0.185], limit 0.208; fear 0.12 [0.0898, 0.185], limit 0.208"
    assert blocking == [f"conditions (all, fear): fail, far ({each})"]
    blocking, _ = decide(rules, [replace(far, high=float("nan"))], FULL)
    assert blocking == ["conditions (all): fail, far"]
