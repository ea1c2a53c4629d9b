"""The report with what changed since a version: counts, reasons, escapes, and a version's own report."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from corpora.errors import UnknownNameError, UserError
from flows.releases.changes import MOST_ROWS, Changes, changes_of
from flows.releases.compared import Comparison, compare
from flows.releases.exchanged import Exchanged
from flows.releases.places import Place, find_release
from flows.releases.report_page import changes_since, read_report, with_changes
from tests.flows.releases.changed_run import changed_project
from tests.flows.releases.published import Published
from tests.flows.releases.test_compared import SAMPLES, run_of
from tests.flows.stages.report.report_run import HOSTILE
from tests.small_release import real, write_stub_report


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return changed_project(tmp_path_factory.mktemp("changed"))


def place_of(project: Published) -> Place:
    return find_release("tiny", project.folder, whole=False)


def block(changes: Changes, title: str) -> tuple[str, str]:
    """What a block says, and its reasons."""
    return next((one.said, "\n".join(one.reasons)) for one in changes.blocks if one.title == title)


def test_what_moved_stands_there_with_its_reason(project: Published) -> None:
    changes = changes_since(place_of(project), None, project.folder)
    assert changes.title == "What changed since tiny@v1.0.0" and changes.bump == "minor"
    said, reason = block(changes, "Samples")
    assert said == "Real samples: 1 came; synthetic samples: 1 came, 1 went"
    assert f"real samples: corpus {HOSTILE}" in reason
    assert "synthetic samples: one or more of: runs.tiny.gates.copies.limit.absolute (0.0 → 0.3)" in reason
    said, reason = block(changes, "Verdicts")
    assert said == "1 turned, 1 more moved in value" and "the synthetic samples that moved" in reason
    said, reason = block(changes, "Uplift")
    assert said == "+5.0 points (win) → -2.0 points (loss)" and "the real samples that moved" in reason
    turned, moved = next(one.tables for one in changes.blocks if one.title == "Verdicts")
    assert [row[:6] for row in turned.rows] == [("frechet", "all classes", "pass", "fail", "1.5", "9")]
    assert [row[:2] for row in moved.rows] == [("kid", "fear")] and moved.folded
    assert changes.said.endswith("1 verdict turned; uplift +5.0 points (win) → -2.0 points (loss)")


def test_samples_in_and_out_are_counted_by_split_and_class(project: Published) -> None:
    place = place_of(project)
    compared = compare(find_release("tiny@v1.0.0", project.folder, whole=False), place, project.folder)
    assert compared.exchanged == (
        Exchanged("train", "anger", real=(0, 0), synthetic=(1, 1)),
        Exchanged("test", HOSTILE, real=(1, 0), synthetic=(0, 0)),
    )
    assert [(one.n, one.what) for one in compared.moved] == [(1, "came"), (1, "came"), (1, "went")]


def test_the_page_is_the_report_and_the_section_and_escapes_everything(project: Published) -> None:
    place = place_of(project)
    plain = read_report(place, project.folder)
    page = with_changes(plain, changes_since(place, None, project.folder))
    assert page == with_changes(plain, changes_since(place, None, project.folder)), "the same bytes every time"
    assert HOSTILE not in page and page.count("&lt;script&gt;") > plain.count("&lt;script&gt;")
    assert page.count("<script") == plain.count("<script") and "<!-- changed:" not in page
    assert len(page) < 15_000_000 and not re.search(r"(src|href)=[\"']?https?://(?!example\.org)", page)
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids)) and "changed" in ids
    start, end = page.index('<section id="changed">'), page.index('<section id="balance">')
    without = page[:start] + page[end:]
    assert all(part in without for part in re.findall(r"<section id=\"(?:gates|samples)\">.*?</section>", plain, re.S))
    assert page.index('href="#changed"') < page.index("<main")


def test_a_version_is_told_against_the_one_before_from_its_own_report(project: Published, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(project.folder.parent, tmp_path, dirs_exist_ok=True)
    copied = object.__new__(Published)
    copied.folder, copied.remote = folder, tmp_path / "remote"
    copied.version(folder / "data/runs/tiny", "v1.1.0")
    shutil.rmtree(folder / "data/runs/tiny")
    second = find_release("tiny@v1.1.0", folder, whole=False)
    changes = changes_since(second, None, folder)
    assert changes.title == "What changed since tiny@v1.0.0" and "1 verdict turned" in changes.said
    assert "is the same release" not in with_changes(read_report(second, folder), changes)
    first = find_release("tiny@v1.0.0", folder, whole=False)
    assert changes_since(first, None, folder).because.startswith("No version was published before")
    same = changes_since(second, "tiny@latest", folder)
    assert not same.blocks and "same release as tiny@v1.1.0" in same.said
    with pytest.raises(UnknownNameError, match=r"tiny@v9\.0\.0"):
        changes_since(second, "tiny@v9.0.0", folder)


def test_what_cannot_be_shown_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    run = run_of(tmp_path / "a")
    place = Place("a", run / "release", run)
    with pytest.raises(UserError, match=r"has no report .*emoforge run a writes it anew"):
        read_report(place, tmp_path)
    path = write_stub_report(run)
    plain = path.read_text()
    assert read_report(place, tmp_path) == plain
    path.write_text(plain.replace("changed:nav", "unchanged"))
    with pytest.raises(UserError, match="left no place for what changed"):
        read_report(place, tmp_path)
    path.write_text(plain.replace(plain.split(">")[1].split("<")[0], "0" * 64))
    with pytest.raises(UserError, match="of another state of its release"):
        read_report(place, tmp_path)
    with pytest.raises(UserError, match=r"is no run of the project in .*--against"):
        changes_since(place, None, tmp_path)


def compared_of(tmp_path: Path, more: int) -> Comparison:
    first = run_of(tmp_path / "a", verdicts=[{"group": f"class-{n:04d}"} for n in range(more)])
    second = run_of(
        tmp_path / "b",
        [*SAMPLES, real(9)],
        verdicts=[{"group": f"class-{n:04d}", "verdict": "fail"} for n in range(more)],
    )
    return compare(Place("a", first / "release", first), Place("b", second / "release", second), None)


def test_a_long_table_is_cut_and_says_where_the_rest_is(tmp_path: Path) -> None:
    changes = changes_of(compared_of(tmp_path, MOST_ROWS + 5))
    page = with_changes(write_stub_report(tmp_path / "b").read_text(), changes)
    assert "And 5 more" in page and "emoforge diff a b --json" in page
    assert "class-0199" in page and "class-0200" not in page
