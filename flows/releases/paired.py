"""Two releases side by side, sample by sample: who is in one alone, and what differs of those that both have.

Joined by hashes of ids (pyarrow's index_in): the work is linear in the rows of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from corpora.store.release import Release, open_release

COLUMNS = ("sample_id", "corpus", "subject_id", "emotion", "generator_id", "sha256", "codec", "weight")


def opened_pair(before: Path, after: Path) -> tuple[Release, Release]:
    """Two release folders; payloads need not be there. Raises as `open_release`."""
    return open_release(before), open_release(after)


@dataclass(frozen=True, slots=True)
class Paired:
    """Rows of two indexes, of `COLUMNS` and "split". gone: of the first alone; come: of the second alone; old, new: the
    rows that both have, in one order."""

    gone: pa.Table
    come: pa.Table
    old: pa.Table
    new: pa.Table

    def changed(self, column: str) -> pa.BooleanArray:
        """Of the rows that both have: whether the column differs."""
        return differs(self.old[column], self.new[column])


def paired(before: Release, after: Release) -> Paired:
    """Raises `UnknownNameError` where a release holds no split view."""
    first, second = rows_of(before), rows_of(after)
    where = pc.index_in(second["sample_id"], value_set=first["sample_id"].combine_chunks())
    both = pc.is_valid(where)
    gone = pc.invert(pc.is_in(first["sample_id"], value_set=second["sample_id"].combine_chunks()))
    old = first.take(where.filter(both)) if second.num_rows else first.slice(0, 0)
    return Paired(first.filter(gone), second.filter(pc.invert(both)), old, second.filter(both))


def rows_of(release: Release) -> pa.Table:
    """`COLUMNS` of the index, and the split of each row (null: in none)."""
    table = release.columns.select(COLUMNS)
    view = release.views[0] if release.views else ""
    splits = release.splits.filter(pc.equal(release.splits["view"], view))
    where = pc.index_in(table["sample_id"], value_set=splits["sample_id"].combine_chunks())
    split = splits["split"].take(where) if splits.num_rows else pa.nulls(table.num_rows, pa.string())
    return table.append_column("split", split)


def differs(old: pa.ChunkedArray, new: pa.ChunkedArray) -> pa.BooleanArray:
    """Element by element; two nulls are equal."""
    one_null = pc.xor(pc.is_null(old), pc.is_null(new))
    return pc.or_(one_null, pc.fill_null(pc.not_equal(old, new), False))


def is_real(table: pa.Table) -> pa.BooleanArray:
    """Of each row."""
    return pc.is_null(table["generator_id"])
