"""evaluation/: what the synthetic set is worth (flows/stages/evaluate.py).

verdicts.parquet   one row for each set gate and group, and for what no gate could say
conditions.json    class -> whether candidates show the class that was asked for
uplift.json        a plain classifier with and without the synthetic samples
selftest.json      the gates on held-out people and planted defects
alarms.json        collapse, over-smoothing, intensity loss and copies of the released batch
curves.json        what was asked for beside the class against what judges make of it
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from corpora.schema import VERDICTS
from corpora.store.atomic import write_json
from corpora.store.shards import read_table, write_table
from flows.artifacts.base import Folder, Record, read_as, write_as
from validators.maths.chance import UNJUDGED
from validators.trials.alarms import Alarm
from validators.trials.curves import Truth
from validators.trials.selftest import SelfTest


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One row of VERDICTS. group: "all" or a class. value, low, high, floor, limit: in `unit`, NaN where there is none.
    floor: the same quantity, real against real."""

    gate: str
    group: str
    value: float
    low: float
    high: float
    floor: float
    limit: float
    n_real: int
    n_synthetic: int
    unit: str
    judge: str
    verdict: Literal["pass", "fail", "undecided"]
    reason: str

    @property
    def unjudged(self) -> bool:
        """Of one class, whose judges do not tell it on real people: nothing can be said, however many samples."""
        return self.verdict == "undecided" and self.group != "all" and self.reason.startswith(UNJUDGED)


def verdict_rows(table: pa.Table) -> list[VerdictRow]:
    """VERDICTS -> its rows; a number that is null is NaN."""
    rows = table.to_pylist()
    numbers = ("value", "low", "high", "floor", "limit")
    return [VerdictRow(**row | {n: math.nan if row[n] is None else row[n] for n in numbers}) for row in rows]


class ClassConditions(Record):
    """One class. recall_synthetic: share of candidates, before any gate, that judges who saw only real data name by the
    class that was asked for, with its 95 % interval; recall_real: of real samples, by judges who had not met the
    person. n, n_real: candidates and real samples. cannot_be_judged: "" or why."""

    recall_synthetic: float
    low: float
    high: float
    n: int
    recall_real: float | None
    n_real: int
    cannot_be_judged: str


Conditions = dict[str, ClassConditions]  # class -> ...; {} where the run has no gate that tells classes


class Interval(Record):
    """A number with its 95 % interval, None where there is a single test group."""

    value: float
    low: float | None
    high: float | None


class ClassScore(Record):
    """F1 of a class with its 95 % interval, its recall, and how many test samples it has."""

    f1: float | None
    low: float | None
    high: float | None
    recall: float | None
    n: int


class Arm(Record):
    """The classifier trained on one set. uar: mean recall over the classes that test holds, with its 95 % interval."""

    arm: str
    uar: float
    low: float | None
    high: float | None
    per_class: dict[str, ClassScore]
    n_train: int


class Uplift(Record):
    """What `validators.trials.downstream.uplift` measures. difference: UAR of real + synthetic minus real;
    against_weighted: minus real, weighted. synthetic_weight: what the synthetic samples count for together, None where
    each counts 1. outcome: win, loss, no difference, or undecided."""

    classifier: str
    classes: tuple[str, ...]
    n_train: int
    n_synthetic: int
    synthetic_weight: float | None
    n_test: int
    test_groups: int
    arms: tuple[Arm, ...]
    difference: Interval
    against_weighted: Interval
    outcome: str


@dataclass(frozen=True, slots=True)
class Evaluated(Folder):
    """data/runs/<run>/evaluation. Readers raise `IntegrityError` that names the file."""

    @property
    def has_conditions(self) -> bool:
        """False in a run of before conditions were measured."""
        return (self.path / "conditions.json").exists()

    @property
    def selftest_file(self) -> Path | None:
        """selftest.json, which a release holds as it is; None where there is nothing synthetic."""
        path = self.path / "selftest.json"
        return path if path.exists() else None

    def verdicts(self) -> list[VerdictRow]:
        """In the order in which they were written."""
        return verdict_rows(self.verdict_table())

    def verdict_table(self) -> pa.Table:
        """VERDICTS."""
        return read_table(self.path / "verdicts.parquet", VERDICTS)

    def conditions(self) -> Conditions:
        """By class; {} where no gate of the run tells classes."""
        conditions: Conditions = read_as(self.path / "conditions.json", Conditions)
        return conditions

    def uplift(self) -> Uplift | None:
        """None where there is nothing synthetic."""
        path = self.path / "uplift.json"
        uplift: Uplift | None = read_as(path, Uplift) if path.exists() else None
        return uplift

    def selftest(self) -> SelfTest | None:
        """None where there is nothing synthetic."""
        selftest: SelfTest | None = read_as(self.selftest_file, SelfTest) if self.selftest_file else None
        return selftest

    def alarms(self) -> tuple[Alarm, ...] | None:
        """None where there is nothing synthetic, and in a run of before alarms were rung."""
        path = self.path / "alarms.json"
        alarms: tuple[Alarm, ...] | None = None
        if path.exists():
            alarms = read_as(path, dict[str, tuple[Alarm, ...]])["alarms"]
        return alarms

    def truth(self) -> Truth | None:
        """None where nothing was asked for beside the class."""
        path = self.path / "curves.json"
        truth: Truth | None = read_as(path, Truth) if path.exists() else None
        return truth

    def write_alarms(self, alarms: Sequence[Alarm]) -> None:
        """alarms.json."""
        write_json(self.path / "alarms.json", {"alarms": [alarm.to_json() for alarm in alarms]})

    def write_truth(self, truth: Truth) -> None:
        """curves.json."""
        write_json(self.path / "curves.json", truth.to_json())

    def write_verdicts(self, verdicts: Sequence[VerdictRow]) -> None:
        """verdicts.parquet."""
        rows = [dataclasses.asdict(row) for row in verdicts]
        write_table(self.path / "verdicts.parquet", pa.Table.from_pylist(rows, schema=VERDICTS))

    def write_conditions(self, conditions: Conditions) -> None:
        """conditions.json."""
        write_as(self.path / "conditions.json", conditions, Conditions)

    def write_trials(self, selftest: SelfTest, uplift: Uplift) -> None:
        """selftest.json and uplift.json."""
        write_json(self.path / "selftest.json", selftest.to_json())
        write_as(self.path / "uplift.json", uplift, Uplift)


def uplift_of(measured: Mapping[str, Any]) -> Uplift:
    """What `validators.trials.downstream.uplift` returns, typed."""
    return Uplift.model_validate(measured)
