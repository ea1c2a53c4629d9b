"""Rows of csv, tsv and jsonl: what is quoted, cut, too long or not text."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import CorpusError, PayloadError
from corpora.formats import tables
from corpora.formats.tables import (
    MAX_LINE,
    find_file,
    find_parts,
    lines_of,
    number_of,
    read_json,
    read_jsonl,
    read_table,
    row_of,
    whole_of,
)


def rows(path: Path, **options: object) -> list[dict[str, str] | str]:
    """Rows, or the slug of the error in a row's place."""
    table = read_table(path, "T", **{"columns": ("a", "b"), **options})  # type: ignore[arg-type]
    return [row.reason if isinstance(row, PayloadError) else dict(row) for row, _ in table]


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "t.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_columns_may_stand_in_any_order_and_others_are_kept(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffc, b ,a\n1,2,3\n\n4,5,6\n")
    assert rows(path) == [{"c": "1", "b": "2", "a": "3"}, {"c": "4", "b": "5", "a": "6"}]
    assert [name for _, name in read_table(path, "T", columns=("a",))] == ["t.csv#000000", "t.csv#000001"]


def test_quoted_fields_hold_delimiters_quotes_and_line_ends(tmp_path: Path) -> None:
    path = written(tmp_path, 'a,b\r\n"one, two","say ""hi"""\r\n"line\r\nbreak\u2028and more",x\r\n')
    assert rows(path) == [{"a": "one, two", "b": 'say "hi"'}, {"a": "line\r\nbreak\u2028and more", "b": "x"}]


def test_a_stray_quote_costs_its_own_row_only(tmp_path: Path) -> None:
    path = written(tmp_path, 'a,b\n1,2\n"3,4\n5,6\n7,8\n')
    assert rows(path) == [{"a": "1", "b": "2"}, "bad-row", {"a": "5", "b": "6"}, {"a": "7", "b": "8"}]


def test_a_quote_within_a_field_opens_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, 'a,b\n5" disk,2\n3,4\n')
    assert rows(path) == [{"a": '5" disk', "b": "2"}, {"a": "3", "b": "4"}]


def test_unquoted_tables_take_quotes_as_they_are(tmp_path: Path) -> None:
    path = written(tmp_path, 'x "y\t"1\nz\t2"\n')
    assert rows(path, delimiter="\t", header=False, quoted=False) == [{"a": 'x "y', "b": '"1'}, {"a": "z", "b": '2"'}]


