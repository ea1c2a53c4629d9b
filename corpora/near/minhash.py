"""MinHash of many texts as arrays: shingles -> hashes -> sketches -> pairs that share a band, without an object a text.

MinHash: Broder 1997, "On the resemblance and containment of documents". Bands: Indyk & Motwani 1998; a pair is a
candidate where all rows of one band are equal. The permutations are those of datasketch (scheme affine32, seed 1), so
candidates are those of its `MinHashLSH` (tests/corpora/near/test_minhash.py holds both beside each other): a hash is
mixed once (the finaliser of MurmurHash3) and goes to a * h + b modulo 2**32 with an odd a.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

_BLOCK = 1 << 16  # hashes at a time: stays in the processor's cache
_LETTERS = 1 << 20  # of texts at a time
_PAIRS = 1 << 14  # pairs of one bucket or comparison at a time: bounds memory
_HASHES = 1 << 21  # compared at a time


@dataclass(frozen=True, slots=True)
class HashSets:
    """Sets of hashes, one after the other. values: uint32 [total], sorted and distinct within a set. ends: int64 [n],
    where each set ends. An empty set is no set: `ends` has to grow."""

    values: np.ndarray
    ends: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """int64 [n]"""
        return np.concatenate([np.zeros(1, np.int64), self.ends[:-1]])

    @property
    def sizes(self) -> np.ndarray:
        """int64 [n]"""
        return np.diff(self.ends, prepend=0)


def shingle_hashes(texts: Iterable[str], letters: int, most: int) -> HashSets:
    """CRC-32 of the UTF-8 of each run of `letters` letters (5, of texts that have as many); of each text the `most`
    smallest ones. Texts are taken in one after the other, a block of letters at a time."""
    values: list[np.ndarray] = []
    sizes: list[np.ndarray] = []
    for block in _blocks(texts):
        kept, counts = _smallest(*_hashed(block, letters), len(block), most)
        values.append(kept)
        sizes.append(counts)
    if not values:
        return HashSets(np.zeros(0, np.uint32), np.zeros(0, np.int64))
    return HashSets(np.concatenate(values), np.cumsum(np.concatenate(sizes)))


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    block: list[str] = []
    n = 0
    for text in texts:
        block.append(text)
        n += len(text)
        if n >= _LETTERS:
            yield block
            block, n = [], 0
    if block:
        yield block


def _hashed(block: Sequence[str], letters: int) -> tuple[np.ndarray, np.ndarray]:
    """-> uint32 [m] hashes, int64 [m] the text that each is of, in no order."""
    plain = np.array([text.isascii() for text in block], bool)
    # a letter is a byte: all windows of all texts at once
    codes = np.frombuffer("".join(text for text in block if text.isascii()).encode("ascii"), np.uint8)
    lengths = np.array([len(text) for text in block], np.int64) * plain
    windows = np.maximum(lengths - letters + 1, 0)
    owner = np.repeat(np.arange(len(block)), windows)
    starts = np.cumsum(lengths) - lengths
    first = np.arange(len(owner)) - np.repeat(np.cumsum(windows) - windows, windows) + starts[owner]
    hashes = _crc32([codes[first + i] for i in range(letters)])
    others = [
        (i, zlib.crc32(block[i][at : at + letters].encode("utf-8")))
        for i in np.flatnonzero(~plain).tolist()
        for at in range(len(block[i]) - letters + 1)
    ]
    rest = np.array(others, np.int64).reshape(-1, 2)
    return np.concatenate([hashes, rest[:, 1].astype(np.uint32)]), np.concatenate([owner, rest[:, 0]])


def _crc32(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Bytes, uint8 [m] each -> uint32 [m] zlib.crc32 of the bytes of each row."""
    table = _crc_table()
    state = np.full(len(columns[0]), 0xFFFFFFFF, np.uint32)
    for column in columns:
        state = table[(state ^ column) & 0xFF] ^ (state >> np.uint32(8))
    return ~state


