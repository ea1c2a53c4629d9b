"""Samples that came and went between two releases, counted by split, class and kind."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from corpora.schema import SPLIT_NAMES
from flows.releases.paired import Paired, is_real

NONE = "-"  # no split, no class


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A class in a split: real and synthetic samples that are (in the second release alone, in the first alone)."""

    split: str
    emotion: str
    real: tuple[int, int]
    synthetic: tuple[int, int]


def exchanged(pair: Paired) -> list[Exchanged]:
    """Splits in the order of `SPLIT_NAMES`, then classes by name; cells in which nothing came or went are left out."""
    came, went = _cells(pair.come), _cells(pair.gone)
    order = {name: at for at, name in enumerate(SPLIT_NAMES)}
    cells = sorted({key[:2] for key in (*came, *went)}, key=lambda cell: (order.get(cell[0], len(order)), cell))
    return [
        Exchanged(
            *cell,
            real=(came.get((*cell, True), 0), went.get((*cell, True), 0)),
            synthetic=(came.get((*cell, False), 0), went.get((*cell, False), 0)),
        )
        for cell in cells
    ]


def _cells(rows: pa.Table) -> dict[tuple[str, str, bool], int]:
    """(split, class, whether real) -> samples."""
    table = pa.table(
        {
            "split": pc.fill_null(rows["split"], NONE),
            "emotion": pc.fill_null(rows["emotion"], NONE),
            "real": is_real(rows),
        }
    )
    counts = table.group_by(["split", "emotion", "real"]).aggregate([([], "count_all")])
    return {(row["split"], row["emotion"], row["real"]): row["count_all"] for row in counts.to_pylist()}
