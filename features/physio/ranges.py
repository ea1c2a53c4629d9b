"""What a sensor at a living body can read, by kind of signal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """What a sensor at a living body can read, ends included."""

    low: float
    high: float
    unit: str
    source: str


# By kind, in the units that the readers keep. Wide on purpose: outside is a fault, inside proves nothing.
RANGES: dict[str, Range] = {
    "HR": Range(30.0, 220.0, "beats/min", "25 to 200 in RHRV's FilterNIHR (Vila et al. 1997); up to 220 in exercise"),
    "EDA": Range(0.0, 100.0, "µS", "0.01 to 100 is the range of Empatica's E4; Kleckner et al. 2018 keep 0.05 to 60"),
    "TEMP": Range(20.0, 45.0, "°C", "skin: 30 to 40 while worn (Kleckner et al. 2018), wider for cold hands"),
}
