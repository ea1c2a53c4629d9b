"""What equal payloads say, where people read it: the report's page, the notes of a release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from flows.artifacts.ingested import ConflictList
from flows.stages import release
from flows.stages.report import report
from flows.stages.report.data_tables import conflict_tables

WRITTEN: dict[str, Any] = {
    "same_recording": {
        "counts": {"entries": 1, "samples": 2},
        "entries": [{"c:M1": ["c/x1"], "c:<M7>": ["c/x2"]}],
    },
    "conflicting_labels": {"counts": {"entries": 0, "samples": 0}, "entries": []},
}
ENTRIES = {kind: ConflictList.model_validate(written) for kind, written in WRITTEN.items()}


def test_tables_of_the_kinds_that_there_are() -> None:
    (table,) = conflict_tables(ENTRIES)
    assert (table.title, table.n) == ("Speaker ids that share a recording", 1)
    assert table.table.rows == (("c:M1 and c:<M7>", "c/x1, c/x2"),)
    assert conflict_tables({}) == []  # a corpus of an earlier version


def test_long_lists_are_cut_and_counted_whole() -> None:
    many = [{"joy": [f"c/{n}a"], "sad": [f"c/{n}b"]} for n in range(70)]
    written = {"counts": {"entries": 70, "samples": 140}, "entries": many}
    (table,) = conflict_tables({"conflicting_labels": ConflictList.model_validate(written)})
    assert table.n == 70 and len(table.table.rows) == 50


def test_the_page_shows_them_below_the_corpus() -> None:
    folder = Path(report.__file__).parent / "templates"
    source = (folder / "report.html.j2").read_text(encoding="utf-8")
    begin = source.index("{% for k in c.conflicts %}")
    part = '{% from "macros.html.j2" import findings %}' + source[begin : source.index("{% endfor %}", begin)]
    page = Environment(loader=FileSystemLoader(folder), autoescape=True)
    page.filters["number"] = str
    html = page.from_string(part + "{% endfor %}").render(c={"conflicts": conflict_tables(ENTRIES)})
    assert "Speaker ids that share a recording (1)" in html
    assert "c:M1 and c:&lt;M7&gt;" in html and "c/x1, c/x2" in html


def test_notes_of_a_corpus_are_notes_of_its_releases() -> None:
    cards = [{"id": "mine", "notes": ["2 speaker ids share recordings"]}, {"id": "old"}]
    assert release.corpus_notes(cards) == ["corpus mine: 2 speaker ids share recordings"]
