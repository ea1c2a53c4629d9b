from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpora.errors import CorpusError, IntegrityError, UnknownNameError, UserError
from corpora.schema import SAMPLES, SPLITS, Sample
from corpora.store.atomic import write_json
from corpora.store.release import (
    FORMAT,
    MANIFEST,
    _own_hash,
    compute_release_hash,
    describe_files,
    open_release,
    sealed,
)
from corpora.store.shards import write_shards, write_table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = []
    for i in range(8):
        synthetic = i >= 6
        made.append(
            Sample(
                sample_id=f"{'syn/g' if synthetic else 'c'}/{i}",
                corpus="c",
                modality="face",
                payload=bytes([i] * 9),
                codec="png",
                license="CC0-1.0",
                group_id=f"c:{i}",
                emotion="fear",
                generator_id="g" if synthetic else None,
                seed=i if synthetic else None,
            )
        )
    index = write_shards(made, tmp_path, 2, "shards/x")
    write_table(tmp_path / "index.parquet", index)
    split = ["train"] * 4 + ["dev", "test", "train", "train"]
    rows = {"view": ["group"] * 8, "sample_id": [s.sample_id for s in made], "split": split}
    write_table(tmp_path / "splits.parquet", pa.Table.from_pydict(rows, schema=SPLITS))
    (tmp_path / "README.md").write_text("# x\n", encoding="utf-8")
    seal(tmp_path)
    return tmp_path


def seal(folder: Path, **facts: Any) -> None:
    """Writes the manifest over all that is there."""
    paths = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST]
    write_json(folder / MANIFEST, sealed({"files": describe_files(folder, paths), **FACTS, **facts}))


FACTS = {
    "name": "x",
    "publishable": False,
    "reasons": ["kid (all): fail"],
    "notes": ["größer"],
    "licenses": ["CC0-1.0"],
    "classes": ["fear"],
    "corpora": [{"id": "c", "card": {"n_subjects": 8}}],
    "rate_hz": 16000.0,
    "counts": {"train": {"fear": {"real": 4, "synthetic": 2}}},
}


def as_format_1(folder: Path) -> None:
    """The manifest of the first format: a hash over the files but README.md, and nothing else under it."""
    files = {n: told for n, told in json.loads((folder / MANIFEST).read_text())["files"].items() if n != "README.md"}
    root = compute_release_hash({name: told["sha256"] for name, told in files.items()})
    told = {"format": "emoforge-release/1", "files": files, "release_hash": root}
    write_json(folder / MANIFEST, FACTS | told)


@pytest.fixture(params=[1, 2])
def any_format(folder: Path, request: pytest.FixtureRequest) -> Path:
    if request.param == 1:
        as_format_1(folder)
    return folder


def test_samples_of_a_split_with_payload(folder: Path) -> None:
    release = open_release(folder)
    release.verify()
    assert {s["sample_id"]: s["payload"] for s in release.samples("test")} == {"c/5": bytes([5] * 9)}
    train = list(release.samples("train"))
    assert len(train) == 6
    assert {s["sample_id"] for s in train if s["synthetic"]} == {"syn/g/6", "syn/g/7"}
    assert [s["sample_id"] for s in release.samples("train", synthetic=True)] == [
        s["sample_id"] for s in train if s["synthetic"]
    ]
    assert len(list(release.samples("train", synthetic=False))) == 4
    assert len(list(release.samples())) == 8
    with pytest.raises(UnknownNameError, match="train"):
        release.rows("trian")
    with pytest.raises(UnknownNameError, match="group"):
        release.rows("train", view="official")


def test_samples_hold_the_columns_that_are_asked_for(folder: Path) -> None:
    release = open_release(folder)
    whole = list(release.samples("train"))
    asked = ["emotion", "sample_id", "extra", "emotion", "payload"]
    some = list(release.samples("train", columns=asked))
    assert [list(row) for row in some] == [["emotion", "sample_id", "extra", "payload", "synthetic"]] * len(whole)
    assert some == [{name: row[name] for name in some[0]} for row in whole]
    assert list(release.samples("train", columns=[])) == [
        {"payload": row["payload"], "synthetic": row["synthetic"]} for row in whole
    ]
    assert list(release.samples("train", columns=release.index.schema.names)) == whole


