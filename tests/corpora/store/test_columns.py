"""Columns of an index that are decoded when they are asked for: the values of `read_table`, and little read."""

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.bench_index import build
from corpora.errors import IntegrityError
from corpora.schema import SAMPLES
from corpora.store.columns import Columns
from corpora.store.release import INDEX, open_release
from corpora.store.shards import read_table, write_table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("many") / "before"
    build(place, 400, 2, other=False)
    return place


def test_values_are_those_of_the_table(folder: Path) -> None:
    columns, table = Columns(folder / INDEX), read_table(folder / INDEX, SAMPLES)
    assert columns.num_rows == 400 and columns.names == SAMPLES.names
    assert columns.select(["shard", "labels"]).equals(table.select(["shard", "labels"]))
    assert columns["extra"].equals(table["extra"])
    assert columns.table().equals(table) and columns.table().schema == SAMPLES
    with pytest.raises(KeyError):
        columns["face_box"]


def test_opening_decodes_neither_ids_of_payloads_nor_lists(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    read = pq.ParquetFile.read

    def noted(self: pq.ParquetFile, **kwargs: object) -> pa.Table:
        asked.extend(kwargs.get("columns", ["all"]))
        return read(self, **kwargs)

    monkeypatch.setattr(pq.ParquetFile, "read", noted)
    release = open_release(folder)
    assert set(asked) - {"all"} == {"sample_id", "weight", "shard"} and asked.count("all") == 1, "all of the splits"
    release.balance()
    assert set(asked) - {"all"} == {"sample_id", "weight", "shard", "emotion", "generator_id"}
    assert release.index.num_rows == 400 and "labels" in asked
    asked.clear()
    assert release.index.num_rows == 400 and not asked, "each column is decoded once"


def test_what_is_decoded_later_is_of_the_file_that_was_opened(folder: Path, tmp_path: Path) -> None:
    table = read_table(folder / INDEX, SAMPLES)
    path = tmp_path / INDEX
    write_table(path, table)
    columns = Columns(path)
    write_table(path, table.slice(0, 3))
    again = pickle.loads(pickle.dumps(columns))  # noqa: S301  (our own bytes)
    path.unlink()
    assert columns.table().equals(table) and again["sha256"].equals(table["sha256"])


def test_filtered_rows_are_those_of_every_column(folder: Path) -> None:
    columns, table = Columns(folder / INDEX), read_table(folder / INDEX, SAMPLES)
    assert len(columns["emotion"]) == 400
    mask = pa.array(np.arange(400) % 3 == 0)
    few = columns.filter(mask).having("weight", pa.chunked_array([pa.array(np.ones(134, np.float32))]))
    assert few.num_rows == 134 and columns.num_rows == 400
    rest = [name for name in SAMPLES.names if name != "weight"]
    assert few.select(rest).equals(table.filter(mask).select(rest)) and few["weight"].to_pylist() == [1.0] * 134
    assert columns["weight"].equals(table["weight"]), "the one that was filtered stays as it was"


def test_a_column_that_the_file_has_not_is_null(folder: Path, tmp_path: Path) -> None:
    table = read_table(folder / INDEX, SAMPLES)
    write_table(tmp_path / INDEX, table.drop_columns(["weight", "consent"]))
    columns = Columns(tmp_path / INDEX)
    assert columns["weight"].null_count == 400
    mask = pa.array(np.arange(400) < 7)
    assert columns.filter(mask)["consent"].null_count == 7 and columns.filter(mask).table().num_rows == 7


def test_older_tables_get_what_other_columns_say(folder: Path, tmp_path: Path) -> None:
    table = read_table(folder / INDEX, SAMPLES).drop_columns(["part", "sources"])
    write_table(tmp_path / INDEX, table)
    assert Columns(tmp_path / INDEX).table().equals(read_table(tmp_path / INDEX, SAMPLES))
    assert set(Columns(tmp_path / INDEX)["part"].to_pylist()) == {"line"}


def test_what_is_no_index_is_said_at_once(folder: Path, tmp_path: Path) -> None:
    table, path = read_table(folder / INDEX, SAMPLES), tmp_path / INDEX
    odd: dict[str, pa.Table] = {
        "lacks sha256": table.drop_columns(["sha256"]),
        "'offset' holds string": table.set_column(
            SAMPLES.get_field_index("offset"), "offset", pa.array(["0"] * 400, pa.string())
        ),
        "'license' has 400 nulls": table.set_column(
            SAMPLES.get_field_index("license"), "license", pa.nulls(400, pa.string())
        ),
    }
    for message, one in odd.items():
        write_table(path, one)
        with pytest.raises(IntegrityError, match=message):
            Columns(path)
    path.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(IntegrityError, match="cannot be read as Parquet"):
        Columns(path)
    with pytest.raises(IntegrityError, match="cannot be read"):
        Columns(tmp_path / "nothing.parquet")


def test_a_damaged_column_is_an_error_when_it_is_asked_for(folder: Path, tmp_path: Path) -> None:
    data = bytearray((folder / INDEX).read_bytes())
    with pq.ParquetFile(folder / INDEX) as file:
        at = SAMPLES.get_field_index("sha256")
        leaves = [file.metadata.row_group(0).column(i) for i in range(file.metadata.num_columns)]
        place = next(leaf for leaf in leaves if leaf.path_in_schema == SAMPLES.names[at])
    start = place.dictionary_page_offset or place.data_page_offset
    data[start : start + place.total_compressed_size] = bytes(place.total_compressed_size)
    (tmp_path / INDEX).write_bytes(data)
    columns = Columns(tmp_path / INDEX)
    assert len(columns["shard"]) == 400
    with pytest.raises(IntegrityError, match="Make it again"):
        columns["sha256"]
