from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import CorpusError, IntegrityError
from corpora.fingerprint import hash_file, hash_folder
from corpora.schema import SAMPLES, Sample
from corpora.store import shards
from corpora.store.shards import (
    count_members,
    iter_payloads,
    read_payload,
    read_table,
    shard_of,
    write_shards,
    write_table,
)


def sample(i: int, **more: Any) -> Sample:
    facts: dict[str, Any] = {
        "sample_id": f"c/{i}",
        "corpus": "c",
        "modality": "speech",
        "payload": bytes([i % 256]) * (i % 700 + 1),
        "codec": "wav",
        "license": "CC0-1.0",
        "group_id": f"c:{i % 7}",
        "subject_id": f"c:{i % 7}",
        "emotion": "fear",
        "extra": {"b": "ü", "a": "1"},
        "signals": [{"name": "audio", "unit": "1", "rate_hz": 16000.0, "shape": [i, 1]}],
    }
    return Sample(**(facts | more))


SOME = [sample(i) for i in range(60)]
GOLDEN_TAR = "e313f83720ccc762"  # first digits of the sha256 of a shard of SOME[:5]


def test_payloads_come_back_by_both_ways(tmp_path: Path) -> None:
    index = write_shards(SOME, tmp_path, 4, "shards/x")
    assert index.schema == SAMPLES and index.num_rows == 60
    payloads = {s.sample_id: s.payload for s in SOME}
    found = list(iter_payloads(tmp_path, index))
    assert {row["sample_id"]: payload for row, payload in found} == payloads
    assert [row["shard"] for row, _ in found] == sorted(row["shard"] for row, _ in found)
    for row in index.to_pylist():
        assert read_payload(tmp_path, row) == payloads[row["sample_id"]]
    assert list(tmp_path.iterdir()) == [tmp_path / "shards"]  # the temporary file is gone


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(12)))
def test_bytes_do_not_depend_on_the_order(tmp_path_factory: pytest.TempPathFactory, order: list[int]) -> None:
    folder = tmp_path_factory.mktemp("s")
    write_table(folder / "index.parquet", write_shards([SOME[i] for i in order], folder, 3, "x"))
    reference = tmp_path_factory.mktemp("r")
    write_table(reference / "index.parquet", write_shards(SOME[:12], reference, 3, "x"))
    assert hash_folder(folder) == hash_folder(reference)


def test_one_new_sample_changes_one_shard(tmp_path: Path) -> None:
    write_shards(SOME, tmp_path / "a", 4, "x")
    write_shards([*SOME, sample(61)], tmp_path / "b", 4, "x")
    changed = [
        p.name for p in sorted((tmp_path / "a").iterdir()) if p.read_bytes() != (tmp_path / "b" / p.name).read_bytes()
    ]
    assert changed == [f"x-{shard_of(sample(61).group_id, 4):05d}.tar"]


def test_a_group_is_in_one_shard_and_empty_ones_are_not_written(tmp_path: Path) -> None:
    index = write_shards(SOME, tmp_path, 64, "x").to_pylist()
    assert all(len({r["shard"] for r in index if r["group_id"] == f"c:{g}"}) == 1 for g in range(7))
    assert {p.name for p in tmp_path.iterdir()} == {r["shard"] for r in index}


def test_nothing_of_this_machine_is_in_the_tar(tmp_path: Path) -> None:
    index = write_shards(SOME, tmp_path, 1, "x")
    with tarfile.open(tmp_path / "x-00000.tar") as tar:
        members = tar.getmembers()
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}
    stems = [m.name.split(".")[0] for m in members]
    assert stems == sorted(stems) and len(set(stems)) == 60
    by_name = {m.name: m.offset_data for m in members}
    assert set(index["offset"].to_pylist()) <= set(by_name.values())


def test_webdataset_reads_it(tmp_path: Path) -> None:
    write_shards([*SOME, sample(99, generator_id="g", seed=5, sources={"from": "c/1"})], tmp_path, 2, "x")
    urls = [str(p) for p in sorted(tmp_path.iterdir())]
    read = {json.loads(s["json"])["sample_id"]: s for s in webdataset.WebDataset(urls, shardshuffle=False)}
    assert {name: s["wav"] for name, s in read.items()} == {s.sample_id: s.payload for s in [*SOME, sample(99)]}
    told = json.loads(read["c/99"]["json"])
    assert (told["synthetic"], told["seed"], told["source_ids"]) == (True, 5, ["c/1"])
    told = json.loads(read["c/3"]["json"])
    assert (told["synthetic"], told["emotion"], told["subject_id"]) == (False, "fear", "c:3")
    assert "split" not in told


