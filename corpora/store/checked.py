"""What of a release's files is not what the manifest says, down to the samples whose bytes have changed.

Every file is read once, every tar that differs once more: the work grows with the bytes, however many shards and rows.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import IntegrityError
from corpora.fingerprint import hash_files
from corpora.store.remembered import has_hash, hash_anew
from corpora.store.removed import NOTICE
from corpora.store.shards import count_members

MANIFEST = "manifest.json"
README = "README.md"
SHOWN = 5  # samples that a sentence names
_BLOCK = 512  # bytes of a tar block
_CHECKSUM = slice(148, 156)  # of a tar header
_SIZE = slice(124, 136)

Kind = Literal["manifest", "missing", "link", "size", "changed", "members", "unlisted", "tag"]
Part = Literal["header", "payload", "json", "tag"]


@dataclass(frozen=True, slots=True)
class DamagedSample:
    """A sample whose bytes in the tar are not what the index says. part: the member's header, its payload, the json
    beside it, or the tag in its payload."""

    sample_id: str
    part: Part


@dataclass(frozen=True, slots=True)
class Problem:
    """One file that differs. file: relative to the release; sentence: for people; samples: those that it touches."""

    file: str
    kind: Kind
    sentence: str
    samples: tuple[DamagedSample, ...] = ()


def unlisted(root: Path, files: Mapping[str, Any], version: int) -> tuple[str, ...]:
    """Files below `root` that the manifest does not list, but for a notice of retraction; version: of the format."""
    known = {*files, MANIFEST, NOTICE, *([README] if version == 1 else [])}
    there = (
        (Path(base) / name).relative_to(root).as_posix()
        for base, folders, names in os.walk(root)
        for name in (*names, *(f for f in folders if (Path(base) / f).is_symlink()))
    )
    return tuple(sorted(name for name in there if name not in known))


def file_problem(root: Path, name: str, entry: Mapping[str, Any], *, remembered: bool = False) -> Problem | None:
    """`entry`: sha256 and n_bytes of the file `name`, as the manifest has them. `remembered`: a file that was hashed
    before and has not changed since is not read again (corpora/store/remembered.py)."""
    path = root / name
    for part in (path, *path.parents):
        if part == root:
            break
        if part.is_symlink():
            return Problem(name, "link", f"{part} is a link; the files of a release are its own.")
    if not path.is_file():
        return Problem(name, "missing", f"{path} is missing; the manifest lists it.")
    size = path.stat().st_size
    if size != entry["n_bytes"]:
        return Problem(name, "size", f"{path} has {size} bytes, the manifest says {entry['n_bytes']}.")
    same = has_hash(root, name, entry["sha256"]) if remembered else hash_anew(root, name) == entry["sha256"]
    if not same:
        return Problem(name, "changed", f"{path} does not have the sha256 of the manifest: it was changed.")
    return None


def foreign_shards(root: Path, names: Sequence[str]) -> Iterator[Problem]:
    """Tars among the shards that nobody knows: who reads shards/*.tar would read them. `names`: of `unlisted`."""
    for name in names:
        if name.startswith("shards/") and name.endswith(".tar"):
            sentence = f"{root / name} is not in the manifest, and who reads shards/*.tar would read it. Remove it."
            yield Problem(name, "unlisted", sentence)


def member_problems(root: Path, shards: pa.ChunkedArray) -> Iterator[Problem]:
    """Shards that hold another number of payloads than the index has rows. `shards`: that column of it."""
    for row in sorted(pc.value_counts(shards).to_pylist(), key=lambda row: row["values"]):
        shard, rows = row["values"], row["counts"]
        members = count_members(root / shard)
        if members != rows:
            yield Problem(shard, "members", f"{root / shard} holds {members} payloads, the index {rows}.")


def with_samples(problem: Problem, root: Path, rows: pa.Table) -> Problem:
    """The problem of a shard, with the samples that it touches. `rows`: of the index, of this shard alone."""
    if problem.kind not in ("changed", "size", "members") or not rows.num_rows:
        return problem
    damaged = tuple(damaged_samples(root / problem.file, rows))
    if not damaged:
        return Problem(
            problem.file,
            problem.kind,
            f"{problem.sentence} The bytes of all {rows.num_rows} samples are whole: it lies between them.",
        )
    named = ", ".join(f"{one.sample_id} ({one.part})" for one in damaged[:SHOWN])
    more = f" and {len(damaged) - SHOWN} more" if len(damaged) > SHOWN else ""
    return Problem(problem.file, problem.kind, f"{problem.sentence} Samples: {named}{more}.", damaged)


def damaged_samples(tar: Path, rows: pa.Table) -> Iterator[DamagedSample]:
    """Samples of the tar with a part that is not what it was: each is looked at where the index says that it lies.
    `rows`: of the index, of this tar alone. A tar that is gone has no sample."""
    if not tar.is_file():
        return
    with tar.open("rb") as file:
        for batch in rows.sort_by("offset").to_batches(max_chunksize=2048):
            for row in batch.to_pylist():
                part = _damaged_part(file, row)
                if part is not None:
                    yield DamagedSample(row["sample_id"], part)


def _damaged_part(file: BinaryIO, row: Mapping[str, Any]) -> Part | None:
    file.seek(max(0, row["offset"] - _BLOCK))
    if _member_size(file.read(_BLOCK)) != row["n_bytes"]:
        return "header"
    payload = file.read(row["n_bytes"])
    if len(payload) != row["n_bytes"] or hashlib.sha256(payload).hexdigest() != row["sha256"]:
        return "payload"
    file.seek(-row["n_bytes"] % _BLOCK, os.SEEK_CUR)
    size = _member_size(file.read(_BLOCK))
    if size is None:
        return "header"
    return None if _says_the_same(file.read(size), row) else "json"


def _member_size(header: bytes) -> int | None:
    """Bytes of a tar's member; None where the header does not fit its own checksum."""
    if len(header) != _BLOCK:
        return None
    blank = header[: _CHECKSUM.start] + b" " * 8 + header[_CHECKSUM.stop :]
    try:
        fits = int(header[_CHECKSUM].rstrip(b" \0"), 8) == sum(blank)
        return int(header[_SIZE].rstrip(b" \0"), 8) if fits else None
    except ValueError:
        return None


def _says_the_same(about: bytes, row: Mapping[str, Any]) -> bool:
    """Whether the json beside a payload is one, and says nothing else than the row. Facts that are no plain value of a
    column are passed over; numbers are compared as the column has them."""
    try:
        facts = json.loads(about)
    except ValueError:
        return False
    if not isinstance(facts, dict) or facts.get("sample_id") != row["sample_id"]:
        return False
    for name, value in facts.items():
        known = row.get(name)
        if isinstance(value, float) and isinstance(known, float):
            if np.float32(value) != np.float32(known):
                return False
        elif name in row and isinstance(value, str | int | None) and value != known:
            return False
    return True


def first_problem(problems: Iterator[Problem]) -> None:
    """Raises `IntegrityError` with the first of them; nothing where there is none."""
    for problem in problems:
        raise IntegrityError(problem.sentence)


def root_problem(path: Path, manifest: Mapping[str, Any]) -> str | None:
    """Of a release of format 1, whose hash is one over its files alone: why it is not theirs, None where it is."""
    root = hash_files({name: entry["sha256"] for name, entry in manifest["files"].items()})
    wanted = manifest["release_hash"]
    return None if root == wanted else f"{path}: the files hash to {root}, the manifest says {wanted}."
