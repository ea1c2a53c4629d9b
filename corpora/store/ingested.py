"""An ingested corpus on disk: the manifest that says of which format its tables are.

Format 1 named none; of its index `part` and `sources` follow from `modality` and `source_ids`. Format 2 has these
columns, and from here on tables grow: corpora/store/evolve.py. 2.1 adds `weight` (null of whatever was ingested).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from corpora.errors import IntegrityError
from corpora.formats.jsonfile import read_json
from corpora.store.evolve import Format

FORMAT = Format("emoforge-corpus", 2, 1)


def corpus_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json of an ingested corpus. Raises `CorpusError` for a format that only a newer emoforge reads,
    `IntegrityError` where there is no manifest, or one that `ingest` did not write."""
    place = Path(folder) / "manifest.json"
    if not place.is_file():
        raise IntegrityError(f"{place} is missing: the corpus was not ingested as a whole. Ingest it again.")
    manifest = read_json(place)
    if not isinstance(manifest.get("content_hash"), str):
        raise IntegrityError(f"{place} is not as `ingest` wrote it. Ingest the corpus again.")
    FORMAT.require(manifest.get("format", f"{FORMAT.name}/1"), place)
    return manifest
