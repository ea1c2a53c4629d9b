"""What a release's descriptions are written from: its manifest and its tables, read once.

README.md, croissant.json, LICENSES/ and the reviewer pack all say what stands here and nothing else, so they cannot
differ from one another or from the tables. Of people there are counts alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import JsonValue

from corpora.formats.jsonfile import read_json
from corpora.licences import Held, Kind, Use, uses
from corpora.permits import Part, verdict
from corpora.schema import SAMPLES, SPLIT_NAMES, SPLITS
from corpora.store.columns import WITHOUT_PAYLOADS
from corpora.store.release import FEATURES, INDEX, SPLIT_TABLE
from corpora.store.shards import read_table
from flows.artifacts.base import Described
from flows.artifacts.evaluated import VerdictRow
from flows.artifacts.released import Manifest, PartOf, Released

KINDS = ("real", "synthetic")
ARRAYS = "npz"  # codec of named arrays


@dataclass(frozen=True, slots=True)
class People:
    """Of the real samples. subjects: how many are known by an id; unknown: samples without one. genders: of subjects.
    ages: youngest and oldest in years, None where no sample tells. languages: tags of BCP 47."""

    subjects: int
    unknown: int
    genders: Mapping[str, int]
    ages: tuple[float, float] | None
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A corpus of the release: what its card says. samples, subjects: that are in the release."""

    id: str
    title: str
    url: str
    version: str
    bibtex: str
    licence: Held
    samples: int
    subjects: int
    licence_source: str
    unverified: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """How synthetic samples came about. params: of the generator. representation: None where payloads are its own."""

    generator: str
    preset: str | None
    steps: int | None
    params: Mapping[str, JsonValue]
    representation: str | None
    seed: int | None


@dataclass(frozen=True, slots=True)
class Facts:
    """manifest: as it is, or as it will be sealed. shards: (split, real or synthetic) -> paths. json: columns that a
    payload's json may hold. codecs: real or synthetic -> endings of payloads in the shards; where features are
    generated a synthetic one is npz beside real wav, png or txt. signals: of npz, name -> number of axes. made: None
    where nothing is synthetic."""

    manifest: Manifest
    people: People
    sources: tuple[Source, ...]
    uses: Mapping[Kind, Use]
    verdicts: tuple[VerdictRow, ...]
    made: Made | None
    prepared: Described
    shards: Mapping[tuple[str, str], tuple[str, ...]]
    hours: float | None
    columns: tuple[pa.Field, ...]
    codecs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    signals: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_real(self) -> int:
        """Real samples in all splits."""
        return sum(n.real for by_class in self.manifest.counts.values() for n in by_class.values())

    @property
    def n_synthetic(self) -> int:
        """Synthetic samples, all of train."""
        return sum(n.synthetic for by_class in self.manifest.counts.values() for n in by_class.values())

    @property
    def part(self) -> PartOf | None:
        """Of a part of another release, what it is a part of."""
        return self.manifest.part_of

    def endings(self, kinds: Sequence[str] = KINDS) -> tuple[str, ...]:
        """Of payloads in the shards of these kinds, each once."""
        return tuple(dict.fromkeys(ending for kind in kinds for ending in self.codecs.get(kind, ())))

    @property
    def expression(self) -> str:
        """SPDX expression of all corpora together."""
        texts = dict.fromkeys(source.licence.expression.text for source in self.sources)
        return " AND ".join(f"({text})" if " OR " in text and len(texts) > 1 else text for text in texts)


def facts_of(folder: Path, manifest: Manifest) -> Facts:
    """Of a release in `folder`, whose manifest may not be there yet. Reads tables and small files, no payload.

    Raises `IntegrityError` for a table or file that is not as it was written.
    """
    index = read_table(folder / INDEX, SAMPLES if manifest.has_payloads else WITHOUT_PAYLOADS)
    splits = read_table(folder / SPLIT_TABLE, SPLITS)
    real = index.filter(pc.is_null(index["generator_id"]))
    told = [row for row in real["duration_s"].to_pylist() if row is not None]
    return Facts(
        manifest=manifest,
        people=_people(real) if manifest.part_of is None else _people_of_part(folder, manifest, real),
        sources=tuple(_source(entry, real) for entry in manifest.corpora),
        uses=uses(manifest.corpora) if manifest.part_of is None else _uses_of_part(manifest, manifest.part_of),
        verdicts=tuple(Released(folder).verdicts()),
        made=_made(read_json(folder / "params.json")) if manifest.has_synthetic else None,
        prepared=Described.model_validate(read_json(folder / "prepared.json")),
        shards=_shards(index.filter(pc.is_valid(index["shard"])), splits),
        hours=sum(told) / 3600 if len(told) == real.num_rows and told else None,
        columns=tuple(column for column in SAMPLES if index[column.name].null_count < index.num_rows),
        codecs=_codecs(index) if manifest.has_payloads else {},
        signals=signal_axes(index.filter(pc.equal(index["codec"], ARRAYS))) if manifest.has_payloads else {},
    )


