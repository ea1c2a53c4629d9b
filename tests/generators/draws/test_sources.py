"""Of which class a source is: another one, which a conversion moves, or the same, of which variants are drawn."""

from __future__ import annotations

from typing import Any

import pytest

from corpora.errors import UserError
from generators.draws.sources import SourceTable, choose_sources, count_sources
from generators.generator import source_class

ROWS = ("a1", "a2", "a3", "b1", "b2"), ("a", "a", "a", "b", "b"), ("x", "y", None, "x", "z")


def test_variants_start_from_their_own_class_and_each_serves_before_any_serves_twice() -> None:
    same, other = SourceTable(*ROWS, source_class="same"), SourceTable(*ROWS)
    chosen = [s["from"] for s in choose_sources(range(6), same, "a", 3)]
    assert sorted(chosen[:3]) == ["a1", "a2", "a3"] and chosen[3:] == chosen[:3]
    assert {s["from"] for s in choose_sources(range(4), other, "a", 3)} == {"b1", "b2"}
    assert (count_sources(same, ("a",)), count_sources(other, ("a",))) == (3, 2)
    assert (count_sources(same, ("a", "b")), count_sources(other, ("a", "b"))) == (5, 0), "of a mixture"


def test_what_is_refused_gives_none_and_the_table_stays_one_of_its_kind() -> None:
    rest = SourceTable(*ROWS, source_class="same").without({"a"})
    assert rest.source_class == "same" and rest.ids == ("b1", "b2")
    with pytest.raises(UserError, match=r"variants of 'a': train has no sample of it"):
        choose_sources([0], rest, "a", 0)


def test_a_generator_says_it_by_its_parameters_and_else_wants_another_class() -> None:
    class Says:
        @classmethod
        def source_class(cls, params: dict[str, Any]) -> Any:
            return params.get("source", "other")

    assert source_class(Says, {"source": "same"}) == "same" and source_class(Says, {}) == "other"
    assert source_class(object, {"source": "same"}) == "other"