def test_no_samples_no_tars(tmp_path: Path) -> None:
    index = write_shards([], tmp_path, 4, "x")
    assert index.num_rows == 0 and index.schema == SAMPLES and list(tmp_path.iterdir()) == []


def test_id_that_comes_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"'c/1' comes twice"):
        write_shards([sample(1), sample(2), sample(1)], tmp_path, 4, "x")


@pytest.mark.parametrize("damage", ["byte", "cut", "gone"])
def test_damage_is_found_on_reading(damage: str, tmp_path: Path) -> None:
    index = write_shards(SOME, tmp_path, 1, "x")
    last = max(index.to_pylist(), key=lambda row: row["offset"])
    tar = tmp_path / "x-00000.tar"
    data = bytearray(tar.read_bytes())
    data[last["offset"]] ^= 1
    if damage == "gone":
        tar.unlink()
    else:
        tar.write_bytes(bytes(data) if damage == "byte" else bytes(data[: last["offset"] + last["n_bytes"] - 1]))
    with pytest.raises(IntegrityError):
        read_payload(tmp_path, last)
    with pytest.raises(IntegrityError):
        list(iter_payloads(tmp_path, index))


def test_members_are_counted(tmp_path: Path) -> None:
    write_shards(SOME, tmp_path, 1, "x")
    assert count_members(tmp_path / "x-00000.tar") == 60
    with tarfile.open(tmp_path / "told.tar", "w") as tar:
        for name in ("a.json", "a.wav", "b.json"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert count_members(tmp_path / "told.tar") == 1
    (tmp_path / "bad.tar").write_bytes(b"x" * 2000)
    with pytest.raises(IntegrityError):
        count_members(tmp_path / "bad.tar")


def test_tables_are_checked_on_reading(tmp_path: Path) -> None:
    index = write_shards(SOME, tmp_path, 2, "x")
    write_table(tmp_path / "t.parquet", index)
    assert read_table(tmp_path / "t.parquet", SAMPLES).equals(index)
    write_table(tmp_path / "t.parquet", index.drop_columns(["group_id"]))
    with pytest.raises(IntegrityError, match="lacks group_id"):
        read_table(tmp_path / "t.parquet", SAMPLES)
    unset = index.set_column(0, "sample_id", pa.nulls(index.num_rows, pa.string()))
    write_table(tmp_path / "t.parquet", unset)
    with pytest.raises(IntegrityError, match="'sample_id' has 60 nulls"):
        read_table(tmp_path / "t.parquet", SAMPLES)
    numbers = pa.array(range(index.num_rows))
    write_table(tmp_path / "t.parquet", index.set_column(index.schema.get_field_index("age"), "age", numbers))
    with pytest.raises(IntegrityError, match="'age' holds int64, float is wanted"):
        read_table(tmp_path / "t.parquet", SAMPLES)
    (tmp_path / "t.parquet").write_bytes(b"x")
    with pytest.raises(IntegrityError, match="cannot be read"):
        read_table(tmp_path / "t.parquet", SAMPLES)


def test_table_bytes_do_not_depend_on_chunks(tmp_path: Path) -> None:
    index = write_shards(SOME, tmp_path, 2, "x")
    write_table(tmp_path / "a", index)
    write_table(tmp_path / "b", pa.concat_tables([index.slice(0, 7), index.slice(7)]))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 70_000])
def test_our_header_is_the_one_of_tarfile(size: int, tmp_path: Path) -> None:
    write_shards([sample(1, payload=bytes(size))], tmp_path, 1, "x")
    with tarfile.open(tmp_path / "x-00000.tar") as tar:
        for member in tar:
            plain = tarfile.TarInfo(member.name)
            plain.size, plain.mode = member.size, 0o644
            data = (tmp_path / "x-00000.tar").read_bytes()
            assert data[member.offset : member.offset_data] == plain.tobuf(tarfile.USTAR_FORMAT)


