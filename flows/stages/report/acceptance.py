"""Where candidates are accepted: over rounds of sampling, and in slices of the people whom they started from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from corpora.errors import UnknownNameError
from flows.artifacts.augmented import RoundTally
from flows.stages.report.data import RunFolder
from flows.stages.report.figures import _STYLE, LOOKS, MUTED, _figure, _svg
from validators.gate import SampleGate, gate_class
from validators.maths.intervals import wilson_interval

SLICED = {"corpus": "corpus", "gender": "gender", "language": "language", "subject_id": "subject"}  # column -> name
MOST_SLICES = 60  # rows of a table
MOST_LINES = 8  # classes of the figure


@dataclass(frozen=True, slots=True)
class Slice:
    """Candidates that started from samples of one group. share: accepted of candidates, with its 95 % interval
    (Wilson); agreed: share of which judges name the emotion that was asked for, None where no judge was asked."""

    name: str
    candidates: int
    accepted: int
    share: float
    low: float
    high: float
    agreed: float | None


@dataclass(frozen=True, slots=True)
class Slices:
    """by: what the candidates are sliced by. cut: more slices than the table holds; the largest are there."""

    by: str
    rows: Sequence[Slice]
    cut: bool


@dataclass(frozen=True, slots=True)
class Acceptance:
    """slices: none where candidates start from nobody. known, candidates: of how many it is known whom they started
    from. figure: SVG, None of fewer than two rounds."""

    slices: Sequence[Slices]
    known: int
    candidates: int
    figure: str | None


def acceptance(data: RunFolder) -> Acceptance:
    """From the scores of every candidate, the draws that were kept, and the index of real samples."""
    fates = _fates(data.scores)
    started = {i: source for i, source in _started(data.draws).items() if i in fates}
    sources = set(started.values())
    rows = data.samples.select(["sample_id", *SLICED]).to_pylist()
    real = {row["sample_id"]: row for row in rows if row["sample_id"] in sources}
    known = {i: real[source] for i, source in started.items() if source in real}
    slices = [_slices(column, name, known, fates) for column, name in SLICED.items()]
    rounds = data.balance.rounds if data.balance else ()
    return Acceptance([s for s in slices if len(s.rows) > 1], len(known), len(fates), rounds_figure(rounds))


@dataclass(frozen=True, slots=True)
class _Fate:
    accepted: bool
    agreed: bool | None


def _fates(scores: pa.Table | None) -> dict[str, _Fate]:
    fates: dict[str, _Fate] = {}
    if scores is None:
        return fates
    telling = {name for name in set(scores["gate"].to_pylist()) if _tells_class(name)}
    for row in scores.select(["sample_id", "gate", "passed"]).to_pylist():
        before = fates.get(row["sample_id"], _Fate(True, None))
        agreed = row["passed"] if row["gate"] in telling else before.agreed
        fates[row["sample_id"]] = _Fate(before.accepted and row["passed"], agreed)
    return fates


def _tells_class(gate: str) -> bool:
    """Whether its judges name the emotion. A gate of somebody else's may not be installed here."""
    try:
        kind = gate_class(gate)
    except UnknownNameError:
        return False
    return issubclass(kind, SampleGate) and kind.tells_class


def _started(draws: pa.Table | None) -> dict[str, str]:
    """Candidate -> the real sample that it was moved from, of draws that have one."""
    started: dict[str, str] = {}
    for row in draws.select(["sample_id", "draw"]).to_pylist() if draws is not None else ():
        sources: Mapping[str, str] = json.loads(row["draw"]).get("sources") or {}
        if sources:
            started[row["sample_id"]] = sources.get("from", next(iter(sources.values())))
    return started


def _slices(column: str, name: str, known: Mapping[str, Mapping[str, Any]], fates: Mapping[str, _Fate]) -> Slices:
    members: dict[str, list[_Fate]] = {}
    for sample, row in known.items():
        members.setdefault(str(row[column]) if row[column] is not None else "not known", []).append(fates[sample])
    largest = sorted(members, key=lambda one: (-len(members[one]), one))[:MOST_SLICES]
    return Slices(name, [_slice(one, members[one]) for one in sorted(largest)], len(members) > MOST_SLICES)


def _slice(name: str, fates: Sequence[_Fate]) -> Slice:
    n, accepted = len(fates), sum(fate.accepted for fate in fates)
    judged = [fate.agreed for fate in fates if fate.agreed is not None]
    low, high = wilson_interval(accepted, n)
    return Slice(name, n, accepted, accepted / n, low, high, sum(judged) / len(judged) if judged else None)


def rounds_figure(rounds: Sequence[RoundTally]) -> str | None:
    """Share of the candidates drawn so far that passed every gate, over rounds, a line for each class: the largest
    ones. -> SVG; None of fewer than two rounds."""
    import matplotlib as mpl

    numbers = sorted({one.round for one in rounds})
    if len(numbers) < 2:
        return None
    totals: dict[str, int] = {}
    for one in rounds:
        totals[one.emotion] = totals.get(one.emotion, 0) + one.candidates
    classes = sorted(totals, key=lambda name: (-totals[name], name))[:MOST_LINES]
    with mpl.rc_context({**_STYLE, "axes.grid.axis": "y", "ytick.color": MUTED}):
        figure, axes = _figure(1, height=2.6)
        ax = axes[0]
        for k, name in enumerate(classes):
            drawn = np.cumsum([sum(r.candidates for r in rounds if (r.round, r.emotion) == (n, name)) for n in numbers])
            passed = np.cumsum([sum(r.accepted for r in rounds if (r.round, r.emotion) == (n, name)) for n in numbers])
            share = np.divide(passed, drawn, out=np.full(len(drawn), np.nan), where=drawn > 0)
            colour, marker = LOOKS[k % len(LOOKS)]
            style = "-" if k < len(LOOKS) else "--"
            ax.plot(numbers, share, style, color=colour, marker=marker, label=name)
        ax.set_ylim(0, 1)
        ax.set_xticks(numbers)
        ax.set_xlabel("rounds")
        ax.set_title("accepted so far, of the candidates drawn so far")
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=10)
        return _svg(figure, "rounds", "Share of candidates accepted over rounds, by class")
