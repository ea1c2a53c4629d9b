"""release/: what a training loop elsewhere reads (flows/stages/release.py; opened by corpora/store/release.py).

shards/<split>-real-*.tar, shards/train-synthetic-*.tar, index.parquet, splits.parquet, scores.parquet,
verdicts.parquet, lineage.parquet, requests.parquet (where a generator asks somebody else), selftest.json,
rejects.parquet, params.json, prepared.json, statistics.json, audit.json, README.md, LICENSE.md, LICENSES/*.txt,
croissant.json, SHA256SUMS, manifest.json.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import JsonValue, SerializerFunctionWrapHandler, model_serializer

from corpora.schema import VERDICTS
from corpora.store.atomic import write_json
from corpora.store.checked import MANIFEST
from corpora.store.release import FEATURES_ALONE, FORMAT, sealed
from corpora.store.shards import read_table, write_table
from flows.artifacts.base import Described, Folder, Record, read_as
from flows.artifacts.evaluated import VerdictRow, verdict_rows
from flows.artifacts.prepared import FindingRecord, Leak

Card = dict[str, JsonValue]  # card.json of a corpus, as ingest wrote it, with the corpus' `id`


class ClassCount(Record):
    """Samples of a class in a split. effective: what the synthetic ones count for, where they are weighted."""

    real: int
    synthetic: int
    effective: int | None = None

    @model_serializer(mode="wrap")
    def _without_weights(self, dump: SerializerFunctionWrapHandler) -> dict[str, int]:
        """Most releases have none."""
        return {k: v for k, v in dump(self).items() if v is not None}


class Allowed(Record):
    """Why a part may stand without the real samples: a clause of a corpus' licence, or its owner's permission, in the
    publisher's words (corpora/permits.py)."""

    corpus: str
    licence: str
    kind: str
    because: str
    permitted: bool


class PartOf(Record):
    """Of a release that is a part of another. only: "synthetic" or "features"; release, release_hash: the one that it
    was taken from; left_out: how many real samples of it have no payload here, by split."""

    only: Literal["synthetic", "features"]
    release: str
    release_hash: str
    left_out: dict[str, int]
    allowed: tuple[Allowed, ...]


class FeatureTable(Record):
    """features-NAME.parquet. representation: title of what computed it; weights: what that loads -> hash; missing:
    reason -> samples that have no features."""

    file: str
    representation: str
    columns: int
    rows: int
    weights: dict[str, str]
    missing: dict[str, int]


class Manifest(Record):
    """What a release says of itself, before it is sealed. counts: split -> class -> samples. publishable: gates and
    audit allow it; reasons: why not. restrictions: of licences. notes: what a user must know. leaks: split -> what
    leaks took. cannot_be_judged: class -> why. features: what stands in features.parquet, None without that file.
    terms: real, synthetic, features -> what licences let be done with them, None of formats before 3.3. payload_tags:
    codec of synthetic payloads -> where the tag in their bytes stands (corpora/tagged.py), None: nowhere; None of
    releases without synthetic samples, and of before payloads were tagged. part_of: None of a whole release.
    feature_tables: name -> what stands in features-NAME.parquet, None without such tables."""

    name: str
    modality: str
    rate_hz: int | float | None
    classes: tuple[str, ...]
    corpora: tuple[Card, ...]
    view: str
    scheme: str
    counts: dict[str, dict[str, ClassCount]]
    licenses: tuple[str, ...]
    publishable: bool
    reasons: tuple[str, ...]
    restrictions: tuple[str, ...]
    notes: tuple[str, ...]
    leaks: dict[str, Leak]
    cannot_be_judged: dict[str, str]
    features: dict[str, JsonValue] | None = None
    terms: dict[str, JsonValue] | None = None
    payload_tags: dict[str, str | None] | None = None
    part_of: PartOf | None = None
    feature_tables: dict[str, FeatureTable] | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Without those of the last fields that there are none of."""
        optional = ("features", "terms", "payload_tags", "part_of", "feature_tables")
        return {k: v for k, v in super().to_json().items() if k not in optional or v is not None}

    @property
    def has_synthetic(self) -> bool:
        """Whether anything in it was drawn."""
        return any(n.synthetic for by_class in self.counts.values() for n in by_class.values())

    @property
    def has_payloads(self) -> bool:
        """Whether samples lie in shards. Not in features alone of a run of recordings; of a run of features the vectors
        do."""
        return self.part_of is None or self.part_of.only != "features" or self.features is not None

    @property
    def is_weighted(self) -> bool:
        """Whether synthetic samples count for less than one."""
        return any(n.effective is not None for by_class in self.counts.values() for n in by_class.values())


class SealedFile(Record):
    """One file of a release."""

    sha256: str
    n_bytes: int


class Sealed(Manifest):
    """manifest.json."""

    format: str
    files: dict[str, SealedFile]
    release_hash: str


@dataclass(frozen=True, slots=True)
class Released(Folder):
    """data/runs/<run>/release."""

    def manifest(self) -> Sealed:
        """Raises `IntegrityError` that names the key; whether files are what it says, `open_release` tells."""
        sealed: Sealed = read_as(self.path / MANIFEST, Sealed)
        return sealed

    def verdicts(self) -> list[VerdictRow]:
        """What the gates said of it; [] of a release without verdicts.parquet."""
        path = self.path / "verdicts.parquet"
        return verdict_rows(read_table(path, VERDICTS)) if path.exists() else []

    def link_shards(self, folders: Sequence[Path]) -> None:
        """Copies by reflink where the file system can; content-addressed storage keeps one copy anyway."""
        target = self.path / "shards"
        target.mkdir()
        for folder in folders:
            for path in sorted(folder.glob("*.tar")):
                shutil.copyfile(path, target / path.name)
                (target / path.name).chmod(0o644)

    def write_tables(self, tables: Mapping[str, pa.Table]) -> None:
        """Name (index, splits, verdicts, lineage, rejects) -> its table."""
        for name, table in tables.items():
            write_table(self.path / f"{name}.parquet", table)

    def copy(self, files: Iterable[Path | None]) -> None:
        """Files of other stages, as they are; None: there is none."""
        for path in files:
            if path is not None:
                shutil.copyfile(path, self.path / path.name)

    def write_settings(self, params: Mapping[str, JsonValue], prepared: Described) -> None:
        """params.json, and prepared.json: the steps of preparation and their versions."""
        write_json(self.path / "params.json", dict(params))
        write_json(self.path / "prepared.json", prepared.to_json())

    def write_audit(self, findings: Sequence[FindingRecord], dropped: int) -> None:
        """audit.json."""
        write_json(self.path / "audit.json", {"findings": [f.to_json() for f in findings], "dropped": dropped})

    def seal(self, manifest: Manifest, files: Mapping[str, Mapping[str, Any]]) -> None:
        """manifest.json: the last that is written. files: of every other file, as `describe_files` gives it."""
        whole = {**manifest.to_json(), "files": {k: dict(v) for k, v in files.items()}}
        write_json(self.path / MANIFEST, sealed(whole, FORMAT if manifest.has_payloads else FEATURES_ALONE))