def test_a_release_is_shown_as_one_line(folder: Path) -> None:
    shown = repr(open_release(folder))
    assert shown.startswith("Release(") and str(folder) in shown and len(shown) < 120 + len(str(folder))


def test_a_column_that_is_not_there_is_named_before_anything_is_read(folder: Path) -> None:
    release = open_release(folder)
    with pytest.raises(UnknownNameError, match=r"column of the index 'emotoin'\. Did you mean 'emotion'"):
        release.samples(columns=["sample_id", "emotoin"])
    with pytest.raises(UserError, match=r"columns=\['emotion'\]"):
        release.samples(columns="emotion")
    with pytest.raises(UnknownNameError, match="train"):
        release.samples("trian", columns=["emotion"])


@pytest.mark.parametrize("columns", [None, ["emotion"], []])
def test_payloads_are_checked_whatever_is_asked_for(folder: Path, columns: list[str] | None) -> None:
    release = open_release(folder)
    row = release.index.slice(0, 1).to_pylist()[0]
    tar = folder / row["shard"]
    data = bytearray(tar.read_bytes())
    data[row["offset"]] ^= 1
    tar.write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match=f"{row['sample_id']} at {row['offset']}"):
        list(release.samples(columns=columns))
    tar.write_bytes(bytes(data[: row["offset"] + 1]))
    with pytest.raises(IntegrityError, match="ends within"):
        list(release.samples(columns=columns))


@pytest.mark.parametrize("damage", ["changed", "longer", "gone", "manifest", "index"])
def test_verify_finds_every_damage(damage: str, any_format: Path) -> None:
    folder = any_format
    tar = next((folder / "shards").iterdir())
    manifest = json.loads((folder / "manifest.json").read_text())
    if damage == "changed":
        data = bytearray(tar.read_bytes())
        data[600] ^= 1
        tar.write_bytes(bytes(data))
    elif damage == "longer":
        tar.write_bytes(tar.read_bytes() + b"x")
    elif damage == "gone":
        tar.unlink()
    elif damage == "manifest":
        write_json(folder / "manifest.json", manifest | {"release_hash": "0" * 64})
    else:  # a shard less in index and manifest than rows say: counts differ though hashes fit
        index = open_release(folder).index
        write_table(folder / "index.parquet", index.slice(1))
        seal(folder)
    with pytest.raises(IntegrityError):
        open_release(folder).verify()


