"""Rows of the speed table: ratios, goals, and JSON there and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.rows import interleaved, read_rows, row, table, write_rows


def test_contenders_take_turns_and_are_charged_for_their_own_work() -> None:
    now, order = [0.0], []

    def work(name: str, seconds: float) -> None:
        order.append(name)
        now[0] += seconds

    contenders = {"ours": lambda: work("ours", 2.0), "peer": lambda: work("peer", 5.0)}
    times = interleaved(contenders, repeats=3, clock=lambda: now[0])
    assert order == ["ours", "ours", "peer", "peer", "ours", "ours", "peer"]
    assert times == {"ours": [2.0] * 3, "peer": [5.0] * 3}


def test_a_row_is_the_median_of_the_rounds_ratios_and_comes_back_from_json(tmp_path: Path) -> None:
    times = {"ours": [1.0, 2.0, 4.0], "peer": [3.0, 4.0, 10.0], "limit": [0.5, 1.5, 3.0]}
    one = row("work", times, "peer", goal=2.5, limit="limit")
    assert (one.ours_s, one.peer_s, one.ratio, one.low, one.high, one.n) == (2.0, 4.0, 2.5, 2.0, 3.0, 3)
    assert one.limit_share == 0.75 and one.reached is True
    missed, shown = row("work", times, "peer", goal=2.6), row("work", times, "peer")
    assert missed.reached is False and shown.reached is None
    write_rows(tmp_path / "rows.json", [one, missed, shown], machine={"cpu": "x"})
    assert read_rows(tmp_path / "rows.json") == [one, missed, shown]
    assert "2.6: missed" in table([missed]) and "75%" in table([one])
    with pytest.raises(KeyError):
        row("work", times, "nobody")
