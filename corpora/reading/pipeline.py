"""`Release.webdataset`: a `wds.WebDataset` whose samples come by the index, ready for a training loop.

The samples are those that `webdataset` reads from the same tars (`__key__`, `__url__`, payload, json), and all of its
stages go on from here. What comes before them is ours: the index says where a sample lies, so some can be left out
(splits, scores, shares) and every reader can begin in the middle of a shard, and no reader walks through a tar's
headers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import IntegrityError
from corpora.reading.decoded import ByEnding, decoder
from corpora.reading.order import Shuffle, part
from corpora.reading.places import Coded, Places, Tars
from corpora.reading.selection import Kind, Which, selected

if TYPE_CHECKING:
    import webdataset

    from corpora.store.release import Release

_BLOCK = 512  # bytes of a tar block
_OCTAL = re.compile(rb"[0-7]+")
_NAME, _SIZE = slice(0, 100), slice(124, 136)  # of a tar header


@dataclass
class Members:
    """The first stage: this reader's part of the samples, as webdataset groups a tar's members.

    Which part it is tells webdataset itself (`RANK` and `WORLD_SIZE`, or torch.distributed, and DataLoader's workers).
    """

    tars: Tars
    places: Places
    shuffle: Shuffle | None
    _begun: int = field(default=0, repr=False)

    def __call__(self) -> Iterator[dict[str, Any]]:
        """Yields {"__key__", "__url__", "<codec>": bytes, "json": bytes, "__row__": number of the row}."""
        from webdataset.utils import pytorch_worker_info

        rank, ranks, worker, workers = pytorch_worker_info()
        reader, readers = rank * workers + worker, ranks * workers
        rows = part(self.places.shard.codes, reader, readers, self.shuffle, self._begun)
        self._begun += 1
        for row in rows.tolist():
            yield self._sample(row)

    def _sample(self, row: int) -> dict[str, Any]:
        shard, codec = self.places.shard.text(row), self.places.codec.text(row)
        offset, n_bytes = int(self.places.offset[row]), int(self.places.n_bytes[row])
        padded = n_bytes + -n_bytes % _BLOCK
        assert shard is not None and codec is not None  # columns that are never null
        start = offset - _BLOCK
        data = self.tars.read(shard, 2 * _BLOCK + padded, start)
        name = data[_NAME].rstrip(b"\0").decode("ascii", "replace")
        about = _BLOCK + padded  # where the header of the json stands
        key, _, ending = name.partition(".")
        size = data[about:][_SIZE].rstrip(b" \0")
        its_json = data[about:].startswith(f"{key}.json\0".encode()) and _OCTAL.fullmatch(size)
        if ending != codec or not its_json:
            raise IntegrityError(f"{self.tars.root / shard}: no {codec} with its json at {offset}; the index says so.")
        json = self.tars.read(shard, int(size, 8), start + about + _BLOCK)
        url = str(self.tars.root / shard)
        return {"__key__": key, "__url__": url, codec: data[_BLOCK : _BLOCK + n_bytes], "json": json, "__row__": row}


@dataclass(frozen=True)
class FromIndex:
    """The last stage: what a loop needs of the index, beside what stands in the tar."""

    emotion: Coded
    weight: np.ndarray
    synthetic: np.ndarray

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Adds `emotion` (None: of no class), `weight` (to be multiplied with the loss) and `synthetic`."""
        row = sample.pop("__row__")
        sample["emotion"] = self.emotion.text(row)
        sample["weight"] = float(self.weight[row])
        sample["synthetic"] = bool(self.synthetic[row])
        return sample


@dataclass(frozen=True, slots=True)
class Stages:
    """What is done with the samples: see `Release.webdataset`."""

    decode: bool
    shuffle: Shuffle | None
    check: bool


def pipeline(release: Release, split: str | None, kind: Kind, stages: Stages, which: Which) -> webdataset.WebDataset:
    """See `Release.webdataset`."""
    import webdataset

    shuffle = stages.shuffle
    rows = selected(release, split, kind, which, _seed(shuffle))
    if stages.decode:
        for codec in pc.unique(rows["codec"]).to_pylist():
            decoder(codec)
    places = Places.of(rows)
    tars = Tars(release.path, release.manifest["files"] if stages.check else None)
    shards = [str(release.path / name) for name in places.shard.texts]
    data = webdataset.WebDataset(
        shards, shardshuffle=False, nodesplitter=None, workersplitter=None, empty_check=False, cache_size=0
    )
    data.pipeline = [Members(tars, places, shuffle)]
    if shuffle is not None and shuffle.buffer > 0:
        data = data.compose(webdataset.detshuffle(shuffle.buffer, min(shuffle.buffer, 100), _seed(shuffle)))
    if stages.decode:
        data = data.decode(ByEnding())
    return data.map(_from_index(rows))


def _seed(shuffle: Shuffle | None) -> int:
    return 0 if shuffle is None else int(np.random.SeedSequence([shuffle.seed, shuffle.epoch]).generate_state(1)[0])


def _from_index(rows: pa.Table) -> FromIndex:
    synthetic = pc.is_valid(rows["generator_id"]).combine_chunks().to_numpy(zero_copy_only=False)
    return FromIndex(Coded.of(rows["emotion"]), rows["weight"].combine_chunks().to_numpy(), synthetic)
