"""gc removes what nothing needs and says how much before; a tag, a branch and the workspace keep what is theirs."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import flows.upkeep.gc as gc
from corpora.errors import LockedError, UserError
from flows.conduct.processes import run_locks
from flows.conduct.retraction.certificate import Certificate, write_certificate
from flows.engine.store import WorkStore
from flows.paths import Layout
from flows.publishing.pages import page_file
from flows.upkeep.flowruns import bytes_of_runs
from flows.upkeep.gc import Part, collect_garbage
from tests.flows.releases.published import Published
from tests.small_release import real, write_release, write_stub_report
from tests.toy import Toy

OLD = time.time() - 40 * 86400


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process; commands of the toy ask Prefect."""
    monkeypatch.setattr(gc, "old_flow_runs", lambda *_, **__: (0, 0, "no database here"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    from dvc.repo import Repo

    folder = tmp_path / "p"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "params.yaml").write_text("corpora: {}\nruns: {}\n")
    git(folder, "init", "-q", "-b", "main")
    Repo.init(str(folder)).close()
    yield folder


def git(folder: Path, *words: str) -> None:
    own = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True)


def made(folder: Path, text: str, tag: str | None = None) -> None:
    """data.txt as DVC's, committed, and tagged if it has a `tag`."""
    from dvc.repo import Repo

    (folder / "data.txt").unlink(missing_ok=True)
    (folder / "data.txt").write_text(text)
    with Repo(str(folder)) as dvc:
        dvc.add("data.txt")
    git(folder, "add", "data.txt.dvc", ".gitignore", "params.yaml", ".dvc")
    git(folder, "commit", "-qm", text[:10])
    if tag:
        git(folder, "tag", tag)


def cached(folder: Path) -> set[str]:
    return {p.read_text() for p in (folder / ".dvc" / "cache" / "files").rglob("*") if p.is_file()}


def part(parts: list[Part], name: str) -> Part:
    return next(one for one in parts if one.name == name)


def test_the_cache_keeps_what_a_tag_a_branch_or_the_workspace_needs(project: Path) -> None:
    made(project, "tagged", "toy@v1.0.0")
    made(project, "another night" * 100)
    git(project, "branch", "aside")
    made(project, "of no tag" * 50)
    made(project, "of the workspace")
    git(project, "checkout", "-q", "aside")
    made(project, "of a branch")
    git(project, "checkout", "-q", "main")
    assert len(cached(project)) == 5
    before = cached(project)
    told = part(collect_garbage(project, dry=True), "DVC cache")
    assert cached(project) == before, "a dry run removes nothing"
    assert (told.n, told.n_bytes) == (2, len("another night" * 100) + len("of no tag" * 50))
    gone = part(collect_garbage(project, dry=False), "DVC cache")
    assert (gone.n, gone.n_bytes) == (told.n, told.n_bytes)
    assert cached(project) == {"tagged", "of the workspace", "of a branch"}
    assert part(collect_garbage(project, dry=False), "DVC cache").n == 0


def test_a_version_that_was_purged_needs_nothing_any_more(project: Path) -> None:
    """Its tag stays, and names a folder whose list is gone for ever; any other list that is missing stops gc."""
    from dvc.repo import Repo

    (project / "out").mkdir()
    (project / "out/a").write_text("of whoever was taken out")
    with Repo(str(project)) as dvc:
        dvc.add("out")
    git(project, "add", "out.dvc", ".gitignore", "params.yaml", ".dvc")
    git(project, "commit", "-qm", "out")
    git(project, "tag", "toy@v1.0.0")
    oid = (project / "out.dvc").read_text().partition("md5: ")[2].split()[0]
    (project / ".dvc/cache/files/md5" / oid[:2] / oid[2:]).unlink()
    git(project, "rm", "-q", "out.dvc")
    made(project, "of no tag")
    made(project, "of the workspace")
    told = part(collect_garbage(project, dry=False), "DVC cache")
    assert told.failed and "needed by out (" in told.note and "dvc fetch" in told.note, told
    one = Certificate(retraction="0" * 16, what="a person", objects=(oid,))
    write_certificate(Layout(project), one)
    assert part(collect_garbage(project, dry=True), "DVC cache").n == 2
    told = part(collect_garbage(project, dry=False), "DVC cache")
    assert told.n == 2 and cached(project) == {"of the workspace"}


