"""Rows of the speed table: our time, a peer's time, both from one interleaved run, and whether the goal was reached.

    times = interleaved({"ours": work, "torch-fidelity": theirs}, repeats=5)
    rows = [row("Frechet 10k x 10k", times, "torch-fidelity", goal=2.5)]
    write_rows(Path("rows.json"), rows)

Seconds are the processor's (`time.process_time`), unless the caller names another clock, so that a machine that does
other work changes them little. A limit of the machine is a peer like any other: work that does nothing but the
multiplications that the task cannot do without. Its ratio is the share of the limit that we reach.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

Work = Callable[[], object]
Times = Mapping[str, Sequence[float]]  # contender -> seconds of each round
OURS = "ours"


@dataclass(frozen=True, slots=True)
class Row:
    """One line: `peer_s / ours_s` against its goal."""

    work: str  # what was done, with its sizes
    ours_s: float  # median of rounds
    peer: str  # the package and its form, or the limit's name
    peer_s: float  # median of rounds
    ratio: float  # median over rounds of peer / ours; above 1: ours is faster
    low: float  # smallest ratio of a round
    high: float  # largest ratio of a round
    limit_share: float | None  # seconds at the machine's limit / ours, median over rounds; None: no limit is known
    goal: float | None  # `ratio` that is asked for; None: shown only
    reached: bool | None  # None where there is no goal
    n: int  # rounds in which both ran


def interleaved(
    contenders: Mapping[str, Work], *, repeats: int, clock: Callable[[], float] = time.process_time
) -> Times:
    """Runs all contenders `repeats` times (at least once), turn by turn, each round in the other direction: what warms
    up or gets busy meets all alike. -> seconds by contender and round. One round before, of ours alone, is not counted.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    if OURS in contenders:
        contenders[OURS]()
    for i in range(max(repeats, 1)):
        for name in list(contenders)[:: 1 if i % 2 == 0 else -1]:
            begun = clock()
            contenders[name]()
            times[name].append(clock() - begun)
    return times


def row(work: str, times: Times, peer: str, *, goal: float | None = None, limit: str | None = None) -> Row:
    """`times` as `interleaved` returns them, with our own under `OURS`; `limit`: the contender that is the machine's
    limit. Ratios are taken round by round. Raises `KeyError` for a contender that did not run."""
    ratios = _ratios(times, peer)
    ratio = statistics.median(ratios)
    return Row(
        work=work,
        ours_s=statistics.median(times[OURS]),
        peer=peer,
        peer_s=statistics.median(times[peer]),
        ratio=ratio,
        low=min(ratios),
        high=max(ratios),
        limit_share=statistics.median(_ratios(times, limit)) if limit else None,
        goal=goal,
        reached=ratio >= goal if goal is not None else None,
        n=len(ratios),
    )


def _ratios(times: Times, peer: str) -> list[float]:
    return [theirs / max(ours, 1e-9) for theirs, ours in zip(times[peer], times[OURS], strict=False)]


def table(rows: Iterable[Row]) -> str:
    """Markdown, one line a row."""
    lines = ["| work | ours | peer | peer's | times faster | share of limit | goal |", "|---|---|---|---|---|---|---|"]
    for one in rows:
        share = "" if one.limit_share is None else f"{one.limit_share:.0%}"
        goal = "" if one.goal is None else f"{one.goal:g}" + ("" if one.reached else ": missed")
        lines.append(
            f"| {one.work} | {one.ours_s:.3g} s | {one.peer} | {one.peer_s:.3g} s | "
            f"{one.ratio:.2f} [{one.low:.2f}, {one.high:.2f}], n = {one.n} | {share} | {goal} |"
        )
    return "\n".join(lines)


def write_rows(
    path: Path,
    rows: Iterable[Row],
    *,
    machine: Mapping[str, str] | None = None,
    facts: Mapping[str, object] | None = None,
) -> None:
    """JSON: {"machine": {name: text}, "rows": [Row, ...]}, which the next run compares with; beside them `facts`, what
    else was measured, each under its name."""
    own = {"machine": dict(machine or {}), "rows": [asdict(one) for one in rows]}
    text = json.dumps({**own, **(facts or {})}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def read_rows(path: Path) -> list[Row]:
    """What `write_rows` wrote."""
    return [Row(**one) for one in json.loads(path.read_text(encoding="utf-8"))["rows"]]
