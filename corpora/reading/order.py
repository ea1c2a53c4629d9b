"""In which order samples are read, and by whom: each exactly once in an epoch, over all processes that read.

Rows stand in the order of the shards. They are cut into stretches of neighbours, whose order is drawn from seed and
epoch; each of the n readers (ranks times workers) takes one n-th of the result, a row more or less. So there may be
fewer shards than readers, a reader still reads stretch by stretch, and what it reads is another part in each epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpora.errors import UserError

STRETCH = 32  # neighbours that stay together: few seeks, and a buffer of a thousand mixes thirty stretches


@dataclass(frozen=True, slots=True)
class Shuffle:
    """Order of an epoch: the same `seed` and `epoch` give the same. buffer: samples that wait in memory in each
    reading process, one of which is taken at random; 0: stretches of neighbours stay together. Raises `UserError` for
    a number below 0."""

    seed: int = 0
    epoch: int = 0
    buffer: int = 1000

    def __post_init__(self) -> None:
        for name in ("seed", "epoch", "buffer"):
            if (value := getattr(self, name)) < 0:
                raise UserError(f"Shuffle: {name} is {value}; a whole number from 0 on is wanted.")


def part(shards: np.ndarray, reader: int, readers: int, shuffle: Shuffle | None, again: int = 0) -> np.ndarray:
    """[N] shard of each row, rows in the order of the shards -> numbers of the rows that reader `reader` of `readers`
    has, in the order in which it reads them. `again`: how often it has begun an epoch before, which moves its own
    stretches alone."""
    n = len(shards)
    first, last = reader * n // readers, (reader + 1) * n // readers
    if shuffle is None:
        return np.arange(first, last)
    starts, ends = _stretches(shards)
    order = np.random.default_rng([shuffle.seed, shuffle.epoch]).permutation(len(starts))
    rows = _joined(starts[order], ends[order])[first:last]
    if again:
        cuts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
        own = np.random.default_rng([shuffle.seed, shuffle.epoch, again]).permutation(len(cuts))
        rows = rows[_joined(cuts[own], np.append(cuts[1:], len(rows))[own])]
    return rows


def _stretches(shards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First rows, and rows behind the last ones, of stretches that lie in one shard and have at most `STRETCH` rows."""
    n = len(shards)
    heads = np.flatnonzero(np.diff(shards, prepend=-1))  # first rows of the shards
    head_of: np.ndarray = np.repeat(heads, np.diff(heads, append=n))
    starts = np.flatnonzero((np.arange(n) - head_of) % STRETCH == 0)
    return starts, np.append(starts[1:], n)


def _joined(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """start, ..., end - 1 of each pair, one after the other."""
    lengths = ends - starts
    if not len(lengths):
        return np.empty(0, np.int64)
    before = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(starts - before, lengths)
