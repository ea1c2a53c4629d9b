from __future__ import annotations

import json
import math
from typing import Any

import pyarrow as pa
import pytest

from corpora.errors import ParamsError
from corpora.schema import SAMPLES
from validators import tables
from validators.tables import FACTS, check_counts, check_table, fact_table, sample_expectations

GOOD: dict[str, Any] = {
    "sample_id": "c/1",
    "corpus": "c",
    "modality": "speech",
    "recording_id": "c/1",
    "subject_id": "c:1",
    "group_id": "c:1",
    "emotion": "fear",
    "intensity": 0.5,
    "codec": "wav",
    "duration_s": 1.0,
    "shard": "x.tar",
    "offset": 512,
    "n_bytes": 9,
    "sha256": "a" * 64,
    "license": "CC0-1.0",
    "signals": [{"name": "audio", "unit": "1", "rate_hz": 1.0, "shape": [1]}],
    "extra": [("a", "b")],
}


def table(*changes: dict[str, Any]) -> pa.Table:
    rows = [GOOD | {"sample_id": f"c/{i}"} | change for i, change in enumerate(changes)]
    columns = [pa.array([row.get(f.name) for row in rows], f.type) for f in SAMPLES]
    return pa.Table.from_arrays(columns, schema=SAMPLES)


def failed(checked: dict[str, Any]) -> set[tuple[str, str | None]]:
    return {(r["type"], r["column"]) for r in checked["results"] if not r["success"]}


def check(data: pa.Table) -> dict[str, Any]:
    return check_table(data, name="t", expectations=sample_expectations("speech"))


def test_good_table_passes_and_the_result_is_plain_json() -> None:
    checked = check(table({}, {"emotion": None, "intensity": None}))
    assert checked["success"] and failed(checked) == set()
    assert checked["n_rows"] == 2
    assert json.loads(json.dumps(checked, allow_nan=False)) == checked
    assert {"type", "column", "kwargs", "success", "observed", "unexpected_count"} == set(checked["results"][0])


@pytest.mark.parametrize(
    ("change", "kind", "column"),
    [
        ({"sample_id": "c/0"}, "expect_column_values_to_be_unique", "sample_id"),
        ({"sample_id": "no slash"}, "expect_column_values_to_match_regex", "sample_id"),
        ({"emotion": "joyous"}, "expect_column_values_to_be_in_set", "emotion"),
        ({"modality": "face"}, "expect_column_values_to_be_in_set", "modality"),
        ({"sha256": "xyz"}, "expect_column_values_to_match_regex", "sha256"),
        ({"duration_s": 0.0}, "expect_column_values_to_be_between", "duration_s"),
        ({"duration_s": None}, "expect_column_values_to_not_be_null", "duration_s"),
        ({"duration_s": math.nan}, "expect_column_values_to_be_finite", "duration_s"),
        ({"valence": math.nan}, "expect_column_values_to_be_finite", "valence"),
        ({"valence": math.inf}, "expect_column_values_to_be_finite", "valence"),
        ({"valence": 1.5}, "expect_column_values_to_be_between", "valence"),
        ({"n_bytes": 0}, "expect_column_values_to_be_between", "n_bytes"),
    ],
)
def test_each_fault_is_found(change: dict[str, Any], kind: str, column: str) -> None:
    checked = check(table({}, change))
    assert not checked["success"]
    assert (kind, column) in failed(checked)


def test_empty_table_fails_on_its_row_count() -> None:
    checked = check(table())
    assert failed(checked) == {("expect_table_row_count_to_be_between", None)}


def test_null_in_a_required_column_and_missing_column() -> None:
    data = table({}, {})
    place = SAMPLES.get_field_index("license")
    loose = data.set_column(place, pa.field("license", pa.string()), pa.array([None, "x"], pa.string()))
    assert ("expect_column_values_to_not_be_null", "license") in failed(check(loose))
    without = check_table(data.drop_columns(["age"]), name="t", expectations=[])
    assert ("expect_table_columns_to_match_ordered_list", None) in failed(without)


