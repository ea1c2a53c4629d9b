"""Tables grow: what was written before opens, what is written later opens but for another major version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from corpora.errors import CorpusError, IntegrityError
from corpora.schema import SAMPLES, SCORES, Sample
from corpora.store.atomic import write_json
from corpora.store.evolve import Format, evolved
from corpora.store.ingested import FORMAT, corpus_manifest
from corpora.store.shards import read_table, write_shards, write_table
from flows.records import sample_from_row

REAL = Sample("c/1", "c", "speech", b"x", "wav", "CC0-1.0", "c:1")
MADE = replace(REAL, sample_id="syn/g/1", generator_id="g", seed=3, sources={"style": "c/2", "from": "c/1"})


@pytest.fixture
def index(tmp_path: Path) -> pa.Table:
    return write_shards([REAL, MADE, replace(REAL, sample_id="c/2", part="throat")], tmp_path, 1, "x")


def test_a_column_of_later_is_passed_over_and_one_of_before_is_null(index: pa.Table, tmp_path: Path) -> None:
    later = index.append_column("mood", pa.array(["new"] * 3)).drop_columns(["age", "ratings"])
    write_table(tmp_path / "t.parquet", later.select(list(reversed(later.schema.names))))
    table = read_table(tmp_path / "t.parquet", SAMPLES)
    assert table.schema == SAMPLES and table["age"].null_count == table["ratings"].null_count == 3
    assert table.drop_columns(["age", "ratings"]).equals(index.drop_columns(["age", "ratings"]))


def test_structures_grow_too(index: pa.Table, tmp_path: Path) -> None:
    signal = [("name", pa.string()), ("rate_hz", pa.float32()), ("gain", pa.float32())]
    grown = pa.array([[{"name": "ecg", "rate_hz": 4.0, "gain": 2.0}], None, []], pa.list_(pa.struct(signal)))
    at = index.schema.get_field_index("signals")
    write_table(tmp_path / "t.parquet", index.set_column(at, "signals", grown))
    (first, *_) = read_table(tmp_path / "t.parquet", SAMPLES)["signals"].to_pylist()
    assert first == [{"name": "ecg", "unit": None, "rate_hz": 4.0, "shape": None}]


def test_parts_and_sources_of_formats_that_had_none(index: pa.Table) -> None:
    older = evolved(index.drop_columns(["part", "sources"]), SAMPLES, Path("t"))
    rows = {row["sample_id"]: row for row in older.to_pylist()}
    assert {row["part"] for row in rows.values()} == {"voice"}
    assert rows["c/1"]["sources"] is None
    assert rows["syn/g/1"]["sources"] == [{"role": "from", "id": "c/1"}, {"role": "from2", "id": "c/2"}]
    newer = evolved(index.drop_columns(["source_ids"]), SAMPLES, Path("t"))
    assert newer.equals(index), "a format that has left source_ids out: they follow from the sources"


def test_a_row_becomes_the_sample_again(index: pa.Table) -> None:
    rows = {row["sample_id"]: row for row in index.to_pylist()}
    again = sample_from_row(rows["syn/g/1"], b"x", "wav")
    assert (again.sources, again.source_ids, again.part) == (MADE.sources, ("c/1", "c/2"), "voice")
    assert sample_from_row(rows["c/2"], b"x", "wav").part == "throat"
    assert rows["syn/g/1"]["source_ids"] == ["c/1", "c/2"] and rows["c/1"]["sources"] is None


def test_what_is_no_growth_is_refused() -> None:
    empty = SCORES.empty_table()
    with pytest.raises(IntegrityError, match="lacks gate, passed"):
        evolved(empty.drop_columns(["gate", "passed", "limit"]), SCORES, Path("t"))
    with pytest.raises(IntegrityError, match="several columns named gate"):
        evolved(empty.append_column("gate", pa.array([], pa.string())), SCORES, Path("t"))
    with pytest.raises(IntegrityError, match="'value' holds string, double is wanted"):
        evolved(empty.set_column(4, "value", pa.array([], pa.string())), SCORES, Path("t"))


def test_versions() -> None:
    here = Format("emoforge-thing", 3)
    assert [here.require(f"emoforge-thing/{text}", Path("m")) for text in ("1", "2", "3", "3.7")] == [1, 2, 3, 3]
    with pytest.raises(CorpusError, match=r"format emoforge-thing/4, .* up to emoforge-thing/3.*--upgrade emoforge"):
        here.require("emoforge-thing/4", Path("m"))
    for text in ("emoforge-other/1", "emoforge-thing/0", "emoforge-thing/03", "emoforge-thing/1.", 3, None, "3"):
        with pytest.raises(IntegrityError, match="emoforge-thing/3 or an earlier one is wanted"):
            here.require(text, Path("m"))


def test_the_manifest_of_a_corpus(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="is missing"):
        corpus_manifest(tmp_path)
    write_json(tmp_path / "manifest.json", {"content_hash": "a"})
    assert corpus_manifest(tmp_path)["content_hash"] == "a"
    write_json(tmp_path / "manifest.json", {"content_hash": "a", "format": f"{FORMAT.name}/{FORMAT.major + 1}"})
    with pytest.raises(CorpusError, match="Install a newer one"):
        corpus_manifest(tmp_path)
    write_json(tmp_path / "manifest.json", {"content_hash": 1})
    with pytest.raises(IntegrityError, match="is not as `ingest` wrote it"):
        corpus_manifest(tmp_path)
