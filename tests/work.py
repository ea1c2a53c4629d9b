"""Work counted, not timed: how many functions Python entered. The same number on a busy machine as on an idle one.

What one C function does inside itself is not seen; where that matters a test bounds bytes or sizes as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass
class Work:
    """`calls`: functions entered so far, Python's and built-in ones."""

    calls: int = 0


class TooMuchWorkError(BaseException):
    """More calls than a test allows; no `except Exception` of the code under test may catch it."""


@contextmanager
def counted(most: int | None = None) -> Iterator[Work]:
    """Counts the calls inside the block, of this thread alone; ends it with `TooMuchWorkError` beyond `most`."""
    work = Work()

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            work.calls += 1
            if most is not None and work.calls > most:
                sys.setprofile(None)
                raise TooMuchWorkError(f"more than {most} calls")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield work
    finally:
        sys.setprofile(before)


def calls_of(function: Callable[[], object]) -> int:
    """How many functions a call of `function` enters."""
    with counted() as work:
        function()
    return work.calls
