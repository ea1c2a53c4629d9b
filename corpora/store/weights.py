"""What samples of a release count in training: checked weights, and a draw for trainers that know none.

A synthetic sample may be one of many that stand for one missing sample together: its weight is its share, and the
weights of a class sum to what it lacks. A trainer without weights needs that many samples: `drawn` takes them, each
with its weight as the probability.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import IntegrityError

ONE = 2**40  # weight 1 as a whole number: sums of 8 million weights stay exact in 64 bits
_BESIDE = ["sample_id", "emotion", "labels", "subject_id", "extra", "weight"]


@dataclass(frozen=True, slots=True)
class ClassBalance:
    """Rows of one class in a split: real and synthetic ones, and the sum of all their weights."""

    real: int
    synthetic: int
    weight: float


def with_weights(index: pa.Table, place: Path) -> pa.Table:
    """SAMPLES (or any table with `weight`) -> the same with weight 1 where it is null. `place` is named in errors.

    Raises `IntegrityError` for a weight that is NaN or outside [0, 1].
    """
    at = index.schema.get_field_index("weight")
    weights = pc.fill_null(index["weight"], 1.0)
    values = weights.to_numpy()
    odd = np.flatnonzero(~((values >= 0.0) & (values <= 1.0)))
    if odd.size:
        raise IntegrityError(
            f"{place}: sample {index['sample_id'][int(odd[0])].as_py()!r} has weight {values[odd[0]]:g}; a number in "
            f"[0, 1] or null (1) is wanted ({odd.size} of {len(values)} rows). Make it again."
        )
    return index.set_column(at, index.schema.field(at), weights)


def class_balance(index: pa.Table) -> dict[str, ClassBalance]:
    """Rows of SAMPLES with weights -> what each class has, sorted by name; rows without a class count in none."""
    synthetic = pc.is_valid(index["generator_id"]).to_numpy()
    weights = index["weight"].to_numpy().astype(np.float64)
    emotions = np.array(index["emotion"].to_pylist(), dtype=object)
    balance = {}
    for name in sorted({e for e in emotions if e is not None}):
        own = emotions == name
        n_synthetic = int((own & synthetic).sum())
        balance[name] = ClassBalance(int(own.sum()) - n_synthetic, n_synthetic, math.fsum(weights[own]))
    return balance


def drawn(index: pa.Table, seed: int) -> np.ndarray:
    """Rows of SAMPLES with weights -> [N] bool: every real row, and of the synthetic ones of each class (or mixture of
    classes) exactly as many as their weights come to, rounded; each with its weight as the probability.

    One systematic draw a class (Madow 1949, Annals of Mathematical Statistics 20:333-354) over rows that stand in the
    order of their corpus, subject and a hash of `seed` and id: so each corpus and each subject is drawn from in the
    proportion of its weights too. The order of the rows makes no difference.
    """
    synthetic = np.flatnonzero(pc.is_valid(index["generator_id"]).to_numpy())
    rows = index.select(_BESIDE).take(pa.array(synthetic)).to_pylist()
    groups: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(_class_of(row), []).append(i)
    kept = np.ones(index.num_rows, dtype=bool)
    for name, members in groups.items():
        ordered = sorted(members, key=lambda i: _place(rows[i], seed))
        chosen = systematic(np.array([rows[i]["weight"] for i in ordered]), _digest(f"{seed}:{name}"))
        kept[synthetic[ordered]] = chosen
    return kept


def systematic(weights: np.ndarray, chance: int) -> np.ndarray:
    """[n] weights in [0, 1], 64 random bits -> [n] bool, exactly round(sum of weights) of them True (half up).

    Points lie one apart from a random start; a row is taken where one falls into its stretch of the summed weights.
    The start is drawn from those with which the rounded number of points fits. Whole numbers (`ONE` is 1): no rounding
    makes one more or less.
    """
    ends = np.cumsum(np.round(np.asarray(weights, np.float64) * ONE).astype(np.int64))
    total = int(ends[-1]) if len(ends) else 0
    rest = total % ONE
    start = (rest * chance) >> 64 if 2 * rest >= ONE else rest + (((ONE - rest) * chance) >> 64)
    points = np.maximum(0, -((start - ends) // ONE))  # points before each end
    taken: np.ndarray = np.diff(points, prepend=0) > 0
    return taken


def _class_of(row: dict[str, Any]) -> str:
    """The class, or the soft label of a mixture."""
    if row["emotion"] is not None:
        return str(row["emotion"])
    return repr(sorted((str(one["label"]), one["weight"]) for one in row["labels"] or ()))


def _place(row: dict[str, Any], seed: int) -> tuple[str, str, int, str]:
    filled = dict(row["extra"] or ()).get("corpus", "")  # the corpus whose class it fills, where each has its own
    return filled, row["subject_id"] or "", _digest(f"{seed}:{row['sample_id']}"), row["sample_id"]


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
