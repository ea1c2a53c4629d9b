"""A bounded memory of what takes long to compute: the least lately used entry is forgotten first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def _one(_: object) -> int:
    return 1


class Memo(Generic[K, V]):
    """Holds values of at most `most` together, by `size` (default: each counts 1). Of one process and one thread."""

    def __init__(self, most: int, size: Callable[[V], int] = _one) -> None:
        self._most, self._size, self._held = most, size, 0
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, which is now the last to be forgotten; None where there is none."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: K, value: V) -> None:
        """Keeps `value` under `key`, and forgets the oldest until all fit. A value larger than `most` is not kept."""
        if key in self._values:
            self._held -= self._size(self._values.pop(key))
        self._values[key] = value
        self._held += self._size(value)
        while self._held > self._most:
            self._held -= self._size(self._values.popitem(last=False)[1])

    def clear(self) -> None:
        """Forgets everything."""
        self._values.clear()
        self._held = 0

    def __len__(self) -> int:
        return len(self._values)
