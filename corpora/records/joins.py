"""Joins of a label with its payload, proven or refused: what readers of tables that lie beside their samples share.

A join by key holds if one entry alone speaks of the key, and one file alone bears its name. Where two entries say
different things nobody knows which one holds: both are rejected and named, whatever stands first. A join by position
holds if both sides have the same count, and more where the files say more. Entries and files that are equal are one.
"""

from __future__ import annotations

import filecmp
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from corpora.errors import CorpusError, PayloadError

CONFLICT = "conflicting-entries"  # the slug of a key that has two different entries
_SHOWN = 4  # names in a detail

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Doubled = Mapping[Hashable, tuple[str, ...]]  # key -> names of the entries, or files, that differ


def conflict(key: Hashable, names: Iterable[str]) -> PayloadError:
    """The error of each entry, or file, of a doubled key. Names that are alike (a file of several tables) come once."""
    there = list(dict.fromkeys(names))
    shown = ", ".join(there[:_SHOWN]) + (f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else "")
    what = " / ".join(map(str, key)) if isinstance(key, tuple) else str(key)
    return PayloadError(CONFLICT, f"{what[:80]!r} stands in several places that differ ({shown}); keep the right one")


class Entries(Generic[K, V]):
    """Key -> what a table says of it, where all its entries of the key say the same."""

    def __init__(self) -> None:
        self._values: dict[K, tuple[V, str]] = {}
        self._doubled: dict[K, list[str]] = {}

    def add(self, key: K, value: V, where: str) -> None:
        """One entry, which stands at `where`; a second that says something else makes the key doubled."""
        first = self._values.setdefault(key, (value, where))
        if first[0] != value or key in self._doubled:
            self._doubled.setdefault(key, [first[1]]).append(where)

    def get(self, key: K) -> V | None:
        """The entry of the key; None: there is none. Raises `PayloadError` conflicting-entries."""
        if key not in self._values:
            return None
        return self[key]

    def __getitem__(self, key: K) -> V:
        if key in self._doubled:
            raise conflict(key, self._doubled[key])
        return self._values[key][0]

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def doubled(self) -> Mapping[K, Sequence[str]]:
        """Keys of which two entries say different things -> where they stand."""
        return self._doubled


def doubled(
    items: Iterable[tuple[T, str]], key: Callable[[T], Hashable | None], content: Callable[[T], Hashable]
) -> Doubled:
    """(item, name) pairs -> keys of which two items say different things. A first look at a table before it is read.

    `key` None: an item that is not looked at (an error in a row's place). `content`: what must be the same, hashed.
    """
    first: dict[Hashable, tuple[int, str]] = {}
    conflicts: dict[Hashable, list[str]] = {}
    for item, name in items:
        what = key(item)
        if what is None:
            continue
        digest = hash(content(item))
        before = first.setdefault(what, (digest, name))
        if before[0] != digest or what in conflicts:
            conflicts.setdefault(what, [before[1]]).append(name)
    return {what: tuple(names) for what, names in conflicts.items()}


def settled(
    read: Callable[[], Iterable[tuple[T, str]]], key: Callable[[T], Hashable | None], content: Callable[[T], Hashable]
) -> Iterator[tuple[T | PayloadError, str]]:
    """The items of a table, which `read` opens: twice, for a first look. In place of those that say different things of
    one key come their errors (conflicting-entries). `key`, `content`: see `doubled`."""
    twice = doubled(read(), key, content)

    def items() -> Iterator[tuple[T | PayloadError, str]]:
        for item, name in read():
            what = key(item)
            yield (conflict(what, twice[what]) if what in twice else item), name

    return items()


def opened(item: T | PayloadError) -> T:
    """The item, or its error raised: the first line of a reader's `make` for `read_items`."""
    if isinstance(item, PayloadError):
        raise item
    return item


def once(twice: Doubled, key: Hashable) -> None:
    """Raises `PayloadError` conflicting-entries for a key that is doubled."""
    if key in twice:
        raise conflict(key, twice[key])


def doubled_files(files: Iterable[tuple[Path, str]], key: Callable[[Path], str]) -> Doubled:
    """(path, name) pairs -> keys that several files with different bytes have: one label cannot be both theirs."""
    there: dict[str, list[tuple[Path, str]]] = {}
    for path, name in files:
        there.setdefault(key(path), []).append((path, name))
    return {
        what: tuple(name for _, name in places)
        for what, places in there.items()
        if len(places) > 1 and not all(_same(places[0][0], path) for path, _ in places[1:])
    }


def _same(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def same_counts(title: str, counts: Mapping[str, int], what: str) -> None:
    """Files whose n-th `what` belong together -> nothing, or `CorpusError` if they do not have as many."""
    if len(set(counts.values())) > 1:
        counted = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise CorpusError(
            f"{title}: the n-th {what} of these files belong together, and their counts differ: {counted}. Every label "
            f"behind the missing {what} would be another's. Take all files from one download, unchanged."
        )
