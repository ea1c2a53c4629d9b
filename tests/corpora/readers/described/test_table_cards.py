"""Table cards: who it is from a file's name, labels in any spelling, rows of features, damaged rows of every format."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpora.errors import CorpusError
from corpora.labels import clean_label
from corpora.records.spellings import Spellings
from corpora.signals import decode_signals
from tests.corpora.readers.described.test_described import describe, face, put, read, tone

NAMED: dict[str, Any] = {
    "layout": "table",
    "tables": "t.csv",
    "columns": {"path": "file", "label": "label"},
    "path_pattern": r"(?P<gender>[fm])(?P<subject>\d+)_(?P<take>\d)(?P<session>-\w)?\.png",
    "extra": ["take"],
    "compose": {"subject": "{gender}{subject}"},
}


def test_who_it_is_stands_in_a_file_s_name(tmp_path: Path) -> None:
    names = ["x/f01_1.png", "x/m01_1-b.png", "x/f01_2.png", "other.png"]
    root = put(tmp_path / "r", {name: face(i) for i, name in enumerate(names)})
    put(root, {"t.csv": "file,label\n" + "".join(f"{name},glad\n" for name in names) + ",glad\nnan,glad\n"})
    samples, rejects = read(describe(tmp_path, NAMED, modality="face"), root)
    told = [(s.subject_id, s.gender, s.session_id, s.extra["take"]) for s in samples.values()]
    assert told == [
        ("c:f01", "female", None, "1"),
        ("c:m01", "male", "c:-b", "1"),
        ("c:f01", "female", None, "2"),
    ]
    assert [(r.path, r.reason) for r in rejects] == [(f"t.csv#00000{i}", "unknown-name") for i in (3, 4, 5)]
    assert "'other.png' is not as path_pattern" in rejects[0].detail
    assert describe(tmp_path, NAMED, modality="face").card.knows_subjects


def test_a_pattern_that_no_path_fits_is_one_error(tmp_path: Path) -> None:
    root = put(tmp_path / "r", {"a.png": face(), "t.csv": "file,label\na.png,glad\n"})
    with pytest.raises(CorpusError, match=r"no path in .* is as files\.path_pattern says: 'a\.png'"):
        read(describe(tmp_path, NAMED, modality="face"), root)


@pytest.mark.parametrize("column", ["ann_1", "ann_1.wav"])
def test_a_pattern_of_paths_with_or_without_the_suffix(column: str, tmp_path: Path) -> None:
    files = {
        "layout": "table",
        "tables": "t.csv",
        "columns": {"path": "file", "label": "label"},
        "media": "wav",
        "suffix": "" if column.endswith("wav") else ".wav",
    }
    root = put(tmp_path / "r", {"wav/ann_1.wav": tone(), "t.csv": f"file,label\n{column},glad\n"})
    for pattern in (r"(?P<subject>[a-z]+)_\d\.wav", r"(?P<subject>[a-z]+)_\d"):
        if pattern.endswith("d") and column.endswith("wav"):
            continue
        samples, rejects = read(describe(tmp_path, files | {"path_pattern": pattern}), root)
        assert [s.subject_id for s in samples.values()] == ["c:ann"] and not rejects


def test_a_saved_data_set_tells_who_by_the_names_of_its_media(tmp_path: Path) -> None:
    media = [{"bytes": tone(hz=100 + i), "path": f"/somewhere/{who}-{i}.wav"} for i, who in enumerate(["ann", "bob"])]
    out = io.BytesIO()
    pq.write_table(pa.table({"audio": media, "label": ["glad", "cross"]}), out)
    files = {
        "layout": "datasets",
        "columns": {"media": "audio", "label": "label"},
        "path_pattern": r"(?P<subject>\w+)-\d\.wav",
    }
    samples, _ = read(describe(tmp_path, files), put(tmp_path / "r", {"train.parquet": out.getvalue()}))
    assert [s.subject_id for s in samples.values()] == ["c:ann", "c:bob"]


def test_made_up_paths_fit_the_pattern(tmp_path: Path) -> None:
    files = NAMED | {"path_pattern": r"(?P<subject>\d+)_(?P<take>\d+)\.png", "compose": {}}
    with pytest.raises(CorpusError, match=r"path_pattern needs files\.fake\.path"):
        describe(tmp_path, files, modality="face").fake(tmp_path / "r", subjects=2, per_class=3, seed=0)
    fake = {"path": "{subject}_{number}.png", "subject": ["7", "8"]}
    corpus = describe(tmp_path, files | {"fake": fake}, modality="face")
    corpus.fake(tmp_path / "r", subjects=2, per_class=3, seed=0)
    samples, rejects = read(corpus, tmp_path / "r")
    assert Counter(s.subject_id for s in samples.values()) == {"c:7": 3, "c:8": 3} and not rejects


# -- labels in any spelling

DIRTY = [" glad", "glad ", "\ufeffglad", "\u00a0glad", "glad\u200b", "'glad'", "\u201cglad\u201d", " \ufeff'glad' "]
CASES = ["Glad", "GLAD", " gLaD\u00a0"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "list", "parquet", "folder", "values", "datasets"])
@pytest.mark.parametrize("ignore", [False, True])
def test_labels_are_read_in_any_spelling_and_in_any_case_where_it_is_said(
    kind: str, ignore: bool, tmp_path: Path
) -> None:
    texts = ["glad", *DIRTY, *CASES, "cross"]
    if kind == "folder":
        root = put(tmp_path / "r", {f"{text}/{i}.txt": f"text {i}" for i, text in enumerate(texts)})
        files: dict[str, Any] = {"layout": "folder"}
    else:
        rows = [{"text": f"text {i}", "label": [text] if kind == "list" else text} for i, text in enumerate(texts)]
        name = {"csv": "t.csv", "values": "t.csv", "jsonl": "t.jsonl", "list": "t.jsonl"}.get(kind, "t.parquet")
        out = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), out)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        made = {"t.csv": "text,label\n" + "".join(f"{r['text']},{r['label']}\n" for r in rows), "t.jsonl": lines}
        root = put(tmp_path / "r", {name: made.get(name, out.getvalue())})
        files = {"layout": "table", "tables": "t.*", "columns": {"text": "text", "label": "label"}}
        if kind == "datasets":
            files = {"layout": "datasets", "columns": files["columns"]}
    labels = {"glad": "happiness", "cross": "anger"}
    if kind == "values":
        files = files | {"values": {"label": {"glad": "A", "cross": "B"}}}
        labels = {"A": "happiness", "B": "anger"}
    samples, rejects = read(
        describe(tmp_path, files | {"ignore_case": ignore}, modality="text", label_map=labels), root
    )
    found = Counter((s.emotion, s.emotion_raw) for s in samples.values())
    happy, angry = list(labels)
    assert found == {
        ("happiness", happy): 1 + len(DIRTY) + (len(CASES) if ignore else 0),
        ("anger", angry): 1,
    }
    assert [r.reason for r in rejects] == ["bad-label"] * (0 if ignore else len(CASES))


def test_two_words_that_differ_in_case_stay_two(tmp_path: Path) -> None:
    files = {"layout": "folder", "pattern": r"(?P<label>\w+)\.txt", "ignore_case": True}
    root = put(tmp_path / "r", {"A.txt": "one", "x/a.txt": "two", "x/B.TXT": "three"})
    labels = {"A": "anger", "a": "anxiety", "b": "boredom"}
    samples, rejects = read(describe(tmp_path, files, modality="text", label_map=labels), root)
    assert [s.emotion for s in samples.values()] == ["anger", "boredom", "anxiety"] and not rejects


@given(
    st.dictionaries(st.text("aAbB 'é\ufeff", min_size=1, max_size=4), st.sampled_from("xy"), min_size=1, max_size=4),
    st.text("aAbB 'é\ufeff", max_size=4),
    st.booleans(),
)
def test_a_text_means_the_key_that_is_nearest(meanings: dict[str, str], text: str, ignore_case: bool) -> None:
    try:
        spellings = Spellings(meanings, "card", ignore_case=ignore_case)
    except CorpusError:
        clean = {(clean_label(key), meaning) for key, meaning in meanings.items()}
        assert len({word for word, _ in clean}) < len(clean)
        return
    assert all(spellings.find(key) == key for key in meanings)
    found = spellings.find(text)
    if found is not None and found != text:
        one, other = clean_label(found), clean_label(text)
        assert one == other or (ignore_case and one.casefold() == other.casefold())


# -- rows of features

FEATURES: dict[str, Any] = {
    "layout": "table",
    "tables": "t.csv",
    "columns": {"label": "label", "subject": "who"},
    "vector": ["eda_*", "hr"],
}
ROWS = (
    "eda_mean,label,hr,who,eda_sd,note\n1.5,glad,60,a,0.25,x\n2,cross,nan,a,1,x\n3,glad,x,b,1,x\n4,cross,70,b,1e9,x\n"
)


def test_a_row_of_features_is_the_sample(tmp_path: Path) -> None:
    corpus = describe(tmp_path, FEATURES, modality="physio")
    samples, rejects = read(corpus, put(tmp_path / "r", {"t.csv": ROWS}))
    assert corpus.card.is_vector
    assert list(samples) == ["000000", "000003"] and [r.reason for r in rejects] == ["missing-value", "not-a-number"]
    first = samples["000000"]
    assert first.signals == [{"name": "features", "unit": "", "rate_hz": None, "shape": [3]}]
    assert json.loads(first.extra["features"]) == ["eda_mean", "hr", "eda_sd"]
    (name, array), *_ = decode_signals(first.payload).items()
    assert (name, array.dtype, array.tolist()) == ("features", np.float32, [1.5, 60.0, 0.25])
    assert (first.emotion, first.subject_id, first.duration_s, first.codec) == ("happiness", "c:a", None, "npz")


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "tsv"])
def test_rows_of_features_of_other_formats(kind: str, tmp_path: Path) -> None:
    rows = [{"f1": 1.0, "f2": i, "label": "glad", "who": f"p{i}"} for i in range(3)]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    made: dict[str, bytes | str] = {
        "jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "parquet": out.getvalue(),
        "tsv": "f1\tf2\tlabel\twho\n" + "".join("\t".join(map(str, row.values())) + "\n" for row in rows),
    }
    files = FEATURES | {"tables": f"t.{kind}", "vector": "f?"}
    samples, _ = read(describe(tmp_path, files, modality="physio"), put(tmp_path / "r", {f"t.{kind}": made[kind]}))
    assert [decode_signals(s.payload)["features"].tolist() for s in samples.values()] == [[1, 0], [1, 1], [1, 2]]


def test_tables_of_features_are_alike_whatever_the_order_of_their_columns(tmp_path: Path) -> None:
    files = FEATURES | {"tables": "*.csv", "vector": "f*"}
    root = put(tmp_path / "r", {"a.csv": "f1,f2,label,who\n1,2,glad,a\n", "b.csv": "label,f2,who,f1\nglad,20,b,10\n"})
    samples, _ = read(describe(tmp_path, files, modality="physio"), root)
    assert [decode_signals(s.payload)["features"].tolist() for s in samples.values()] == [[1, 2], [10, 20]]
    put(root, {"c.csv": "f1,f3,label,who\n1,2,glad,a\n"})
    with pytest.raises(CorpusError, match=r"c\.csv has other features than the tables before it: f2, f3"):
        read(describe(tmp_path, files, modality="physio"), root)


def test_groups_of_a_table_s_name_may_be_extra(tmp_path: Path) -> None:
    files = TEXTS | {"tables": "*.csv", "name_pattern": r"(?P<split>train|dev)_(?P<site>\w+)\.csv", "extra": ["site"]}
    root = put(tmp_path / "r", {"train_rome.csv": "text,label,who,turn\na,glad,x,1\n"})
    samples, rejects = read(describe(tmp_path, files, modality="text"), root)
    (sample,) = samples.values()
    assert (sample.extra["site"], sample.extra["official_split"]) == ("rome", "train") and not rejects


def test_names_of_classes_are_read_in_any_spelling_too(tmp_path: Path) -> None:
    features = {"info": {"features": {"label": {"names": ["GLAD", " cross", "NA"], "_type": "ClassLabel"}}}}
    table = pa.table({"text": list("abcd"), "label": [0, 1, 2, -1]})
    out = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({b"huggingface": json.dumps(features).encode()}), out)
    root = put(tmp_path / "r", {"train.parquet": out.getvalue()})
    files: dict[str, Any] = {"layout": "datasets", "columns": {"text": "text", "label": "label"}}
    with pytest.raises(CorpusError, match="does not know: GLAD"):
        read(describe(tmp_path, files, modality="text"), root)
    samples, rejects = read(describe(tmp_path, files | {"ignore_case": True}, modality="text"), root)
    assert [s.emotion for s in samples.values()] == ["happiness", "anger", None, None] and not rejects


def test_features_of_files_whose_names_tell_who(tmp_path: Path) -> None:
    files = {
        "layout": "table",
        "tables": "t.csv",
        "columns": {"label": "label", "path": "file"},
        "vector": "x*",
        "path_pattern": r"(?P<subject>s\d+)_\d+",
    }
    root = put(tmp_path / "r", {"t.csv": "file,label,x1,x2\ns1_1,glad,1,2\ns2_1,cross,3,4\n"})
    samples, _ = read(describe(tmp_path, files, modality="physio"), root)
    assert [s.subject_id for s in samples.values()] == ["c:s1", "c:s2"]


@pytest.mark.parametrize(
    ("files", "facts", "says"),
    [
        (FEATURES, {"modality": "speech"}, "needs modality: physio"),
        (FEATURES | {"columns": {"label": "label", "text": "x"}}, {}, "the columns are the sample"),
        (FEATURES | {"vector": "edb_*"}, {}, r"files\.vector: column 'edb_\*' not in table\. Did you mean 'eda_sd'"),
        (FEATURES | {"vector": "label"}, {}, "column 'label' not in table"),
    ],
)
def test_features_that_are_none(files: dict[str, Any], facts: dict[str, Any], says: str, tmp_path: Path) -> None:
    root = put(tmp_path / "r", {"t.csv": ROWS})
    with pytest.raises(CorpusError, match=says):
        read(describe(tmp_path, files, **{"modality": "physio", **facts}), root)


def test_made_up_features(tmp_path: Path) -> None:
    corpus = describe(tmp_path, FEATURES, modality="physio")
    corpus.fake(tmp_path / "r", subjects=2, per_class=4, seed=0)
    samples, rejects = read(corpus, tmp_path / "r")
    assert len(samples) == 8 and not rejects and {tuple(s.signals[0]["shape"]) for s in samples.values()} == {(4,)}  # type: ignore[arg-type]


# -- what files may hold

TEXTS: dict[str, Any] = {
    "layout": "table",
    "columns": {"text": "text", "label": "label", "subject": "who", "turn": "turn"},
}


def test_values_that_no_text_is(tmp_path: Path) -> None:
    lines = [
        {"text": "a", "label": {"glad": 1, "cross": None}, "who": "x", "turn": 1},
        {"text": "b", "label": {"glad": "much"}, "who": "x", "turn": 1},
        {"text": "c", "label": {"glad": -1}, "who": "x", "turn": 1},
        {"text": "d", "label": [["glad"]], "who": "x", "turn": 1},
        {"text": "e", "label": [None, "glad", "NaN"], "who": "x", "turn": 1},
        {"text": "f", "label": "glad", "who": ["x"], "turn": 1},
        {"text": "g", "label": "glad", "who": {"x": 1}, "turn": 1},
        {"text": "h", "label": "glad", "who": "x", "turn": 10**12},
        {"text": "i", "label": "glad", "who": "x", "turn": 1.5},
        {"text": ["j"], "label": "glad", "who": "x", "turn": 1},
        {"text": "k", "label": "glad", "who": "x", "turn": 2.0},
    ]
    text = (
        "".join(json.dumps(line) + "\n" for line in lines)
        + '{"text": "l", "label": "glad", "who": "x", "turn": Infinity}\n'
    )
    text += (
        '{"text": "m", "label": "glad", "who": "x", "turn": NaN}\n{"text": "n", "label": {"glad": ' + "9" * 400 + "}}\n"
    )
    root = put(tmp_path / "r", {"t.jsonl": text})
    samples, rejects = read(describe(tmp_path, TEXTS | {"tables": "*.jsonl"}, modality="text"), root)
    assert {s.payload.decode(): (s.emotion, s.turn) for s in samples.values()} == {
        "a": ("happiness", 1),
        "e": ("happiness", 1),
        "k": ("happiness", 2),
        "m": ("happiness", None),
    }
    assert [r.reason for r in rejects] == [
        "not-a-number",
        "bad-label",
        "bad-label",
        "bad-row",
        "bad-row",
        "not-a-number",
        "not-a-number",
        "bad-row",
        "not-a-number",
        "no-subject",
    ]


def test_texts_in_bytes_and_texts_that_are_none(tmp_path: Path) -> None:
    out = io.BytesIO()
    table = pa.table(
        {"text": [b"a", b"b", b"\xff"], "label": [b"glad", b"\xff", b"glad"], "who": [b"x"] * 3, "turn": [1.0] * 3}
    )
    pq.write_table(table, out)
    root = put(tmp_path / "r", {"t.parquet": out.getvalue()})
    samples, rejects = read(describe(tmp_path, TEXTS | {"tables": "*.parquet"}, modality="text"), root)
    assert [(s.subject_id, s.emotion, s.turn) for s in samples.values()] == [("c:x", "happiness", 1)]
    assert [r.reason for r in rejects] == ["undecodable-row"] * 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty; its first line must name the columns"),
        (b"\r\n\r\n", "is empty"),
        (b"text,label,who,turn\n", "holds no samples"),
        (b'"text,label,who,turn\na,glad,x,1\n', "is no header"),
        (b"\0\0\0\0", "not in table"),
    ],
)
def test_tables_without_rows_or_names(content: bytes, says: str, tmp_path: Path) -> None:
    root = put(tmp_path / "r", {"t.csv": content})
    with pytest.raises(CorpusError, match=says):
        read(describe(tmp_path, TEXTS | {"tables": "*.csv"}, modality="text"), root)


def test_ragged_rows_stray_quotes_and_zeros_cost_their_own_row(tmp_path: Path) -> None:
    rows = [
        "a,glad,x,1",
        "b,glad,x",
        "c,glad,x,1,2",
        '"d,glad,x,1',
        "e\0,glad,x,1",
        f'{"f" * 140_000},glad,x,"1"',
        "g,glad,x,1",
    ]
    root = put(tmp_path / "r", {"t.csv": "text,label,who,turn\n" + "\n".join(rows) + "\n"})
    samples, rejects = read(describe(tmp_path, TEXTS | {"tables": "*.csv"}, modality="text"), root)
    assert [s.payload[:2] for s in samples.values()] == [b"a", b"e\0", b"g"]
    assert [r.reason for r in rejects] == ["bad-row"] * 4
    assert not any("_csv" in r.detail or "0x" in r.detail for r in rejects)


CELLS = st.text(max_size=8) | st.sampled_from(
    ["", "nan", "1e999", "9" * 500, "\0", "-1", "1.0", "\ufeff", '"', "\r", "glad"]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    rows=st.lists(
        st.dictionaries(st.sampled_from(["text", "label", "who", "turn"]), CELLS | st.floats() | st.none()), max_size=5
    )
)
def test_whatever_cells_hold_is_a_sample_or_a_reject(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    first = {"text": "a", "label": "glad", "who": "x", "turn": 1}
    root = put(tmp_path / "r", {"t.jsonl": "".join(json.dumps(row) + "\n" for row in [first, *rows])})
    samples, rejects = read(describe(tmp_path, TEXTS | {"tables": "*.jsonl"}, modality="text"), root)
    assert len(samples) + len(rejects) == len(rows) + 1
    for sample in samples.values():
        assert sample.subject_id is None or sample.subject_id.removeprefix("c:") not in ("nan", "", "None", "NaN")