def test_shards_of_many_samples_open_few_files(tmp_path: Path) -> None:
    """A handle for each sample would end at the limit of the system."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        index = write_shards((sample(i) for i in range(600)), tmp_path, 2, "x")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert index.num_rows == 600


@pytest.mark.parametrize("sizes", [(1,), (512, 513), (0, 511), (8704,), (9217, 1), (30_000, 70_000)])
def test_the_whole_tar_is_the_one_of_tarfile(sizes: tuple[int, ...], tmp_path: Path) -> None:
    """Members, their padding, the end mark and the padding to a record: a release hash holds every byte of it."""
    index = write_shards([sample(i, payload=bytes([i]) * n) for i, n in enumerate(sizes)], tmp_path, 1, "x")
    made = (tmp_path / "x-00000.tar").read_bytes()
    plain = io.BytesIO()
    with tarfile.open(tmp_path / "x-00000.tar") as tar, tarfile.open(fileobj=plain, mode="w") as again:
        again.format = tarfile.USTAR_FORMAT
        for member in tar:
            told = tarfile.TarInfo(member.name)
            told.size, told.mode = member.size, 0o644
            again.addfile(told, tar.extractfile(member))
    assert made == plain.getvalue() and len(made) % 10240 == 0
    for row in index.to_pylist():
        assert made[row["offset"] : row["offset"] + row["n_bytes"]] == read_payload(tmp_path, row)


def test_the_bytes_of_a_shard_are_what_they_were(tmp_path: Path) -> None:
    """Golden: another layout of tars is another hash of every release."""
    write_shards(SOME[:5], tmp_path, 1, "x")
    assert hash_file(tmp_path / "x-00000.tar")[:16] == GOLDEN_TAR


def test_a_table_is_read_in_pieces_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = write_shards(SOME, tmp_path, 3, "x")
    whole = [(row["sample_id"], payload) for row, payload in iter_payloads(tmp_path, index)]
    monkeypatch.setattr("corpora.store.shards._BATCH", 7)
    assert [(row["sample_id"], payload) for row, payload in iter_payloads(tmp_path, index)] == whole
    assert len(whole) == 60


def test_two_spills_are_one_set_of_shards(tmp_path: Path) -> None:
    from corpora.store.shards import assemble
    from corpora.store.spill import Spill

    whole = write_shards(SOME, tmp_path / "a", 4, "x")
    spills = [Spill(tmp_path / f"spill{i}", 4) for i in range(3)]
    for i, one in enumerate(SOME):
        spills[(i * 7) % 3].add(one)
    assert assemble(spills, tmp_path / "b", "x").equals(whole)
    assert hash_folder(tmp_path / "a") == hash_folder(tmp_path / "b")
    left = [path for spill in spills for path in spill.folder.iterdir() if path.name.isdigit()]
    assert sum(path.stat().st_size for path in left) == 0, "what is in a tar need not lie on the disk twice"


def test_members_are_counted_as_tarfile_counts_them(tmp_path: Path) -> None:
    """Plain tars by their headers alone; all others, and what is cut off, by tarfile."""
    write_shards([sample(i) for i in range(40)], tmp_path, 1, "x")
    whole = (tmp_path / "x-00000.tar").read_bytes()
    assert shards._count_plain(tmp_path / "x-00000.tar") == 40
    rng = np.random.default_rng(0)
    damaged = [whole[: int(n)] for n in rng.integers(0, len(whole), 20)]
    for at in rng.integers(0, len(whole), 60):
        damaged.append(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as file:
            for name in ("a/" + "b" * 90 + ".png", "ä" * 45 + ".png", "c.json", "d.png"):
                file.addfile(tarfile.TarInfo(name), io.BytesIO())
            folder = tarfile.TarInfo("folder")
            folder.type = tarfile.DIRTYPE
            file.addfile(folder)
        damaged.append(out.getvalue())
    for data in damaged:
        (tmp_path / "y.tar").write_bytes(data)
        quick = shards._count_plain(tmp_path / "y.tar")
        assert quick is None or quick == _slowly(tmp_path / "y.tar")


def _slowly(tar: Path) -> int | None:
    try:
        with tarfile.open(tar) as file:
            return sum(not member.name.endswith(".json") for member in file)
    except tarfile.TarError:
        return None


def test_rows_that_stand_in_order_are_not_sorted(tmp_path: Path) -> None:
    index = write_shards([sample(i) for i in range(40)], tmp_path, 4, "x")
    assert shards.in_order(index) is index
    mixed = index.take(pa.array(np.random.default_rng(0).permutation(40)))
    assert shards.in_order(mixed).equals(index)
    assert shards.in_order(index.slice(0, 0)).num_rows == 0
