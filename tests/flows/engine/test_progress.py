"""What a log reads like: first soon, then by time, with rate and time left."""

from __future__ import annotations

import doctest

import pytest

from flows.engine import progress
from flows.engine.progress import Pace, duration


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_lines_come_by_time_and_not_by_count(clock: Clock) -> None:
    said: list[tuple[float, str]] = []
    pace = Pace("prepare", "samples", 1000, tell=lambda line: said.append((clock.now, line)), clock=clock)
    for _ in range(1000):
        clock.now += 0.05
        pace.add()
    pace.end()
    assert [round(when - 100) for when, _ in said] == [3, 13, 23, 33, 43, 50]
    assert said[0][1].startswith("prepare: 6") and said[0][1].endswith("20/s, about 47 s left")
    assert said[-1][1] == "prepare: 1000 of 1000 samples in 50 s"


def test_work_of_a_moment_is_one_line(clock: Clock) -> None:
    said: list[str] = []
    pace = Pace("mine", "samples read", tell=said.append, clock=clock)
    pace.add(500)
    clock.now += 2
    pace.add(500)
    assert said == []
    pace.end("3 files rejected")
    assert said == ["mine: 1000 samples read, 3 files rejected in 2 s"]


def test_without_a_total_no_time_left_is_told_and_notes_are_made_when_due(clock: Clock) -> None:
    said: list[str] = []
    asked: list[int] = []
    pace = Pace("mine", "samples read", tell=said.append, clock=clock)
    for _ in range(8):
        clock.now += 1
        pace.add(1, lambda: asked.append(1) or "2 files rejected")  # type: ignore[func-returns-value]
    assert said == ["mine: 3 samples read, 2 files rejected, 1/s"] and len(asked) == 1


def test_a_fit_that_goes_on_is_as_fast_as_it_was(clock: Clock) -> None:
    """1,000 steps of an earlier process come back at once; they took 500 s."""
    said: list[str] = []
    pace = Pace("fit", "steps", 3000, tell=said.append, every_s=30.0, clock=clock)
    pace.add(1000, seconds=500.0)
    clock.now += 5
    pace.add(10, "loss 0.5", seconds=505.0)
    assert said == ["fit: 1010 of 3000 steps, loss 0.5, 2/s, about 17 min left"]
    clock.now += 29
    pace.add(58, seconds=534.0)
    assert len(said) == 1
    clock.now += 1
    pace.add(2, seconds=535.0)
    assert len(said) == 2


def test_nothing_done_or_no_time_passed_gives_no_rate(clock: Clock) -> None:
    said: list[str] = []
    pace = Pace("x", "items", 3, tell=said.append, first_s=0.0, clock=clock)
    pace.add(1)
    clock.now += 20
    pace.add(1)
    assert said == ["x: 1 of 3 items", "x: 2 of 3 items, 0.1/s, about 10 s left"]


def test_durations_and_examples() -> None:
    assert [duration(s) for s in (0, 59.6, 60, 119, 3600, 90_000)] == [
        "0 s",
        "60 s",
        "1 min",
        "2 min",
        "1 h 0 min",
        "25 h 0 min",
    ]
    assert doctest.testmod(progress).failed == 0
