"""Tables of MSP-Podcast: the consensus as csv or json, each rater's line in the forms of its releases, partitions."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from corpora.errors import CorpusError, PayloadError
from corpora.formats.tables import Row, number_of, read_json, read_table, row_of
from corpora.records.files import printable, read_file
from corpora.records.joins import Entries
from corpora.records.unknown import is_unknown

COLUMNS = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")
DIMENSIONS = {"EmoVal": "valence", "EmoAct": "arousal", "EmoDom": "dominance"}
_DETAIL = re.compile(r"(\w+);\s*([^;]+);(.*);\s*A:([\d.]+);\s*V:([\d.]+);\s*D:([\d.]+);?\s*")
_PARTITION = re.compile(r"(\w+)\s*;\s*(\S+\.wav)")

Given = tuple[str, str, tuple[float | None, ...]]  # rater, word, (valence, arousal, dominance)
Rows = Iterator[tuple[Row | PayloadError, str]]


def label_file(root: Path, *stems: str) -> Path | None:
    """The first of these tables that is there, csv before json, in Labels, labels or `root` itself."""
    folders, ends = ("Labels", "labels", ""), (".csv", ".json")
    places = [root / folder / f"{stem}{end}" for stem in stems for folder in folders for end in ends]
    return next((path for path in places if path.is_file()), None)


def consensus_rows(path: Path, title: str) -> Rows:
    """Rows of `COLUMNS`. Raises `CorpusError` at once: unreadable, other columns, no JSON object."""
    if path.suffix == ".csv":
        return read_table(path, title, columns=COLUMNS)
    return _entries(_object(path, title), path)


def rating_rows(path: Path, title: str) -> Rows:
    """One row a rater and turn, in the form of its release. Raises `CorpusError` as `consensus_rows` does."""
    if path.suffix == ".csv":
        return read_table(path, title, columns=("FileName",))
    return _raters(_object(path, title), path)


def _object(path: Path, title: str) -> dict[str, Any]:
    contents = read_json(path, title)
    if not isinstance(contents, dict):
        raise CorpusError(f"{title}: {path} is no JSON object of file names")
    return contents


def _entries(entries: dict[str, Any], path: Path) -> Rows:
    for number, (file, entry) in enumerate(entries.items()):
        name = f"{printable(path.name)}#{number:06d}"
        if not isinstance(entry, dict) or not set(COLUMNS[1:]) <= set(entry):
            yield PayloadError("bad-row", f"{file[:80]!r} needs the keys {', '.join(COLUMNS[1:])}"), name
        else:
            yield {"FileName": file} | {key: str(entry[key]) for key in COLUMNS[1:]}, name


def _raters(entries: dict[str, Any], path: Path) -> Rows:
    for file, workers in entries.items():
        for worker, entry in workers.items() if isinstance(workers, dict) else ():
            fields = entry if isinstance(entry, dict) else {}
            row = {key: str(value) for key, value in fields.items()} | {"FileName": file, "WorkerID": worker}
            yield row, f"{printable(path.name)}#{file[:80]}"


def partitions(root: Path) -> Entries[str, str]:
    """{file: partition} of Partitions.txt, empty where there is none."""
    splits: Entries[str, str] = Entries()
    for name in ("Partitions.txt", "Partition.txt", "partitions.txt"):
        if (root / name).is_file():
            with (root / name).open(encoding="latin-1") as lines:
                for number, line in enumerate(lines, 1):
                    if m := _PARTITION.fullmatch(line.strip().removeprefix("\xef\xbb\xbf")):
                        splits.add(m[2], sys.intern(m[1]), f"{name}#{number}")
            break
    return splits


def gather(rows: Rows, given: dict[str, list[Given]]) -> Iterator[tuple[PayloadError, str]]:
    """Fills {file: what raters gave}; what cannot be read comes as bad-rating.

    Words and numbers that are alike are one object: release 1.12 has more than a million ratings.
    """
    same: dict[tuple[float | None, ...], tuple[float | None, ...]] = {}
    for row, name in rows:
        try:
            file, rater, word, numbers = _rating_of(row_of(row))
        except PayloadError as error:
            yield PayloadError("bad-rating", f"{error.reason}: {error.detail}"), name
            continue
        numbers = same.setdefault(numbers, numbers)
        given.setdefault(file, []).append((sys.intern(rater), sys.intern(word), numbers))


def _rating_of(row: Mapping[str, str]) -> tuple[str, str, str, tuple[float | None, ...]]:
    """-> file, rater, word, (valence, arousal, dominance). Raises `PayloadError`."""
    if row.get("EmoDetail"):
        match = _DETAIL.fullmatch(row["EmoDetail"].strip())
        if match is None:
            raise PayloadError("bad-row", f"EmoDetail is {str(row['EmoDetail'])[:80]!r}")
        rater, word, _, active, valence, dominance = match.groups()
        texts = {"EmoVal": valence, "EmoAct": active, "EmoDom": dominance}
    else:
        rater, word = row.get("WorkerID") or row.get("Workers") or "", row.get("EmoClass_Major") or ""
        texts = {column: row.get(column, "") for column in DIMENSIONS}
        if not rater or not word:
            raise PayloadError("bad-row", "a rater's line without WorkerID or EmoClass_Major")
    numbers = tuple(None if is_unknown(texts[column]) else number_of(texts[column], column) for column in DIMENSIONS)
    return row["FileName"], rater.strip(), word.strip(), numbers


def transcript(path: Path) -> dict[str, str]:
    """{"transcript": words} of the wav file Audios/X.wav from Transcripts/X.txt, {} where there is none."""
    place = path.parent.parent / "Transcripts" / f"{path.stem}.txt"
    if not place.is_file():
        return {}
    return {"transcript": read_file(place, 1 << 20).decode("utf-8", "replace").strip()}
