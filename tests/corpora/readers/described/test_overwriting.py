"""Nothing takes the place of something else: doubled columns, keys, files, ids and fields are refused by name."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import CorpusError
from corpora.formats.tables import header_of
from corpora.readers.described.corpus import Described
from tests.corpora.readers.described.test_described import describe, face, put, read, tone

TABLE: dict[str, Any] = {"layout": "table", "columns": {"text": "text", "label": "label", "subject": "who"}}


def doubled(kind: str) -> bytes:
    names, row = ["text", "label", "who", "label"], ["fine", "glad", "a", "cross"]
    if kind == "jsonl":
        return b'{"text": "fine", "label": "glad", "who": "a", "label": "cross"}\n'
    if kind in ("parquet", "arrow"):
        table = pa.Table.from_arrays([pa.array([cell]) for cell in row], names=names)
        out = io.BytesIO()
        if kind == "parquet":
            pq.write_table(table, out)
        else:
            with pa.ipc.new_stream(out, table.schema) as stream:
                stream.write_table(table)
        return out.getvalue()
    delimiter = {"csv": ",", "tsv": "\t"}[kind]
    return "".join(delimiter.join(line) + "\n" for line in (names, row)).encode()


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "arrow"])
def test_two_columns_of_one_name(kind: str, tmp_path: Path) -> None:
    root = put(tmp_path / "r", {f"train.{kind}": doubled(kind)})
    files = TABLE | {"tables": f"*.{kind}"}
    if kind == "arrow":
        files = {"layout": "datasets", "columns": TABLE["columns"]}
    with pytest.raises(CorpusError, match=r"several (columns named|values of) 'label'"):
        read(describe(tmp_path, files, modality="text"), root)


def test_a_key_twice_in_a_later_line_costs_that_line(tmp_path: Path) -> None:
    good = '{"text": "x", "label": "glad", "who": "a"}\n'
    root = put(tmp_path / "r", {"t.jsonl": good + '{"text": "x", "label": "glad", "label": "cross", "who": "b"}\n'})
    samples, rejects = read(describe(tmp_path, TABLE | {"tables": "*.jsonl"}, modality="text"), root)
    assert [s.subject_id for s in samples.values()] == ["c:a"]
    assert [(r.reason, r.detail) for r in rejects] == [("repeated-key", "several values of 'label' in one object")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title: again", "title"),
        ("files: {layout: folder, layout: table}", "layout"),
        ("label_map: {glad: happiness, glad: anger}", "glad"),
    ],
)
def test_a_key_twice_in_a_card(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(f"title: Lab\nmodality: face\nlicense: CC0-1.0\n{text}\n")
    with pytest.raises(CorpusError, match=rf"(?s)lab.yaml: not valid YAML.*duplicate key \"{says}\""):
        Described.of(path)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {"columns": {"path": "p", "label": "l", "split": "s"}, "name_pattern": r"(?P<split>\w+)\.csv"},
            "split stands in columns and in name_pattern",
        ),
        (
            {"columns": {"path": "p", "label": "l", "subject": "s"}, "path_pattern": r"(?P<subject>\w+)\.wav"},
            "subject stands in columns and in path_pattern",
        ),
        (
            {"columns": {"path": "p", "label": "l"}, "label_columns": {"n": "glad"}},
            "label stands in columns and in label_columns",
        ),
        (
            {
                "columns": {"path": "p", "label": "l"},
                "name_pattern": r"(?P<session>\w+)\.csv",
                "path_pattern": r"(?P<session>\w+)\.wav",
            },
            "session stands in name_pattern and in path_pattern",
        ),
        ({"columns": {"path": "p", "label": "l"}, "header": ["p", "l", "p"]}, "several columns named p"),
        ({"columns": {"text": "p", "label": "l"}, "path_pattern": r"(?P<subject>\w+)\.wav"}, "there is none"),
        ({"columns": {"path": "p", "label": "l"}, "encoding": "utf-9"}, "no encoding 'utf-9'"),
        ({"columns": {"path": "p", "label": "l"}, "missing": ["NA"], "not_missing": ["NA"]}, "'NA' stands in missing"),
        (
            {"columns": {"path": "p", "label": "l"}, "values": {"gender": {"f": "female", " f": "male"}}},
            "are one word, and it means two things",
        ),
    ],
)
def test_a_field_is_told_in_one_place(files: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=says):
        describe(tmp_path, {"layout": "table", "tables": "*.csv", **files})


def test_files_of_one_id_are_all_refused_by_name(tmp_path: Path) -> None:
    names = ["glad/1.png", "glad/1.bmp", "glad/2.jpg", "glad/2.JPG", "glad/3.png"]
    root = put(tmp_path / "r", {name: face(i) for i, name in enumerate(names)})
    samples, rejects = read(describe(tmp_path, {"layout": "folder"}, modality="face"), root)
    assert list(samples) == ["glad/3"]
    assert [(r.path, r.reason) for r in rejects] == [(name, "repeated-name") for name in sorted(names[:4])]
    assert "glad/1.bmp and glad/1.png" in rejects[0].detail


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (("meta/a.csv", "meta/a.tsv"), TABLE | {"tables": "meta/*"}),
        (("train.arrow", "train.parquet"), {"layout": "datasets", "columns": TABLE["columns"]}),
    ],
)
def test_tables_of_one_name_are_refused(names: tuple[str, str], files: dict[str, Any], tmp_path: Path) -> None:
    root = put(tmp_path / "r", dict.fromkeys(names, "text,label,who\na,glad,b\n"))
    with pytest.raises(CorpusError, match=r"may be one table twice") as raised:
        read(describe(tmp_path, files, modality="text"), root)
    assert all(name in str(raised.value) for name in names)


def audformat_folder(root: Path, tables: dict[str, str], join: tuple[str, ...] = ()) -> None:
    """A database with tables of one column each, whose csv is given."""
    pytest.importorskip("audformat")
    header = ["name: lab", "source: here", "usage: research", "schemes: {emotion: {dtype: str}, speaker: {dtype: str}}"]
    header.append("tables:")
    for name, text in tables.items():
        columns = [c for c in text.split("\n")[0].split(",") if c not in ("file", "start", "end")]
        kind = "segmented" if ",start," in text else "filewise"
        told = ", ".join(f"{column}: {{scheme_id: {column}}}" for column in columns)
        header.append(f"  {name}: {{type: {kind}, columns: {{{told}}}}}")
        put(root, {f"db.{name}.csv": text})
    put(root, {"db.yaml": "\n".join(header) + "\n"})


JOINED = {
    "layout": "audformat",
    "tables": "emotion",
    "join": "files",
    "columns": {"label": "emotion", "subject": "speaker"},
}


def test_audformat_tables_say_one_thing_of_a_file(tmp_path: Path) -> None:
    root = put(tmp_path / "db", {f"{i}.wav": tone(0.5 + i / 10) for i in range(2)})
    emotion = "file,emotion\n0.wav,glad\n1.wav,cross\n"
    audformat_folder(root, {"emotion": emotion, "files": "file,speaker\n0.wav,a\n1.wav,b\n0.wav,a\n"})
    samples, rejects = read(describe(tmp_path, JOINED), root)
    assert [s.subject_id for s in samples.values()] == ["c:a", "c:b"] and not rejects
    audformat_folder(root, {"emotion": emotion, "files": "file,speaker\n0.wav,a\n1.wav,b\n0.wav,b\n"})
    with pytest.raises(CorpusError, match=r"'speaker' of 0\.wav is 'b' and 'a'"):
        read(describe(tmp_path, JOINED), root)
    own = "file,emotion,speaker\n0.wav,glad,x\n1.wav,cross,b\n"
    audformat_folder(root, {"emotion": own, "files": "file,speaker\n0.wav,a\n1.wav,b\n"})
    samples, rejects = read(describe(tmp_path, JOINED), root)
    assert list(samples) == ["1"] and [r.reason for r in rejects] == ["contradiction"]
    put(root, {"db.files.parquet": b"x"})
    with pytest.raises(CorpusError, match=r"both db\.files\.csv and db\.files\.parquet"):
        read(describe(tmp_path, JOINED), root)


def test_audformat_segments_end_where_their_file_does(tmp_path: Path) -> None:
    root = put(tmp_path / "db", {"0.wav": tone(2.0)})
    ends = ["", "NaT", "0 days 00:00:02.030000", "0 days 00:00:02.500000", "00:00:01", "x", "0 days 00:00:00.100000"]
    lines = [f"0.wav,0 days 00:00:0{start},{end},glad" for start, end in enumerate([*ends[:2], ""])]
    lines += [f"0.wav,0 days 00:00:00.2,{end},glad" for end in ends[2:]]
    lines += ["0.wav,,0 days 00:00:00.4,glad", "0.wav,-1,1,glad", f"0.wav,0,{'9' * 5000},glad", "0.wav,1e999,,glad"]
    audformat_folder(root, {"emotion": "file,start,end,emotion\n" + "\n".join(lines) + "\n"})
    files = {"layout": "audformat", "tables": "emotion", "columns": {"label": "emotion"}}
    samples, rejects = read(describe(tmp_path, files), root)
    assert {key: round(float(s.duration_s or 0), 3) for key, s in samples.items()} == {
        "0": 2.0,
        "0-1-end": 1.0,
        "0-0.2-2.03": 1.8,
        "0-0.2-1": 0.8,
        "0-0-0.4": 0.4,
    }
    assert samples["0-0.2-2.03"].extra["end_beyond_file_s"] == "0.0300"
    assert [r.reason for r in rejects] == [
        "bad-segment",
        "bad-segment",
        "not-a-number",
        "bad-segment",
        "bad-segment",
        "not-a-number",
        "not-a-number",
    ]


def test_segments_that_differ_by_a_millisecond_are_two(tmp_path: Path) -> None:
    root = put(tmp_path / "db", {"0.wav": tone(2.0)})
    lines = [f"0.wav,{start},1.9,glad" for start in ("0.1234561", "0.1234569")]
    audformat_folder(root, {"emotion": "file,start,end,emotion\n" + "\n".join(lines) + "\n"})
    files = {"layout": "audformat", "tables": "emotion", "columns": {"label": "emotion"}}
    samples, rejects = read(describe(tmp_path, files), root)
    assert len(samples) == 2 and not rejects


NAMES = st.lists(st.sampled_from(["a", "b", "c", " a", "a ", '"b"', "\ufeffc", "A", ""]), min_size=1, max_size=6)


@settings(max_examples=60)
@given(names=NAMES)
def test_a_header_holds_each_name_once_or_is_refused(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("t") / "t.csv"
    names = ["x", *names]  # a first line that is blank is none
    path.write_text(",".join(names) + "\n1\n", encoding="utf-8")
    clean = [name.strip(' "\ufeff') for name in names]
    seen = [name for name in clean if name]
    try:
        found = header_of(path, "T", delimiter=",", quoted=True, encoding="utf-8")
    except CorpusError as error:
        assert len(set(seen)) < len(seen), error
    else:
        assert len(set(seen)) == len(seen) and found == clean
