"""features-NAME.parquet of a release: features of every sample, real and synthetic, beside the payloads.

One row a sample in the order of the index: sample_id, then one float32 column a feature, its unit in the field's
metadata; null where a payload has no such features. The metadata of the file says what computed it. Like everything
under a release's hash it says nothing of versions of code and libraries: provenance.json beside the release does.

A shard's features are work items: a shard that did not change is not computed again, by whichever run.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import IntegrityError, PayloadError
from corpora.fingerprint import hash_json
from corpora.schema import SAMPLES, Payload, Signal
from corpora.store.release import INDEX, UNIT, feature_file
from corpora.store.shards import in_order, iter_payloads, read_table, write_table
from corpora.tagged import SOFTWARE
from features.representation import Representation, Spec, make_representation, require_array
from flows.artifacts.released import FeatureTable
from flows.engine.progress import progress
from flows.engine.store import MissingItemError, WorkStore
from flows.params import RepresentationParams
from flows.stages.plan.plans import ReleasePlan
from flows.stages.plan.weights import loaded_of, path_parameters, require_loaded

FORMAT = "emoforge-features/1"
KEYED = ["sha256", "codec", "signals", "duration_s"]  # what a row's features depend on
READ = ("sample_id", "codec", "signals", "duration_s")  # of a row, what a payload is made of


class Computed(NamedTuple):
    """Rows of a shard in its order. values: [n, D] float32, zeros where there are none; reasons: "" where there are."""

    values: np.ndarray
    reasons: list[str]


def write_feature_tables(folder: Path, plan: ReleasePlan, store: Path | str) -> dict[str, FeatureTable]:
    """Writes a table for each of `plan.features` into `folder`, which holds shards and index; -> name -> what it is.

    Raises `IntegrityError` where weights are not those of the plan, a payload is damaged, or features have other
    columns than their representation says.
    """
    require_loaded(plan.loads)
    index, kept, tables = read_table(folder / INDEX, SAMPLES), WorkStore(store), {}
    for table in plan.features:
        progress(f"release: {table.name} of {index.num_rows} samples")
        tables[table.name] = _write(folder, index, table, kept, plan)
    return tables


def _write(
    folder: Path, index: pa.Table, table: RepresentationParams, store: WorkStore, plan: ReleasePlan
) -> FeatureTable:
    built = make_representation(table.name, table.params)
    kind = type(built)
    own = loaded_of(table.params, path_parameters(kind), getattr(kind, "encoders", ()))
    weights = {name: plan.loads[name] for name in own}
    spec, place = built.spec, {sample: at for at, sample in enumerate(index["sample_id"].to_pylist())}
    values = np.zeros((index.num_rows, spec.shape[0]), np.float32)
    reasons = [""] * index.num_rows
    for shard in sorted(pc.unique(index["shard"]).to_pylist()):
        rows = in_order(index.filter(pc.equal(index["shard"], shard)))
        by = [plan.feature_code[table.name], table.model_dump(mode="json"), weights]
        told = [[row[name] for name in KEYED] for row in rows.select(KEYED).to_pylist()]
        key = f"features/{table.name}/{hash_json([by, told])[:40]}"
        computed = _kept(store, key, rows.num_rows, spec)
        if computed is None:
            computed = _computed(folder, rows, built)
            store.put_arrays(key, {"values": computed.values}, {"reasons": computed.reasons})
        for at, sample in enumerate(rows["sample_id"].to_pylist()):
            values[place[sample]], reasons[place[sample]] = computed.values[at], computed.reasons[at]
    file = feature_file(table.name)
    write_table(folder / file, _table(index, spec, values, reasons), _about(table, spec, weights))
    missing = dict(sorted(Counter(reason for reason in reasons if reason).items()))
    return FeatureTable(
        file=file,
        representation=spec.name,
        columns=spec.shape[0],
        rows=index.num_rows,
        weights=weights,
        missing=missing,
    )


def _kept(store: WorkStore, key: str, n: int, spec: Spec) -> Computed | None:
    try:
        arrays, about = store.get_arrays(key)
    except MissingItemError:
        return None
    values, reasons = arrays.get("values"), about.get("reasons")
    if values is None or values.shape != (n, *spec.shape) or not isinstance(reasons, list) or len(reasons) != n:
        return None
    return Computed(values.astype(np.float32), [str(reason) for reason in reasons])


def _computed(folder: Path, rows: pa.Table, built: Representation) -> Computed:
    spec = built.spec
    values, reasons = np.zeros((rows.num_rows, *spec.shape), np.float32), [""] * rows.num_rows
    for at, (row, data) in enumerate(iter_payloads(folder, rows, READ)):
        signals = tuple(Signal.from_row(signal) for signal in row["signals"] or ())
        try:
            vector = built.encode(Payload(data, row["codec"], signals, row["duration_s"]))
            if vector.shape != spec.shape:
                raise IntegrityError(f"{row['sample_id']} has {vector.shape} features; {spec.name} has {spec.shape}")
            require_array(vector, spec)
        except PayloadError as error:
            reasons[at] = error.reason
        else:
            values[at] = vector
    return Computed(values, reasons)


def _table(index: pa.Table, spec: Spec, values: np.ndarray, reasons: Sequence[str]) -> pa.Table:
    lacking = np.asarray([bool(reason) for reason in reasons], dtype=bool)
    fields = [
        pa.field(name, pa.float32(), metadata={UNIT: unit}) for name, unit in zip(spec.rows, spec.units, strict=True)
    ]
    columns = [pa.array(np.ascontiguousarray(column), pa.float32(), mask=lacking) for column in values.T]
    ids = index["sample_id"].combine_chunks()
    return pa.table([ids, *columns], schema=pa.schema([SAMPLES.field("sample_id"), *fields]))


def _about(table: RepresentationParams, spec: Spec, weights: Mapping[str, str]) -> dict[str, str]:
    """The metadata of the file."""
    return {
        "format": FORMAT,
        "software": SOFTWARE,
        "representation": table.name,
        "title": spec.name,
        "parameters": json.dumps(table.params, sort_keys=True),
        "weights": json.dumps(dict(weights), sort_keys=True),
    }
