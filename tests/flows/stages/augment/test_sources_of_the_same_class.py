"""A generator that draws variants of samples of the class itself: what it draws from, what is expected of it."""

from __future__ import annotations

from flows.stages.augment.candidates import DrawSource
from flows.stages.augment.forecast import possible_sources
from generators.draws.balance import Budget
from generators.draws.sources import SourceTable
from generators.draws.targets import Cell
from tests.flows.stages.augment.test_rounds import played

ROWS = ("s/1", "s/2", "s/3"), ("a", "a", "b"), ("ann", "bob", "ann")


def test_each_sample_of_the_class_serves_and_a_class_without_any_has_no_source() -> None:
    cell, none = Cell("a", None, 2, 6), Cell("c", None, 0, 4)
    sequence = DrawSource(1, {None: SourceTable(*ROWS, source_class="same")})
    seen, stops, _, _ = played([cell, none], lambda d: True, Budget(), sequence)
    assert {c.draw.source_ids for c in seen[cell]} == {("s/1",), ("s/2",)}
    assert stops == {cell: "filled", none: "no-source"} and sequence.sources(cell) == 2
    other = DrawSource(1, {None: SourceTable(*ROWS)})
    assert other.sources(cell) == 1 and other.can_draw(none)


def test_the_forecast_counts_the_same_samples() -> None:
    by_subject = {"s": {"ann": {"a": 1, "b": 1}, "bob": {"a": 1}}}
    assert possible_sources(Cell("a", None, 2, 6), by_subject, "same") == 2
    assert possible_sources(Cell("a", None, 2, 6), by_subject) == 1
    assert possible_sources(Cell("a", None, 1, 6, subject="ann"), by_subject, "same") == 1
