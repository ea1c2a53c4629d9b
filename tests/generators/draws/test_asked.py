"""What draws are asked for beside their class: fixed by their index, and nothing changed where nothing is asked."""

from __future__ import annotations

import pytest

from generators.draws.asked import NOTHING, Asked, Mixture
from generators.draws.balance import draw_sequence
from generators.draws.sources import SourceTable, choose_sources
from generators.draws.targets import Cell
from generators.generator import Condition, Draw

FEAR, JOY = Cell("fear", None, 0, 9), Cell("happiness", None, 0, 9)
ASKED = Asked(
    {"intensity": (0.7,), "arousal": (0.1, 0.5)},
    {"fear": {"arousal": (-1.0, 0.0, 1.0), "valence": (-0.5, -0.1)}},
    (Mixture({"sadness": 3.0, "fear": 1.0}, 12, {"arousal": (0.9,)}),),
)


def test_a_run_that_asks_for_nothing_has_the_draws_that_it_had() -> None:
    plain = draw_sequence(FEAR, 0, 3, run_seed=5)
    assert plain == draw_sequence(FEAR, 0, 3, run_seed=5, asked=NOTHING)
    assert [d.to_json() for d in plain] == [{"v": 1, "emotion": "fear", "seed": d.seed} for d in plain]
    asked = draw_sequence(FEAR, 0, 3, run_seed=5, asked=ASKED)
    assert [d.seed for d in asked] == [d.seed for d in plain] and asked[0].key() != plain[0].key()


def test_values_come_in_turn_and_every_combination_once() -> None:
    whole = draw_sequence(FEAR, 0, 12, run_seed=5, asked=ASKED)
    assert whole[5:] == draw_sequence(FEAR, 5, 7, run_seed=5, asked=ASKED), "however the sequence is cut"
    given = [(d.condition.given["arousal"], d.condition.given["valence"]) for d in whole]
    assert given[:4] == [(-1.0, -0.5), (0.0, -0.5), (1.0, -0.5), (-1.0, -0.1)]
    assert len(set(given[:6])) == 6 and given[6:] == given[:6]
    assert {d.condition.given["intensity"] for d in whole} == {0.7}
    other = draw_sequence(JOY, 0, 3, run_seed=5, asked=ASKED)
    assert [dict(d.condition.given) for d in other] == [
        {"arousal": a, "intensity": 0.7} for a in (0.1, 0.5, 0.1)
    ]  # what a class does not say, the run does


def test_a_mixture_is_a_cell_of_its_own_and_no_class() -> None:
    (cell,) = ASKED.cells()
    assert (cell.emotion, cell.lacking, cell.classes) == ("", 12, ("fear", "sadness"))
    assert cell.named == "0.25 fear + 0.75 sadness"
    draws = draw_sequence(cell, 0, 4, run_seed=5, asked=ASKED)
    for draw in draws:
        assert draw.condition.one_class is None and draw.condition.shares == {"fear": 0.25, "sadness": 0.75}
        assert draw.condition.given == {"arousal": 0.9, "intensity": 0.7}
        assert Draw.from_json(draw.to_json()) == draw
    seeds = {d.seed for c in (cell, FEAR, Cell("sadness", None, 0, 9)) for d in draw_sequence(c, 0, 4, run_seed=5)}
    assert len(seeds) == 12
    table = SourceTable(("a", "b", "c"), ("fear", "sadness", "anger"), (None,) * 3)
    assert choose_sources([0, 1], table, cell.classes, 0) == [{"from": "c"}] * 2, "of neither class"


@pytest.mark.parametrize(
    ("emotion", "says"),
    [("fear", "fear"), ({"fear": 1.0}, "fear"), ({"fear": 0.5, "joy": 0.0}, "fear"), ({"fear": 0.5, "joy": 0.5}, None)],
)
def test_only_what_is_one_class_is_named_one(emotion: object, says: str | None) -> None:
    assert Condition(emotion).one_class == says  # type: ignore[arg-type]


def test_what_is_asked_for_is_known_by_name() -> None:
    assert ASKED.names == {"intensity", "arousal", "valence"} and ASKED.classes == ("fear", "sadness")
    who = Asked({"subject": ("a:1",)}, {"fear": {"subject": ("a:2", "a:1")}})
    assert who.subjects == ("a:1", "a:2") and NOTHING.names == frozenset() and NOTHING.cells() == []
