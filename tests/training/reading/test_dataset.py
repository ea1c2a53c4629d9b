"""A release by number: what the index says, from any process."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emoforge
from corpora.errors import IntegrityError, UnknownNameError, UserError
from corpora.reading.places import Tars
from corpora.store.release import Release, open_release
from corpora.store.shards import read_payload
from tests.readers.readable import ENDINGS, content, number_of, readable
from tests.small_release import real, write_release
from training.reading.dataset import NO_CLASS, torch_dataset

REPO = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return open_release(readable(tmp_path_factory.mktemp("faces"), "face"))


@pytest.mark.parametrize("modality", list(ENDINGS))
def test_items_are_what_the_index_says(tmp_path: Path, modality: str) -> None:
    release = open_release(readable(tmp_path, modality))
    rows = {row["sample_id"]: row for row in release.rows("train").to_pylist()}
    raw = torch_dataset(release, "train", decode=False, columns=["sample_id", "license", "extra"])
    decoded = emoforge.torch_dataset(tmp_path, "train")
    assert len(raw) == len(decoded) == len(rows) == 26 and decoded.classes == ("anger", "fear")
    for number in np.random.default_rng(0).permutation(26):
        item, whole = raw[number], decoded[number]
        row = rows.pop(item["sample_id"])
        assert item["payload"] == read_payload(release.path, row) and item["license"] == "CC0-1.0"
        assert set(item) == {"payload", "label", "synthetic", "sample_id", "license", "extra"}
        assert decoded.classes[whole["label"]] == whole["emotion"] == row["emotion"]
        assert whole["weight"] == row["weight"] and whole["synthetic"] == (row["generator_id"] is not None)
        value, wanted = whole["payload"], content(modality, number_of(row["sample_id"]))
        value = value[0] if modality == "speech" else value
        same = value.keys() == wanted.keys() if modality == "physio" else np.array_equal(value, wanted)
        assert same
    assert not rows and decoded[-1]["sample_id"] == decoded[25]["sample_id"]
    for beyond in (26, -27):
        with pytest.raises(IndexError, match="of 26"):
            decoded[beyond]


def test_kind_share_scores_and_classes(release: Release) -> None:
    assert torch_dataset(release, "train", kind="synthetic").synthetic.all()
    shared = torch_dataset(release, "train", synthetic_share=0.2)
    assert (len(shared), int(shared.synthetic.sum())) == (20, 4)
    assert len(torch_dataset(release, "train", where={"copies": "> 0.8"})) == 16  # all have 0.75
    assert len(torch_dataset(release, "train", where={"copies": "> 0.7"})) == 26
    fear = torch_dataset(release, "train", classes=["fear"])
    assert set(fear.labels) == {1} and fear.classes == ("anger", "fear")  # a label means the same everywhere
    with pytest.raises(UnknownNameError, match=r"'copis'.*mean 'copies'"):
        torch_dataset(release, "train", where={"copis": "> 0.8"})
    with pytest.raises(UnknownNameError, match="column of the index 'emotoin'"):
        torch_dataset(release, columns=["emotoin"])
    with pytest.raises(UserError, match=r"columns=\['emotion'\]"):
        torch_dataset(release, columns="emotion")


def test_a_sample_of_no_class_has_the_label_that_losses_pass_over(tmp_path: Path) -> None:
    path = write_release(tmp_path, [real(0), real(1, emotion=None), real(2)])
    dataset = torch_dataset(path, decode=False)
    assert sorted(dataset.labels.tolist()) == [NO_CLASS, 0, 0] and NO_CLASS == -100


def label_of(item: dict[str, Any]) -> int:
    return int(item["label"])


LOOP = """
import sys

import numpy as np
from torch.utils.data import DataLoader

from corpora.store.release import open_release
from training.reading.dataset import torch_dataset

if __name__ == "__main__":
    dataset = torch_dataset(open_release(sys.argv[1]), "train", columns=["sample_id"])
    wanted = [dataset[i] for i in range(len(dataset))]
    loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context=sys.argv[2])
    for _ in range(2):
        for one, other in zip(loader, wanted, strict=True):
            assert one["sample_id"] == other["sample_id"] and np.array_equal(one["payload"], other["payload"])
    assert np.array_equal(dataset[3]["payload"], wanted[3]["payload"])
    print(len(wanted), "read")
"""


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_read_what_the_parent_reads(release: Release, context: str, tmp_path: Path) -> None:
    """Files that the parent had opened before are not shared. A process of its own forks: one that runs tests has the
    threads and handlers of all that ran before."""
    script = tmp_path / "loop.py"
    script.write_text(LOOP)
    done = subprocess.run(
        [sys.executable, str(script), str(release.path), context],
        env=os.environ | {"PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout == "26 read\n", done.stderr


def test_a_pickled_dataset_reads_on(release: Release) -> None:
    dataset = torch_dataset(release, "train", transform=label_of)
    copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301
    assert [copy[i] for i in range(26)] == dataset.labels.tolist()


def test_files_that_are_open_are_few(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpora.reading.places._OPEN", 2)
    dataset = torch_dataset(release, decode=False)
    for number in np.random.default_rng(1).permutation(len(dataset)):
        assert dataset[number]["payload"]
        assert len(dataset._tars._open) <= 2
    numbers = list(dataset._tars._open.values())
    del dataset
    for number in numbers:
        with pytest.raises(OSError):
            os.fstat(number)


def test_a_shard_is_hashed_when_it_is_first_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = readable(tmp_path, "face")
    dataset, unchecked = torch_dataset(path, "train"), torch_dataset(path, "train", check=False, decode=False)
    looked: list[str] = []
    check = Tars._check
    monkeypatch.setattr(Tars, "_check", lambda self, shard, stamp: (looked.append(shard), check(self, shard, stamp))[1])
    for _ in range(2):
        assert all(dataset[i] for i in range(len(dataset)))
    assert len(looked) == len(set(looked)) == 4
    row = open_release(path).rows("train").sort_by("offset").to_pylist()[-1]
    data = bytearray((path / row["shard"]).read_bytes())
    data[row["offset"]] ^= 1
    (path / row["shard"]).write_bytes(bytes(data))
    fresh = torch_dataset(path, "train")
    with pytest.raises(IntegrityError, match=row["shard"]):
        [fresh[i] for i in range(len(fresh))]
    assert len([unchecked[i] for i in range(len(unchecked))]) == 26
    (path / row["shard"]).write_bytes(bytes(data[:1024]))
    with pytest.raises(IntegrityError, match="ends within a sample"):
        [torch_dataset(path, "train", check=False, decode=False)[i] for i in range(26)]