@cache
def _crc_table() -> np.ndarray:
    """uint32 [256] of the reflected polynomial 0xEDB88320 (ISO 3309)."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, np.uint32(0xEDB88320) ^ (table >> np.uint32(1)), table >> np.uint32(1))
    return table.astype(np.uint32)


def _smallest(hashes: np.ndarray, owner: np.ndarray, n: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """-> sorted distinct hashes of each text, `most` at most, and how many each of the `n` texts has."""
    keys = np.sort(owner.astype(np.uint64) << np.uint64(32) | hashes)
    new = np.ones(len(keys), bool)
    new[1:] = keys[1:] != keys[:-1]
    keys = keys[new]
    owner = (keys >> np.uint64(32)).astype(np.int64)
    sizes = np.bincount(owner, minlength=n)
    within = np.arange(len(keys)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = within < most
    return keys[kept].astype(np.uint32), np.minimum(sizes, most)


def candidates(sets: HashSets, bands: int, rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (first, second), int64 each, first < second: sets that are alike in all `rows` permutations of one of
    `bands` bands. Each pair comes once, some thousands at a time, in no order that means anything."""
    n = len(sets.ends)
    if n < 2:
        return
    a, b = permutations(bands * rows)
    mixed = _mixed(sets.values)
    buckets = np.empty((bands, n), np.int32)  # of each band the bucket of each set: equal ones are candidates
    for band in range(bands):
        part = slice(band * rows, (band + 1) * rows)
        order, ends = _bucketed(_sketch(mixed, sets, a[part], b[part]))
        buckets[band, order] = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
        for one, two in _pairs(order, ends):
            seen = np.zeros(len(one), bool)
            for before in buckets[:band]:
                seen |= before[one] == before[two]
            one, two = one[~seen], two[~seen]
            yield np.minimum(one, two), np.maximum(one, two)


def permutations(count: int) -> tuple[np.ndarray, np.ndarray]:
    """uint32 [count] odd factors and [count] offsets: those of datasketch.MinHash(count, seed=1, scheme="affine32")."""
    random = np.random.RandomState(1)
    a = random.randint(0, 1 << 31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return a, random.randint(0, 1 << 32, count, dtype=np.uint32)


def _mixed(values: np.ndarray) -> np.ndarray:
    """The finaliser of MurmurHash3, 32 bits (Appleby): uint32 [m] -> uint32 [m], one to one."""
    h = values ^ (values >> np.uint32(16))
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


def _sketch(mixed: np.ndarray, sets: HashSets, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """-> uint32 [rows, n]: the smallest of a set under each permutation."""
    out = np.empty((len(a), len(sets.ends)), np.uint32)
    starts, at = sets.starts, 0
    while at < len(sets.ends):
        stop = max(int(np.searchsorted(sets.ends, starts[at] + _BLOCK, "right")), at + 1)
        values, within = mixed[starts[at] : sets.ends[stop - 1]], starts[at:stop] - starts[at]
        for row in range(len(a)):
            out[row, at:stop] = np.minimum.reduceat(values * a[row] + b[row], within)
        at = stop
    return out


def _bucketed(sketch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[rows, n] -> int64 [n] order that puts equal columns beside each other, and where each run of them ends."""
    even = sketch[: len(sketch) // 2 * 2].astype(np.uint64)
    keys = [*(even[::2] << np.uint64(32) | even[1::2]), *sketch[len(even) :]]  # two rows at once: half the sorting
    order = np.lexsort(keys)
    new = np.zeros(len(order) - 1, bool)
    for key in keys:
        new |= key[order[1:]] != key[order[:-1]]
    return order, np.append(np.flatnonzero(new) + 1, len(order))


def _pairs(order: np.ndarray, ends: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs within each run of two or more, about `_PAIRS` at a time."""
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    several = ends - starts > 1
    # each place of a run is paired with all that come behind it in the run
    sizes = (ends - starts)[several]
    place = np.repeat(starts[several], sizes) + np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    behind = np.repeat(ends[several], sizes) - place - 1
    total, at = np.cumsum(behind), 0
    while at < len(place):
        done = total[at - 1] if at else 0
        stop = max(int(np.searchsorted(total, done + _PAIRS, "right")), at + 1)
        many = behind[at:stop]
        first = np.repeat(place[at:stop], many)
        second = first + 1 + np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        if len(first):
            yield order[first], order[second]
        at = stop


def shared(sets: HashSets, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """int64 [P]: how many hashes the sets first[p] and second[p] have in common."""
    out = np.empty(len(first), np.int64)
    starts, sizes = sets.starts, sets.sizes
    total, at = np.cumsum(sizes[first] + sizes[second]), 0
    while at < len(first):
        done = total[at - 1] if at else 0
        stop = max(int(np.searchsorted(total, done + _HASHES, "right")), at + 1)
        # the hashes of both sets behind the number of the pair: what they share stands there twice
        both = np.concatenate([first[at:stop], second[at:stop]])
        pair = np.repeat(np.tile(np.arange(stop - at), 2), sizes[both])
        before = np.cumsum(sizes[both]) - sizes[both]
        values = sets.values[np.arange(len(pair)) + np.repeat(starts[both] - before, sizes[both])]
        keys = np.sort(pair.astype(np.uint64) << np.uint64(32) | values)
        twice = keys[1:][keys[1:] == keys[:-1]] >> np.uint64(32)
        out[at:stop] = np.bincount(twice.astype(np.int64), minlength=stop - at)
        at = stop
    return out
