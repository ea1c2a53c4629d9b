"""Four alarms on every batch: collapse, over-smoothing, loss of intensity, copies.

An alarm is no gate: it rejects nothing and holds up no release, but it is never silent: it stands in what `evaluate`
writes, on the first screen of the report and among the notes of the release. It is the same question whatever gates a
run has, with fixed limits, so that batches of different runs can be compared. Numbers: validators/maths/alarms.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from corpora.errors import UserError
from validators.batch import Batch, rows_of, usable
from validators.gate import default_limit
from validators.gates.copies import Copies
from validators.maths import alarms as maths
from validators.maths.alarms import Labelled, Reading
from validators.maths.folds import group_halves
from validators.trials.looks import Look, eye_of, kernel_width

COLLAPSE, SMOOTHING, INTENSITY, COPIES = "collapse", "over-smoothing", "intensity loss", Copies.name
ALARMS = (COLLAPSE, SMOOTHING, INTENSITY, COPIES)
SHARE = {COLLAPSE: 0.6, SMOOTHING: 0.6, INTENSITY: 0.6}  # of what real people have: below, the alarm rings
LEAST = 12  # rows of a class on each side; of synthetic ones, different ones where detail and strength are measured
LEAST_COPIES = 20  # candidates
REPEATS = 24  # group-disjoint halves of the real rows
MOST, MOST_REAL = 2000, 4000  # rows that are looked at

State = Literal["rings", "undecided", "quiet"]


@dataclass(frozen=True, slots=True)
class Alarm:
    """One measure of one alarm. group: "all" or a class. value: synthetic over real (of copies: share of samples),
    with its 95 % interval; floor: real against real; limit: beyond it the alarm rings; None: no number. state: rings
    (the whole interval is beyond the limit), undecided (too few samples, or the interval holds the limit), quiet."""

    name: str
    measure: str
    group: str
    state: State
    value: float | None
    low: float | None
    high: float | None
    floor: float | None
    limit: float | None
    n_real: int
    n_synthetic: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)

    @property
    def line(self) -> str:
        """For people: "alarm: collapse of fear: different samples 0.21 [0.18, 0.25] of real, limit 0.6"."""
        of = "" if self.group == maths.ALL else f" of {self.group}"
        if self.value is None or self.low is None or self.high is None or self.limit is None:
            return f"alarm: {self.name}{of} is undecided: {self.reason}"
        said = "" if self.state == "rings" else " (undecided)" if self.state == "undecided" else " (quiet)"
        unit = "" if self.name == COPIES else " x real"
        return (
            f"alarm: {self.name}{of}{said}: {self.measure} {self.value:.2f} [{self.low:.2f}, {self.high:.2f}]{unit}, "
            f"limit {self.limit:.2f}"
        )


@dataclass(frozen=True)
class Distances:
    """What the gate `copies` says of candidates [m] and of real samples [n]: distance to the nearest train sample over
    the typical one; and the limit below which it calls a candidate a copy."""

    candidates: np.ndarray
    real: np.ndarray
    limit: float


def batch_alarms(
    train: Batch, synthetic: Batch, *, classes: Sequence[str], seed: int, distances: Distances | None = None
) -> tuple[Alarm, ...]:
    """Every alarm of a batch, of all classes together and of each one, against real train samples.

    distances: of the candidates before any gate, where the run has the gate `copies`; None: the gate is fitted here and
    the batch is asked itself. Never raises for too little data: the alarm is undecided then, and says why.
    """
    train, synthetic = (_some(_of(batch, classes), n, seed) for batch, n in ((train, MOST_REAL), (synthetic, MOST)))
    names = [c for c in classes if c in set(synthetic.emotions)]
    out: list[Alarm] = []
    try:
        if not len(synthetic):
            raise UserError("no synthetic sample can be looked at")
        if len(set(train.groups or train.ids)) < 4:
            raise UserError("train has fewer than 4 groups: no real halves to compare with")
        eye = eye_of(train)
        out += _looked(eye.look(train), eye.look(synthetic), train, synthetic, names, seed)
    except UserError as error:
        nothing = maths.no_reading(len(train), len(synthetic), str(error))
        out += [_alarm(name, "", maths.ALL, nothing, share) for name, share in SHARE.items()]
    return (*out, _of_copies(train, synthetic, classes, seed, distances))


def _looked(
    of_train: Look, of_synthetic: Look, train: Batch, synthetic: Batch, names: Sequence[str], seed: int
) -> list[Alarm]:
    groups = np.asarray(train.groups or train.ids, dtype=str)
    real = Labelled(np.asarray(train.emotions, dtype=str), groups)
    typical = maths.typical_distance(of_train.points, groups)
    same = maths.one_and_the_same(of_synthetic.points, typical)
    drawn = Labelled(np.asarray(synthetic.emotions, dtype=str), same.astype(str))
    width = kernel_width(of_train.points, real.labels, seed)
    halves = list(group_halves(groups, real.labels, REPEATS, seed))

    def count(is_synthetic: bool, rows: np.ndarray) -> float:
        return (of_synthetic if is_synthetic else of_train).count(rows, width)

    readings = {
        (COLLAPSE, "distinct pairs of words" if of_train.grams else "different samples"): maths.collapse(
            drawn, real, halves, count, names, least=LEAST, seed=seed
        ),
        (INTENSITY, "way to the class"): maths.strength(
            (of_synthetic.classes, drawn), (of_train.classes, real), halves, names, least=LEAST, seed=seed
        ),
    }
    for measure, level in of_train.levels.items():
        readings[SMOOTHING, measure] = maths.level_ratio(
            drawn,
            real,
            (of_synthetic.levels[measure], level),
            names,
            least=LEAST,
            seed=seed,
            together=len(of_train.levels),
        )
    return [
        _alarm(name, measure, group, reading, SHARE[name] * _floor(reading))
        for (name, measure), by_group in readings.items()
        for group, reading in by_group.items()
    ]


def _floor(reading: Reading) -> float:
    return reading.floor if math.isfinite(reading.floor) else 1.0


def _of_copies(train: Batch, synthetic: Batch, classes: Sequence[str], seed: int, distances: Distances | None) -> Alarm:
    if distances is None:
        try:
            gate = Copies.fit(train, classes=classes, known_sha256=frozenset(train.sha256), params={}, seed=seed)
            real = np.concatenate([*gate.reference().values(), np.zeros(0)])
            limit = default_limit(Copies).absolute
            assert limit is not None
            distances = Distances(gate.score(synthetic), real, limit)
        except UserError as error:
            nothing = maths.no_reading(len(train), len(synthetic), str(error))
            return _alarm(COPIES, "", maths.ALL, nothing, math.nan)
    reading = maths.copied(distances.candidates, distances.real, distances.limit)
    if not reading.reason and reading.n_synthetic < LEAST_COPIES:
        reading = maths.no_reading(
            reading.n_real, reading.n_synthetic, f"{reading.n_synthetic} samples; {LEAST_COPIES} are needed"
        )
    limit = math.nan if reading.reason else maths.chance_of_copies(reading)
    return _alarm(COPIES, "share that copies train", maths.ALL, reading, limit, more_is_bad=True)


def _alarm(name: str, measure: str, group: str, reading: Reading, limit: float, *, more_is_bad: bool = False) -> Alarm:
    state: State = "quiet"
    reason = reading.reason
    best, bad = (reading.low, reading.value) if more_is_bad else (-reading.high, -reading.value)
    at = limit if more_is_bad else -limit
    if reason:
        state = "undecided"
    elif best > at:
        state, reason = "rings", "the whole interval is beyond the limit"
    elif bad > at:
        state, reason = "undecided", "the interval holds the limit"
    numbers = (reading.value, reading.low, reading.high, reading.floor, limit)
    value, low, high, floor, edge = map(_number, numbers)
    n_real, n = reading.n_real, reading.n_synthetic
    return Alarm(name, measure, group, state, value, low, high, floor, edge, n_real, n, reason)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _of(batch: Batch, classes: Sequence[str]) -> Batch:
    return rows_of(batch, usable(batch) & np.isin(np.asarray(batch.emotions, dtype=str), list(classes)))


def _some(batch: Batch, n: int, seed: int) -> Batch:
    if len(batch) <= n:
        return batch
    return rows_of(batch, np.sort(np.random.default_rng(seed).permutation(len(batch))[:n]))


def lines(alarms: Sequence[Alarm], state: State) -> list[str]:
    """For people: what rings (or is undecided). Of an alarm whose measure rings for all classes together the classes
    are left out: they say nothing new."""
    chosen = [a for a in alarms if a.state == state]
    whole = {(a.name, a.measure) for a in chosen if a.group == maths.ALL}
    return [a.line for a in chosen if a.group == maths.ALL or (a.name, a.measure) not in whole]


def alarms_of(written: Sequence[Mapping[str, Any]]) -> tuple[Alarm, ...]:
    """What `to_json` gave."""
    return tuple(Alarm(**one) for one in written)
