"""Parts of files as bench_bytes.py cuts them, and that chunks leave a table's bytes the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.bench_bytes import LARGEST, SMALLEST, parts, stored
from corpora.store.shards import write_table


def test_parts_make_up_the_file_and_come_back_after_an_insertion() -> None:
    data = np.random.default_rng(0).bytes(1 << 20)
    cut = list(parts(data))
    assert b"".join(cut) == data and all(len(part) <= LARGEST for part in cut)
    assert all(len(part) >= SMALLEST for part in cut[:-1])
    known = set(cut)
    fresh = [part for part in parts(data[:300_000] + b"new" + data[300_000:]) if part not in known]
    assert 0 < sum(map(len, fresh)) <= 2 * LARGEST


def test_whole_files_are_counted_once(tmp_path: Path) -> None:
    for version, text in (("a", b"x" * 9), ("b", b"x" * 9), ("c", b"y" * 9)):
        (tmp_path / version / "shards").mkdir(parents=True)
        (tmp_path / version / "shards" / "train-real-0.tar").write_bytes(text)
    told = stored([tmp_path / version for version in "abc"], "shards/train-real")
    assert told["copies"] == [9, 18, 27] and told["whole files"] == [9, 9, 18]


def test_a_table_of_many_pages_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pa.table({"id": [rng.bytes(16).hex() for _ in range(30_000)], "value": rng.random(30_000)})
    for name in ("a", "b"):
        write_table(tmp_path / name, table)
    write_table(tmp_path / "sliced", pa.concat_tables([table.slice(0, 7_000), table.slice(7_000)]))
    first = (tmp_path / "a").read_bytes()
    assert first == (tmp_path / "b").read_bytes() == (tmp_path / "sliced").read_bytes()
    assert pq.read_table(tmp_path / "a").equals(table)
