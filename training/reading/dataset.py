"""A release as a map-style torch Dataset: any sample by its number, read by pread where the index says that it lies.

It can be pickled and forked: files are opened by the process that reads, and what travels to workers are columns of
numbers and Arrow buffers, not an object a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from torch.utils.data import Dataset

from corpora.errors import IntegrityError, PayloadError, UnknownNameError, UserError
from corpora.reading.decoded import decoder
from corpora.reading.places import Coded, Places, Tars
from corpora.reading.selection import Kind, Which, selected
from corpora.store.release import Release, open_release

COLUMNS = ("sample_id", "emotion", "weight")
NO_CLASS = -100  # the label of a sample of no class: what torch's cross_entropy passes over
Item = dict[str, Any]


class ReleaseDataset(Dataset[Item]):
    """Samples of a release by number, in the order of shards and places in them.

    An item: `payload` (decoded as corpora/reading/decoded.py says, or bytes), `label` (number of the class in
    `classes`, `NO_CLASS` where there is none), `synthetic`, and the `columns` of the index, by default sample_id,
    emotion and `weight`, to be multiplied with the loss.
    """

    def __init__(self, root: Path, rows: pa.Table, tars: Tars, columns: Sequence[str], classes: Sequence[str]) -> None:
        self.root, self.classes = root, tuple(classes)
        self.decode = True
        self.transform: Callable[[Item], Any] | None = None
        self._tars, self._places = tars, Places.of(rows)
        self._columns = {name: rows[name].combine_chunks() for name in columns}
        emotion = Coded.of(rows["emotion"])
        number_of = {name: i for i, name in enumerate(self.classes)}
        codes = np.array([*(number_of[text] for text in emotion.texts), NO_CLASS], np.int64)  # -1 is the last
        self.labels: np.ndarray = codes[emotion.codes]
        self.weights: np.ndarray = rows["weight"].combine_chunks().to_numpy()
        self.synthetic: np.ndarray = pc.is_valid(rows["generator_id"]).combine_chunks().to_numpy(zero_copy_only=False)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int) -> Any:
        """Raises IndexError; `IntegrityError`: the shard is missing or not what it was, or the payload no such one."""
        n = len(self)
        row = int(number) + n if number < 0 else int(number)
        if not 0 <= row < n:
            raise IndexError(f"sample {number} of {n}")
        item: Item = {"payload": self._payload(row), "label": int(self.labels[row])}
        item["synthetic"] = bool(self.synthetic[row])
        for name, column in self._columns.items():
            item[name] = column[row].as_py()
        return item if self.transform is None else self.transform(item)

    def _payload(self, row: int) -> Any:
        places = self._places
        shard, codec = places.shard.text(row), places.codec.text(row)
        assert shard is not None and codec is not None  # columns that are never null
        offset = int(places.offset[row])
        data = self._tars.read(shard, int(places.n_bytes[row]), offset)
        if not self.decode:
            return data
        try:
            return decoder(codec)(data)
        except PayloadError as error:
            raise IntegrityError(f"{self.root / shard}: the {codec} at {offset} is none: {error}") from error


def torch_dataset(
    release: Release | Path | str,
    split: str | None = None,
    *,
    kind: Kind = "both",
    columns: Sequence[str] = COLUMNS,
    decode: bool = True,
    transform: Callable[[Item], Any] | None = None,
    check: bool = True,
    seed: int = 0,
    **which: Unpack[Which],
) -> ReleaseDataset:
    """Samples of a split of a release (None: of all) as a map-style torch Dataset: see `ReleaseDataset`.

    kind: "real", "synthetic" or "both". transform: an item -> what the dataset gives; with workers that are spawned it
    must be one that can be pickled. check: a shard is hashed when it is first opened, and then again only after it has
    changed. seed: which samples go for a `synthetic_share`; another one for each epoch shows all of them in time.

    which: `view`; `where={"mcd": "<= 6"}`, scores of synthetic samples; `synthetic_share` in [0, 1]; `classes`.

    Raises as `open_release` and `corpora.reading.selection.selected`; `UnknownNameError` for a column that the index
    has not and a codec that has no decoder.
    """
    opened = release if isinstance(release, Release) else open_release(release)
    if isinstance(columns, str):
        raise UserError(f"columns is the text {columns!r}; a list of names is wanted: columns=[{columns!r}]")
    for name in columns:
        if name not in opened.columns.names:
            raise UnknownNameError.of("column of the index", str(name), opened.columns.names)
    rows = selected(opened, split, kind, which, seed, columns)
    if decode:
        for codec in pc.unique(rows["codec"]).to_pylist():
            decoder(codec)
    tars = Tars(opened.path, opened.manifest["files"] if check else None)
    dataset = ReleaseDataset(opened.path, rows, tars, columns, _classes(opened))
    dataset.decode, dataset.transform = decode, transform
    return dataset


def _classes(release: Release) -> list[str]:
    """Of the whole release, in the order of its manifest: a label means the same in each split."""
    there = set(pc.unique(release.columns["emotion"]).drop_null().to_pylist())
    named = [str(name) for name in release.manifest.get("classes", ())]
    return [*named, *sorted(there - set(named))]