def test_a_cache_that_others_may_share_is_left_alone(project: Path, tmp_path: Path) -> None:
    (project / ".dvc" / "config").write_text(f"[cache]\n    dir = {tmp_path / 'shared'}\n")
    made(project, "first")
    made(project, "second")
    told = part(collect_garbage(project, dry=False), "DVC cache")
    assert told.n == 0 and "may serve others" in told.note
    assert sum(p.is_file() for p in (tmp_path / "shared" / "files").rglob("*")) == 2


def test_what_was_not_used_for_so_long_goes_and_the_rest_stays(project: Path) -> None:
    layout = Layout(project)
    store = WorkStore(layout.store)
    for key in ("samples/old", "samples/new"):
        store.put(key, b"12345")
    os.utime(layout.store / "samples" / "old.item", (OLD, OLD))
    places = ["fits/old/a", "fits/new/a", "extracted/linked-1/a", "extracted/gone-2/a", "timings/toy/fit.json"]
    for place in places:
        path = layout.scratch / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("123")
    (project / "data" / "raw").mkdir(parents=True)
    (project / "data" / "raw" / "lab").symlink_to(layout.scratch / "extracted" / "linked-1")
    half = project / "data" / "runs" / ".release.host-1-abc123.tmp"
    half.mkdir(parents=True)
    (half / "index").write_text("1234567")
    owners = project / "data/raw/own/.take1.tmp"  # a file of a corpus that was put there, not linked
    owners.parent.mkdir(parents=True)
    owners.write_text("123")
    os.utime(owners, (OLD, OLD))
    (layout.scratch / "versions" / "toy@v1.0.0-0123456789ab" / "whole").mkdir(parents=True)
    for path in [*sorted(layout.scratch.rglob("*"), reverse=True), half / "index", half]:
        if "new" not in path.parts and "store" not in path.parts and not path.is_symlink():
            os.utime(path, (OLD, OLD))
    dry = collect_garbage(project, dry=True)
    assert all((layout.scratch / place).exists() for place in places) and half.exists() and store.has("samples/old")
    parts = collect_garbage(project, dry=False)
    assert [(p.name, p.n_bytes) for p in dry] == [(p.name, p.n_bytes) for p in parts]
    assert not store.has("samples/old") and store.get("samples/new") == b"12345"
    there = [place for place in places if (layout.scratch / place).exists()]
    assert there == ["fits/new/a", "extracted/linked-1/a", "timings/toy/fit.json"] and not half.exists()
    assert part(parts, "staging").n_bytes == 3 + 3 + 7 and part(parts, "staging").n == 3
    versions = part(parts, "fetched versions")
    assert versions.n == 0 and "1 stay" in versions.note, "no tag says that it could be fetched again"
    assert not any(one.failed for one in parts)
    assert owners.exists()


def test_old_pages_of_versions_go_where_they_can_be_written_again(tmp_path: Path) -> None:
    project = Published(tmp_path / "project")
    write_release(tmp_path / "run" / "release", [real(0)])
    write_stub_report(tmp_path / "run")
    pages = [page_file(f"tiny@v1.{n}.0", project.folder) for n in (0, 2, 9, 10)]
    for n, page in zip((0, 2, 9, 10), pages, strict=True):
        if n != 2:  # of this one there is no tag
            project.version(tmp_path / "run", f"v1.{n}.0")
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("12345")
        os.utime(page, (OLD, OLD))
    os.utime(pages[2])
    ignored = pages[0].with_name(".gitignore")
    ignored.write_text("*\n")
    os.utime(ignored, (OLD, OLD))
    told = part(collect_garbage(project.folder, dry=False), "pages of versions")
    assert [page.exists() for page in pages] == [False, True, True, True], "old; no tag; young; the newest"
    assert (told.n, told.n_bytes) == (1, 5) and "1 stay" in told.note
    assert ignored.exists(), "what keeps pages out of git is no page"
    project.forget()
    os.utime(pages[2], (OLD, OLD))
    assert part(collect_garbage(project.folder, dry=False), "pages of versions").n == 0, "its report is not there"


