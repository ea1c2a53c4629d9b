"""What a study keeps: the answers of every classifier of every arm, and of whom they are. Statistics are computed from
these tables alone, as pure functions, so that another question needs no other run.

A cell is one classifier, trained once: an arm (what was done to the train set), a condition (what was taken from it), a
fold and a seed. Its answers are about real people of whom nothing that learned had seen anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

AS_IS = "as is"  # the condition in which nothing is taken from train
Status = Literal["ok", "failed", "impossible"]

# one row a cell, whether it could be computed or not
CELLS = pa.schema(
    [
        pa.field("cell", pa.string(), nullable=False),  # 40 hex digits: what it is made of
        pa.field("arm", pa.string(), nullable=False),
        pa.field("classifier", pa.string(), nullable=False),
        pa.field("condition", pa.string(), nullable=False),
        pa.field("pruned", pa.string()),  # the class that train lacks; null where it is none or several
        pa.field("fold", pa.int32(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # "" where the status is ok
        pa.field("n_real", pa.int32(), nullable=False),  # train rows left after pruning
        pa.field("n_added", pa.int32(), nullable=False),  # rows that the arm added
        pa.field("seconds", pa.float64(), nullable=False),
    ]
)
# one row a test sample of a cell
ANSWERS = pa.schema(
    [
        pa.field("cell", pa.string(), nullable=False),
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("target", pa.int16(), nullable=False),  # index into the study's classes
        pa.field("answer", pa.int16(), nullable=False),
        # [K] of the classes: probabilities, or whatever the classifier decides by; of a study of dimensions or of
        # several labels a sample: the predicted values
        pa.field("scores", pa.list_(pa.float32()), nullable=False),
    ]
)
# one row a sample of the study: by what results are cut
PEOPLE = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),  # the split unit where no subject is known
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("gender", pa.string()),
        pa.field("age", pa.float64()),
        pa.field("language", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of CELLS. condition: `AS_IS`, "fear to 10 %", "4 subjects" ...; cells that differ in nothing but the arm
    have the same test samples, whatever the arm, and are paired."""

    cell: str
    arm: str
    classifier: str
    condition: str
    pruned: str | None
    fold: int
    seed: int
    status: Status = "ok"
    reason: str = ""
    n_real: int = 0
    n_added: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Study:
    """All of a study in memory.

    classes: K names. cells: C. Of each of M answers: cell [M] index into `cells`, sample [M] index into `sample_ids`,
    target [M] and answer [M] class indices, scores [M, K] float32. Of each of N samples: `sample_ids`, `subjects`,
    `corpora`, `genders`, `ages` (NaN: not known), `languages` (None: not known).
    """

    classes: tuple[str, ...]
    cells: tuple[Cell, ...]
    cell: np.ndarray
    sample: np.ndarray
    target: np.ndarray
    answer: np.ndarray
    scores: np.ndarray
    sample_ids: tuple[str, ...]
    subjects: tuple[str, ...]
    corpora: tuple[str, ...]
    genders: tuple[str | None, ...]
    ages: np.ndarray
    languages: tuple[str | None, ...]

    @classmethod
    def of_tables(cls, classes: Sequence[str], cells: pa.Table, answers: pa.Table, people: pa.Table) -> Study:
        """Of CELLS, ANSWERS and PEOPLE. Raises `ValueError` for an answer of a cell or sample that is not there."""
        rows = tuple(Cell(**row) for row in cells.to_pylist())
        ids = people["sample_id"].to_pylist()
        ages = [np.nan if age is None else age for age in people["age"].to_pylist()]
        scores = answers["scores"].combine_chunks()
        return cls(
            classes=tuple(classes),
            cells=rows,
            cell=_places(answers["cell"], [row.cell for row in rows], "cell"),
            sample=_places(answers["sample_id"], ids, "sample"),
            target=answers["target"].to_numpy().astype(np.int64),
            answer=answers["answer"].to_numpy().astype(np.int64),
            scores=np.asarray(scores.flatten()).reshape(answers.num_rows, -1)
            if answers.num_rows
            else np.zeros((0, len(classes)), np.float32),
            sample_ids=tuple(ids),
            subjects=tuple(people["subject"].to_pylist()),
            corpora=tuple(people["corpus"].to_pylist()),
            genders=tuple(people["gender"].to_pylist()),
            ages=np.asarray(ages, np.float64),
            languages=tuple(people["language"].to_pylist()),
        )

    def subject_of_answer(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """[M] index of the subject of each answer, and the names of those S subjects, sorted."""
        names = sorted({self.subjects[i] for i in np.unique(self.sample)})
        place = {name: n for n, name in enumerate(names)}
        of_sample = np.array([place.get(name, -1) for name in self.subjects], np.int64)
        return of_sample[self.sample], tuple(names)


def _places(column: pa.ChunkedArray, known: Sequence[str], what: str) -> np.ndarray:
    import pyarrow.compute as pc

    places = pc.index_in(column, value_set=pa.array(list(known), column.type))
    if places.null_count:
        raise ValueError(f"an answer of a {what} that the study does not have")
    return places.to_numpy().astype(np.int64)
