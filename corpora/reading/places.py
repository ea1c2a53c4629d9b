"""Where the payloads of some rows lie, as columns of numbers, and files that are open while they are read.

What reads them travels to worker processes: no table, no file and no object a row goes along.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpora.errors import IntegrityError
from corpora.store.checked import file_problem
from corpora.store.remembered import Stamp
from corpora.store.shards import read_at

_OPEN = 256  # files at once; what a process may open is often 1024


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of texts: each row's code, -1 for null, and the texts. codes: int32 [N]."""

    codes: np.ndarray
    texts: list[str]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Coded:
        """Of a column of strings."""
        encoded = column.combine_chunks().dictionary_encode()
        return cls(encoded.indices.fill_null(-1).to_numpy().astype(np.int32), encoded.dictionary.to_pylist())

    def text(self, row: int) -> str | None:
        """Of one row."""
        code = int(self.codes[row])
        return None if code < 0 else self.texts[code]


@dataclass(frozen=True, slots=True)
class Places:
    """shard, codec: of each row; offset, n_bytes: int64 [N], of its payload in the tar."""

    shard: Coded
    codec: Coded
    offset: np.ndarray
    n_bytes: np.ndarray

    @classmethod
    def of(cls, rows: pa.Table) -> Places:
        """Of rows of SAMPLES."""
        numbers = [rows[name].combine_chunks().to_numpy() for name in ("offset", "n_bytes")]
        return cls(Coded.of(rows["shard"]), Coded.of(rows["codec"]), numbers[0], numbers[1])


@dataclass
class Tars:
    """The shards of a release, opened when they are read, by each process for itself; at most `_OPEN` at once.

    files: the manifest's, against which a shard is hashed when it is first opened, unless it was before and has not
    changed since (corpora/store/remembered.py); None: nothing is checked.
    """

    root: Path
    files: Mapping[str, Mapping[str, Any]] | None
    _open: OrderedDict[str, int] = field(default_factory=OrderedDict, repr=False, compare=False)
    _checked: dict[str, Stamp] = field(default_factory=dict, repr=False, compare=False)
    _process: int = field(default=0, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def read(self, shard: str, n_bytes: int, offset: int) -> bytes:
        """Bytes of a shard. Raises `IntegrityError`: it is missing, short, or not what the manifest says."""
        if self._process != os.getpid():  # what came along from a parent process is closed, not read
            self.close()
            self._process, self._lock = os.getpid(), threading.Lock()
        with self._lock:  # else another thread might close the file that this one reads
            data = read_at(self._number(shard), n_bytes, offset)
        if len(data) != n_bytes:
            raise IntegrityError(f"{self.root / shard} ends within a sample at {offset}: it was cut. Fetch it again.")
        return data

    def _number(self, shard: str) -> int:
        number = self._open.get(shard)
        if number is not None:
            self._open.move_to_end(shard)
            return number
        if len(self._open) >= _OPEN:
            os.close(self._open.popitem(last=False)[1])
        try:
            number = os.open(self.root / shard, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise IntegrityError(f"{self.root / shard} is missing; the index names it.") from error
        self._open[shard] = number
        self._check(shard, Stamp.of(os.fstat(number)))
        return number

    def _check(self, shard: str, stamp: Stamp) -> None:
        if self.files is None or self._checked.get(shard) == stamp:
            return
        if (problem := file_problem(self.root, shard, self.files[shard], remembered=True)) is not None:
            os.close(self._open.pop(shard))
            raise IntegrityError(f"{problem.sentence} `emoforge verify {self.root}` names its samples.")
        self._checked[shard] = stamp

    def close(self) -> None:
        """Closes what is open; what is read next is opened again."""
        while self._open:
            os.close(self._open.popitem()[1])

    def __del__(self, _is_ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if not _is_ending():  # then the system closes them, and `os` may be gone
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "files": self.files}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]
