"""How people read a release who have nothing of ours: every function here imports the tools that they have, no more.

Run as a script it reads a release with all tools but Ray and audformat, which reads an export, in a process where none
of our packages is: python strangers.py RELEASE CODEC CACHE.
"""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

Read = dict[str, tuple[bytes, Any, bool]]  # sample id -> payload, class, whether it is synthetic


def shards(root: Path, of: str = "*") -> list[str]:
    """Paths of tars, `of`: "train-real-*", ..."""
    return sorted(str(path) for path in (root / "shards").glob(f"{of}.tar"))


def by_webdataset(root: Path, codec: str) -> Read:
    """Raw, the first lines of its manual."""
    import webdataset

    data = webdataset.WebDataset(shards(root), shardshuffle=False)
    return as_read((sample["json"], sample[codec]) for sample in data)


def as_read(samples: Any) -> Read:
    """(json, payload) of each sample -> `Read`."""
    read = {}
    for about, payload in samples:
        facts = about if isinstance(about, dict) else json.loads(about)
        assert facts["sample_id"] not in read, "a sample came twice"
        read[facts["sample_id"]] = (bytes(payload), facts["emotion"], facts["synthetic"])
    return read


def by_datasets(root: Path, codec: str, *, streaming: bool, cache: Path) -> dict[str, Read]:
    """Real and synthetic ones apart, by data_files. Features that are said leave the payload as it is, so that wav
    needs no torchcodec, and keep every key of the json."""
    from datasets import Features, Json, Value, load_dataset

    features = Features(
        {codec: Value("binary"), "json": Json(), "__key__": Value("string"), "__url__": Value("string")}
    )
    files = {"real": shards(root, "*-real-*"), "synthetic": shards(root, "*-synthetic-*")}
    data = load_dataset("webdataset", data_files=files, features=features, streaming=streaming, cache_dir=str(cache))
    return {kind: as_read((sample["json"], sample[codec]) for sample in data[kind]) for kind in files}


def streamed_by_cast(root: Path, codec: str) -> Read:
    """As the release's card says: features are guessed, and the column is cast to what is in it."""
    from datasets import Value, load_dataset

    files = {"train": shards(root, "train-*")}
    data = load_dataset("webdataset", data_files=files, split="train", streaming=True)
    data = data.cast_column(codec, {"bytes": Value("binary"), "path": Value("string")})
    return as_read((sample["json"], sample[codec]["bytes"]) for sample in data)


Counts = dict[tuple[str, Any, bool], int]  # (split, class, synthetic) -> rows

_QUERY = """
    SELECT split, emotion, generator_id IS NOT NULL AS synthetic, count(*) AS n
    FROM 'ROOT/index.parquet' JOIN 'ROOT/splits.parquet' USING (sample_id) GROUP BY ALL
"""


def by_duckdb(root: Path) -> Counts:
    """One query over the files."""
    import duckdb

    return {
        (split, emotion, synthetic): n
        for split, emotion, synthetic, n in duckdb.sql(_QUERY.replace("ROOT", str(root))).fetchall()
    }


def by_polars(root: Path) -> Counts:
    """Lazily, over the files."""
    import polars

    rows = polars.scan_parquet(root / "index.parquet").join(
        polars.scan_parquet(root / "splits.parquet"), on="sample_id"
    )
    table = (
        rows.group_by("split", "emotion", polars.col("generator_id").is_not_null().alias("synthetic")).len().collect()
    )
    return {(split, emotion, synthetic): n for split, emotion, synthetic, n in table.iter_rows()}


def by_pandas(root: Path) -> Counts:
    """Both tables whole."""
    import pandas

    rows = pandas.read_parquet(root / "index.parquet").merge(
        pandas.read_parquet(root / "splits.parquet"), on="sample_id"
    )
    return dict(Counter(zip(rows["split"], rows["emotion"], rows["generator_id"].notna(), strict=True)))


def by_offsets(root: Path) -> Read:
    """pandas says where each payload lies in its tar."""
    import pandas

    read = {}
    for row in pandas.read_parquet(root / "index.parquet").itertuples():
        with (root / row.shard).open("rb") as file:
            file.seek(row.offset)
            read[row.sample_id] = (file.read(row.n_bytes), row.emotion, pandas.notna(row.generator_id))
    return read


def by_loaders(root: Path, codec: str, ranks: int, workers: int) -> list[list[str]]:
    """torch's DataLoader over raw webdataset, split by node and worker. -> ids that each rank gets."""
    import os

    import torch
    import webdataset

    read = []
    for rank in range(ranks):
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(ranks)}
        data = webdataset.WebDataset(
            shards(root), shardshuffle=False, nodesplitter=webdataset.split_by_node, empty_check=False
        ).to_tuple(codec, "json")
        loader = torch.utils.data.DataLoader(data, batch_size=None, num_workers=workers)
        read.append([json.loads(about)["sample_id"] for _, about in loader])
    del os.environ["RANK"], os.environ["WORLD_SIZE"]
    return read


def by_ray(root: Path, codec: str) -> Read:
    """Ray Data, in this process' own local Ray."""
    import ray

    rows = ray.data.read_webdataset(shards(root), decoder=None).take_all()
    return as_read((row["json"], row[codec]) for row in rows)


def decoded(codec: str, payload: bytes) -> Any:
    """By the library that everybody has for it."""
    import numpy
    import soundfile
    from PIL import Image

    if codec == "wav":
        return soundfile.read(io.BytesIO(payload), dtype="float32")[0]
    if codec == "png":
        return numpy.asarray(Image.open(io.BytesIO(payload)))
    return payload.decode("utf-8") if codec == "txt" else dict(numpy.load(io.BytesIO(payload)))


def main(root: Path, codec: str, cache: Path) -> None:
    """Every reader reads the same."""
    read = by_webdataset(root, codec)
    assert read and by_offsets(root) == read
    for streaming in (True, False):
        apart = by_datasets(root, codec, streaming=streaming, cache=cache)
        assert apart["real"] | apart["synthetic"] == read
        assert {one[2] for one in apart["real"].values()} == {False}
        assert {one[2] for one in apart["synthetic"].values()} == {True}
    counts = by_duckdb(root)
    assert counts == by_polars(root) == by_pandas(root) and sum(counts.values()) == len(read)
    parts = by_loaders(root, codec, 2, 2)
    assert sorted(chain(*parts)) == sorted(read) and all(parts)
    ours = ("emoforge", "flows", "corpora", "features", "training", "generators", "validators")
    assert not [name for name in sys.modules if name.partition(".")[0] in ours]
    sys.stdout.write(f"{len(read)} samples\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
