"""Whether each synthetic payload of a release says that it is one, and no real payload does (corpora/tagged.py)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpora.store.checked import SHOWN, DamagedSample, Problem
from corpora.tagged import tag_of

KEY = "payload_tags"  # of a manifest: codec -> where its tag stands, None: nowhere
TAGS_BY = ("sample_id", "generator_id", "codec", "shard", "offset", "n_bytes")  # columns that `tag_problems` looks at


def tag_problems(root: Path, index: pa.Table, manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """Shards with payloads whose tag is not that of the index: missing, another sample's, or on a real one. `index`:
    `TAGS_BY` of shards that are whole. Of a release whose payloads were not tagged (before there were tags) nothing."""
    places = manifest.get(KEY)
    if not isinstance(places, dict):
        return
    table = index.select(TAGS_BY).sort_by([("shard", "ascending"), ("offset", "ascending")])
    for shard in pc.unique(table["shard"]).to_pylist():
        rows = table.filter(pc.equal(table["shard"], shard)).to_pylist()
        with (root / shard).open("rb") as tar:
            wrong = [(row["sample_id"], why) for row in rows if (why := _wrong(tar.fileno(), row, places)) is not None]
        if wrong:
            named = ", ".join(f"{sample} ({why})" for sample, why in wrong[:SHOWN])
            more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
            sentence = f"{root / shard}: what payloads say of themselves is not so: {named}{more}."
            yield Problem(shard, "tag", sentence, tuple(DamagedSample(sample, "tag") for sample, _ in wrong))


def _wrong(tar: int, row: Mapping[str, Any], places: Mapping[str, Any]) -> str | None:
    """Why the tag is wrong; None where it is right."""
    tag = tag_of(os.pread(tar, row["n_bytes"], row["offset"]))
    if row["generator_id"] is None:
        return None if tag is None else "real, and tagged as synthetic"
    if places.get(row["codec"]) is None:
        return None
    if tag is None:
        return "synthetic, and not tagged"
    same = (tag.sample_id, tag.generator_id) == (row["sample_id"], row["generator_id"])
    return None if same else f"tagged as {tag.sample_id}"
