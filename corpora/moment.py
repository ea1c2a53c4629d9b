"""Moments: what the parts of one recording (a voice, a face, what is said, EEG) hold at one time.

A part that was not recorded, or could not be read, is absent from a moment; nothing stands in for it.

Which samples are one moment: those of one `recording_id` and one `t_start_s` (to the millisecond; without one is a time
of its own), with different parts. So the pieces and windows of a recording are separate moments, and a voice that was
cut is not joined with a face that was not. Samples of one part at one time (frames of one face that name no time) are
moments of their own: nothing says which of them belongs to which sample of another part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from corpora.schema import PARTS

Row = Mapping[str, Any]  # a row of the schema SAMPLES
_NO_TIME = -(1 << 62)  # before all times


@dataclass(frozen=True, slots=True)
class Moment:
    """`parts`: name of the part -> its row of the index, in the order of the names. `t_start_s`: s from the recording's
    beginning, None where no part names one."""

    recording_id: str
    parts: Mapping[str, Row]
    t_start_s: float | None = None

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """Ids of its samples, in the order of the parts."""
        return tuple(str(row["sample_id"]) for row in self.parts.values())


def moments(index: pa.Table) -> Iterator[Moment]:
    """The moments of an index (schema SAMPLES): by recording, time and part, in a fixed order. Each row is in one.

    Synthetic rows are moments too, of the recording that they name.
    """
    by_time: dict[tuple[str, int], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for batch in index.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            by_time[row["recording_id"], _milliseconds(row["t_start_s"])][_part(row)].append(row)
    for recording, time in sorted(by_time):
        rows = by_time[recording, time]
        single = {part: rows[part][0] for part in sorted(rows) if len(rows[part]) == 1}
        if single:
            yield _moment(recording, single)
        for part in sorted(rows):
            if len(rows[part]) > 1:
                for row in sorted(rows[part], key=lambda row: str(row["sample_id"])):
                    yield _moment(recording, {part: row})


def _moment(recording: str, rows: dict[str, Row]) -> Moment:
    starts = [row["t_start_s"] for row in rows.values() if row["t_start_s"] is not None]
    return Moment(recording, MappingProxyType(rows), min(starts, default=None))


def _milliseconds(start_s: float | None) -> int:
    return _NO_TIME if start_s is None else round(start_s * 1000)


def _part(row: Row) -> str:
    return str(row["part"] or PARTS.get(row["modality"], row["modality"]))
