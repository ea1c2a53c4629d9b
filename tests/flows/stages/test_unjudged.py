"""A class that judges do not hear on real people: in the verdicts, what stops a release, and its notes."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from corpora.schema import SCORES
from emoforge.summary import leak_lines
from flows.artifacts.augmented import Balance
from flows.stages.evaluate import conditions_honoured, conditions_verdict, unsaid
from flows.stages.release import decide, notes, unjudged
from tests.flows import typed
from tests.flows.typed import policy, summary, tally, verdict

CLASSES = ["anger", "neutral", "sadness"]
# what judges who had not met the person made of real samples: anger is heard once in fifty
REAL: dict[str, list[float | None]] = {
    "anger": [1.0] + [0.2] * 49,
    "neutral": [1.0] * 40 + [0.3] * 10,
    "sadness": [1.0] * 35 + [0.4] * 15,
}


def scores(**hits: int) -> pa.Table:
    """class -> how many of 48 candidates the judges name by it."""
    rows = [
        {
            "sample_id": f"syn/x/{emotion}{i}",
            "emotion": emotion,
            "round": 1,
            "gate": "agreement",
            "value": 1.0 if i < n else 0.4,
            "limit": None,
            "passed": True,
            "reason": None,
            "judge": "judge/1",
        }
        for emotion, n in hits.items()
        for i in range(48)
    ]
    return pa.Table.from_pylist(rows, schema=SCORES)


def balance(**undecided: str) -> Balance:
    rows = [tally(c, True, real_train=50, accepted=48, target=98) for c in CLASSES]
    return typed.balance(*rows, undecided={"agreement": undecided})


WHY = "cannot be judged: judges name anger in 1 of 50 real samples of it (0.02, chance is 0.33)"


def test_each_class_has_a_verdict_of_its_own() -> None:
    rows = {r.group: r for r in conditions_verdict(scores(anger=0, neutral=40, sadness=2), CLASSES, REAL)}
    assert list(rows) == ["all", *CLASSES]
    assert {c: rows[c].verdict for c in CLASSES} == {"anger": "undecided", "neutral": "pass", "sadness": "fail"}
    assert rows["anger"].reason == WHY and rows["anger"].value == 0.0
    assert rows["anger"].floor == 0.02 and rows["anger"].n_synthetic == 48
    assert "anger cannot be judged" in rows["all"].reason
    rules = policy("block", "flag", "flag")
    (stops,), _ = decide(rules, list(rows.values()), balance())
    assert stops.startswith("conditions (") and "sadness): fail" in stops


def test_a_class_that_nobody_drew_has_none_and_a_class_alone_is_judged() -> None:
    assert [r.group for r in conditions_verdict(scores(neutral=40), CLASSES, REAL)] == ["all", "neutral"]
    assert conditions_verdict(scores(), CLASSES, REAL) == []


def test_the_release_says_which_class_nobody_judged_and_how_many_samples_that_are() -> None:
    made = scores(anger=0, neutral=40, sadness=40)
    told = balance(anger=WHY, happiness=WHY)
    rows = conditions_verdict(made, CLASSES, REAL) + unsaid(told, made)
    assert [(r.gate, r.group, r.verdict) for r in rows if r.reason == WHY] == [
        ("conditions", "anger", "undecided"),
        ("agreement", "anger", "undecided"),
    ], "happiness was not drawn"
    assert unjudged(rows) == {"anger": {WHY.removeprefix("cannot be judged: "): ["conditions", "agreement"]}}
    said = notes(rows, told, summary())
    assert said == [
        "class 'anger' cannot be judged by conditions and agreement, 48 synthetic samples of it are released all the "
        "same: judges name anger in 1 of 50 real samples of it (0.02, chance is 0.33)"
    ]
    stops, _ = decide(policy("block", "block", "flag"), rows, told)
    assert any(line.startswith("agreement (anger): undecided") for line in stops)


def test_the_table_of_the_report_knows_it() -> None:
    found = conditions_honoured(scores(anger=0, neutral=40), CLASSES, REAL)
    assert found["anger"].cannot_be_judged == WHY and found["neutral"].cannot_be_judged == ""


def test_several_reasons_are_told_each() -> None:
    rows = [verdict("kid", "undecided", g, f"{g} has 1 speaker in dev; 2 are needed") for g in ("anger", "fear")]
    rules = policy("flag", "block", "flag")
    (line,), _ = decide(rules, rows, typed.balance())
    assert line == (
        "kid (anger, fear): undecided, anger has 1 speaker in dev; 2 are needed; "
        "fear has 1 speaker in dev; 2 are needed"
    )


@pytest.mark.parametrize(
    ("leaks", "said"),
    [
        ({}, []),
        (
            {"train": {"of": 200, "dropped": {"repeats": 30, "near": 10}}},
            ["leaks take 40 of 200 samples of train (20.0%): near 10, repeats 30"],
        ),
    ],
)
def test_what_leaks_take(leaks: dict[str, Any], said: list[str]) -> None:
    assert leak_lines(leaks) == said
