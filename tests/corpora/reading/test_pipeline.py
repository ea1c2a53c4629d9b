"""`Release.webdataset`: what raw webdataset reads, decoded, each sample once over all readers."""

from __future__ import annotations

import pickle
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import webdataset

from corpora.errors import IntegrityError, UnknownNameError
from corpora.reading.order import Shuffle
from corpora.store.release import Release, open_release
from tests.readers.readable import ENDINGS, RATE_HZ, content, number_of, readable
from tests.small_release import real, write_release

MODALITIES = list(ENDINGS)


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Release]:
    return {name: open_release(readable(tmp_path_factory.mktemp(name), name)) for name in MODALITIES}


def ids(data: Any) -> list[str]:
    return [sample["json"]["sample_id"] for sample in data]


@pytest.mark.parametrize("modality", MODALITIES)
def test_it_reads_what_webdataset_reads(releases: dict[str, Release], modality: str) -> None:
    release = releases[modality]
    shards = sorted(map(str, (release.path / "shards").glob("train-*.tar")))
    raw = list(webdataset.WebDataset(shards, shardshuffle=False))
    told = ("emotion", "weight", "synthetic")
    ours = [{k: v for k, v in one.items() if k not in told} for one in release.webdataset("train", decode=False)]
    assert ours == [{k: v for k, v in one.items() if k != "__local_path__"} for one in raw] and len(ours) == 26


@pytest.mark.parametrize("modality", MODALITIES)
def test_payloads_are_decoded(releases: dict[str, Release], modality: str) -> None:
    data = releases[modality].webdataset("train")
    assert isinstance(data, webdataset.WebDataset)
    for sample in data:
        facts, value = sample["json"], sample[ENDINGS[modality]]
        wanted = content(modality, number_of(facts["sample_id"]))
        if modality == "speech":
            assert value[1] == RATE_HZ
            value = value[0]
        if modality == "text":
            assert value == wanted
        elif modality == "physio":
            assert value.keys() == wanted.keys() and all(np.array_equal(value[k], wanted[k]) for k in wanted)
        else:
            assert value.dtype == wanted.dtype and np.array_equal(value, wanted)
        assert sample["weight"] == (0.5 if sample["synthetic"] else 1.0)
        assert (sample["emotion"], sample["synthetic"]) == (facts["emotion"], facts["synthetic"])


@pytest.mark.parametrize(("ranks", "workers"), [(1, 1), (2, 2), (3, 5), (8, 8)])
@pytest.mark.parametrize("shuffle", [None, Shuffle(1, 2, buffer=8)])
def test_each_sample_once_over_ranks_and_workers(
    releases: dict[str, Release], monkeypatch: pytest.MonkeyPatch, ranks: int, workers: int, shuffle: Shuffle | None
) -> None:
    """Four shards, up to 64 readers."""
    monkeypatch.setenv("WORLD_SIZE", str(ranks))
    monkeypatch.setenv("NUM_WORKERS", str(workers))
    parts = []
    for rank in range(ranks):
        for worker in range(workers):
            monkeypatch.setenv("RANK", str(rank))
            monkeypatch.setenv("WORKER", str(worker))
            data = pickle.dumps(releases["face"].webdataset("train", shuffle=shuffle))
            parts.append(ids(pickle.loads(data)))  # noqa: S301
    assert sorted(chain(*parts)) == sorted(releases["face"].rows("train")["sample_id"].to_pylist())
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_an_order_has_a_seed_and_an_epoch(releases: dict[str, Release]) -> None:
    def order(*numbers: int) -> list[str]:
        return ids(releases["face"].webdataset("train", shuffle=Shuffle(*numbers)))

    assert order(0, 0) == order(0, 0)
    orders = [order(0, 0), order(0, 1), order(1, 0), ids(releases["face"].webdataset("train"))]
    assert len(set(map(tuple, orders))) == 4 and len({tuple(sorted(one)) for one in orders}) == 1
    again = releases["face"].webdataset("train", shuffle=Shuffle())
    first, second = ids(again), ids(again)
    assert first == order(0, 0) and first != second and sorted(first) == sorted(second)


def test_kinds_shares_and_draws(releases: dict[str, Release]) -> None:
    release = releases["face"]
    assert all(s["synthetic"] for s in release.webdataset("train", kind="synthetic"))
    counted = Counter(s["synthetic"] for s in release.webdataset("train", synthetic_share=0.2))
    assert counted == {False: 16, True: 4}
    epochs = [set(ids(release.webdataset(synthetic_share=0.2, shuffle=Shuffle(0, epoch)))) for epoch in range(9)]
    assert len(set.union(*epochs)) == 32  # in time all of them come
    drawn = open_release(release.path, weights="draw", seed=3)
    assert sorted(ids(drawn.webdataset())) == sorted(drawn.index["sample_id"].to_pylist())
    assert (
        pc.sum(drawn.index["weight"]).as_py() == 28 == len(list(drawn.webdataset()))
    )  # 22, and of each class 5 halves


def test_stages_of_webdataset_go_on_from_it(releases: dict[str, Release]) -> None:
    data = releases["face"].webdataset("train").to_tuple("png", "emotion", "weight").batched(8)
    batches = list(data)
    assert [len(batch[1]) for batch in batches] == [8, 8, 8, 2] and batches[0][0].shape == (8, 8, 6)


def damaged(path: Path, where: str) -> None:
    row = open_release(path).rows("train").slice(0, 1).to_pylist()[0]
    at = {"payload": row["offset"], "header": row["offset"] - 512, "json": row["offset"] + 1024}[where]
    data = bytearray((path / row["shard"]).read_bytes())
    data[at] ^= 1
    (path / row["shard"]).write_bytes(bytes(data))


@pytest.mark.parametrize("where", ["payload", "header", "json"])
def test_a_damaged_shard_is_not_read(tmp_path: Path, where: str) -> None:
    path = readable(tmp_path, "text")
    damaged(path, where)
    with pytest.raises(IntegrityError, match=r"sha256 of the manifest.*emoforge verify"):
        list(open_release(path).webdataset("train"))


def test_without_a_check_nothing_is_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = readable(tmp_path, "text")
    release = open_release(path)
    damaged(path, "payload")
    assert len(list(release.webdataset("train", check=False))) == 26
    damaged(path, "header")
    with pytest.raises(IntegrityError, match="no txt with its json at"):
        list(release.webdataset("train", check=False))
    for tar in (path / "shards").glob("train-real*"):
        tar.unlink()
    with pytest.raises(IntegrityError, match="is missing"):
        list(release.webdataset("train", check=False))


def test_a_codec_without_a_decoder_is_named_before_reading(tmp_path: Path) -> None:
    release = open_release(write_release(tmp_path, [real(i, codec="mp7") for i in range(3)]))
    with pytest.raises(UnknownNameError, match=r"decode=False gives the bytes.* 'mp7'.*wav"):
        release.webdataset()
    assert {len(sample["mp7"]) for sample in release.webdataset(decode=False)} == {700}


def test_what_travels_to_workers_grows_by_numbers_alone(tmp_path: Path) -> None:
    sizes = []
    for n in (100, 1100):
        path = write_release(tmp_path / str(n), [real(i) for i in range(n)])
        sizes.append(len(pickle.dumps(open_release(path).webdataset(decode=False).pipeline)))
    assert (sizes[1] - sizes[0]) / 1000 < 40  # bytes a sample
