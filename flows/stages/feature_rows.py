"""features.parquet of a release: real and synthetic vectors of a run whose representation has no way back.

One row a sample: who it is, its labels, and one float32 column a feature with its unit in the field's metadata. Real
rows are of all splits, synthetic ones of train. Where there is a way back there is no such file: payloads are in the
shards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import JsonValue

from corpora.errors import IntegrityError
from corpora.schema import SAMPLES
from corpora.store.release import FEATURES, UNIT
from corpora.store.shards import iter_payloads, write_table
from corpora.tagged import SOFTWARE
from features.representation import Spec, make_representation
from features.vectors import vector_of
from flows.artifacts.augmented import Augmented
from flows.artifacts.prepared import Prepared

# columns of the index that stand beside the features
BESIDE = (
    "sample_id",
    "corpus",
    "recording_id",
    "subject_id",
    "group_id",
    "emotion",
    "labels",
    "intensity",
    "valence",
    "arousal",
    "dominance",
    "weight",
    "generator_id",
)
SYNTHETIC = b"synthetic"  # key of the metadata of the column generator_id


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """What a release says of its features.parquet."""

    representation: str
    columns: int
    real: int
    synthetic: int

    def to_json(self) -> dict[str, JsonValue]:
        """For the manifest."""
        return {
            "file": FEATURES,
            "representation": self.representation,
            "columns": self.columns,
            "real": self.real,
            "synthetic": self.synthetic,
        }


def vector_representation(params: Mapping[str, Any] | None) -> Spec | None:
    """The spec of a run's representation (name and parameters) where it has no way back, else None."""
    if params is None:
        return None
    representation = make_representation(params["name"], {k: v for k, v in params.items() if k != "name"})
    return None if getattr(representation, "way_back", True) else representation.spec


def write_feature_rows(folder: Path, spec: Spec, prepared: Prepared, augmented: Augmented) -> FeatureRows:
    """Writes features.parquet into `folder`, real rows first. Raises `IntegrityError` where a vector has other columns
    than `spec`."""
    # where the corpus itself is rows of features, they are not coded again
    real = _rows(prepared.path, prepared.coded(), spec, prepared.split_of())
    synthetic = _rows(augmented.path, augmented.index(), spec, {})
    write_table(folder / FEATURES, pa.concat_tables([real, synthetic]))
    return FeatureRows(spec.name, spec.shape[0], real.num_rows, synthetic.num_rows)


def _rows(folder: Path, index: pa.Table, spec: Spec, split_of: Mapping[str, str]) -> pa.Table:
    """`split_of` of real samples; synthetic ones are in train."""
    rows: list[Mapping[str, Any]] = []
    matrix = np.zeros((index.num_rows, spec.shape[0]), dtype=np.float32)
    for row, payload in iter_payloads(folder, index):
        vector = vector_of(payload)
        if vector.shape != spec.shape:
            raise IntegrityError(f"{row['sample_id']} has {len(vector)} features; {spec.name} has {spec.shape[0]}")
        matrix[len(rows)] = vector
        rows.append(row)
    splits = [split_of.get(row["sample_id"], "train") for row in rows]
    fields = [*(SAMPLES.field(name) for name in BESIDE)]
    fields[-1] = fields[-1].with_metadata({SYNTHETIC: f"{SOFTWARE}: rows with one are synthetic"})
    beside = [pa.array([row[f.name] for row in rows], f.type) for f in fields]
    features = [
        pa.field(name, pa.float32(), nullable=False, metadata={UNIT: unit})
        for name, unit in zip(spec.rows, spec.units, strict=True)
    ]
    split = pa.field("split", pa.string(), nullable=False)
    schema = pa.schema([fields[0], split, *fields[1:], *features])
    columns = [beside[0], pa.array(splits, pa.string()), *beside[1:], *(pa.array(column) for column in matrix.T)]
    return pa.table(columns, schema=schema)
