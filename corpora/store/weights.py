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

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import IntegrityError

ONE = 2**40  # weight 1 as a whole number: sums of 8 million weights stay exact in 64 bits
_BESIDE = ["sample_id", "emotion", "labels", "subject_id", "extra", "weight"]
DRAWN_BY = (*_BESIDE, "generator_id")  # columns that `drawn` looks at


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
    encoded = index["emotion"].combine_chunks().dictionary_encode()
    codes, names = encoded.indices.fill_null(-1).to_numpy(), encoded.dictionary.to_pylist()
    balance = {}
    for name in sorted(names):
        own = codes == names.index(name)
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
    rows = index.select(_BESIDE).take(pa.array(synthetic))
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(_classes(rows)):
        groups.setdefault(name, []).append(i)
    places, weights = _places(rows, seed), rows["weight"].to_numpy()
    kept = np.ones(index.num_rows, dtype=bool)
    for name, members in groups.items():
        ordered = sorted(members, key=places.__getitem__)
        chosen = systematic(weights[ordered], _digest(f"{seed}:{name}"))
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


def _classes(rows: pa.Table) -> list[str]:
    """Of each row its class, or the soft label of a mixture."""
    names: list[str | None] = rows["emotion"].to_pylist()
    soft = [i for i, name in enumerate(names) if name is None]
    for i, labels in zip(soft, rows["labels"].take(pa.array(soft, pa.int64())).to_pylist(), strict=True):
        names[i] = repr(sorted((str(one["label"]), one["weight"]) for one in labels or ()))
    return [str(name) for name in names]


def _places(rows: pa.Table, seed: int) -> list[tuple[str, str, int, str]]:
    """Of each row where it stands: by the corpus whose class it fills, where each has its own, subject, hash of seed
    and id, id. Columns, and not an object a row: lists and maps of a million rows take a minute to build."""
    extra = rows["extra"].combine_chunks()
    filled = pc.fill_null(pc.map_lookup(extra, "corpus", "last"), "").to_pylist()
    subjects, ids = pc.fill_null(rows["subject_id"], "").to_pylist(), rows["sample_id"].to_pylist()
    return [(f, s, _digest(f"{seed}:{i}"), i) for f, s, i in zip(filled, subjects, ids, strict=True)]


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
