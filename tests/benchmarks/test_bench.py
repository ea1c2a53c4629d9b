"""The speed table: what is left out says why, what became slower is named, the page keeps what people wrote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import bench
from benchmarks.bench import BEGIN, END, Part, beyond, page, run, slower
from benchmarks.rows import Row

ROW = Row("work", 1.0, "peer", 3.0, 3.0, 2.8, 3.2, 0.5, 2.5, True, 3)


def test_a_ratio_that_lies_below_the_last_one_is_named() -> None:
    assert list(slower([ROW], [replace(ROW, low=3.3, ratio=3.5, high=3.9)])) == [
        "work, peer: 3.00 [2.80, 3.20], 3.50 before"
    ]
    assert not list(slower([ROW], [replace(ROW, low=3.1)])), "ranges that meet say nothing"
    assert not list(slower([ROW], [replace(ROW, peer="another", low=9.0)]))


def test_a_part_without_its_corpus_or_that_fails_is_left_out_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(Part("a", "benchmarks.nothing", [], [tmp_path / "corpus"])) == f"{tmp_path / 'corpus'} not there"
    ended = run(Part("b", "benchmarks.no_such_module", []))
    assert isinstance(ended, str) and "No module named benchmarks.no_such_module" in ended
    monkeypatch.setattr(bench, "MOST_S", 0.001)
    assert run(Part("c", "benchmarks.no_such_module", [])) == "took more than 0.001 s"


def test_the_page_keeps_what_stands_around_the_table() -> None:
    text = f"# Page\n\n{BEGIN}\nold\n{END}\n\nwords\n"
    written = page(text, [ROW, replace(ROW, reached=False)], ["Left out: mcd (no corpus)."], "Recorded now.")
    assert written.startswith("# Page\n") and written.endswith("\nwords\n") and "old" not in written
    assert "Goals reached: 1 of 2." in written and "Left out: mcd (no corpus)." in written
    assert page(written, [ROW], [], "Recorded now.").count(BEGIN) == 1
    with pytest.raises(ValueError, match="speed table"):
        page("no marks", [ROW], [], "")


def test_a_goal_beyond_the_limit_is_said_to_be() -> None:
    missed = replace(ROW, reached=False, goal=4.0, limit_share=0.8)  # 3 times at four fifths of the limit: 3.75 at it
    assert list(beyond([ROW, missed, replace(missed, limit_share=0.7), replace(missed, limit_share=None)])) == [
        "Out of reach here: work,\npeer: at the limit 3.75 times."
    ]


def test_the_page_has_the_marks() -> None:
    text = bench.PAGE.read_text("utf-8")
    assert text.index(BEGIN) < text.index(END)
    assert {part.name for part in bench.parts(Path("data"), Path("peers"))} >= {"sets", "mcd", "sampling", "fit"}
