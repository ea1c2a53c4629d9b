"""Everything of a release against its hashes: all that differs, named, where `Release.verify` raises the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import IntegrityError
from corpora.store.checked import (
    MANIFEST,
    Problem,
    file_problem,
    foreign_shards,
    member_problems,
    root_problem,
    unlisted,
    with_samples,
)
from corpora.store.columns import Columns
from corpora.store.release import INDEX, index_columns, read_manifest
from corpora.store.removed import notice_of
from corpora.store.tags import TAGS_BY, tag_problems


@dataclass(frozen=True, slots=True)
class Checked:
    """A release after all its bytes were read. release_hash: None where the manifest itself is damaged. n_files,
    n_bytes: that the manifest lists. extra: files that it does not list, which are not of the release. removed: what of
    it was retracted since, a sentence each (corpora/store/removed.py)."""

    path: Path
    release_hash: str | None
    n_files: int
    n_bytes: int
    problems: tuple[Problem, ...]
    extra: tuple[str, ...]
    removed: tuple[str, ...] = ()

    @property
    def intact(self) -> bool:
        """Whether all of it is what it was."""
        return not self.problems


def check_release(path: Path) -> Checked:
    """Every file of a release folder against its hash. What is damaged is named with all else that is; of a shard, the
    samples too, where the index is whole. Raises `CorpusError` where there is no release, or one of a newer format."""
    try:
        manifest, version = read_manifest(path)
    except IntegrityError as error:
        return Checked(path, None, 0, 0, (Problem(MANIFEST, "manifest", str(error)),), (), notice_of(path))
    files, extra = manifest["files"], unlisted(path, manifest["files"], version)
    found = list(_damaged_files(path, files))
    damaged = {problem.file for problem in found}
    problems = [*found, *foreign_shards(path, extra)]
    if INDEX not in damaged and INDEX in files:
        index = _index(path, version, problems)
        if index is not None:
            problems = _located(problems, path, index)
            problems += _unknown_shards(path, files, index["shard"].drop_null())
            whole = pa.array(sorted(set(files) - damaged), pa.string())
            looked_at = index.select(TAGS_BY).filter(pc.is_in(index["shard"], value_set=whole))
            problems += tag_problems(path, looked_at, manifest)
            problems += member_problems(path, looked_at["shard"])
    if version == 1 and not problems and (root := root_problem(path, manifest)):
        problems.append(Problem(MANIFEST, "manifest", root))
    size = sum(int(entry["n_bytes"]) for entry in files.values())
    return Checked(path, str(manifest["release_hash"]), len(files), size, tuple(problems), extra, notice_of(path))


def _damaged_files(path: Path, files: dict[str, dict[str, object]]) -> Iterator[Problem]:
    for name, entry in sorted(files.items()):
        if (problem := file_problem(path, name, entry)) is not None:
            yield problem


def _index(path: Path, version: int, problems: list[Problem]) -> Columns | None:
    """The index; None, and a problem more, where it has its hash and is no index all the same."""
    try:
        index = index_columns(path, version)
        index.select(TAGS_BY)
        return index
    except IntegrityError as error:
        problems.append(Problem(INDEX, "changed", str(error)))
        return None


def _located(problems: list[Problem], path: Path, index: Columns) -> list[Problem]:
    """Problems of shards with the samples that they touch; only shards that differ are searched, and the index once."""
    shards = pa.array(sorted({problem.file for problem in problems if problem.file.endswith(".tar")}), pa.string())
    if not len(shards):
        return problems
    rows = index.filter(pc.is_in(index["shard"], value_set=shards).combine_chunks()).table().sort_by("shard")
    counts = {row["values"]: row["counts"] for row in pc.value_counts(rows["shard"]).to_pylist()}
    starts = dict(zip(sorted(counts), accumulate((counts[name] for name in sorted(counts)), initial=0), strict=False))
    return [
        with_samples(problem, path, rows.slice(starts.get(problem.file, 0), counts.get(problem.file, 0)))
        if problem.file.endswith(".tar")
        else problem
        for problem in problems
    ]


def _unknown_shards(path: Path, files: dict[str, dict[str, object]], shards: pa.ChunkedArray) -> Iterator[Problem]:
    for shard in sorted(set(pc.unique(shards).to_pylist()) - set(files)):
        yield Problem(INDEX, "members", f"{path}: the index names {shard!r}, the manifest does not.")
