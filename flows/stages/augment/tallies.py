"""What the rounds came to, for balance.json: counts of every cell and class, and what each gate costs.

Costs are counted in draws. Seconds are no part of any out: `spent` puts them into .emoforge/timings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from corpora.errors import IntegrityError
from corpora.formats.jsonfile import read_json
from corpora.store.atomic import write_json
from flows.stages.augment.candidates import Candidate
from generators.draws.balance import STOPS, Stop
from generators.draws.targets import Cell

Row = dict[str, Any]


def class_row(
    emotion: str,
    real: int,
    seen: Mapping[Cell, list[Candidate]],
    stops: Mapping[Cell, Stop],
    gates: Sequence[str],
) -> Row:
    """A class of the run: the sum of its cells, filled where all of them are, ended as the worst of them did."""
    own = {cell: candidates for cell, candidates in seen.items() if cell.emotion == emotion}
    targets = {"emotion": emotion, "real_train": real, "target": sum(c.target for c in own)}
    ends = [end_of(cell, stops) for cell in own]
    return {
        **targets,
        **_counts([c for candidates in own.values() for c in candidates], gates),
        "filled": all(_filled(cell, candidates) for cell, candidates in own.items()),
        "stopped": min(ends, key=list(STOPS).index) if ends else "complete",
    }


def cell_row(cell: Cell, candidates: list[Candidate], stops: Mapping[Cell, Stop], gates: Sequence[str]) -> Row:
    return {
        "emotion": cell.emotion,
        "corpus": cell.corpus,
        "subject": cell.subject,
        **({"mixture": dict(cell.mixture)} if cell.mixture else {}),
        "real_train": cell.real,
        "target": cell.target,
        **_counts(candidates, gates),
        "filled": _filled(cell, candidates),
        "stopped": end_of(cell, stops),
    }


def end_of(cell: Cell, stops: Mapping[Cell, Stop]) -> Stop:
    return stops.get(cell, "complete")


def _filled(cell: Cell, candidates: list[Candidate]) -> bool:
    return cell.real + sum(c.failed is None and not c.surplus for c in candidates) >= cell.target


def _counts(candidates: list[Candidate], gates: Sequence[str]) -> Row:
    passed = sum(c.failed is None for c in candidates)
    surplus = sum(c.surplus for c in candidates)
    return {
        "candidates": len(candidates),
        "accepted": passed - surplus,
        "surplus": surplus,
        "rejected": dict(Counter(c.failed for c in candidates if c.failed is not None)),
        "acceptance": passed / len(candidates) if candidates else None,
        "draws_per_accepted": len(candidates) / passed if passed else None,
        "gates": {gate: _cost(candidates, passed, gate) for gate in gates} if candidates else {},
    }


def _cost(candidates: list[Candidate], passed: int, gate: str) -> Row:
    """refused: candidates that the gate refuses, whatever the others say; alone: those that only it refuses.
    draws_per_accepted: how many more draws an accepted sample takes because of this gate, n / passed - n / (passed +
    alone); null where nothing passed."""
    refused = sum(gate in c.refused_by for c in candidates)
    alone = sum(c.refused_by == (gate,) for c in candidates)
    extra = len(candidates) / passed - len(candidates) / (passed + alone) if passed else None
    return {"refused": refused, "alone": alone, "draws_per_accepted": extra}


def spent(
    path: Path, seen: Mapping[Cell, list[Candidate]], seconds: Mapping[str, Mapping[str, float]], actors: int
) -> Row:
    """Writes what draws took, class by class: {"actors", "classes": {class: {"draws", "accepted", "seconds": {"sample"
    or gate: s}, "per_accepted_s"}}}, seconds of the sampling processes added up.

    seconds: list of draws -> what was done now. Of a class of which nothing was drawn now (the work store had it all)
    the row of an earlier run stays. -> what was written.
    """
    earlier = timings(path)
    classes: dict[str, Row] = dict(earlier.get("classes", {}))
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
        classes[emotion] = {
            "draws": len(timed),
            "accepted": accepted,
            "seconds": {name: round(s, 4) for name, s in total.items()},
            "per_accepted_s": round(total.total() / accepted, 4) if accepted else None,
        }
    told = {"actors": actors, "classes": classes}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, told)
    return told


def timings(path: Path) -> Row:
    """What `spent` wrote last; {} where there is nothing that can be read."""
    try:
        return read_json(path)
    except IntegrityError:
        return {}


def seconds_per_draw(told: Row, classes: Iterable[str]) -> dict[str, float]:
    """Class -> seconds of a sampling process for one draw with its gates. A class that was never timed takes what the
    others took on average; {} where nothing was timed."""
    rows = told.get("classes", {})
    known = {c: sum(row["seconds"].values()) / row["draws"] for c, row in rows.items() if row.get("draws")}
    if not known:
        return {}
    mean = sum(known.values()) / len(known)
    return {c: known.get(c, mean) for c in classes}
