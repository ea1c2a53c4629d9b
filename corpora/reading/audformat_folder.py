"""A release of speech as a database of audEERING's audformat: what `audformat.Database.load` reads.

    db.yaml                             schemes, splits, media, licences
    db.files                            every file: sample_id, speaker, duration, emotion, synthetic, weight, ...
    db.emotion.<split>.real, .synthetic emotion and weight of one split and kind; each table names its split
    audio/<split>/{real,synthetic}/*.wav

Real and synthetic samples lie in tables of their own, so a recogniser that is to be fitted on both says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.compute as pc

from corpora.errors import ResourceError, UserError
from corpora.formats.riff import WavHeader, wav_header
from corpora.schema import SPLIT_NAMES
from corpora.store.atomic import atomic_folder
from corpora.store.spill import key_of

if TYPE_CHECKING:
    import audformat

    from corpora.store.release import Release

ENDING = "wav"
_COLUMNS = ("sample_id", "emotion", "subject_id", "gender", "language", "license", "weight", "generator_id")
_TEXTS = {"sample_id": "id in the release", "license": "SPDX id where one exists", "generator": "what drew it"}


@dataclass(frozen=True, slots=True)
class Exported:
    """A database that was written: its folder, tables with their rows, and bytes of all files of sound."""

    folder: Path
    tables: Mapping[str, int]
    n_bytes: int


def export_audformat(release: Release, folder: Path) -> Exported:
    """Writes the database whole or not at all; every payload is checked by its hash.

    Raises `UserError` where the folder is there or the release holds no wav, `ResourceError` where audformat is not
    installed or the place cannot be written, `IntegrityError` for a payload that is not what it was.
    """
    try:
        import audformat
    except ModuleNotFoundError as error:
        raise ResourceError(f'audformat is not installed ({error}): pip install "emoforge[audformat]"') from None
    release.require_payloads()
    codecs = pc.unique(release.columns["codec"]).to_pylist()
    if codecs != [ENDING]:
        held = ", ".join(sorted(codecs)) or "nothing"
        raise UserError(f"{release.path} holds {held}; audformat is for sound: a release whose payloads are {ENDING}.")
    if folder.exists():
        raise UserError(f"{folder} is there already. Name another folder; nothing is written over.")
    with atomic_folder(folder) as place:
        rows, headers = _files(release, place)
        database = _database(audformat, release, rows, headers)
        database.save(str(place), storage_format="csv")
    sizes = {name: len(database[name]) for name in database.tables}
    n_bytes = release.columns["n_bytes"]
    return Exported(folder, sizes, sum(int(n) for n in n_bytes.to_pylist()))


def _files(release: Release, place: Path) -> tuple[pd.DataFrame, list[WavHeader]]:
    """Writes the files. -> a row for each, by its path; headers of different forms."""
    split_of = dict(zip(*(release.splits[name].to_pylist() for name in ("sample_id", "split")), strict=True))
    rows, headers = [], {}
    for sample in release.samples(columns=_COLUMNS):
        split, kind = split_of[sample["sample_id"]], "synthetic" if sample["synthetic"] else "real"
        name = f"audio/{split}/{kind}/{key_of(sample['sample_id'])}.{ENDING}"
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample["payload"])
        header = wav_header(sample["payload"])
        headers[header.rate_hz, header.channels, header.bits] = header
        rows.append({"file": name, "split": split, "kind": kind, "duration": header.duration_s, **_known(sample)})
    return pd.DataFrame(rows).set_index("file").sort_index(), list(headers.values())


def _known(sample: Mapping[str, Any]) -> dict[str, Any]:
    names = {"subject_id": "speaker", "generator_id": "generator"}
    known = {names.get(name, name): sample[name] for name in _COLUMNS}
    return known | {"synthetic": sample["synthetic"], "weight": round(float(sample["weight"]), 6)}


def _database(module: Any, release: Release, rows: pd.DataFrame, headers: list[WavHeader]) -> audformat.Database:
    manifest = release.manifest
    database = module.Database(
        str(manifest.get("name", release.path.name)),
        source=f"emoforge release {release.release_hash}",
        usage="other",  # what may be done with it stands in its licences
        languages=sorted(_languages(module, rows)),
        description="Real and synthetic speech with emotions; see the columns license and synthetic of table files.",
        license="; ".join(str(name) for name in manifest.get("licenses", ())) or None,
        meta={"release_hash": release.release_hash, "notes": list(manifest.get("notes", ()))},
    )
    for header in headers[:1] if len(headers) == 1 else ():
        database.media["audio"] = module.Media(
            type="audio", format=ENDING, sampling_rate=header.rate_hz, channels=header.channels, bit_depth=header.bits
        )
    _schemes(module, database, rows, [str(name) for name in manifest.get("classes", ())])
    for split in [name for name in SPLIT_NAMES if name in set(rows["split"])]:
        database.splits[split] = module.Split(type=split)
    media = next(iter(database.media), None)
    columns = [name for name in rows.columns if name not in ("split", "kind")]
    _fill(module, database, "files", rows[columns], media=media)
    for (of_split, kind), own in rows.groupby(["split", "kind"], sort=True):
        name, columns = f"emotion.{of_split}.{kind}", ["emotion", "weight"]
        _fill(module, database, name, own[columns], media=media, split=str(of_split))
    return database


def _languages(module: Any, rows: pd.DataFrame) -> set[str]:
    """Those that audformat knows; others stand in the column alone."""
    known = set()
    for name in set(rows["language"].dropna()):
        try:
            known.add(module.utils.map_language(str(name)))
        except ValueError:
            continue
    return known


def _schemes(module: Any, database: audformat.Database, rows: pd.DataFrame, classes: list[str]) -> None:
    labels = [*classes, *sorted(set(rows["emotion"].dropna()) - set(classes))]
    database.schemes["emotion"] = module.Scheme(labels=labels, description="class in the release's scheme")
    people = rows.dropna(subset=["speaker"]).drop_duplicates("speaker").set_index("speaker")
    about = {str(name): _about(row) for name, row in people.sort_index().iterrows()}
    database.schemes["speaker"] = module.Scheme("str", labels=about) if about else module.Scheme("str")
    database.schemes["duration"] = module.Scheme("time")
    database.schemes["synthetic"] = module.Scheme("bool", description="drawn by a generator, not recorded")
    database.schemes["weight"] = module.Scheme("float", minimum=0, maximum=1, description="what it counts in training")
    for name, description in _TEXTS.items():
        database.schemes[name] = module.Scheme("str", description=description)
    database.schemes["gender"] = module.Scheme("str")
    database.schemes["language"] = module.Scheme("str")


def _about(row: Any) -> dict[str, str]:
    """What is known of a speaker, as attributes of its label."""
    return {name: str(row[name]) for name in ("gender", "language") if isinstance(row[name], str)}


def _fill(
    module: Any,
    database: audformat.Database,
    name: str,
    rows: pd.DataFrame,
    *,
    media: str | None,
    split: str | None = None,
) -> None:
    table = module.Table(module.filewise_index(list(rows.index)), media_id=media, split_id=split)
    database[name] = table
    for column in rows.columns:
        table[column] = module.Column(scheme_id=column)
        values = rows[column]
        table[column].set(pd.to_timedelta(values, unit="s") if column == "duration" else values.to_numpy())
