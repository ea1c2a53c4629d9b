"""What a sample's score at a gate must be for it to be taken: `{"mcd": "<= 6"}`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import UnknownNameError, UserError

_OPERATORS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_BOUND = re.compile(r"\s*(<=|>=|<|>)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*")


@dataclass(frozen=True, slots=True)
class Condition:
    """Bounds of one gate's score, all of which hold. bounds: (operator, number)."""

    gate: str
    bounds: tuple[tuple[str, float], ...]

    @classmethod
    def parsed(cls, gate: str, text: str) -> Condition:
        """`"<= 6"`, or several with commas between: `">= 0.2, < 0.8"`. Raises `UserError` for anything else."""
        matches = [_BOUND.fullmatch(part) for part in text.split(",")] if isinstance(text, str) else [None]
        if None in matches:
            raise UserError(
                f"where: {gate}: {text!r} is no condition. Wanted is one of {', '.join(_OPERATORS)} and a number, as "
                f"in {{{gate!r}: '<= 6'}}, or several with commas between: '>= 0.2, < 0.8'."
            )
        return cls(gate, tuple((match[1], float(match[2])) for match in matches if match is not None))

    def holds(self, values: np.ndarray) -> np.ndarray:
        """[N] scores -> [N] bool; NaN, a sample that could not be scored, never holds."""
        held = ~np.isnan(values)
        for name, bound in self.bounds:
            held &= _OPERATORS[name](values, bound)
        return held


def conditions(where: Mapping[str, str], scores: pa.Table) -> list[Condition]:
    """`where` against the gates of `scores` (SCORES). Raises `UserError` where it is no mapping or no condition,
    `UnknownNameError` for a gate that scored no sample of the release, with those that did."""
    if not isinstance(where, Mapping):
        raise UserError(f"where is {where!r}; a mapping of a gate to a condition is wanted: where={{'mcd': '<= 6'}}")
    known = pc.unique(scores["gate"]).to_pylist()
    for gate in where:
        if gate not in known:
            raise UnknownNameError.of("gate that scored samples of this release", str(gate), known)
    return [Condition.parsed(gate, text) for gate, text in where.items()]


def scores_of(ids: pa.ChunkedArray, scores: pa.Table, gate: str) -> np.ndarray:
    """[N] sample ids, SCORES -> [N] float64, what the gate gave them; NaN where it gave none.

    Where it scored a sample in several rounds, the last counts.
    """
    values = np.full(len(ids), np.nan)
    of_gate = scores.filter(pc.equal(scores["gate"], gate)).sort_by("round")
    where = pc.index_in(of_gate["sample_id"], value_set=ids.combine_chunks())
    held = pc.is_valid(where)
    # of a place that comes twice, numpy keeps what is assigned last
    values[where.filter(held).to_numpy()] = pc.fill_null(of_gate["value"].filter(held), np.nan).to_numpy()
    return values
