"""What verdicts and unfilled classes do to a release, by policy, and what its users are told."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from flows.stages.release import decide, notes, selftest_notes, synthetic_splits, unjudged


def verdict(gate: str, said: str, group: str = "all", reason: str = "because") -> dict[str, Any]:
    return {"gate": gate, "group": group, "verdict": said, "reason": reason}


def of_class(emotion: str, filled: bool, **more: Any) -> dict[str, Any]:
    return {"emotion": emotion, "filled": filled, "real_train": 3, "accepted": 4, "target": 9} | more


FULL = {"classes": [of_class("fear", True)]}
LACKING = {"classes": [of_class("fear", False, stopped="draws"), of_class("anger", True)]}


@pytest.mark.parametrize(
    ("on_fail", "on_undecided", "said"), product(["block", "flag"], ["block", "flag"], ["pass", "fail", "undecided"])
)
def test_each_verdict_goes_where_the_policy_says(on_fail: str, on_undecided: str, said: str) -> None:
    policy = {"on_fail": on_fail, "on_undecided": on_undecided, "on_unfilled": "flag"}
    blocking, flagged = decide(policy, [verdict("kid", said)], FULL)
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
    policy = {"on_fail": "flag", "on_undecided": "flag", "on_unfilled": "flag"}
    assert decide(policy, rows, FULL) == (
        [],
        ["kid (anger, fear): fail, far", "mcd (anger, fear): fail, anger is x; fear: y"],
    )


@pytest.mark.parametrize("on_unfilled", ["block", "flag"])
def test_a_class_that_was_not_filled_blocks_if_it_shall(on_unfilled: str) -> None:
    policy = {"on_fail": "block", "on_undecided": "block", "on_unfilled": on_unfilled}
    blocking, flagged = decide(policy, [verdict("kid", "pass")], LACKING)
    told = "class 'fear' has 7 of 9 train samples (the budget of draws is spent)"
    assert (blocking, flagged) == ([told] if on_unfilled == "block" else [], [])


def test_users_are_told_what_is_undecided_unfilled_leaked_and_real_alone() -> None:
    audit = [{"kind": "split_unit", "splits": ["train", "test"], "counts": {"keys": 2}, "action": "fail"}]
    rows = [
        verdict("kid", "undecided", "fear", "few"),
        verdict("kid", "undecided", "anger", "few"),
        verdict("mcd", "fail"),
        verdict("conditions", "undecided", "fear", "cannot be judged: deaf"),
        verdict("agreement", "undecided", "fear", "cannot be judged: deaf"),
        verdict("conditions", "undecided", "all", "cannot be judged: deaf"),
    ]
    said = notes(rows, LACKING, {"representation": {"name": "world"}, "audit": audit})
    assert said == [
        "class 'fear' cannot be judged by conditions and agreement, 4 synthetic samples of it are released all the "
        "same: deaf",
        "gate kid (fear, anger) is undecided: few",
        "gate conditions (all) is undecided: cannot be judged: deaf",
        "class 'fear' was not filled: 7 of 9 train samples (the budget of draws is spent)",
        "audit: split unit in train and test, 2 found, by default: fail",
    ]
    assert unjudged(rows) == {"fear": {"deaf": ["conditions", "agreement"]}}
    real = notes([], FULL, {"representation": None, "audit": []})
    assert len(real) == 1 and real[0].startswith("no generator: real samples alone")


def test_the_self_test_says_what_it_missed_and_whom_it_turned_away(tmp_path: Any) -> None:
    from corpora.store.atomic import write_json
    from validators.trials.selftest import HELD_OUT

    path = tmp_path / "selftest.json"
    assert selftest_notes(path) == []
    write_json(path, {"why_not": "no people", "outcomes": []})
    assert selftest_notes(path) == ["the gates could not be tested on planted defects: no people"]
    outcomes = [
        {"defect": HELD_OUT, "caught": True, "n": 9, "by": ["kid", "mcd"]},
        {"defect": "noise", "caught": True, "n": 9, "by": ["kid"]},
        {"defect": "copies", "caught": False, "n": 9, "by": []},
    ]
    write_json(path, {"why_not": "", "outcomes": outcomes})
    assert selftest_notes(path) == [
        "self-test: 9 real samples of held-out people failed kid, mcd",
        "self-test: the gates did not catch a planted defect (copies, n = 9)",
    ]
    write_json(path, {"why_not": "", "outcomes": [outcomes[0] | {"caught": False}]})
    assert selftest_notes(path) == []


def test_synthetic_rows_are_in_train_alone() -> None:
    import pyarrow as pa

    rows = synthetic_splits(pa.table({"sample_id": ["a", "b"]}), "group").to_pylist()
    assert rows == [{"view": "group", "sample_id": i, "split": "train"} for i in ("a", "b")]
