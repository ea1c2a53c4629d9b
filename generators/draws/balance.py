"""Which draws a cell gets, how many in each round, and when to stop. Pure arithmetic: no torch, no clock, no state.

Draw k of a cell is the same for ever under one run seed: a higher target, another limit or an interrupted run takes up
the same sequence where it stands. What a round takes follows from counts alone, so `forecast` can play a run through
before it is begun. Targets: generators/draws/targets.py.

By count, a cell is drawn for until as many passed as it lacks. By weight (`Budget.spread`), each of its possible
sources serves once, all that pass are kept, and each counts for its share of what is lacking (`share`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from generators.draws.asked import NOTHING, Asked
from generators.draws.targets import Cell
from generators.generator import Condition, Draw
from training.seeds import derive_seed

SourceChooser = Callable[[int], Mapping[str, str]]  # index of a draw of the cell -> its sources by role
Stop = Literal[
    "complete", "filled", "no-source", "refused", "withheld", "acceptance", "draws", "rounds", "spread", "served"
]
# What people read, the worst first: a class of several cells ended as its worst one did.
STOPS: dict[str, str] = {
    "withheld": "its candidates are not what was asked for, and are withheld",  # of a class, whatever its cells
    "no-source": "nothing to convert from",
    "refused": "too few samples for the generator to learn the class from",
    "acceptance": "acceptance fell below the limit",
    "draws": "the budget of draws is spent",
    "rounds": "the rounds are over",
    "spread": "as many sources served as `spread` allows",
    "served": "every source served",
    "filled": "target reached",
    "complete": "nothing was missing",
}

# What is believed of an acceptance that nobody has seen yet: three of four pass, worth four observations.
PRIOR_ACCEPTED, PRIOR_TRIED = 3.0, 4.0


@dataclass(frozen=True, slots=True)
class Budget:
    """When sampling of a cell ends; of a run: `flows.params.Rounds.budget`. Counts, never seconds: a clock may
    interrupt a run, which then goes on where it stood, but decides nothing.

    max_draws: multiple of what the cell lacks. give_up_after: lists that must have been seen before acceptance is held
    against `min_acceptance`. gather: accepted candidates wanted for each one that is needed, to choose from. spread:
    where samples are weighted, sources that may serve for each one that is missing, in place of max_draws and gather;
    None: samples are counted.
    """

    max_rounds: int = 6
    max_draws: float = 8.0
    min_acceptance: float = 0.02
    give_up_after: int = 4
    gather: float = 1.0
    spread: float | None = None

    def draws(self, lacking: int, draw_list: int) -> int:
        """At least one list, so that a class that lacks one sample may try."""
        return max(draw_list, round(self.max_draws * lacking))

    def wanted(self, lacking: int) -> int:
        """Candidates that must pass before the cell is full."""
        return math.ceil(self.gather * lacking * (1 - 1e-12))

    def served(self, lacking: int, sources: int | None) -> int | None:
        """Where samples are weighted, the draws of a cell: as many of its possible sources as are to serve, each once.
        None: samples are counted."""
        if self.spread is None:
            return None
        if sources is None:
            raise ValueError("samples are weighted: the number of possible sources is wanted")
        return min(sources, math.ceil(self.spread * lacking * (1 - 1e-12)))


def share(lacking: int, accepted: int) -> float:
    """What each accepted sample of a cell counts where samples are weighted: together they come to what is lacking,
    and none counts for more than one."""
    return min(1.0, lacking / accepted) if accepted else 1.0


def draw_sequence(
    cell: Cell,
    start: int,
    n: int,
    *,
    run_seed: int,
    source_chooser: SourceChooser | None = None,
    asked: Asked = NOTHING,
) -> list[Draw]:
    """Draws start ... start + n - 1 of the one fixed sequence of the cell: of a class, of that class in a corpus or of
    a subject, or of a mixture. A free draw carries the subject in its condition; a conversion has it from its source.
    """
    if start < 0 or n < 0:
        raise ValueError(f"start {start} and n {n} must be >= 0")
    owner: list[str] = [] if cell.corpus is None else [cell.corpus]
    owner += [] if cell.subject is None else ["subject", cell.subject]
    what = ["mixture", *(f"{name}={share:.6g}" for name, share in cell.mixture)] if cell.mixture else [cell.emotion]
    subject = {} if cell.subject is None or source_chooser is not None else {"subject": cell.subject}
    return [
        Draw(
            Condition(dict(cell.mixture) or cell.emotion, {**asked.given(cell, index), **subject}),
            derive_seed(run_seed, "draw", *owner, *what, index),
            {} if source_chooser is None else source_chooser(index),
        )
        for index in range(start, start + n)
    ]


def expected_acceptance(tried: int, accepted: int, first_rate: float | None = None) -> float:
    """Mean of a Beta posterior: never 0, and one unlucky list does not ask for thousands of draws. `first_rate`: the
    acceptance to expect before anything was seen; default 0.75."""
    prior = PRIOR_ACCEPTED / PRIOR_TRIED if first_rate is None else min(max(first_rate, 0.01), 1.0)
    return (prior * PRIOR_TRIED + accepted) / (PRIOR_TRIED + tried)


def next_lists(
    missing: int, *, tried: int, accepted: int, draw_list: int, max_draws: int, first_rate: float | None = None
) -> int:
    """How many whole lists of `draw_list` draws the next round of a class takes; 0 when nothing is missing or allowed.

    missing: samples that the class still lacks. tried, accepted: draws of the class so far and how many passed.
    max_draws: draws that the class may have in all; a list that would go beyond it is not begun.
    """
    if min(missing, tried, accepted, max_draws) < 0 or draw_list < 1 or accepted > tried:
        raise ValueError(
            f"missing {missing}, tried {tried}, accepted {accepted}, draw_list {draw_list}, max_draws {max_draws}"
        )
    if missing == 0:
        return 0
    wanted = math.ceil(math.ceil(missing / expected_acceptance(tried, accepted, first_rate)) / draw_list)
    return min(wanted, max(0, max_draws - tried) // draw_list)


def recent_acceptance(history: Sequence[tuple[int, int]], at_least: int) -> float | None:
    """Share that passed in the last round; if that held fewer than `at_least` draws, in as many rounds before it as
    together hold them. None: too little was seen to tell. history: (draws, passed) of each round."""
    draws = passed = 0
    for n, ok in reversed(history):
        draws, passed = draws + n, passed + ok
        if draws >= at_least:
            return passed / draws if draws else None
    return None


def next_step(
    lacking: int, history: Sequence[tuple[int, int]], budget: Budget, draw_list: int, sources: int | None = None
) -> tuple[int, Stop | None]:
    """-> whole lists that the next round of a cell takes, or 0 and why there is no next round.

    lacking: synthetic samples that the cell was to get. history: (draws, passed every gate) of its rounds so far.
    sources: what it could be converted from, where samples are weighted; the last list may then go beyond
    `Budget.served`, and what does is not of the cell.
    """
    served = budget.served(lacking, sources)
    if served is not None:
        return _next_sources(lacking, history, budget, draw_list, served, all_serve=served == sources)
    tried, accepted = sum(n for n, _ in history), sum(ok for _, ok in history)
    if lacking <= 0:
        return 0, "complete"
    missing = budget.wanted(lacking) - accepted
    if missing <= 0:
        return 0, "filled"
    recent = recent_acceptance(history, budget.give_up_after * draw_list)
    if recent is not None and recent < budget.min_acceptance:
        return 0, "acceptance"
    if len(history) >= budget.max_rounds:
        return 0, "rounds"
    most = budget.draws(lacking, draw_list)
    lists = next_lists(missing, tried=tried, accepted=accepted, draw_list=draw_list, max_draws=most)
    return lists, None if lists else "draws"


def _next_sources(
    lacking: int, history: Sequence[tuple[int, int]], budget: Budget, draw_list: int, served: int, *, all_serve: bool
) -> tuple[int, Stop | None]:
    """`next_step` by weight: a first round of `give_up_after` lists shows whether anything passes, then the others."""
    if lacking <= 0:
        return 0, "complete"
    tried = sum(n for n, _ in history)
    if tried >= served:
        return 0, "served" if all_serve else "spread"
    recent = recent_acceptance(history, budget.give_up_after * draw_list)
    if recent is not None and recent < budget.min_acceptance:
        return 0, "acceptance"
    if len(history) >= budget.max_rounds:
        return 0, "rounds"
    lists = math.ceil((served - tried) / draw_list)
    return min(lists, budget.give_up_after) if not history and budget.max_rounds > 1 else lists, None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run is expected to take: draws, rounds, candidates that pass, and why it will stop."""

    draws: int
    rounds: int
    passed: int
    stopped: Stop


def forecast(lacking: int, acceptance: float, budget: Budget, draw_list: int, sources: int | None = None) -> Forecast:
    """Plays the rounds of a cell through as if exactly the share `acceptance` of all draws so far passed each time.
    `sources`: as `next_step` takes them."""
    if not 0.0 <= acceptance <= 1.0:
        raise ValueError(f"acceptance {acceptance} is outside [0, 1]")
    history: list[tuple[int, int]] = []
    served = budget.served(lacking, sources)
    while True:
        lists, stopped = next_step(lacking, history, budget, draw_list, sources)
        draws, passed = sum(n for n, _ in history), sum(ok for _, ok in history)
        if stopped is not None:
            return Forecast(draws, len(history), passed, stopped)
        drawn = lists * draw_list if served is None else min(lists * draw_list, served - draws)
        history.append((drawn, math.floor((draws + drawn) * acceptance + 1e-9) - passed))
