"""What nobody knows is null: in cells of every spelling, in all layouts, and in readers with code."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas._libs.parsers import STR_NA_VALUES

from corpora.readers import make_corpus
from corpora.records.unknown import NOT_A_VALUE, is_unknown, known_text
from corpora.schema import Sample
from tests.corpora.readers.described.test_described import describe, put, read, tone

WORDS = [
    "unknown",
    "Unknown",
    "UNKNOWN",
    "?",
    "-",
    "--",
    ".",
    "none",
    "NONE",
    "Null",
    "NAN",
    "na",
    "N/A ",
    " nan",
    '"NA"',
]
SPELLINGS = sorted({*STR_NA_VALUES, "NaT", *WORDS})


def test_every_spelling_that_pandas_knows_is_unknown() -> None:
    assert STR_NA_VALUES | {"NaT"} == NOT_A_VALUE
    assert all(is_unknown(text) for text in SPELLINGS)
    for value in (None, math.nan, np.float32("nan"), pd.NaT, pd.NA, np.datetime64("NaT")):
        assert is_unknown(value), value


def test_people_and_answers_are_known() -> None:
    for text in ("Nan", "Na", "Nancy", "0", "n", "nobody", "-1", "a-b", "x"):
        assert not is_unknown(text), text
    assert not is_unknown(0) and not is_unknown(0.0) and not is_unknown(False)
    assert not is_unknown("NA", known=["NA"]) and is_unknown("NaN", known=["NA"])
    assert not is_unknown("none", words=False) and not is_unknown("?", words=False) and is_unknown("None", words=False)


def test_numbers_name_the_same_person_with_and_without_a_point() -> None:
    assert [known_text(value) for value in (1, 1.0, "1", "1.0", " 1.00", np.float64(1))] == ["1"] * 6
    assert [known_text(value) for value in ("1.5", "v1.0", "007", 1e22, True)] == [
        "1.5",
        "v1.0",
        "007",
        str(10**22),
        "True",
    ]
    assert known_text("\ufeff ann\u00a0") == "ann" and known_text(math.nan) is None


@given(st.none() | st.text(max_size=12) | st.floats() | st.integers() | st.sampled_from(SPELLINGS))
def test_a_name_is_no_spelling_of_the_unknown_and_stays_a_name(value: Any) -> None:
    name = known_text(value)
    assert (name is None) == is_unknown(value)
    if name:
        assert name not in NOT_A_VALUE
        assert known_text(name) in (name, None)


# -- layouts

COLUMNS = {
    "subject": "who",
    "session": "sess",
    "sentence": "sent",
    "gender": "sex",
    "language": "lang",
    "age": "age",
    "label": "label",
}
FIELDS = ("subject_id", "session_id", "sentence_id", "gender", "age", "emotion")
KNOWN = {
    "who": "7",
    "sess": "2",
    "sent": "3",
    "sex": "f",
    "lang": "de",
    "age": "30",
    "label": "glad",
    "text": "some text",
}


def table(kind: str, rows: list[dict[str, Any]]) -> bytes:
    if kind == "parquet":
        out = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), out)
        return out.getvalue()
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter="," if kind == "csv" else "\t")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "datasets"])
def test_no_spelling_is_a_person_a_sentence_or_a_label(kind: str, tmp_path: Path) -> None:
    texts = [text for text in sorted(STR_NA_VALUES) if text.strip()] + ["NaT"]
    rows: list[dict[str, Any]] = [KNOWN, *(dict.fromkeys(KNOWN, text) | {"text": "some text"} for text in texts)]
    if kind in ("jsonl", "parquet", "datasets"):
        rows += [dict.fromkeys(KNOWN) | {"text": "some text"}]
    name = "t.parquet" if kind == "datasets" else f"t.{kind}"
    root = put(tmp_path / "r", {name: table("parquet" if kind == "datasets" else kind, rows)})
    layout = {"layout": "datasets"} if kind == "datasets" else {"layout": "table", "tables": name}
    files = {**layout, "columns": {**COLUMNS, "text": "text"}}
    samples, rejects = read(describe(tmp_path, files, modality="text", split_unit="payload"), root)
    assert not rejects and len(samples) == len(rows)
    first, *others = samples.values()
    assert [getattr(first, f) for f in FIELDS] == ["c:7", "c:2", "c:3", "female", 30.0, "happiness"]
    for sample in others:
        assert [getattr(sample, f) for f in FIELDS] == [None] * len(FIELDS) and sample.language is None


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "datasets"])
def test_a_gap_in_a_column_of_numbers_is_nobody(kind: str, tmp_path: Path) -> None:
    rows = [
        {"text": text, "label": "glad", "who": who}
        for text, who in zip("abcd", (1.0, math.nan, math.nan, 2.0), strict=True)
    ]
    name = "t.parquet" if kind == "datasets" else f"t.{kind}"
    root = put(tmp_path / "r", {name: table("parquet" if kind == "datasets" else kind, rows)})
    layout = {"layout": "datasets"} if kind == "datasets" else {"layout": "table", "tables": name}
    files = {**layout, "columns": {"text": "text", "label": "label", "subject": "who"}}
    samples, _ = read(describe(tmp_path, files, modality="text", split_unit="payload"), root)
    assert [s.subject_id for s in samples.values()] == ["c:1", None, None, "c:2"]
    samples, rejects = read(describe(tmp_path, files, modality="text"), root)  # a subject lies in one split
    assert [s.subject_id for s in samples.values()] == ["c:1", "c:2"]
    assert [r.reason for r in rejects] == ["no-subject"] * 2


def test_a_table_with_a_gap_and_one_without_have_the_same_people(tmp_path: Path) -> None:
    root = put(
        tmp_path / "r", {"a.csv": "text,l,who\none,glad,1.0\ntwo,glad,\n", "b.csv": "text,l,who\nthree,glad,1\n"}
    )
    files = {"layout": "table", "tables": "*.csv", "columns": {"text": "text", "label": "l", "subject": "who"}}
    samples, _ = read(describe(tmp_path, files, modality="text", split_unit="payload"), root)
    assert [s.subject_id for s in samples.values()] == ["c:1", None, "c:1"]


def test_folders_and_composed_names_know_nobody_either(tmp_path: Path) -> None:
    files = {
        "layout": "folder",
        "pattern": r"(?P<gender>[a-z]+)_(?P<subject>\w+?)_(?P<label>\w+)(?P<sentence>-\w)?\.wav",
        "compose": {"subject": "{gender}{subject}"},
    }
    root = put(tmp_path / "r", {f"f_{who}_glad.wav": tone() for who in ("ann", "unknown", "NA")})
    samples, _ = read(describe(tmp_path, files, split_unit="payload"), root)
    assert {key: s.subject_id for key, s in samples.items()} == {
        "f_ann_glad": "c:fann",
        "f_unknown_glad": None,
        "f_NA_glad": None,
    }
    optional = files | {"compose": {"subject": "{subject}{sentence}"}}  # a group that took no part is no unknown
    samples, _ = read(describe(tmp_path, optional, split_unit="payload"), root)
    assert samples["f_ann_glad"].subject_id == "c:ann"


def test_a_name_made_of_cells_is_not_known_where_one_of_them_is_not(tmp_path: Path) -> None:
    rows = [
        {"text": f"text {i}", "l": "glad", "site": site, "who": who}
        for i, (site, who) in enumerate([("x", 1.0), ("x", None), (None, 1.0)])
    ]
    root = put(tmp_path / "r", {"t.jsonl": table("jsonl", rows)})
    files = {
        "layout": "table",
        "tables": "t.jsonl",
        "columns": {"text": "text", "label": "l", "subject": "who"},
        "extra": ["site"],
        "compose": {"subject": "{site}{subject}"},
    }
    samples, _ = read(describe(tmp_path, files, modality="text", split_unit="payload"), root)
    assert [s.subject_id for s in samples.values()] == ["c:x1", None, None]


def test_audformat_knows_nobody_either(tmp_path: Path) -> None:
    audformat = pytest.importorskip("audformat")
    root = put(tmp_path / "db", {f"{i}.wav": tone(0.5 + i / 10) for i in range(3)})
    db = audformat.Database("lab", source="here", usage="research")
    index = audformat.filewise_index([f"{i}.wav" for i in range(3)])
    db["t"] = audformat.Table(index)
    for name, values in {"emotion": ["glad"] * 3, "speaker": ["ann", "unknown", None]}.items():
        db.schemes[name] = audformat.Scheme("str")
        db["t"][name] = audformat.Column(scheme_id=name)
        db["t"][name].set(values)
    db.save(str(root), storage_format="csv")
    files = {"layout": "audformat", "tables": "t", "columns": {"label": "emotion", "subject": "speaker"}}
    samples, rejects = read(describe(tmp_path, files, split_unit="payload"), root)
    assert [s.subject_id for s in samples.values()] == ["c:ann", None, None] and not rejects


def test_a_card_says_which_spellings_are_meant(tmp_path: Path) -> None:
    root = put(tmp_path / "r", {"t.csv": "text,l,who\none,none,NA\ntwo,glad,nan\nthree,NA,?\nfour,unknown,x\n"})
    files = {
        "layout": "table",
        "tables": "t.csv",
        "columns": {"text": "text", "label": "l", "subject": "who"},
        "not_missing": ["NA"],
        "values": {"subject": {"?": "question", "NA": "Nadia", "x": "x"}},
    }
    labels = {"glad": "happiness", "none": "neutral"}
    samples, rejects = read(describe(tmp_path, files, modality="text", split_unit="payload", label_map=labels), root)
    assert [(s.subject_id, s.emotion) for s in samples.values()] == [("c:Nadia", "neutral"), (None, "happiness")]
    # NA is meant, and a label that the card has not; so is "unknown", a word that could be a class
    assert [(r.path, r.reason) for r in rejects] == [("t.csv#000002", "bad-label"), ("t.csv#000003", "bad-label")]
    files = files | {"values": {}}
    samples, _ = read(describe(tmp_path, files, modality="text", split_unit="payload", label_map=labels), root)
    assert [s.subject_id for s in samples.values()] == ["c:NA", None]


# -- readers with code


def rewritten(path: Path, column: str, value: str, **options: Any) -> None:
    """One column of a csv holds `value` in all rows."""
    with path.open(newline="") as file:
        names, *rows = csv.reader(file, **options)
    at = names.index(column)
    with path.open("w", newline="") as file:
        csv.writer(file, **options).writerows([names, *([*row[:at], value, *row[at + 1 :]] for row in rows)])


@pytest.mark.parametrize(
    ("name", "tables", "column"),
    [
        ("meld", "*_sent_emo.csv", "Speaker"),
        ("emorynlp", "emorynlp_*.csv", "Speaker"),
        ("msp_podcast", "labels_con*ensus.csv", "SpkrID"),
        ("empathetic_dialogues", "*.csv", "speaker_idx"),
        ("isear", "*.csv", "ID"),
    ],
)
@pytest.mark.parametrize("text", ["nan", "", "Unknown"])
def test_readers_with_code_know_nobody_either(name: str, tables: str, column: str, text: str, tmp_path: Path) -> None:
    corpus = make_corpus(name)
    corpus.fake(tmp_path, subjects=2, per_class=2, seed=0)
    paths = sorted(tmp_path.rglob(tables))
    assert paths
    for path in paths:
        delimiter = "|" if name == "isear" else ","
        rewritten(path, column, f"['{text}']" if name == "emorynlp" else text, delimiter=delimiter)
    samples = [s for s in corpus.read(tmp_path, "c") if isinstance(s, Sample)]
    assert samples and all(s.subject_id is None for s in samples)