def test_what_is_no_release_says_so(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(CorpusError, match="no release"):
        open_release(tmp_path / "nowhere")
    write_json(folder / "manifest.json", {"files": {}})
    with pytest.raises(IntegrityError, match="release_hash"):
        open_release(folder)


def test_root_hash_names_paths_and_contents() -> None:
    a, b = "aa" * 32, "bb" * 32
    assert compute_release_hash({"x": a, "y": b}) == compute_release_hash({"y": b, "x": a})
    assert len({compute_release_hash(f) for f in ({"x": a, "y": b}, {"x": b, "y": a}, {"x": a}, {"z": a})}) == 4


def changed(folder: Path, **facts: Any) -> None:
    """manifest.json with other facts, release_hash left as it was."""
    write_json(folder / MANIFEST, json.loads((folder / MANIFEST).read_text(encoding="utf-8")) | facts)


@pytest.mark.parametrize(
    "facts",
    [
        {"publishable": True},
        {"reasons": []},
        {"notes": []},
        {"licenses": ["MIT"]},
        {"classes": ["joy"]},
        {"corpora": []},
        {"counts": {}},
        {"rate_hz": 16001.0},
        {"name": "y"},
        {"more": 1},
        {"format": "emoforge-release/1"},
    ],
)
def test_the_manifest_itself_is_under_the_hash(folder: Path, facts: dict[str, Any]) -> None:
    open_release(folder).verify()
    changed(folder, **facts)
    with pytest.raises(IntegrityError):
        open_release(folder).verify()


def test_release_hash_depends_on_facts_and_files_alone(folder: Path) -> None:
    first = open_release(folder).release_hash
    seal(folder)
    assert open_release(folder).release_hash == first
    (folder / "README.md").write_text("# y\n")
    seal(folder)
    assert open_release(folder).release_hash != first
    second = open_release(folder).release_hash
    seal(folder, publishable=True)
    assert open_release(folder).release_hash != second


def test_a_release_of_the_first_format_opens_and_verifies_by_its_own_rule(folder: Path) -> None:
    as_format_1(folder)
    release = open_release(folder)
    release.verify()
    assert release.unlisted == () and len(list(release.samples())) == 8
    told = json.loads((folder / MANIFEST).read_text())
    del told["format"]  # and one that was written before formats had a name
    (folder / MANIFEST).write_text(json.dumps(told))
    open_release(folder).verify()


def test_a_release_of_a_minor_version_of_later_opens(folder: Path) -> None:
    index = pq.read_table(folder / "index.parquet").drop_columns(["consent"])
    write_table(folder / "index.parquet", index.append_column("mood", pa.array(["odd"] * 8)))
    (folder / "more.parquet").write_bytes(b"of a kind that is not known here")
    seal(folder, more={"key": "that is not known here"})
    whole = json.loads((folder / MANIFEST).read_text()) | {"format": f"{FORMAT.name}/{FORMAT.major}.77"}
    write_json(folder / MANIFEST, whole | {"release_hash": _own_hash(whole)})
    release = open_release(folder)
    release.verify()
    assert release.index.schema == SAMPLES and len(list(release.samples())) == 8


@pytest.mark.parametrize(
    ("told", "kind", "says"),
    [
        ("emoforge-release/5", CorpusError, "reads up to emoforge-release/4.*pip install --upgrade"),
        ("emoforge-release/5.1", CorpusError, "Install a newer one"),
        ("emoforge-release/0", IntegrityError, "an earlier one is wanted"),
        ("emoforge-release/x", IntegrityError, "an earlier one is wanted"),
        (2, IntegrityError, "an earlier one is wanted"),
    ],
)
def test_other_formats(folder: Path, told: Any, kind: type[Exception], says: str) -> None:
    changed(folder, format=told)
    with pytest.raises(kind, match=says):
        open_release(folder)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_byte_of_any_file_may_change(folder: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(p for p in folder.rglob("*") if p.is_file())))
    whole = path.read_bytes()
    how = data.draw(st.sampled_from(["flip", "cut", "insert", "empty"]))
    at = data.draw(st.integers(0, len(whole) - 1))
    if how == "flip":
        damaged = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    elif how == "insert":
        damaged = whole[:at] + data.draw(st.sampled_from([b" ", b"\n", b"0", b"\0"])) + whole[at:]
    else:
        damaged = whole[:at] if how == "cut" else b""
    if damaged == whole:
        return
    path.write_bytes(damaged)
    try:
        with pytest.raises(IntegrityError):
            open_release(folder).verify()
    finally:
        path.write_bytes(whole)
    open_release(folder).verify()


FILE = {"sha256": "0" * 64, "n_bytes": 1}


@pytest.mark.parametrize(
    "files",
    [
        [],
        None,
        3,
        "x",
        {"a": 1},
        {"a": []},
        {"a": {}},
        {"a": {"sha256": "0" * 64}},
        {"a": FILE | {"n_bytes": -1}},
        {"a": FILE | {"n_bytes": "1"}},
        {"a": FILE | {"n_bytes": True}},
        {"a": FILE | {"sha256": "Z" * 64}},
        {"a": FILE | {"sha256": 7}},
        {"": FILE},
        {"../x": FILE},
        {"shards/../../x": FILE},
        {"/etc/passwd": FILE},
        {"a//b": FILE},
        {"./a": FILE},
        {"a/": FILE},
        {"a\\..\\b": FILE},
        {"a\0b": FILE},
        {"a" * 5000: FILE},
        {MANIFEST: FILE},
        {},
    ],
)
def test_what_files_may_not_be(any_format: Path, files: Any) -> None:
    """Sealed anew, so that the hash agrees: it is what is named that is refused."""
    told = json.loads((any_format / MANIFEST).read_text())
    if isinstance(files, dict) and files:
        files = told["files"] | files
    if told["format"] == FORMAT.text:
        write_json(any_format / MANIFEST, sealed(told | {"files": files}))
    else:
        write_json(any_format / MANIFEST, told | {"files": files})
    with pytest.raises(IntegrityError):
        open_release(any_format).verify()


