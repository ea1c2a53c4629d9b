"""What the rounds came to, for balance.json: counts of every cell and class, and what each gate costs.

Costs are counted in draws. Seconds are no part of any out: `spent` puts them into .emoforge/timings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from corpora.errors import IntegrityError
from corpora.formats.jsonfile import read_json
from corpora.store.atomic import write_json
from flows.artifacts.augmented import CellTally, ClassTally, GateCost
from flows.artifacts.base import Record
from flows.stages.augment.candidates import Candidate
from generators.draws.balance import STOPS, Stop
from generators.draws.targets import Cell


def class_tally(
    emotion: str,
    real: int,
    seen: Mapping[Cell, list[Candidate]],
    stops: Mapping[Cell, Stop],
    gates: Sequence[str],
) -> ClassTally:
    """A class of the run: the sum of its cells, filled where all of them are, ended as the worst of them did."""
    own = {cell: candidates for cell, candidates in seen.items() if cell.emotion == emotion}
    counts = _Counts.of([c for candidates in own.values() for c in candidates], gates)
    ends = [end_of(cell, stops) for cell in own]
    return ClassTally(
        emotion=emotion,
        real_train=real,
        target=sum(c.target for c in own),
        candidates=counts.candidates,
        accepted=counts.accepted,
        effective=sum(min(cell.lacking, _accepted(candidates)) for cell, candidates in own.items()),
        surplus=counts.surplus,
        rejected=counts.rejected,
        acceptance=counts.acceptance,
        draws_per_accepted=counts.draws_per_accepted,
        gates=counts.gates,
        filled=all(_filled(cell, candidates) for cell, candidates in own.items()),
        stopped=min(ends, key=list(STOPS).index) if ends else "complete",
    )


def cell_tally(cell: Cell, candidates: list[Candidate], stops: Mapping[Cell, Stop], gates: Sequence[str]) -> CellTally:
    """The same of one cell."""
    whole = class_tally(cell.emotion, cell.real, {cell: candidates}, stops, gates)
    return CellTally(**dict(whole), corpus=cell.corpus, subject=cell.subject, mixture=dict(cell.mixture) or None)


def end_of(cell: Cell, stops: Mapping[Cell, Stop]) -> Stop:
    """Why sampling of the cell ended."""
    return stops.get(cell, "complete")


def _filled(cell: Cell, candidates: list[Candidate]) -> bool:
    return cell.real + _accepted(candidates) >= cell.target


def _accepted(candidates: list[Candidate]) -> int:
    """Those that are released. By weight they come to what the cell lacks, or to their number where they are fewer."""
    return sum(c.failed is None and not c.surplus for c in candidates)


@dataclass(frozen=True)
class _Counts:
    candidates: int
    accepted: int
    surplus: int
    rejected: dict[str, int]
    acceptance: float | None
    draws_per_accepted: float | None
    gates: dict[str, GateCost]

    @classmethod
    def of(cls, candidates: list[Candidate], gates: Sequence[str]) -> _Counts:
        """Of the candidates of a class or a cell."""
        passed = sum(c.failed is None for c in candidates)
        surplus = sum(c.surplus for c in candidates)
        return cls(
            candidates=len(candidates),
            accepted=passed - surplus,
            surplus=surplus,
            rejected=dict(Counter(c.failed for c in candidates if c.failed is not None)),
            acceptance=passed / len(candidates) if candidates else None,
            draws_per_accepted=len(candidates) / passed if passed else None,
            gates={gate: _cost(candidates, passed, gate) for gate in gates} if candidates else {},
        )


def _cost(candidates: list[Candidate], passed: int, gate: str) -> GateCost:
    """More draws for an accepted sample because of this gate: n / passed - n / (passed + alone)."""
    alone = sum(c.refused_by == (gate,) for c in candidates)
    return GateCost(
        refused=sum(gate in c.refused_by for c in candidates),
        alone=alone,
        draws_per_accepted=len(candidates) / passed - len(candidates) / (passed + alone) if passed else None,
    )


class ClassTiming(Record):
    """What draws of a class took. accepted: those that passed every gate. seconds: "sample", or a gate -> seconds of
    the sampling processes added up. per_accepted_s: None where none passed."""

    draws: int
    accepted: int
    seconds: dict[str, float]
    per_accepted_s: float | None


class Timings(Record):
    """.emoforge/timings/<run>/draws.json: no part of any out."""

    actors: int = 0
    classes: dict[str, ClassTiming] = Field(default_factory=dict)


def spent(
    path: Path, seen: Mapping[Cell, list[Candidate]], seconds: Mapping[str, Mapping[str, float]], actors: int
) -> Timings:
    """Writes what draws took, class by class; -> what was written.

    seconds: list of draws -> what was done now. Of a class of which nothing was drawn now (the work store had it all)
    the row of an earlier run stays.
    """
    classes = dict(timings(path).classes)
    for emotion in dict.fromkeys(cell.emotion for cell in seen):
        of_class = [c for cell, candidates in seen.items() if cell.emotion == emotion for c in candidates]
        # a list that the store had is in `seconds` not at all, one that it had samples of without "sample"
        timed = [c for c in of_class if "sample" in seconds.get(c.list_key, {})]
        if not timed:
            continue
        total: Counter[str] = Counter()
        for key in dict.fromkeys(c.list_key for c in timed):
            total.update(seconds[key])
        accepted = sum(c.failed is None for c in timed)
        classes[emotion] = ClassTiming(
            draws=len(timed),
            accepted=accepted,
            seconds={name: round(s, 4) for name, s in total.items()},
            per_accepted_s=round(total.total() / accepted, 4) if accepted else None,
        )
    written = Timings(actors=actors, classes=classes)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, written.to_json())
    return written


def timings(path: Path) -> Timings:
    """What `spent` wrote last; nothing where there is no file that can be read: it is scratch."""
    try:
        return Timings.model_validate(read_json(path))
    except (IntegrityError, ValidationError):
        return Timings()


def seconds_per_draw(spent_before: Timings, classes: Iterable[str]) -> dict[str, float]:
    """Class -> seconds of a sampling process for one draw with its gates. A class that was never timed takes what the
    others took on average; {} where nothing was timed."""
    known = {c: sum(row.seconds.values()) / row.draws for c, row in spent_before.classes.items() if row.draws}
    if not known:
        return {}
    mean = sum(known.values()) / len(known)
    return {c: known.get(c, mean) for c in classes}
