"""Table checks with Great Expectations: a suite made from a schema, run in memory, its result as plain JSON.

The library takes seconds to import, so that happens inside the functions. An empty table passes every "not null", hence
a row count is always expected; NaN passes ranges in pandas, hence numbers are checked for it first.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import ParamsError
from corpora.labels import EMOTIONS
from corpora.records.bounds import BOUNDS, CODECS, VALUES, facts_of
from corpora.schema import MODALITIES, SAMPLES

_DROPPED = (pa.types.is_list, pa.types.is_map, pa.types.is_struct, pa.types.is_binary, pa.types.is_large_binary)

Expectation = tuple[str, Mapping[str, Any]]  # class name in great_expectations.expectations, its keyword arguments


def sample_expectations(
    modality: str, *, classes: Sequence[str] = EMOTIONS, is_vector: bool = False
) -> list[Expectation]:
    """What holds for every index of samples (schema SAMPLES) of a modality. `is_vector`: of rows of features, which
    have no duration."""
    if modality not in MODALITIES:
        raise ParamsError(f"unknown modality {modality!r}; known: {', '.join(MODALITIES)}")
    expected: list[Expectation] = [
        ("ExpectColumnValuesToBeUnique", {"column": "sample_id"}),
        ("ExpectColumnValuesToMatchRegex", {"column": "sample_id", "regex": r"^[a-z][a-z0-9_]*/\S+$"}),
        ("ExpectColumnValuesToBeInSet", {"column": "modality", "value_set": [modality]}),
        ("ExpectColumnValuesToBeInSet", {"column": "emotion", "value_set": list(classes)}),
        ("ExpectColumnValuesToMatchRegex", {"column": "sha256", "regex": "^[0-9a-f]{64}$"}),
        ("ExpectColumnValuesToBeBetween", {"column": "offset", "min_value": 512}),
        ("ExpectColumnValuesToBeBetween", {"column": "n_bytes", "min_value": 1}),
    ]
    expected += [_between(name, *bounds) for name, bounds in VALUES.items()]
    kind = "vector" if is_vector else modality
    expected.append(_codecs(*CODECS[kind]))
    if "duration_s" in BOUNDS[kind]:
        expected += [_known("duration_s"), _between("duration_s", *BOUNDS[kind]["duration_s"])]
    return expected


def _between(column: str, low: float, high: float) -> Expectation:
    return ("ExpectColumnValuesToBeBetween", {"column": column, "min_value": low, "max_value": high})


def _codecs(*names: str) -> Expectation:
    return ("ExpectColumnValuesToBeInSet", {"column": "codec", "value_set": list(names)})


def _known(column: str) -> Expectation:
    return ("ExpectColumnValuesToNotBeNull", {"column": column})


# What holds for the columns that `fact_table` makes: sizes and rates of a kind of record. A file beyond them is a
# reject when it is read, so a failure here is a reader's.
FACTS: dict[str, list[Expectation]] = {
    kind: [
        check
        for fact, (low, high) in bounds.items()
        if fact != "duration_s"
        for check in (_known(fact), _between(fact, low, high))
    ]
    for kind, bounds in BOUNDS.items()
}


def fact_table(index: pa.Table) -> pa.Table:
    """SAMPLES -> rate_hz (the slowest signal's), channels, height_px, width_px, characters, n_signals; float64."""
    names = ("rate_hz", "channels", "height_px", "width_px", "characters", "n_signals")
    modalities, signals = index["modality"].to_pylist(), index["signals"].combine_chunks()
    entries = pc.list_flatten(signals)
    ends = np.cumsum(pc.fill_null(pc.list_value_length(signals), 0).to_numpy())
    # Plain lists of the two fields that count, not a dict for each signal of each sample
    rates, shapes = (pc.struct_field(entries, field).to_pylist() for field in ("rate_hz", "shape"))
    kinds: dict[tuple[Any, ...], int] = {}  # thousands of samples are alike
    facts: list[dict[str, float | None]] = []
    kind_of: list[int] = []
    start = 0
    for modality, end in zip(modalities, ends.tolist(), strict=True):
        kind = (modality, *rates[start:end], *map(tuple, [shape or () for shape in shapes[start:end]]))
        known = kinds.setdefault(kind, len(facts))
        if known == len(facts):
            own = [{"rate_hz": rates[i], "shape": shapes[i]} for i in range(start, end)]
            facts.append(facts_of(modality, own))
        kind_of.append(known)
        start = end
    taken = pa.array(kind_of, pa.int64())
    return pa.table({name: pa.array([one.get(name) for one in facts], pa.float64()).take(taken) for name in names})


def check_counts(name: str, counts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with `label`, `found`, `published` -> results: no label twice, and none more often than it was published.

    What is missing may be a part of the corpus; what is too much was read twice or is another corpus. Empty where
    nothing is published.
    """
    known = [row for row in counts if row["published"] is not None]
    if not known:
        return []
    table = pa.table({key: [row[key] for row in known] for key in ("label", "found", "published")})
    most = {"column_A": "published", "column_B": "found", "or_equal": True}
    unique = ("ExpectColumnValuesToBeUnique", {"column": "label"})
    suite: list[Expectation] = [unique, ("ExpectColumnPairValuesAToBeGreaterThanB", most)]
    results: list[dict[str, Any]] = check_table(table, name=f"{name}_counts", schema=None, expectations=suite)[
        "results"
    ]
    return results


def schema_expectations(schema: pa.Schema) -> list[Expectation]:
    """The columns in their order, and no nulls where the schema allows none."""
    flat = [field for field in schema if not any(test(field.type) for test in _DROPPED)]
    expected: list[Expectation] = [
        ("ExpectTableColumnsToMatchOrderedList", {"column_list": [field.name for field in flat]})
    ]
    expected += [("ExpectColumnValuesToNotBeNull", {"column": field.name}) for field in flat if not field.nullable]
    return expected


def check_table(
    table: pa.Table,
    *,
    name: str,
    expectations: Sequence[Expectation] = (),
    schema: pa.Schema | None = SAMPLES,
    min_rows: int = 1,
    max_rows: int | None = None,
) -> dict[str, Any]:
    """Arrow table -> {"name", "success", "n_rows", "results": [...]}, plain JSON.

    Each result: `type`, `column`, `kwargs`, `success`, `observed`, `unexpected_count`. Columns of bytes, lists, maps
    and structs are dropped first. NaN and infinities fail every range. `schema` None: only the expectations given.
    Raises `ParamsError` for an expectation that Great Expectations does not know, or a column that the table has not.
    """
    flat = table.select([f.name for f in table.schema if not any(test(f.type) for test in _DROPPED)])
    suite: list[Expectation] = [("ExpectTableRowCountToBeBetween", {"min_value": min_rows, "max_value": max_rows})]
    suite += schema_expectations(schema) if schema is not None else []
    suite += list(expectations)
    for kind, kwargs in suite:
        if "column" in kwargs and kwargs["column"] not in flat.schema.names:
            raise ParamsError(f"{kind}: table {name!r} has no plain column {kwargs['column']!r}")
    results = _run(flat, name, suite)
    results += [_finite(flat, column) for column in _ranged(suite)]
    return {
        "name": name,
        "success": all(result["success"] for result in results),
        "n_rows": table.num_rows,
        "results": results,
    }


def _ranged(suite: Sequence[Expectation]) -> list[str]:
    columns = [str(kwargs["column"]) for kind, kwargs in suite if kind == "ExpectColumnValuesToBeBetween"]
    return list(dict.fromkeys(columns))


def _finite(table: pa.Table, column: str) -> dict[str, Any]:
    """A check of our own: pandas takes NaN for a missing value, and a missing value passes every range."""
    odd = 0
    if pa.types.is_floating(table.schema.field(column).type):
        odd = pc.sum(pc.invert(pc.is_finite(table[column]))).as_py() or 0
    return _result("expect_column_values_to_be_finite", {"column": column}, odd == 0, None, odd)


def _result(
    kind: str, kwargs: Mapping[str, Any], success: bool, observed: Any, unexpected: int | None
) -> dict[str, Any]:
    return {
        "type": kind,
        "column": kwargs.get("column"),
        "kwargs": {key: value for key, value in kwargs.items() if key != "column"},
        "success": success,
        "observed": observed,
        "unexpected_count": unexpected,
    }


def _run(table: pa.Table, name: str, suite: Sequence[Expectation]) -> list[dict[str, Any]]:
    importlib.import_module("corpora.quiet")  # telemetry is off before the library is there
    import great_expectations as gx
    from great_expectations import expectations as known

    for kind, _ in suite:
        if not hasattr(known, kind):
            raise ParamsError(f"Great Expectations has no expectation {kind!r}")
    # all at once: it looks for each one that is added later among those that are there
    gx_suite = gx.ExpectationSuite(name=name, expectations=[getattr(known, kind)(**kwargs) for kind, kwargs in suite])
    context = _context()
    source = context.data_sources.add_pandas(name)
    try:
        definition = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("whole")
        outcome = definition.get_batch({"dataframe": table.to_pandas()}).validate(gx_suite, result_format="BASIC")
    finally:
        context.data_sources.delete(name)  # and the table with it
    results = []
    for one in outcome.results:
        config = one.expectation_config
        assert config is not None  # every result of a validated suite has one; the library's types are wider
        kwargs = {key: value for key, value in config.kwargs.items() if key != "batch_id"}
        detail = one.result or {}
        observed = detail.get("observed_value", detail.get("partial_unexpected_list"))
        results.append(
            _result(config.type, kwargs, bool(one.success), _plain(observed), _plain(detail.get("unexpected_count")))
        )
    return results


@cache
def _context() -> Any:
    """One for all tables of a process: to set one up costs as much as many checks."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def _plain(value: Any) -> Any:
    """Numbers, strings, lists of them; everything else as text. NaN becomes the text "nan": JSON has none."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