def test_rows_that_cannot_be_read_leave_their_place_to_an_error(tmp_path: Path) -> None:
    long = b"x" * (MAX_LINE + 5)
    path = written(tmp_path, b"a,b\n1,2\n1,2,3\n\xff,2\n" + long + b",2\n3,4\n")
    good = [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert rows(path) == [good[0], "bad-row", "undecodable-row", "too-long-line", good[1]]
    assert rows(path, encoding="latin-1")[2] == {"a": "ÿ", "b": "2"}


def test_a_long_line_is_never_held_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_LINE", 64)
    path = written(tmp_path, "a,b\n" + '"' + "x\n" * 5000 + "1,2\n" + "y" * 500 + "\n3,4\n")
    found = rows(path)
    assert found[0] == "bad-row"  # the quote is never closed ...
    assert found[-3:] == [{"a": "1", "b": "2"}, "too-long-line", {"a": "3", "b": "4"}]  # ... and nothing is lost


def test_what_a_csv_reader_reads_is_what_is_read(tmp_path: Path) -> None:
    """Against Python's own reader, on tables that it wrote."""
    draw = random.Random(3)
    for _ in range(40):
        out = io.StringIO()
        writer = csv.writer(out, lineterminator=draw.choice(["\n", "\r\n"]))
        wanted = [["a", "b"]] + [
            ["".join(draw.choices('ab ,"\n;é', k=draw.randint(1, 9))) for _ in range(2)] for _ in range(20)
        ]
        writer.writerows(wanted)
        assert rows(written(tmp_path, out.getvalue())) == [dict(zip("ab", row, strict=True)) for row in wanted[1:]]


def test_another_table_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no column 'b'\. Found: a, ä"):
        read_table(written(tmp_path, "a,ä\n1,2\n"), "T", columns=("a", "b"))
    with pytest.raises(CorpusError, match="is no header"):
        read_table(written(tmp_path, 'a\r,"b"\n1,2\n'), "T", columns=("a", "b"))
    with pytest.raises(CorpusError, match="is empty; its first line must name the columns"):
        read_table(written(tmp_path, "\n\n"), "T", columns=("a", "b"))
    with pytest.raises(CorpusError, match="no encoding 'utf-9'"):
        read_table(written(tmp_path, "a,b\n1,2\n"), "T", columns=("a", "b"), encoding="utf-9")
    with pytest.raises(CorpusError, match="cannot be read"):
        read_table(tmp_path / "none.csv", "T", columns=("a",))


@pytest.mark.parametrize("header", ["a,b,c,b", "a,b,\ufeffb", 'a,b," b "', "a, b,b"])
def test_two_columns_of_one_name_are_refused(header: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"several columns named 'b'.*Found: a, b, "):
        read_table(written(tmp_path, f"{header}\n" + ",".join("1" * (header.count(",") + 1))), "T", columns=("a",))
    assert rows(written(tmp_path, "a,b,,\n1,2,,\n")) == [{"a": "1", "b": "2", "": ""}]  # as spreadsheets leave them
    with pytest.raises(CorpusError, match="several columns named ''"):
        read_table(written(tmp_path, "a,b,,\n1,2,,\n"), "T", columns=("a", ""))


TEXT = 'a,b\n"größe, 1",x\n2,"é"\n'
ALIKE = [{"a": "größe, 1", "b": "x"}, {"a": "2", "b": "é"}]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_line_ends_and_unicode_of_any_kind(encoding: str, ends: str, tmp_path: Path) -> None:
    text = TEXT.replace("\n", ends)
    assert rows(written(tmp_path, text.encode(encoding))) == ALIKE
    assert rows(written(tmp_path, (text * 5000).encode(encoding)))[-1] == ALIKE[-1]  # longer than one chunk


@pytest.mark.parametrize(
    ("encoding", "ends"), [("cp1252", "\n"), ("latin-1", "\r"), ("mac_roman", "\r"), ("cp437", "\n")]
)
def test_code_pages_are_read_where_they_are_named(encoding: str, ends: str, tmp_path: Path) -> None:
    path = written(tmp_path, TEXT.replace("\n", ends).encode(encoding))
    assert rows(path, encoding=encoding) == ALIKE
    assert "undecodable-row" in rows(path)
    told = [row.detail for row, _ in read_table(path, "T", columns=("a",)) if isinstance(row, PayloadError)]
    assert all("is not utf-8" in detail for detail in told) and told


def test_half_a_character_costs_its_own_row(tmp_path: Path) -> None:
    data = "a,b\n1,2\n".encode("utf-16") + b"\x00\xd8" + ",3\n4,5\n".encode("utf-16-le") + b"6"
    assert rows(written(tmp_path, data)) == [
        {"a": "1", "b": "2"},
        "undecodable-row",
        {"a": "4", "b": "5"},
        "undecodable-row",
    ]


def test_a_letter_of_two_bytes_is_no_delimiter(tmp_path: Path) -> None:
    path = written(tmp_path, "a|b\nポ|ソ\n".encode("shift_jis"))  # the second byte of both is that of a bar or slash
    assert rows(path, encoding="shift_jis", delimiter="|") == [{"a": "ポ", "b": "ソ"}]


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    found = list(lines_of(io.BytesIO(b"a\r\n\n" + b"x" * (MAX_LINE + 1) + b"\nb")))
    assert [line if isinstance(line, bytes) else line.reason for line in found] == [b"a", b"", "too-long-line", b"b"]


def test_json_lines_are_objects_or_errors(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        '\ufeff{"a": 1}\n[1]\n{"a":\n'
        + "[" * 100_000
        + '\n{"a": 1, "b": {"c": 1, "c": 2}}\n{"a": '
        + "9" * 5000
        + "}\n"
        '{"a": NaN}\n{"a": 2}\n'
    )
    found = [row.reason if isinstance(row, PayloadError) else row["a"] for row, _ in read_jsonl(path, "T")]
    assert found[:6] == [1, "bad-row", "bad-row", "bad-row", "repeated-key", "bad-row"] and found[7:] == [2]
    assert found[6] != found[6]
    told = {row.detail for row, _ in read_jsonl(path, "T") if isinstance(row, PayloadError)}
    assert "several values of 'c' in one object" in told and "a number of too many digits" in told
    with pytest.raises(CorpusError, match="missing"):
        read_jsonl(tmp_path / "none.jsonl", "T")
    with pytest.raises(CorpusError, match="not JSON"):
        read_json(path, "T")
    (tmp_path / "t.json").write_text('{"a": {"b": 1, "b": 2}}')
    with pytest.raises(CorpusError, match="several values of 'b'"):
        read_json(tmp_path / "t.json", "T")
    with pytest.raises(CorpusError, match="more than"):
        read_json(path, "T", max_bytes=10)


def test_numbers() -> None:
    assert number_of("-1.5", "x") == -1.5
    assert whole_of(" 007 ", "x") == 7
    for text in ("", "nan", "inf", "1,5", "12abc", "1e999", "1e39", "1_0", "9" * 5000, "\0", "NaT"):
        with pytest.raises(PayloadError, match="not-a-number: x is"):
            number_of(text, "x")
    for text in ("", "-1", "1.0", "²", "9" * 12, "9" * 5000, "1_0", "nan", "1\0"):
        with pytest.raises(PayloadError, match="not-a-number: x is"):
            whole_of(text, "x")


def test_files_are_found_by_name_wherever_they_lie(tmp_path: Path) -> None:
    for name in ("deep/Train.CSV", ".cache/train.csv", "__MACOSX/train.csv", "test.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert find_file(tmp_path, "T", ("none.csv", "train.csv"), "http://x") == tmp_path / "deep/Train.CSV"
    parts = {"train": ("train.csv",), "test": ("test-gold.csv", "test.csv")}
    assert find_parts(tmp_path, "T", parts, "http://x")["test"] == tmp_path / "test.csv"
    with pytest.raises(CorpusError, match=r"holds no dev\.csv \(found .*need train\.csv, dev\.csv\. Get the corpus"):
        find_parts(tmp_path, "T", {"train": ("train.csv",), "dev": ("dev.csv",)}, "http://x")
    (tmp_path / "train.csv").write_text("x")
    with pytest.raises(CorpusError, match=r"holds 2 files train\.csv"):
        find_file(tmp_path, "T", ("train.csv",), "http://x")
    with pytest.raises(CorpusError, match="is a file"):
        find_file(tmp_path / "test.csv", "T", ("train.csv",), "http://x")


def test_row_of_raises_the_error_in_a_rows_place() -> None:
    with pytest.raises(PayloadError, match="bad-row"):
        row_of(PayloadError("bad-row", "x"))
    assert row_of({"a": "1"}) == {"a": "1"}


@given(st.text(max_size=30) | st.floats().map(str) | st.integers().map(str))
def test_a_number_is_finite_and_fits_a_record_or_is_refused(text: str) -> None:
    try:
        value = number_of(text, "x")
    except PayloadError as error:
        assert error.reason == "not-a-number"
    else:
        assert np.isfinite(np.float32(value)) and value == float(text)
    try:
        assert 0 <= whole_of(text, "x") < 1_000_000_000
    except PayloadError as error:
        assert error.reason == "not-a-number"
