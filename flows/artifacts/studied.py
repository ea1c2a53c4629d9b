"""data/studies/<study>/result: what a study answered (flows/stages/study/study.py).

cells.parquet      one row a cell: arm, classifier, condition, fold, seed, and why there are no answers
answers.parquet    every answer about every tested person, of every cell
people.parquet     of whom they are
gates.parquet      what gates of arms let in, and their mean score
about.json         what was asked: classes, arms, classifiers, people, what leaks took, how long it took
summary.json       estimates with intervals (validators/trials/studies/summary.py)
study.html         the page; study.md: the same as tables

A study of dimensions or of several labels a sample has, instead of answers.parquet and gates.parquet:

predictions.parquet  every prediction about every tested person
truths.parquet       the ratings or labels of every sample
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field, JsonValue

from corpora.errors import IntegrityError
from corpora.formats.jsonfile import read_json
from corpora.store.atomic import write_bytes, write_json
from corpora.store.shards import read_table, write_table
from flows.artifacts.base import Folder, Record, read_as, write_as
from flows.studying import Task
from validators.trials.studies.answers import ANSWERS, CELLS, PEOPLE, Study
from validators.trials.studies.predictions import PREDICTIONS, TRUTHS, Predictions

# one row for each gate of an arm, view by view
ARM_GATES = pa.schema(
    [
        pa.field("arm", pa.string(), nullable=False),
        pa.field("condition", pa.string(), nullable=False),
        pa.field("fold", pa.int32(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("gate", pa.string(), nullable=False),
        pa.field("score", pa.float64()),  # mean over candidates; null: none had a score
        pa.field("let_in", pa.float64(), nullable=False),  # share of candidates
    ]
)


class About(Record):
    """about.json. mode: full, quick (a first answer: fewer seeds, arms and samples), vault (people that development has
    not seen). n_samples, n_people: of the study; rejected: reason -> samples; dropped: samples that leaks took, at
    most, of one outer view; probabilities: classifiers whose scores are probabilities; seconds: of this stage;
    cells: how many, and how many the work store had. loaded: hash of all that was asked. classes: of the task
    `dimensions` or `labels` their names; left_out: names that are none of them -> why."""

    study: str
    mode: str
    corpora: tuple[str, ...]
    modality: str
    classes: tuple[str, ...]
    features: str
    scaling: str
    arms: dict[str, dict[str, JsonValue]]
    classifiers: dict[str, dict[str, JsonValue]]
    folds: int
    seeds: int
    n_samples: int
    n_people: int
    people_known: bool
    rejected: dict[str, int]
    dropped: int
    probabilities: tuple[str, ...]
    bootstrap: int
    machine: str
    versions: dict[str, str]
    asked: str
    task: Task = "classes"
    left_out: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Studied(Folder):
    """The result of a study. Readers raise `IntegrityError` that names the file."""

    def about(self) -> About:
        """What was asked, and of whom."""
        about: About = read_as(self.path / "about.json", About)
        return about

    def predictions(self) -> Predictions:
        """All predictions, for statistics. Raises `IntegrityError` for a study of classes."""
        about = self.about()
        if about.task == "classes":
            raise IntegrityError(f"{self.path} is of a study of classes; it has answers and no predictions")
        kept = (("cells", CELLS), ("predictions", PREDICTIONS), ("truths", TRUTHS), ("people", PEOPLE))
        tables = [read_table(self.path / f"{name}.parquet", schema) for name, schema in kept]
        return Predictions.of_tables(about.task, about.classes, *tables)

    def study(self) -> Study:
        """All answers of a study of classes, for statistics."""
        tables = [
            read_table(self.path / f"{name}.parquet", schema)
            for name, schema in (("cells", CELLS), ("answers", ANSWERS), ("people", PEOPLE))
        ]
        return Study.of_tables(self.about().classes, *tables)

    def arm_gates(self) -> pa.Table:
        """ARM_GATES."""
        return read_table(self.path / "gates.parquet", ARM_GATES)

    def summary(self) -> dict[str, JsonValue]:
        """summary.json, as plain JSON."""
        return read_json(self.path / "summary.json")

    def verdict(self) -> str:
        """The study in one sentence."""
        verdicts: Any = self.summary()["verdicts"]
        return str(verdicts[0]["sentence"])

    def outcome(self) -> str:
        """win | no win | cannot tell"""
        verdicts: Any = self.summary()["verdicts"]
        return str(verdicts[0]["outcome"])

    @property
    def page(self) -> Path:
        """study.html."""
        return self.path / "study.html"

    @property
    def tables(self) -> Path:
        """study.md."""
        return self.path / "study.md"

    def write_answers(self, cells: pa.Table, answers: pa.Table, people: pa.Table, gates: pa.Table) -> None:
        """cells.parquet, answers.parquet, people.parquet, gates.parquet."""
        named = {"cells": cells, "answers": answers, "people": people, "gates": gates}
        for name, table in named.items():
            write_table(self.path / f"{name}.parquet", table)

    def write_predictions(self, cells: pa.Table, predictions: pa.Table, truths: pa.Table, people: pa.Table) -> None:
        """cells.parquet, predictions.parquet, truths.parquet, people.parquet."""
        named = {"cells": cells, "predictions": predictions, "truths": truths, "people": people}
        for name, table in named.items():
            write_table(self.path / f"{name}.parquet", table)

    def write_words(self, about: About, summary: Mapping[str, JsonValue], page: str, tables: str) -> None:
        """about.json, summary.json, study.html, study.md."""
        write_as(self.path / "about.json", about, About)
        write_json(self.path / "summary.json", dict(summary))
        write_bytes(self.page, page.encode())
        write_bytes(self.tables, tables.encode())


def studies_about(folder: Path, corpora: Sequence[str]) -> dict[str, Studied]:
    """Finished studies below data/studies whose corpora hold all of `corpora`, by name, sorted."""
    results = sorted(folder.glob("*/result")) if folder.is_dir() else []
    named = {path.parent.name: Studied(path) for path in results if (path / "about.json").is_file()}
    return {name: studied for name, studied in named.items() if set(corpora) <= set(studied.about().corpora)}
