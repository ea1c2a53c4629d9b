"""Reads and verifies a release: a folder of tars, Parquet tables and one manifest.

Nothing but pyarrow, tarfile and json is needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import CorpusError, IntegrityError, UnknownNameError
from corpora.fingerprint import hash_file, hash_files
from corpora.schema import SAMPLES, SPLITS
from corpora.shards import count_members, iter_payloads, read_table

MANIFEST = "manifest.json"


def compute_release_hash(files: Mapping[str, str]) -> str:
    """{relative path: sha256} -> the Merkle root, 64 hex digits: sha256 over the sorted paths and hashes."""
    return hash_files(dict(files))


def describe_files(root: Path, paths: Iterator[str] | list[str] | tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Relative posix paths below `root` -> the manifest's `files`: {path: {"sha256", "n_bytes"}}."""
    return {name: {"sha256": hash_file(root / name), "n_bytes": (root / name).stat().st_size} for name in sorted(paths)}


@dataclass(frozen=True, slots=True)
class Release:
    """One release on disk. `index` has the schema SAMPLES, `splits` the schema SPLITS."""

    path: Path
    manifest: Mapping[str, Any]
    index: pa.Table
    splits: pa.Table

    @property
    def release_hash(self) -> str:
        return str(self.manifest["release_hash"])

    @property
    def views(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.splits["view"].to_pylist())))

    def rows(self, split: str | None = None, *, synthetic: bool | None = None, view: str | None = None) -> pa.Table:
        """Index rows of a split (None: of all). `synthetic` True or False keeps one kind. `view` is needed only
        where the release holds several. Raises `UnknownNameError`."""
        table = self.index
        if split is not None:
            name = view if view is not None else (self.views[0] if len(self.views) == 1 else None)
            if name not in self.views:
                raise UnknownNameError.of("split view", str(view), self.views)
            rows = self.splits.filter(pc.equal(self.splits["view"], name))
            known = set(rows["split"].to_pylist())
            if split not in known:
                raise UnknownNameError.of("split", split, known)
            ids = rows.filter(pc.equal(rows["split"], split))["sample_id"]
            table = table.filter(pc.is_in(table["sample_id"], value_set=ids.combine_chunks()))
        if synthetic is not None:
            real = pc.is_null(table["generator_id"])
            table = table.filter(pc.invert(real) if synthetic else real)
        return table

    def samples(
        self, split: str | None = None, *, synthetic: bool | None = None, view: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Rows of `rows(...)` as dicts with `payload` (bytes, checked by sha256) and `synthetic`, in shard order."""
        for row, payload in iter_payloads(self.path, self.rows(split, synthetic=synthetic, view=view)):
            row["payload"] = payload
            row["synthetic"] = row["generator_id"] is not None
            yield row

    def verify(self) -> None:
        """Every file of the manifest: there, of its size and sha256; the hash of the whole; members of each tar as many
        as the index has. Raises `IntegrityError` with the first thing that differs."""
        files = self.manifest["files"]
        for name, told in files.items():
            path = self.path / name
            if not path.is_file():
                raise IntegrityError(f"{path} is missing; the manifest lists it.")
            if path.stat().st_size != told["n_bytes"]:
                raise IntegrityError(f"{path} has {path.stat().st_size} bytes, the manifest says {told['n_bytes']}.")
            if hash_file(path) != told["sha256"]:
                raise IntegrityError(f"{path} does not have the sha256 of the manifest: it was changed.")
        root = compute_release_hash({name: told["sha256"] for name, told in files.items()})
        if root != self.release_hash:
            raise IntegrityError(f"{self.path}: the files hash to {root}, the manifest says {self.release_hash}.")
        for shard in sorted(set(self.index["shard"].to_pylist())):
            if shard not in files:
                raise IntegrityError(f"{self.path}: the index names {shard}, the manifest does not.")
            rows = pc.sum(pc.equal(self.index["shard"], shard)).as_py()
            members = count_members(self.path / shard)
            if members != rows:
                raise IntegrityError(f"{self.path / shard} holds {members} payloads, the index {rows}.")


def open_release(path: Path | str) -> Release:
    """Opens a release folder; reads the manifest and the tables, no payload.

    Raises `CorpusError` if there is no release, `IntegrityError` if its tables are not what they should be.
    """
    root = Path(path)
    if not (root / MANIFEST).is_file():
        raise CorpusError(f"{root} is no release: it holds no {MANIFEST}. Give the folder that `emoforge run` printed.")
    try:
        manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except ValueError as error:
        raise IntegrityError(f"{root / MANIFEST} is no JSON: {error}") from error
    for name in ("files", "release_hash"):
        if name not in manifest:
            raise IntegrityError(f"{root / MANIFEST} has no {name!r}: it is not the manifest of a release.")
    index = read_table(root / "index.parquet", SAMPLES)
    splits = read_table(root / "splits.parquet", SPLITS)
    return Release(root, manifest, index, splits)