@pytest.mark.parametrize(
    "facts",
    [
        {"reasons": 3},
        {"reasons": [1]},
        {"notes": "x"},
        {"licenses": {}},
        {"publishable": "yes"},
        {"publishable": 1},
        {"name": []},
        {"classes": None},
        {"release_hash": 5},
        {"release_hash": "0"},
    ],
)
def test_facts_of_a_wrong_type(folder: Path, facts: dict[str, Any]) -> None:
    as_format_1(folder)
    changed(folder, **facts)
    with pytest.raises(IntegrityError, match=next(iter(facts))):
        open_release(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "3",
        "{",
        "{}",
        '{"a": NaN}',
        '{"files": {}, "files": {}}',
        "[" * 100_000,
        '{"a":' * 100_000,
        "\ufeff{}",
        '{"n": ' + "9" * 5000 + "}",
    ],
)
def test_a_manifest_that_is_none(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(IntegrityError, match=MANIFEST):
        open_release(folder)


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"\0" * 64, b'{"a": "\xe4"}'])
def test_a_manifest_of_other_bytes(folder: Path, raw: bytes) -> None:
    (folder / MANIFEST).write_bytes(raw)
    with pytest.raises(IntegrityError, match=MANIFEST):
        open_release(folder)


def test_half_a_character_and_a_folder_for_a_manifest(folder: Path) -> None:
    text = (folder / MANIFEST).read_text(encoding="utf-8")
    (folder / MANIFEST).write_text(text.replace("größer", "\\ud800"), encoding="utf-8")
    with pytest.raises(IntegrityError, match="was changed"):
        open_release(folder)
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).mkdir()
    with pytest.raises(CorpusError, match="no release"):
        open_release(folder)


@pytest.mark.parametrize("what", ["index.parquet", "shards", "manifest.json"])
def test_links_are_not_followed(folder: Path, tmp_path_factory: pytest.TempPathFactory, what: str) -> None:
    away = tmp_path_factory.mktemp("away") / what
    (folder / what).rename(away)
    (folder / what).symlink_to(away)
    with pytest.raises(IntegrityError, match=r"link|written"):
        open_release(folder).verify()


@pytest.mark.parametrize("table", ["index.parquet", "splits.parquet"])
def test_tables_that_are_read_are_listed(any_format: Path, table: str) -> None:
    told = json.loads((any_format / MANIFEST).read_text())
    del told["files"][table]
    write_json(any_format / MANIFEST, sealed(told) if told["format"] == FORMAT.text else told)
    with pytest.raises(IntegrityError, match=f"does not list {table}"):
        open_release(any_format)


def test_a_shard_that_is_not_of_the_release_is_not_read(folder: Path) -> None:
    index = open_release(folder).index
    place = index.schema.get_field_index("shard")
    names = pa.array(["../x.tar"] * index.num_rows, pa.string())
    write_table(folder / "index.parquet", index.set_column(place, index.schema.field(place), names))
    seal(folder)
    with pytest.raises(IntegrityError, match=r"names '\.\./x\.tar'"):
        open_release(folder)


def test_what_nobody_listed_is_told_and_a_shard_is_refused(any_format: Path) -> None:
    (any_format / "notes.txt").write_text("mine")
    (any_format / "deep").mkdir()
    (any_format / "deep" / "link").symlink_to("/etc")
    release = open_release(any_format)
    release.verify()
    assert release.unlisted == ("deep/link", "notes.txt")
    tar = next((any_format / "shards").iterdir())
    (any_format / "shards" / "train-more.tar").write_bytes(tar.read_bytes())
    with pytest.raises(IntegrityError, match=r"train-more\.tar is not in the manifest"):
        open_release(any_format).verify()