def _codecs(index: pa.Table) -> dict[str, tuple[str, ...]]:
    there = index.filter(pc.is_valid(index["shard"]))
    of_kind = {"real": pc.is_null(there["generator_id"]), "synthetic": pc.is_valid(there["generator_id"])}
    every = {kind: there.filter(mask)["codec"].unique().to_pylist() for kind, mask in of_kind.items()}
    return {kind: tuple(sorted(codecs)) for kind, codecs in every.items() if codecs}


def _people(real: pa.Table) -> People:
    pairs = {(s, g) for s, g in zip(real["subject_id"].to_pylist(), real["gender"].to_pylist(), strict=True) if s}
    genders: dict[str, int] = {}
    for _, gender in sorted(pairs, key=lambda pair: (pair[0], pair[1] or "")):
        if gender is not None:
            genders[gender] = genders.get(gender, 0) + 1
    ages = [age for age in real["age"].to_pylist() if age is not None]
    return People(
        subjects=len({subject for subject, _ in pairs}),
        unknown=real["subject_id"].null_count,
        genders=dict(sorted(genders.items())),
        ages=(min(ages), max(ages)) if ages else None,
        languages=tuple(sorted({tag for tag in real["language"].to_pylist() if tag})),
    )


def _people_of_part(folder: Path, manifest: Manifest, real: pa.Table) -> People:
    """Those whose features are in it: what features.parquet, or an index without payloads, tells of them is an id."""
    subjects = real["subject_id"]
    if manifest.part_of is not None and manifest.part_of.only == "features" and manifest.has_payloads:
        table = pq.ParquetFile(folder / FEATURES).read(["subject_id", "generator_id"])
        subjects = table.filter(pc.is_null(table["generator_id"]))["subject_id"]
    return People(len(set(subjects.drop_null().to_pylist())), subjects.null_count, {}, None, ())


def _uses_of_part(manifest: Manifest, part: PartOf) -> Mapping[Kind, Use]:
    permits: dict[str, dict[Part, str]] = {}
    for one in part.allowed:
        if one.permitted and one.kind in ("synthetic", "features"):
            permits.setdefault(one.corpus, {})["features" if one.kind == "features" else "synthetic"] = one.because
    held = [Held.of(entry) for entry in manifest.corpora]
    return verdict(held, part.only, permits, synthetic=manifest.has_synthetic).uses


def _source(entry: Mapping[str, Any], real: pa.Table) -> Source:
    card = entry["card"]
    own = real.filter(pc.equal(real["corpus"], str(entry["id"])))
    return Source(
        id=str(entry["id"]),
        title=str(card.get("title") or entry["id"]),
        url=str(card.get("url") or ""),
        version=str(card.get("version") or "unknown"),
        bibtex=str(card.get("bibtex") or ""),
        licence=Held.of(entry),
        samples=own.num_rows,
        subjects=len(set(own["subject_id"].drop_null().to_pylist())),
        licence_source=str((card.get("sources") or {}).get("license", "")),
        unverified=tuple(str(fact) for fact in card.get("unverified") or ()),
    )


def _made(params: Mapping[str, Any]) -> Made | None:
    run = params.get("run")
    generator = run.get("generator") if isinstance(run, dict) else None
    if not isinstance(run, dict) or not isinstance(generator, dict):
        return None
    return Made(
        generator=str(generator.get("name")),
        preset=generator.get("preset"),
        steps=generator.get("steps"),
        params=generator.get("params") or {},
        representation=(run.get("representation") or {}).get("name"),
        seed=run.get("seed"),
    )


def _shards(index: pa.Table, splits: pa.Table) -> dict[tuple[str, str], tuple[str, ...]]:
    split_of = dict(zip(splits["sample_id"].to_pylist(), splits["split"].to_pylist(), strict=True))
    found: dict[tuple[str, str], set[str]] = {}
    columns = (index[name].to_pylist() for name in ("sample_id", "generator_id", "shard"))
    for sample, generator, shard in zip(*columns, strict=True):
        kind = "real" if generator is None else "synthetic"
        found.setdefault((split_of.get(sample, "train"), kind), set()).add(shard)
    order = sorted(found, key=lambda key: (_place(key[0]), key))
    return {key: tuple(sorted(found[key])) for key in order}


def _place(split: str) -> int:
    return SPLIT_NAMES.index(split) if split in SPLIT_NAMES else len(SPLIT_NAMES)


def signal_axes(index: pa.Table) -> dict[str, int]:
    """Of an index: names of arrays in payloads -> their axes; {} where one name has several numbers of axes."""
    every = index["signals"].combine_chunks().flatten()
    sizes = pc.max_element_wise(pc.list_value_length(every.field("shape")), 1)
    told = pa.table({"name": every.field("name"), "axes": sizes}).group_by(["name", "axes"]).aggregate([]).to_pylist()
    axes = {row["name"]: row["axes"] for row in sorted(told, key=lambda row: str(row["name"]))}
    return axes if len(axes) == len(told) else {}


def split_names(facts: Facts, kinds: Sequence[str] = KINDS) -> list[str]:
    """Splits that have shards of these kinds, train first."""
    return list(dict.fromkeys(split for split, kind in facts.shards if kind in kinds))
