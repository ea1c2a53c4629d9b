"""A flipped bit is found wherever it lies, and the sample that it touches is named."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from corpora.errors import CorpusError
from corpora.store.checked import damaged_samples
from corpora.store.release import open_release
from corpora.store.shards import write_table
from corpora.store.verify import Checked, check_release
from tests.small_release import made, real, write_release

FORMATS = Path(__file__).parents[2] / "golden" / "formats"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_release(tmp_path / "release", [*map(real, range(8)), *map(made, range(4))])


def flip(path: Path, at: int, bit: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= bit
    path.write_bytes(bytes(data))


def row_of(folder: Path, sample: str) -> dict[str, Any]:
    return next(row for row in open_release(folder).index.to_pylist() if row["sample_id"] == sample)


def only(checked: Checked) -> Any:
    assert not checked.intact and len(checked.problems) == 1, checked.problems
    return checked.problems[0]


def test_a_whole_release_is_intact_and_so_is_every_golden_one(folder: Path, tmp_path: Path) -> None:
    checked = check_release(folder)
    assert checked.intact and checked.extra == () and checked.release_hash == open_release(folder).release_hash
    assert checked.n_files == len(open_release(folder).manifest["files"])
    for path in FORMATS.glob("*.tar.xz"):
        with tarfile.open(path) as archive:
            archive.extractall(tmp_path / path.name, filter="data")
        golden = tmp_path / path.name / "release"
        assert check_release(golden).intact, path.name
        index = open_release(golden).index
        for shard in set(index["shard"].to_pylist()):  # what names damage takes none of these for damaged
            rows = index.filter([name == shard for name in index["shard"].to_pylist()])
            assert not list(damaged_samples(golden / shard, rows)), path.name


@pytest.mark.parametrize("part", ["header", "payload", "json"])
@pytest.mark.parametrize("sample", ["c/3", "syn/9e1d/2"])
def test_a_flipped_bit_names_shard_sample_and_part(folder: Path, sample: str, part: str) -> None:
    row = row_of(folder, sample)
    data = (folder / row["shard"]).read_bytes()
    about = data.index(b'{"', row["offset"] + row["n_bytes"])
    at = {"header": row["offset"] - 500, "payload": row["offset"] + 5, "json": data.index(b"CC0", about)}[part]
    flip(folder / row["shard"], at)
    problem = only(check_release(folder))
    assert problem.file == row["shard"] and problem.kind == "changed"
    assert [(one.sample_id, one.part) for one in problem.samples] == [(sample, part)]
    assert sample in problem.sentence


def test_what_lies_between_samples_touches_none(folder: Path) -> None:
    row = row_of(folder, "c/3")
    flip(folder / row["shard"], row["offset"] + row["n_bytes"] + 3)  # padding
    problem = only(check_release(folder))
    assert problem.samples == () and "between them" in problem.sentence


def test_everything_that_differs_is_named_at_once(folder: Path) -> None:
    flip(folder / "scores.parquet", 40)
    (folder / "README.md").unlink()
    shard = row_of(folder, "c/1")["shard"]
    whole = (folder / shard).read_bytes()
    (folder / shard).write_bytes(whole[: len(whole) // 2])
    (folder / "mine.txt").write_text("mine")
    (folder / "shards" / "more.tar").write_bytes(b"")
    checked = check_release(folder)
    assert {(p.file, p.kind) for p in checked.problems} == {
        ("README.md", "missing"),
        ("scores.parquet", "changed"),
        (shard, "size"),
        ("shards/more.tar", "unlisted"),
    }
    assert checked.extra == ("mine.txt", "shards/more.tar")
    cut = next(p for p in checked.problems if p.file == shard)
    lost = {r["sample_id"] for r in open_release(folder).index.to_pylist() if r["shard"] == shard} - {
        one.sample_id for one in cut.samples
    }
    ends = [r["offset"] + r["n_bytes"] for r in open_release(folder).index.to_pylist() if r["sample_id"] in lost]
    assert cut.samples and all(end <= len(whole) // 2 for end in ends)


def test_a_damaged_index_hides_no_other_damage(folder: Path) -> None:
    flip(folder / "index.parquet", 60)
    flip(folder / "shards" / "train-real-00000.tar", 600)
    assert {p.file for p in check_release(folder).problems} == {"index.parquet", "shards/train-real-00000.tar"}


def test_a_changed_manifest_is_the_one_thing_that_is_said(folder: Path, tmp_path: Path) -> None:
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    (folder / "manifest.json").write_text(text.replace('"publishable": true', '"publishable": false'))
    problem = only(check_release(folder))
    assert problem.file == "manifest.json" and check_release(folder).release_hash is None
    with pytest.raises(CorpusError, match="no release"):
        check_release(tmp_path)


def test_counts_that_differ_though_hashes_fit(folder: Path) -> None:
    from tests.small_release import seal

    index = open_release(folder).index
    gone = index["sample_id"][0].as_py()
    write_table(folder / "index.parquet", index.slice(1))
    seal(folder, [], [])
    problem = only(check_release(folder))
    assert problem.kind == "members" and gone not in open_release(folder).index["sample_id"].to_pylist()


def test_many_damaged_shards_each_name_their_own_samples(folder: Path) -> None:
    release = open_release(folder)
    rows = release.index.to_pylist()
    for row in rows[::2]:
        flip(folder / row["shard"], row["offset"])
    named = {p.file: [one.sample_id for one in p.samples] for p in check_release(folder).problems}
    wanted: dict[str, list[str]] = {}
    for row in rows[::2]:
        wanted.setdefault(row["shard"], []).append(row["sample_id"])
    assert len(wanted) > 2 and named == wanted