def test_it_waits_for_whoever_is_at_work(project: Path) -> None:
    (project / "params.yaml").write_text("corpora: {a: {reader: ravdess}}\nruns: {toy: {corpora: [a]}}\n")
    with run_locks(Layout(project).scratch / "locks", ["toy"]), pytest.raises(LockedError, match="'toy'"):
        collect_garbage(project, dry=False)
    lock = project / ".dvc" / "tmp" / "rwlock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    own = {"pid": os.getpid(), "cmd": " ".join(["x", *Path("/proc/self/cmdline").read_text().split("\0")[1:3]])}
    lock.write_text(json.dumps({"write": {"data/runs/toy/release": own}, "read": {}}))
    with pytest.raises(LockedError, match=r"DVC is writing data/runs/toy/release"):
        collect_garbage(project, dry=False)
    with pytest.raises(UserError, match="keep-days is -1"):
        collect_garbage(project, keep_days=-1, dry=True)


def test_a_part_that_cannot_be_asked_does_not_keep_the_others(project: Path) -> None:
    (project / "machine.yaml").write_text("store: nonsense://bucket\n")
    parts = collect_garbage(project, dry=True)
    failed = [one for one in parts if one.failed]
    assert [one.name for one in failed] == ["work store"] and "nonsense" in failed[0].note


def test_only_what_runs_hold_is_counted_of_a_database(tmp_path: Path) -> None:
    path = tmp_path / "prefect.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        for table in ("log", "block_type"):
            database.execute(f"CREATE TABLE {table} (text TEXT)")
            database.execute(f"CREATE INDEX ix_{table} ON {table} (text)")
        database.executemany("INSERT INTO block_type VALUES (?)", [("x" * 1000,)] * 200)
        database.commit()
        empty, how = bytes_of_runs(path)
        database.executemany("INSERT INTO log VALUES (?)", [("x" * 1000,)] * 100)
        database.commit()
    held, _ = bytes_of_runs(path)
    if how == "at most":
        assert held == path.stat().st_size
    else:
        assert empty < 20_000 and 200_000 <= held - empty < 700_000, "the table and its index"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_flow_runs_of_the_projects_own_database_go_and_the_release_stays(tmp_path: Path) -> None:
    toy = Toy(tmp_path / "toy")
    toy.env["PREFECT_HOME"] = str(tmp_path / "prefect")
    for seed in (1, 2):
        toy.set_seed(seed)
        assert toy.emoforge("run", "toy").returncode == 0
    assert toy.emoforge("publish", "toy").returncode == 0

    def gc_parts(*words: str) -> dict[str, dict[str, object]]:
        done = toy.emoforge("gc", "--json", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return {one["name"]: one for one in json.loads(done.stdout)["parts"]}

    assert gc_parts("--dry-run")["Prefect"]["n"] == 0, "they are not old"
    told = gc_parts("--dry-run", "--keep-days", "0")
    assert told["Prefect"]["n"] == 2 and told["DVC cache"]["n"] != 0, "what the first run made is of no tag"
    gone = gc_parts("--keep-days", "0")
    assert gone["Prefect"]["n"] == 2 and gone["DVC cache"] == told["DVC cache"]
    again = gc_parts("--keep-days", "0")
    assert again["Prefect"]["n"] == 0 and again["DVC cache"]["n"] == 0
    toy.calls()
    assert toy.emoforge("run", "toy").returncode == 0 and toy.calls() == []
    toy.sh("rm", "-r", "data/runs/toy/release")
    assert toy.emoforge("checkout", "toy@v1.0.0", "old").returncode == 0
