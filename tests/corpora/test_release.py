from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from corpora.atomic import write_json
from corpora.errors import CorpusError, IntegrityError, UnknownNameError
from corpora.release import compute_release_hash, describe_files, open_release
from corpora.schema import SPLITS, Sample
from corpora.shards import write_shards, write_table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = []
    for i in range(8):
        synthetic = i >= 6
        made.append(
            Sample(
                sample_id=f"{'syn/g' if synthetic else 'c'}/{i}", corpus="c", modality="face", payload=bytes([i] * 9),
                codec="png", license="CC0-1.0", group_id=f"c:{i}", emotion="fear",
                generator_id="g" if synthetic else None, seed=i if synthetic else None,
            )
        )  # fmt: skip
    index = write_shards(made, tmp_path, 2, "shards/x")
    write_table(tmp_path / "index.parquet", index)
    split = ["train"] * 4 + ["dev", "test", "train", "train"]
    rows = {"view": ["group"] * 8, "sample_id": [s.sample_id for s in made], "split": split}
    write_table(tmp_path / "splits.parquet", pa.Table.from_pydict(rows, schema=SPLITS))
    paths = [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()]
    files = describe_files(tmp_path, paths)
    root = compute_release_hash({name: told["sha256"] for name, told in files.items()})
    write_json(tmp_path / "manifest.json", {"files": files, "release_hash": root})
    return tmp_path


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


@pytest.mark.parametrize("damage", ["changed", "longer", "gone", "manifest", "index"])
def test_verify_finds_every_damage(damage: str, folder: Path) -> None:
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
        files = describe_files(folder, list(manifest["files"]))
        root = compute_release_hash({name: told["sha256"] for name, told in files.items()})
        write_json(folder / "manifest.json", {"files": files, "release_hash": root})
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
