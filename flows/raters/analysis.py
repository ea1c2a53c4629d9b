"""What raters say of a release: whether they can tell, how natural it is, which emotion they perceive, how far they
agree, and whether gates put samples in the same order as they do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import JsonValue

from flows.raters.collected import Collected, Table
from flows.raters.records import RATED, Task
from validators.maths.raters.agreement import Level, fleiss_kappa, krippendorff_alpha
from validators.maths.raters.crossed import Estimate, crossed, difference, mean
from validators.maths.raters.detection import REAL, SYNTHETIC, criterion, sensitivity, share_correct
from validators.maths.raters.relation import rank_relation

KINDS = {"real": REAL, "synthetic": SYNTHETIC}
LEVELS: dict[Task, Level] = {
    "real": "nominal",
    "emotion": "nominal",
    "quality": "ordinal",
    "similarity": "ordinal",
    "pairs": "nominal",
}
_SCALE = {str(n): float(n) for n in RATED}


@dataclass(frozen=True, slots=True)
class Measured:
    """One number of a task. chance: what guessing gives, None where it is no such number."""

    task: Task
    name: str
    of: str
    estimate: Estimate
    chance: float | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far raters agree on a task. kappa: Fleiss', NaN where an item was not rated by all."""

    task: Task
    alpha: float
    kappa: float
    level: Level
    raters: int
    items: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """counts [K][K]: rows are the classes of the items, columns the answers."""

    kind: str
    classes: Sequence[str]
    counts: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Relation:
    """Spearman's correlation, over synthetic items, of a gate's score with what raters say."""

    gate: str
    said: str
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that the answers say."""

    measured: Sequence[Measured]
    agreement: Sequence[Agreement]
    confusions: Sequence[Confusion]
    relations: Sequence[Relation]

    def to_json(self) -> dict[str, JsonValue]:
        """NaN becomes null."""
        plain: dict[str, JsonValue] = _plain(asdict(self))
        return plain


def analyse(collected: Collected) -> Findings:
    """Of those who count. Empty where nobody does."""
    tables = {task: table for task in LEVELS if (table := collected.table(task)) is not None}
    measured: list[Measured] = []
    if "real" in tables:
        measured += _detection(tables["real"], collected)
    for task in ("quality", "similarity"):
        if task in tables:
            measured += _opinions(tables[task], collected)
    if "pairs" in tables:
        measured.append(_preferred(tables["pairs"], collected))
    if "emotion" in tables:
        measured += _recognised(tables["emotion"], collected)
    agreed = [_agreement(table, collected) for table in tables.values()]
    confusions = _confusions(tables["emotion"], collected) if "emotion" in tables else []
    return Findings(measured, agreed, confusions, _relations(tables, collected))


def _parts(table: Table, collected: Collected) -> np.ndarray:
    return np.array([KINDS[collected.items[trial.item].kind] for trial in table.trials])


def _called(table: Table) -> np.ndarray:
    return table.coded({"real": 0.0, "synthetic": 1.0})


def _detection(table: Table, collected: Collected) -> list[Measured]:
    called, parts = _called(table), _parts(table, collected)
    return [
        Measured("real", "d'", "all items", sensitivity(called, parts), 0.0),
        Measured("real", "criterion c", "all items", criterion(called, parts), 0.0),
        Measured("real", "share correct", "all items", share_correct(called, parts), 0.5),
    ]


def _opinions(table: Table, collected: Collected) -> list[Measured]:
    values, parts = table.coded(_SCALE), _parts(table, collected)
    name = "MOS" if table.task == "quality" else "SMOS"
    said = [
        Measured(table.task, name, kind, crossed(values[:, parts == part], parts[parts == part], _only(part)))
        for kind, part in KINDS.items()
        if (parts == part).any()
    ]
    if len(said) == len(KINDS):
        said.append(Measured(table.task, name, "synthetic minus real", crossed(values, parts, difference), 0.0))
    return said


def _only(part: int) -> Any:
    """Mean of one part, whatever its number."""
    return lambda sums: mean([sums[part]])


def _preferred(table: Table, collected: Collected) -> Measured:
    kinds = [[collected.items[str(code)].kind for code in (t.item, t.other)] for t in table.trials]
    values = np.full(table.values.shape, np.nan)
    for i, trial in enumerate(table.trials):
        made = trial.item if kinds[i][0] == "synthetic" else trial.other
        answered = table.answered[:, i]
        values[answered, i] = (table.values[answered, i] == made).astype(float)
    said = crossed(values, np.zeros(len(table.trials), int), mean)
    return Measured("pairs", "share preferred", "synthetic over real", said, 0.5)


def _right(table: Table, collected: Collected) -> np.ndarray:
    """[R, I] 1: the answer is the class of the item."""
    own = np.array([collected.items[trial.item].emotion for trial in table.trials], dtype=object)
    right = (table.values == own[None, :]).astype(np.float64)
    right[~table.answered] = np.nan
    return right


def _recognised(table: Table, collected: Collected) -> list[Measured]:
    right, parts = _right(table, collected), _parts(table, collected)
    chance = 1.0 / len(collected.key.classes)
    said = [
        Measured(
            "emotion", "share as labelled", kind, crossed(right[:, parts == p], parts[parts == p], _only(p)), chance
        )
        for kind, p in KINDS.items()
        if (parts == p).any()
    ]
    if len(said) == len(KINDS):
        said.append(
            Measured("emotion", "share as labelled", "synthetic minus real", crossed(right, parts, difference), 0.0)
        )
    return said


def _confusions(table: Table, collected: Collected) -> list[Confusion]:
    classes = collected.key.classes
    confusions = []
    for kind in KINDS:
        counts = np.zeros((len(classes), len(classes)), int)
        for i, trial in enumerate(table.trials):
            item = collected.items[trial.item]
            for answer in table.values[:, i] if item.kind == kind else ():
                if answer is not None:
                    counts[classes.index(item.emotion), classes.index(answer)] += 1
        confusions.append(Confusion(kind, classes, counts.tolist()))
    return confusions


def _agreement(table: Table, collected: Collected) -> Agreement:
    if table.task == "pairs":
        codes = {code: float(i) for t in table.trials for i, code in enumerate((t.item, str(t.other)))}
    elif table.task in ("quality", "similarity"):
        codes = _SCALE
    else:
        answers = ("real", "synthetic") if table.task == "real" else collected.key.classes
        codes = {answer: float(i) for i, answer in enumerate(answers)}
    values, level = table.coded(codes), LEVELS[table.task]
    whole = len(values) > 1 and bool(np.isfinite(values).all()) and level == "nominal"
    kappa = fleiss_kappa(values) if whole else math.nan
    return Agreement(table.task, krippendorff_alpha(values, level), kappa, level, *values.shape)


def _relations(tables: dict[Task, Table], collected: Collected) -> list[Relation]:
    said: list[tuple[str, Table, np.ndarray]] = []
    if "quality" in tables:
        said.append(("MOS", tables["quality"], tables["quality"].coded(_SCALE)))
    if "real" in tables:
        said.append(("share calling it real", tables["real"], 1.0 - _called(tables["real"])))
    if "emotion" in tables:
        said.append(("share as labelled", tables["emotion"], _right(tables["emotion"], collected)))
    relations = []
    for name, table, values in said:
        items = [collected.items[trial.item] for trial in table.trials]
        counts = np.isfinite(values).sum(axis=0)
        of_item = np.where(counts > 0, np.nansum(values, axis=0) / np.maximum(counts, 1), np.nan)
        made = np.array([item.kind == "synthetic" for item in items])
        for gate in sorted({gate for item in items for gate in item.gates}):
            scores = np.array([item.gates.get(gate, math.nan) for item in items])
            relations.append(Relation(gate, name, rank_relation(scores[made], of_item[made])))
    return [relation for relation in relations if math.isfinite(relation.estimate.value)]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