def test_other_tables_and_unknown_names() -> None:
    small = pa.table({"x": [1.0, 2.0]})
    range_ = ("ExpectColumnValuesToBeBetween", {"column": "x", "max_value": 1.5})
    assert failed(check_table(small, name="s", schema=None, expectations=[range_])) == {
        ("expect_column_values_to_be_between", "x")
    }
    assert not check_table(small, name="s", schema=None, max_rows=1)["success"]
    with pytest.raises(ParamsError, match="'y'"):
        check_table(small, name="s", schema=None, expectations=[("ExpectColumnValuesToBeUnique", {"column": "y"})])
    with pytest.raises(ParamsError, match="ExpectMagic"):
        check_table(small, name="s", schema=None, expectations=[("ExpectMagic", {"column": "x"})])
    with pytest.raises(ParamsError, match="smell"):
        sample_expectations("smell")


def signal(shape: list[int], rate_hz: float | None = None, name: str = "x") -> dict[str, Any]:
    return {"name": name, "unit": "1", "rate_hz": rate_hz, "shape": shape}


def test_sizes_and_rates_are_taken_from_the_signals() -> None:
    rows = table(
        {"signals": [signal([800, 2], 16000)]},
        {"modality": "face", "signals": [signal([48, 64, 3])]},
        {"modality": "text", "signals": [signal([12])]},
        {"modality": "physio", "signals": [signal([640], 64, "BVP"), signal([40], 4, "EDA")]},
        {"modality": "physio", "signals": []},
    )
    facts = fact_table(rows).to_pydict()
    assert facts["channels"] == [2, None, None, None, None]
    assert (facts["height_px"][1], facts["width_px"][1]) == (48, 64)
    assert facts["characters"][2] == 12
    assert facts["rate_hz"] == [16000, None, None, 4, None]
    assert facts["n_signals"] == [1, 1, 1, 2, 0]


@pytest.mark.parametrize(
    ("modality", "signals", "column"),
    [
        ("speech", [signal([800, 1], 100)], "rate_hz"),
        ("speech", [signal([800, 1])], "rate_hz"),
        ("face", [signal([4, 48])], "height_px"),
        ("text", [signal([0])], "characters"),
        ("physio", [], "n_signals"),
        ("physio", [signal([9], 0.0)], "rate_hz"),
    ],
)
def test_what_no_corpus_of_the_modality_has_is_found(modality: str, signals: list[Any], column: str) -> None:
    facts = fact_table(table({"modality": modality, "signals": signals}))
    checked = check_table(facts, name="facts", schema=None, expectations=FACTS[modality])
    assert column in {where for _, where in failed(checked)}


def test_more_than_was_published_is_told_and_less_is_not() -> None:
    rows = [
        {"label": "angry", "found": 12, "published": 10},
        {"label": "sad", "found": 3, "published": 10},
        {"label": "odd", "found": 3, "published": None},
    ]
    results = check_counts("c", rows)
    assert [r["success"] for r in results if "pair" in r["type"]] == [False]
    assert all(r["success"] for r in check_counts("c", rows[1:]))
    assert check_counts("c", rows[2:]) == []


def test_a_process_checks_many_tables_and_keeps_none() -> None:
    suite = [("ExpectColumnValuesToBeBetween", {"column": "x", "min_value": 0})]
    for value in (1.0, -1.0, 2.0):
        table = pa.table({"x": [value]})
        assert check_table(table, name="one", schema=None, expectations=suite)["success"] is (value > 0)
    with pytest.raises(ParamsError, match="ExpectNothing"):
        check_table(pa.table({"x": [1.0]}), name="one", schema=None, expectations=[("ExpectNothing", {})])
    assert not tables._context().data_sources.all()
