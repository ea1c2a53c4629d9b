"""How many samples each class gets, and which draws they are. Pure arithmetic: no torch, no clock, no state.

Draw k of a class is the same for ever under one run seed: a higher target, another limit or an interrupted run takes up
the same sequence where it stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from corpora.errors import ParamsError
from generators.generator import Condition, Draw
from training.seeds import derive_seed

Policy = Literal["majority", "number", "effective", "tail"]
POLICIES: tuple[Policy, ...] = ("majority", "number", "effective", "tail")
Within = Literal["run", "corpus"]
SourceChooser = Callable[[str, int], tuple[str, ...]]  # (class, index of the draw) -> ids of its sources

# What is believed of an acceptance that nobody has seen yet: three of four pass, worth four observations.
PRIOR_ACCEPTED, PRIOR_TRIED = 3.0, 4.0


@dataclass(frozen=True, slots=True)
class Cell:
    """What has a target of its own: a class of the run (`corpus` None), or a class of one corpus.

    real: train samples. target: what real and synthetic together should come to.
    """

    emotion: str
    corpus: str | None
    real: int
    target: int


def effective_number(n: int, beta: float) -> float:
    """(1 - beta^n) / (1 - beta): what n samples are worth when they overlap. Cui et al. 2019, eq. 2.

    >>> round(effective_number(1000, 0.999), 1)
    632.3
    """
    return n if beta >= 1.0 else (1.0 - beta**n) / (1.0 - beta)


def targets(
    counts: Mapping[str, int],
    policy: Policy = "majority",
    *,
    number: int | None = None,
    beta: float = 0.999,
    fraction: float = 0.5,
) -> dict[str, int]:
    """Real train samples of each class -> samples that it should have, real and synthetic together; never fewer than
    real.

    majority: as many as the largest class. number: at least `number`. effective: as many as the largest class is worth
    by its effective number (`beta`), beyond which more of the same say little. tail: classes below `fraction` of the
    largest are raised to it, the others left alone. Raises `ParamsError` for what cannot be.
    """
    if not counts:
        raise ParamsError("no classes to balance")
    for name, n in counts.items():
        if n < 0:
            raise ParamsError(f"class {name!r} has a count of {n}; counts are >= 0")
    largest = max(counts.values())
    if policy == "majority":
        floor = largest
    elif policy == "number":
        if number is None or number < 1:
            raise ParamsError(f"target.number is {number!r}; policy 'number' wants an integer >= 1")
        floor = number
    elif policy == "effective":
        if not 0.0 <= beta < 1.0:
            raise ParamsError(f"target.beta is {beta!r}; policy 'effective' wants 0 <= beta < 1")
        floor = math.ceil(effective_number(largest, beta))
    elif policy == "tail":
        if not 0.0 < fraction <= 1.0:
            raise ParamsError(f"target.fraction is {fraction!r}; policy 'tail' wants 0 < fraction <= 1")
        floor = math.ceil(fraction * largest)
    else:
        raise ParamsError(f"target.policy is {policy!r}; use one of {', '.join(POLICIES)}")
    return {name: max(n, floor) for name, n in counts.items()}


def cells(
    classes: Sequence[str],
    counts: Mapping[str, int],
    by_corpus: Mapping[str, Mapping[str, int]],
    *,
    within: Within = "run",
    **policy: Any,
) -> list[Cell]:
    """The cells to fill, in the order of the classes, then of the corpora. `counts`: class -> train samples of the run;
    `by_corpus`: corpus -> class -> the same; `policy`: as `targets` takes it.

    within corpus: each corpus is balanced on its own. A class that a corpus does not have stays empty there: nothing of
    that corpus shows how it sounds or looks.
    """
    if within == "run":
        wanted = targets(counts, **policy)
        return [Cell(c, None, counts[c], wanted[c]) for c in classes]
    present = {name: {c: n for c, n in by.items() if n > 0} for name, by in by_corpus.items()}
    aims = {name: targets(by, **policy) if by else {} for name, by in present.items()}
    return [Cell(c, name, present[name][c], aims[name][c]) for c in classes for name in by_corpus if c in present[name]]


def draw_sequence(
    emotion: str,
    start: int,
    n: int,
    *,
    run_seed: int,
    source_chooser: SourceChooser | None = None,
    corpus: str | None = None,
) -> list[Draw]:
    """Draws start ... start + n - 1 of the one fixed sequence of class `emotion` (of that class in `corpus`)."""
    if start < 0 or n < 0:
        raise ValueError(f"start {start} and n {n} must be >= 0")
    return [
        Draw(
            Condition(emotion),
            derive_seed(run_seed, "draw", *(() if corpus is None else (corpus,)), emotion, index),
            source_chooser(emotion, index) if source_chooser is not None else (),
        )
        for index in range(start, start + n)
    ]


def next_lists(
    missing: int, *, tried: int, accepted: int, draw_list: int, max_draws: int, first_rate: float | None = None
) -> int:
    """How many whole lists of `draw_list` draws the next round of a class takes; 0 when nothing is missing or allowed.

    missing: samples that the class still lacks. tried, accepted: draws of the class so far and how many passed.
    max_draws: draws that the class may have in all; a list that would go beyond it is not begun. first_rate: the
    acceptance to expect before anything was seen (of other classes, say); default 0.75. The estimate is the mean of a
    Beta posterior, so it is never 0 and one unlucky list does not ask for thousands of draws.
    """
    if min(missing, tried, accepted, max_draws) < 0 or draw_list < 1 or accepted > tried:
        raise ValueError(
            f"missing {missing}, tried {tried}, accepted {accepted}, draw_list {draw_list}, max_draws {max_draws}"
        )
    if missing == 0:
        return 0
    prior = PRIOR_ACCEPTED / PRIOR_TRIED if first_rate is None else min(max(first_rate, 0.01), 1.0)
    rate = (prior * PRIOR_TRIED + accepted) / (PRIOR_TRIED + tried)
    wanted = math.ceil(math.ceil(missing / rate) / draw_list)
    return min(wanted, max(0, max_draws - tried) // draw_list)
