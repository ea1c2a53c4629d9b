"""Trials as csv: a gap in any place and spelling is told, and never moves a value to another time."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from corpora.errors import CorpusError, PayloadError
from corpora.formats.trial_csv import MISSING, read_trial
from corpora.readers.described.corpus import Described
from corpora.readers.described.filekeys import SignalSpec
from corpora.readers.physio.ecg200 import Ecg200
from corpora.readers.physio.stress_predict import StressPredict
from corpora.schema import Reject, Sample
from corpora.signals import MAX_SIGNALS, check_trial, decode_signals

SPELLINGS = [*sorted(MISSING - {""}), "NaN", "NA", "N/A", "None", "NULL", "-NaN", " ", "", '""', " nan ", "  "]
BVP, EDA = SignalSpec(unit="a.u.", rate_hz=64), SignalSpec(unit="µS", rate_hz=4)


def reason_of(make: Callable[[], Any]) -> str:
    with pytest.raises(PayloadError) as raised:
        make()
    return raised.value.reason


def trial(text: str, **specs: SignalSpec) -> dict[str, np.ndarray]:
    return read_trial(text.encode(), specs)[0]


def lines_of(columns: list[tuple[int, int]], rows: int) -> list[list[str]]:
    """Cells [rows][columns]; of a column (every, end) a value in each `every`-th row before `end`. A value
    tells its row, and its column by the hundreds of thousands."""
    return [
        [f"{10**5 * c + row}.5" if row % every == 0 and row < end else "" for c, (every, end) in enumerate(columns)]
        for row in range(rows)
    ]


LAYOUTS = {
    # name: columns (every, filled) for 48 rows, their rates
    "one": ([(1, 48)], [8.0]),
    "two of one rate": ([(1, 48), (1, 48)], [8.0, 8.0]),
    "from the top": ([(1, 48), (1, 6), (1, 24)], [8.0, 1.0, 4.0]),
    "in each k-th row": ([(1, 48), (8, 48), (2, 48)], [8.0, 1.0, 4.0]),
}


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(LAYOUTS)),
    st.integers(0, 47),
    st.integers(1, 48),
    st.sampled_from(SPELLINGS),
    st.integers(0, 2),
    st.sampled_from(["cells", "rows", "blank lines"]),
    st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"]),
    st.sampled_from([",", ";", "\t"]),
)
def test_a_gap_never_moves_a_value(
    layout: str, start: int, length: int, spelling: str, which: int, extent: str, line_end: str, delimiter: str
) -> None:
    columns, rates = LAYOUTS[layout]
    specs = {f"s{c}": SignalSpec(unit="u", rate_hz=rate) for c, rate in enumerate(rates)}
    cells = lines_of(columns, 48)

    def read(lines: list[str]) -> dict[str, np.ndarray]:
        return read_trial((line_end.join([delimiter.join(specs), *lines]) + line_end).encode(), specs)[0]

    whole = read([delimiter.join(row) for row in cells])
    assert {n: len(a) / specs[n].rate_hz for n, a in whole.items()} == dict.fromkeys(specs, 6.0)
    lost = [row for row in range(start, min(start + length, 48)) if extent != "cells" or cells[row][which % len(rates)]]
    for row in lost:
        cells[row] = [spelling] * len(rates) if extent == "rows" else cells[row]
        if extent == "cells":
            cells[row][which % len(rates)] = spelling
    blank = set(lost) if extent == "blank lines" else set()
    lines = ["" if row in blank else delimiter.join(cells[row]) for row in range(48)]
    try:
        found = read(lines)
        check_trial(found, {name: spec.rate_hz for name, spec in specs.items()})
    except PayloadError as error:
        assert error.reason in ("missing-values", "unequal-duration", "empty")
        return
    for name, array in found.items():  # what is read is the beginning, each value in its place
        assert array.tolist() == whole[name][: len(array)].tolist()
    after = [row for row in range(max(lost, default=48) + 1, 48) if any(cells[row])]
    assert not lost or not after or (extent == "cells" and not any(cells[row][which % len(rates)] for row in after))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_gap_in_the_middle_is_a_reject_that_says_where(spelling: str) -> None:
    rows = [f"{spelling if 640 <= i < 1280 else i},{2 + i / 1000}" for i in range(1920)]
    with pytest.raises(PayloadError) as raised:
        trial("\n".join(["BVP,EDA", *rows]), BVP=BVP, EDA=SignalSpec(unit="µS", rate_hz=64))
    assert raised.value.reason == "missing-values"
    assert raised.value.detail == "640 values of 'BVP' are missing, the first at 10 s"


def test_where_a_signal_ends_early() -> None:
    both = {"BVP": BVP, "EDA": SignalSpec(unit="µS", rate_hz=64)}
    rows = [f"{i if i < 64 else ''},{i}" for i in range(128)]
    assert reason_of(lambda: trial("\n".join(["BVP,EDA", *rows]), **both)) == "unequal-duration"
    ends = "\n".join(["BVP,EDA", *(f"{i},{i}" for i in range(64))])
    assert reason_of(lambda: trial(ends + "\nNaN,NaN" * 9, **both)) == "missing-values"
    assert {len(a) for a in trial(ends + "\n,\n,\n\n \n", **both).values()} == {64}  # rows of nothing are none


def test_slower_signals_end_early_or_stand_in_each_kth_row() -> None:
    top = "\n".join(["BVP,EDA", *(f"{i},{i * 16 if i < 8 else ''}" for i in range(128))])
    kth = "\n".join(["BVP,EDA", *(f"{i},{i if i % 16 == 0 else 'NaN'}" for i in range(128))])
    for text in (top, kth):
        found = trial(text, BVP=BVP, EDA=EDA)
        assert found["EDA"].tolist() == [16.0 * i for i in range(8)] and len(found["BVP"]) == 128
    assert reason_of(lambda: trial(kth.replace("32,32", "32,"), BVP=BVP, EDA=EDA)) == "missing-values"
    assert reason_of(lambda: trial(kth, EDA=EDA)) == "missing-values"  # nothing tells how long a row is
    assert trial(top, EDA=EDA)["EDA"].shape == (8,)


@pytest.mark.parametrize(
    ("text", "reason", "says"),
    [
        ("BVP;EDA\n1,5;2,0\n", "not-numbers", "'1,5' in row 1; a decimal comma"),
        ("BVP\tEDA\n1.5\t2,0\n", "not-numbers", "decimal comma"),
        ("BVP,EDA\n1,5,2,0\n", "not-a-csv", "row 1 has 4 fields, 2 are expected; a decimal comma"),
        ("BVP\n0,5\n", "not-a-csv", "decimal comma"),
        ("BVP,EDA\n1,2\n3\n", "not-a-csv", "row 2 has 1 fields, 2 are expected"),
        ("BVP,EDA\n1,2\noff,3\n", "not-numbers", "'off' in row 2"),
        ("BVP,EDA\n0x10,3\n", "not-numbers", "'0x10' in row 1"),
        ("BVP,EDA,BVP\n1,2,3\n", "repeated-column", "'BVP' names several"),
        ("BVP,EDA\n", "empty", "no values"),
        ("", "empty", "no line of names"),
        ("BVP,EDB\n1,2\n", "missing-signal", "no column 'EDA'; found: BVP, EDB"),
        ("B\0VP,EDA\n1,2\n", "not-a-csv", "zero byte"),
    ],
)
def test_other_files_are_told_in_our_words(text: str, reason: str, says: str) -> None:
    with pytest.raises(PayloadError, match=says) as raised:
        trial(text, **({"BVP": BVP} if "EDA" not in text and "EDB" not in text else {"BVP": BVP, "EDA": EDA}))
    assert raised.value.reason == reason


def test_bytes_that_are_no_text() -> None:
    assert reason_of(lambda: read_trial(b"BVP\xb5\n1\n", {"BVP": BVP})) == "not-utf8"
    assert reason_of(lambda: read_trial(b"BVP\n\xb5\n", {"BVP": BVP})) == "not-utf8"
    assert reason_of(lambda: read_trial("BVP\n1\n".encode("utf-16"), {"BVP": BVP})) in ("not-utf8", "not-a-csv")
    spelled = '\ufeff"BVP", EDA\r\n"1.5", +2\r\n-.5,1e1\r\n'  # a byte-order mark, quotes, blanks, a plus
    found = trial(spelled, BVP=BVP, EDA=SignalSpec(unit="µS", rate_hz=64))
    assert found["BVP"].tolist() == [1.5, -0.5] and found["EDA"].tolist() == [2.0, 10.0]


def test_what_else_a_card_calls_missing() -> None:
    content = b"BVP\n1\n-9999\n3\n"
    assert read_trial(content, {"BVP": BVP})[0]["BVP"].tolist() == [1.0, -9999.0, 3.0]
    assert reason_of(lambda: read_trial(content, {"BVP": BVP}, ["-9999"])) == "missing-values"


# -- several columns as one signal


def test_columns_and_patterns_are_channels_in_order() -> None:
    text = "t,EEG.F7,EEG.AF3,EEG.O1\n0,1,2,3\n1,4,5,6\n"
    listed = SignalSpec(unit="µV", rate_hz=128, columns=["EEG.O1", "EEG.F7"])
    fitting = SignalSpec(unit="µV", rate_hz=128, pattern=r"EEG\..*")
    arrays, columns = read_trial(text.encode(), {"a": listed, "b": fitting})
    assert arrays["a"].tolist() == [[3, 1], [6, 4]] and arrays["b"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert columns == {"a": ["EEG.O1", "EEG.F7"], "b": ["EEG.F7", "EEG.AF3", "EEG.O1"]}
    assert reason_of(lambda: trial(text, a=SignalSpec(unit="µV", rate_hz=1, columns=["EEG.O2"]))) == "missing-signal"
    assert reason_of(lambda: trial(text.replace(",2,", ",,"), b=fitting)) == "missing-values"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"column": "a", "columns": ["b"]}, "one of column, columns and pattern"),
        ({"columns": ["a", "a"]}, "one twice"),
        ({"columns": []}, "names none"),
        ({"pattern": "("}, "not a regular expression"),
    ],
)
def test_a_signal_is_told_one_way(spec: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SignalSpec(unit="µV", rate_hz=128, **spec)


def corpus(folder: Path, signals: dict[str, Any], files: dict[str, str]) -> tuple[list[Sample], list[Reject]]:
    card = {
        "title": "Lab",
        "modality": "physio",
        "license": "CC-BY-4.0",
        "label_map": {"rest": "neutral", "glad": "happiness"},
        "files": {
            "layout": "folder",
            "pattern": r"(?P<label>\w+)/(?P<subject>p\d+)\.csv",
            "example": "rest/p1.csv",
            "signals": signals,
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    out = io.BytesIO()
    YAML(typ="safe").dump(card, out)
    (folder / "lab.yaml").write_bytes(out.getvalue())
    for name, text in files.items():
        (folder / "r" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "r" / name).write_text(text)
    made = Described.of(folder / "lab.yaml")
    if not files:
        made.fake(folder / "r", subjects=2, per_class=1, seed=0)
    found = list(made.read(folder / "r", "c"))
    return [x for x in found if isinstance(x, Sample)], [x for x in found if isinstance(x, Reject)]


def test_channels_of_a_corpus_are_those_of_its_first_trial(tmp_path: Path) -> None:
    signals = {"EEG": {"unit": "µV", "rate_hz": 2, "pattern": r"EEG\..*"}}
    samples, rejects = corpus(
        tmp_path,
        signals,
        {
            "glad/p1.csv": "EEG.1,EEG.2\n1,2\n3,4\n",
            "glad/p2.csv": "EEG.2,EEG.1\n2,1\n4,3\n",
            "rest/p1.csv": "EEG.1\n1\n",
            "rest/p2.csv": "EEG.1,EEG.2,EEG.3\n1,2,3\n",
        },
    )
    assert [decode_signals(s.payload)["EEG"].tolist() for s in samples] == [[[1, 2], [3, 4]]] * 2
    assert {s.extra["channels.EEG"] for s in samples} == {"EEG.1,EEG.2"}
    assert [(r.path, r.reason) for r in rejects] == [
        ("rest/p1.csv", "missing-signal"),
        ("rest/p2.csv", "other-channels"),
    ]


def test_what_no_trial_has_is_told_before_all_are_read(tmp_path: Path) -> None:
    signals = {"EEG": {"unit": "µV", "rate_hz": 2, "pattern": "eeg.*"}}
    with pytest.raises(
        CorpusError, match=r"no trial has the columns of .*glad/p1.csv: no column like 'eeg.\*'; found: E1"
    ):
        corpus(tmp_path, signals, {"glad/p1.csv": "E1\n1\n", "rest/p1.csv": "E1\n1\n"})
    many = {f"c{i}": {"unit": "µV", "rate_hz": 2} for i in range(MAX_SIGNALS + 1)}
    with pytest.raises(
        CorpusError, match=rf"names {MAX_SIGNALS + 1} signals, a trial holds {MAX_SIGNALS} .*columns: \["
    ):
        corpus(tmp_path / "many", many, {})
    with pytest.raises(CorpusError, match="'EEG/1' holds other than letters"):
        corpus(tmp_path / "name", {"EEG/1": {"unit": "µV", "rate_hz": 2}}, {})


@pytest.mark.parametrize(
    "signals",
    [
        {f"ch{i}": {"unit": "µV", "rate_hz": 4} for i in range(66)},
        {
            "EEG": {"unit": "µV", "rate_hz": 4, "columns": [f"E{i}" for i in range(310)]},
            "ECG": {"unit": "mV", "rate_hz": 64},
        },
        {"EEG": {"unit": "µV", "rate_hz": 4, "pattern": r"EEG\.\w+"}},
    ],
)
def test_310_columns_are_read_and_made_up(signals: dict[str, Any], tmp_path: Path) -> None:
    samples, rejects = corpus(tmp_path, signals, {})
    assert len(samples) == 2 and not rejects
    arrays = decode_signals(samples[0].payload)
    assert list(arrays) == sorted(signals) and {len(a) for n, a in arrays.items() if n != "ECG"} == {80}


# -- siblings: exports of a wristband, a heartbeat a line


@pytest.fixture(scope="module")
def wristband(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("e4")
    StressPredict().fake(root, subjects=1, per_class={"neutral": 2, "stress": 1}, seed=0)
    return root


def stretches(root: Path) -> dict[str, dict[str, np.ndarray]]:
    found = StressPredict().read(root, "s")
    return {x.sample_id: decode_signals(x.payload) for x in found if isinstance(x, Sample)}


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["BVP", "EDA", "ACC", "HR", "TEMP"]),
    st.floats(0, 1),
    st.integers(1, 400),
    st.sampled_from(["", "nan", "NA", " ", ",", '""']),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_gap_in_an_export_never_moves_a_value(
    wristband: Path, name: str, place: float, length: int, spelling: str, line_end: str
) -> None:
    path = wristband / "Raw_data" / "S02" / f"{name}.csv"
    before = path.read_bytes()
    whole = stretches(wristband)
    lines = before.decode().split("\n")[:-1]
    start = 2 + int(place * (len(lines) - 3))
    lost = range(start, min(start + length, len(lines)))
    for at in lost:
        lines[at] = spelling if name != "ACC" or not spelling else ", ".join([spelling] * 3)
    try:
        path.write_bytes((line_end.join(lines) + line_end).encode())
        found = stretches(wristband)
    finally:
        path.write_bytes(before)
    for sample_id, arrays in found.items():
        for signal, array in arrays.items():
            assert array.tolist() == whole[sample_id][signal][: len(array)].tolist()


def test_a_gap_in_an_export_costs_its_stretch(wristband: Path) -> None:
    path = wristband / "Raw_data" / "S02" / "BVP.csv"
    before = path.read_bytes()
    lines = before.split(b"\n")
    lines[2 + 64 * 12 : 2 + 64 * 18] = [b""] * (64 * 6)
    try:
        path.write_bytes(b"\n".join(lines))
        rejects = [x for x in StressPredict().read(wristband, "s") if isinstance(x, Reject)]
        assert [(x.path, x.reason) for x in rejects] == [("Raw_data/S02#1", "missing-values")]
        assert rejects[0].detail == "384 values of 'BVP', the first at 2 s"
        assert len(stretches(wristband)) == 2
        path.write_bytes(before.replace(b".000000\n", b",000000\n", 1))
        assert {x.reason for x in StressPredict().read(wristband, "s") if isinstance(x, Reject)} == {"bad-header"}
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("delimiter", ["\t", ",", "  "])
@pytest.mark.parametrize("spelling", ["", "NaN", "?", " "])
def test_a_heartbeat_with_a_gap_is_a_reject(delimiter: str, spelling: str, tmp_path: Path) -> None:
    """A blank field counts: else a line with one value too many and a gap would be a heartbeat with its end shifted."""
    values = [f"{i / 10:.2f}" for i in range(97)]
    values[40] = spelling
    ending = "tsv" if delimiter == "\t" else "txt"
    good = delimiter.join(["1", *(f"{i:.2f}" for i in range(96))])
    for name in ("TRAIN", "TEST"):
        (tmp_path / f"ECG200_{name}.{ending}").write_text(f"{good}\n" + delimiter.join(["1", *values]) + "\n")
    found = list(Ecg200().read(tmp_path, "e"))
    if delimiter.strip(" ") or spelling.strip():
        assert [x.reason for x in found if isinstance(x, Reject)] == ["bad-row"] * 2
