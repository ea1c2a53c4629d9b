"""A part of a release as a release of its own: its synthetic samples, or its features, without the real samples.

It is a whole release of the same format: shards, tables, descriptions, sums and a manifest, under a hash of its own,
and the same part of the same release has the same bytes. What is taken over as it is: shards of synthetic samples,
scores, verdicts, selftest.json, params.json, prepared.json, audit.json, and lineage.parquet, where real samples and
people are ids and nothing else. What is not:

synthetic   rows of real samples in index, splits and tables of features; statistics.json; rejects.parquet
features    of a run of features: real samples in the shards and the index, whose rows need a payload; rejects.parquet
            of a run that has tables of features beside payloads: all shards, and of the index the columns of payloads
            and what tells more of a person than an id (`INDEXED` stay); rejects.parquet
both        prompts and other facts of requests.parquet, which may quote real lines; vectors and texts that a draw
            followed, in place of which lineage.parquet has their hashes (so `redraw` asks the whole release)

A payload that was made by editing a recording goes with the synthetic ones: notes say how many there are.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpora.errors import GateError, IntegrityError, UserError
from corpora.fingerprint import hash_json
from corpora.licences import Held
from corpora.permits import Part, Permits, Verdict, verdict
from corpora.schema import REQUESTS, SAMPLES, SPLIT_NAMES
from corpora.store.atomic import canonical_json
from corpora.store.release import (
    FEATURES,
    INDEX,
    LINEAGE_TABLE,
    REQUESTS_TABLE,
    SCORE_TABLE,
    SPLIT_TABLE,
    Release,
    feature_file,
    open_release,
)
from corpora.store.shards import write_table
from flows.artifacts.released import Allowed, ClassCount, FeatureTable, Manifest, PartOf, Released, Sealed
from flows.describing.describe import describe
from flows.stages.feature_rows import BESIDE

_AS_IS = ("verdicts.parquet", SCORE_TABLE, "selftest.json", "params.json", "prepared.json", "audit.json")
STATISTICS = "statistics.json"
# columns of an index of features alone: those of features.parquet, and where synthetic samples come from
INDEXED = tuple(
    name
    for name in SAMPLES.names
    if name in {*BESIDE, "modality", "part", "seed", "sources", "source_ids", "license", "consent"}
)
QUOTING = ("prompts", "facts")  # columns of REQUESTS that may hold real lines


def require_allowed(manifest: Manifest, part: Part, permits: Permits) -> Verdict:
    """What lets the part stand alone. Raises `GateError` that names corpus, clause and what to do."""
    held = [Held.of(entry) for entry in manifest.corpora]
    said = verdict(held, part, permits, synthetic=manifest.has_synthetic)
    if said.because:
        raise GateError(
            f"{manifest.name} may not be published as {part} alone: {'; '.join(said.because)}. {said.remedy}"
        )
    return said


def take_part(source: Path, target: Path, part: Part, permits: Permits) -> Sealed:
    """Writes the part of the release in `source` as the release `target`, whole or not at all; one that is there goes.

    Raises `GateError` (terms), `UserError` where the release has no such part, `IntegrityError` where a file is not
    what it was, `ResourceError` for a full disk.
    """
    release, whole = open_release(source), Released(source).manifest()
    require_there(whole, part)
    said = require_allowed(whole, part, permits)
    release.verify()
    with Released.written(target) as taken:
        index = _write_tables(release, taken, part)
        if has_payloads(whole, part):
            (taken.path / "shards").mkdir()
            for shard in _own_shards(release, index):
                shutil.copyfile(source / shard, taken.path / shard)
        more = (STATISTICS,) if part == "features" else ()
        taken.copy(source / name for name in (*_AS_IS, *more) if name in whole.files)
        manifest = _manifest(whole, release, part, said, index)
        taken.seal(manifest, describe(taken.path, manifest))
    return Released(target).manifest()


def require_there(whole: Manifest, part: Part) -> None:
    """Raises `UserError` where a release has nothing of `part`."""
    if whole.part_of is not None:
        raise UserError(f"{whole.name} is a part of {whole.part_of.release} already; take parts of that one")
    if part == "synthetic" and not whole.has_synthetic:
        raise UserError(f"{whole.name} has no synthetic samples: its run has no generator, or all were rejected")
    if part == "features" and whole.features is None and not whole.feature_tables:
        from flows.stages.plan.tables import names_of  # here: representations are imported for their names

        known = names_of(whole.modality)
        raise UserError(
            f"{whole.name} has no {FEATURES} and no tables of features: its run generates payloads, and asks for no "
            f"features of them. Add to params.yaml runs: {{{whole.name}: {{release: {{features: [{known[0]}]}}}}}} (of "
            f"{whole.modality}: {', '.join(known)}), and build it: emoforge run {whole.name}"
        )


def has_payloads(whole: Manifest, part: Part) -> bool:
    """Whether the part has shards: not where features alone are taken of a run that generates payloads."""
    return part == "synthetic" or whole.features is not None


def _write_tables(release: Release, taken: Released, part: Part) -> pa.Table:
    """-> the index of the part."""
    index = _read(release, INDEX)
    if has_payloads(Released(release.path).manifest(), part):
        index = index.filter(pc.is_valid(index["generator_id"]))
    else:
        index = index.select([name for name in INDEXED if name in index.column_names])
    splits = _read(release, SPLIT_TABLE)
    if part == "synthetic":
        splits = _of(splits, index)
    taken.write_tables({"index": index, "splits": splits})
    if FEATURES in release.manifest["files"]:
        rows = _read(release, FEATURES)
        write_table(
            taken.path / FEATURES, rows.filter(pc.is_valid(rows["generator_id"])) if part == "synthetic" else rows
        )
    for name in release.feature_tables:
        rows = _read(release, feature_file(name))
        write_table(taken.path / feature_file(name), _of(rows, index) if part == "synthetic" else rows)
    if LINEAGE_TABLE in release.manifest["files"]:
        write_table(taken.path / LINEAGE_TABLE, without_contents(_read(release, LINEAGE_TABLE)))
    if REQUESTS_TABLE in release.manifest["files"]:
        write_table(taken.path / REQUESTS_TABLE, _without_lines(_read(release, REQUESTS_TABLE)))
    return index


def _of(rows: pa.Table, index: pa.Table) -> pa.Table:
    """Rows of the samples of an index."""
    return rows.filter(pc.is_in(rows["sample_id"], value_set=index["sample_id"].combine_chunks()))


def _read(release: Release, name: str) -> pa.Table:
    """As it was written, with the metadata of its columns."""
    return pq.ParquetFile(release.path / name).read()


def _without_lines(requests: pa.Table) -> pa.Table:
    for name in QUOTING:
        if name in requests.column_names:
            field = REQUESTS.field(name)
            at = requests.column_names.index(name)
            requests = requests.set_column(at, field, pa.nulls(requests.num_rows, field.type))
    return requests


def without_contents(lineage: pa.Table) -> pa.Table:
    """A draw may follow a vector or a text of a real sample (`given`): its hash stands in place of it."""
    used = [
        _hashed_given(text) if role.startswith("draw:") else text
        for text, role in zip(lineage["used"].to_pylist(), lineage["role"].to_pylist(), strict=True)
    ]
    at = lineage.column_names.index("used")
    return lineage.set_column(at, lineage.schema.field(at), pa.array(used, pa.string()))


def _hashed_given(draw: str) -> str:
    whole = json.loads(draw)
    given = whole.get("given", {})
    held = {name: value for name, value in given.items() if isinstance(value, list) or name == "text"}
    if not held:
        return draw
    hashes = {name: {"sha256": hash_json(value)} for name, value in held.items()}
    return canonical_json({**whole, "given": {**given, **hashes}}).decode()


def _own_shards(release: Release, index: pa.Table) -> list[str]:
    """Shards of synthetic samples. Raises `IntegrityError` where one holds a real sample, too."""
    wanted = sorted(pc.unique(index["shard"]).to_pylist())
    real = release.index.filter(pc.is_null(release.index["generator_id"]))
    mixed = sorted(set(pc.unique(real["shard"]).to_pylist()) & set(wanted))
    if mixed:
        raise IntegrityError(
            f"{release.path / mixed[0]} holds real samples beside synthetic ones: no part can be taken"
        )
    return wanted


def _manifest(whole: Sealed, release: Release, part: Part, said: Verdict, index: pa.Table) -> Manifest:
    own = {name: getattr(whole, name) for name in Manifest.model_fields}
    counts = {
        split: {
            c: ClassCount(real=n.real if part == "features" else 0, synthetic=n.synthetic, effective=n.effective)
            for c, n in by_class.items()
        }
        for split, by_class in whole.counts.items()
        if part == "features" or split == "train"
    }
    features = None
    if whole.features is not None:
        features = whole.features | ({"real": 0} if part == "synthetic" else {})
    tables = whole.feature_tables
    if tables is not None and part == "synthetic":
        tables = {name: _of_synthetic(table, release, index) for name, table in tables.items()}
    return Manifest(
        **own
        | {
            "feature_tables": tables,
            "payload_tags": whole.payload_tags if has_payloads(whole, part) else None,
            "name": f"{whole.name}-{part}",
            "counts": counts,
            "features": features,
            "restrictions": (),
            "terms": {kind: use.to_json() for kind, use in said.uses.items()},
            "notes": (*_notes(whole, part, index), *whole.notes),
            "part_of": PartOf(
                only=part,
                release=whole.name,
                release_hash=whole.release_hash,
                left_out=_left_out(release),
                allowed=tuple(Allowed.model_validate(answer.to_json()) for answer in said.answers),
            ),
        }
    )


def _of_synthetic(table: FeatureTable, release: Release, index: pa.Table) -> FeatureTable:
    """A table's rows say that a sample has no features, and not why: reasons of several are named together."""
    rows = _of(_read(release, table.file), index)
    n = rows[rows.column_names[-1]].null_count
    return table.model_copy(update={"rows": rows.num_rows, "missing": {"; ".join(table.missing): n} if n else {}})


def _left_out(release: Release) -> dict[str, int]:
    real = release.index.filter(pc.is_null(release.index["generator_id"])).select(["sample_id"])
    joined = release.splits.filter(pc.is_in(release.splits["sample_id"], value_set=real["sample_id"].combine_chunks()))
    counts = {row["values"]: row["counts"] for row in pc.value_counts(joined["split"]).to_pylist()}
    return {split: counts[split] for split in SPLIT_NAMES if split in counts}


def _notes(whole: Sealed, part: Part, index: pa.Table) -> list[str]:
    lines = [
        f"real samples of {whole.name} are left out: there are no recordings, pictures, lines or signals of theirs in "
        "it"
        + ("; they are here as vectors of features" if part == "features" else "")
        + ". What it says of real people (gates, self-test, audit) was measured on those"
    ]
    drawn = index.filter(pc.is_valid(index["generator_id"]))
    edited = sum(bool(ids) for ids in drawn["source_ids"].to_pylist())
    if edited:
        lines.append(
            f"{edited} of {drawn.num_rows} synthetic samples were made from a named real sample (`sources`), and may "
            "hold much of it"
        )
    return lines
