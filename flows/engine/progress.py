"""How a stage tells how far it is: by time, so that a log of hours stays short and a minute is never silent."""

from __future__ import annotations

import time
from collections.abc import Callable

EVERY_S = 10.0
FIRST_S = 3.0  # by then a rate means something


def progress(line: str) -> None:
    """A plain line for the log, which the stage's caller streams to whoever watches."""
    print(line, flush=True)  # noqa: T201


class Pace:
    """Counts what is done, and tells it with rate and time left: first after `FIRST_S` seconds, then each `every_s`.

    `what`: "prepare". `unit`: "samples". `total`: of units, where it is known; only then time left is shown. `first_s`:
    0 shows the first one at once. A clock decides when a line is shown and never what is done.

    >>> seconds = iter([0.0, 1.0, 4.0, 5.0])
    >>> pace = Pace("prepare", "samples", 100, tell=print, clock=lambda: next(seconds))
    >>> pace.add(10)
    >>> pace.add(30)
    prepare: 40 of 100 samples, 10/s, about 6 s left
    >>> pace.end()
    prepare: 40 of 100 samples in 5 s
    """

    def __init__(
        self,
        what: str,
        unit: str,
        total: int | None = None,
        *,
        tell: Callable[[str], None] = progress,
        every_s: float = EVERY_S,
        first_s: float = FIRST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what, self.unit, self.total, self.done = what, unit, total, 0
        self._tell, self._every_s, self._clock = tell, every_s, clock
        self._begun = clock()
        self._due = self._begun + first_s

    def add(self, n: int = 1, note: Callable[[], str] | str = "", *, seconds: float | None = None) -> None:
        """`n` more are done. `note`: what else the line shows where one is due; of a callable only then computed.
        `seconds`: what all that is done took, where that is not the time since the beginning: a fit that goes on."""
        self.done += n
        now = self._clock()
        if now < self._due or self.done == self.total:  # `end` shows the last one
            return
        self._due = now + self._every_s
        remark = note if isinstance(note, str) else note()
        spent = now - self._begun if seconds is None else seconds
        rate = self.done / spent if spent > 0 else 0.0
        parts = [self._counted(), *([remark] if remark else []), *([f"{_rounded(rate)}/s"] if rate else [])]
        if self.total is not None and rate and self.done < self.total:
            parts.append(f"about {duration((self.total - self.done) / rate)} left")
        self._tell(f"{self.what}: {', '.join(parts)}")

    def end(self, note: str = "") -> None:
        """Shows what was done and how long it took."""
        remark = f", {note}" if note else ""
        self._tell(f"{self.what}: {self._counted()}{remark} in {duration(self._clock() - self._begun)}")

    def _counted(self) -> str:
        of = "" if self.total is None else f" of {self.total}"
        return f"{self.done}{of} {self.unit}"


def duration(seconds: float) -> str:
    """For people: "7 s", "4 min", "2 h 5 min".

    >>> [duration(s) for s in (0.4, 59.4, 90, 3599, 7500)]
    ['0 s', '59 s', '2 min', '60 min', '2 h 5 min']
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if seconds < 3600 else f"{minutes // 60} h {minutes % 60} min"


def _rounded(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"
