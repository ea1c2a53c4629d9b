"""The sides of an audit that stands alone: folders of files, files with a text a line, releases and their splits.

Of a folder, the files' endings say the modality and a file's own folder is its label (happiness/0001.png); files right
in the folder have none. A release brings labels, subjects, groups, sessions and recordings with it. Nothing but the
fingerprints that copies are searched by is kept in memory; payloads are read again where they are needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from corpora.codecs import decode_image, decode_text, decode_wav
from corpora.errors import PayloadError, UserError, refused
from corpora.formats.loose import IMAGE_SUFFIXES, WAV_SUFFIXES, files_below
from corpora.formats.textlines import open_lines
from corpora.labels import clean_label
from corpora.near.pairs import FINGERPRINTS, fingerprint, method_of
from corpora.records.files import printable
from corpora.schema import SAMPLES, Sample
from corpora.signals import decode_signals
from corpora.store.release import MANIFEST, Release, open_release
from corpora.store.shards import iter_payloads, read_payload

Reading = Callable[[bytes], object]
SUFFIXES = {"speech": WAV_SUFFIXES, "face": IMAGE_SUFFIXES, "text": (".txt",), "physio": (".npz",)}
_DECODE: dict[str, Reading] = {
    "speech": decode_wav,
    "face": decode_image,
    "text": decode_text,
    "physio": decode_signals,
}
# columns of SAMPLES that an audit looks at; `sample_id` is unique over all sides, `name` is what people know it by
_COLUMNS = ("sample_id", "sha256", "modality", "codec", "signals", "emotion")
_UNITS = ("group_id", "subject_id", "session_id", "recording_id")
SIDE = pa.schema([pa.field("name", pa.string(), nullable=False), *(SAMPLES.field(name) for name in _COLUMNS + _UNITS)])


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A sample that cannot be decoded. It is compared by its bytes alone; reason: a slug of the decoder."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Side:
    """One input of an audit. shown: as it was given. index: SIDE, row i is one sample. prints: FINGERPRINTS of the same
    rows. payload(i): the bytes of row i, in the format `codec` says."""

    shown: str
    modality: str
    index: pa.Table
    prints: pa.Table
    unreadable: tuple[Unreadable, ...]
    payload: Callable[[int], bytes]

    def __len__(self) -> int:
        return int(self.index.num_rows)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of SIDE but its hash, and what its payload is read by."""

    name: str
    codec: str
    emotion: str | None
    payload: bytes
    signals: Sequence[Mapping[str, Any]] = ()
    group: str | None = None  # None: its own
    subject: str | None = None
    session: str | None = None
    recording: str | None = None


def read_sides(given: Sequence[str]) -> list[Side]:
    """Two or more inputs as they were typed -> sides, in their order. All are of one modality.

    An input is a folder, a text file (a text a line), a release, or FOLDER:SPLIT, a split of a release. Raises
    `UserError`: fewer than two, one that is missing, empty or no release, files of several modalities in one or over
    all; `UnknownNameError`: a split; `IntegrityError`: a damaged release.
    """
    if len(given) < 2:
        raise UserError(f"an audit compares two folders or more, not {len(given)}. Example: emoforge audit train test")
    sides = [read_side(text, number) for number, text in enumerate(given)]
    kinds = {side.modality for side in sides}
    if len(kinds) > 1:
        named = ", ".join(f"{side.shown} ({side.modality})" for side in sides)
        raise UserError(f"samples of several modalities have nothing to share: {named}. Audit those of one at a time.")
    return sides


def read_side(given: str, number: int) -> Side:
    """One input; `number` is its place, which its ids begin with. Raises as `read_sides`."""
    path, split = Path(given), None
    if not path.exists() and ":" in given:
        before, _, after = given.rpartition(":")
        if (Path(before) / MANIFEST).is_file():
            path, split = Path(before), after
        elif Path(before).exists():
            raise UserError(f"{given}: {before} is no release, so it has no split {after!r}; give the folder alone")
    if not path.exists():
        raise UserError(f"{given} does not exist")
    if (path / MANIFEST).is_file():
        return _of_release(open_release(path), split, given, number)
    if path.is_file():
        return _of_lines(path, given, number)
    return _of_folder(path, given, number)


def side_of_samples(shown: str, samples: Iterable[Sample]) -> Side:
    """Records of a reader, which stay in memory, as a side. Raises `UserError`: none, or of several modalities."""
    rows, kinds = [], set()
    for sample in samples:
        kinds.add(sample.modality)
        rows.append(
            _Row(
                sample.sample_id,
                sample.codec,
                sample.emotion,
                sample.payload,
                sample.signals,
                sample.group_id,
                sample.subject_id,
                sample.session_id,
                sample.recording_id,
            )
        )
    if len(kinds) != 1:
        raise UserError(f"{shown} holds samples of {', '.join(sorted(kinds)) or 'no modality'}; one modality is needed")
    return _side(shown, kinds.pop(), rows, lambda i: rows[i].payload, 0)


def _of_folder(folder: Path, shown: str, number: int) -> Side:
    found = {kind: files_below(folder, suffixes) for kind, suffixes in SUFFIXES.items()}
    held = [kind for kind, files in found.items() if files]
    if not held:
        every = ", ".join(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
        raise UserError(f"{shown} holds no file that ends in {every}, and is no release (it has no {MANIFEST})")
    if len(held) > 1:
        counts = ", ".join(f"{len(found[kind])} of {kind}" for kind in held)
        raise UserError(f"{shown} holds files of several modalities: {counts}. Give a folder of one of them.")
    kind, paths = held[0], list(found[held[0]].values())
    names = list(found[kind])
    refusals: dict[str, str] = {}

    def rows() -> Iterator[_Row]:
        for name, path in zip(names, paths, strict=True):
            parent = PurePosixPath(name).parent.name
            try:
                payload = path.read_bytes()
            except OSError as error:
                refusals[printable(name)] = refused(error)
                payload = b""
            codec = {"speech": "wav", "text": "txt", "physio": "npz"}.get(kind, path.suffix[1:].lower())
            yield _Row(printable(name), codec, clean_label(printable(parent)) or None, payload)

    return _side(shown, kind, rows(), lambda i: paths[i].read_bytes(), number, refusals)


def _of_lines(path: Path, shown: str, number: int) -> Side:
    """A text a line; blank lines are passed over."""
    if path.suffix.lower() != ".txt":
        raise UserError(f"{shown} is a file; a folder, a release, or a .txt file with a text a line is needed")
    file, _ = open_lines(path, shown)  # UTF-8, whatever the file has
    with file:
        lines = [content.removeprefix(b"\xef\xbb\xbf").strip() for content in file]
    rows = [_Row(f"line {number}", "txt", None, text) for number, text in enumerate(lines, start=1) if text]
    if not rows:
        raise UserError(f"{shown} holds no line of text")
    return _side(shown, "text", rows, lambda i: rows[i].payload, number)


def _of_release(release: Release, split: str | None, shown: str, number: int) -> Side:
    release.require_payloads()
    table = release.rows(split).sort_by([("shard", "ascending"), ("offset", "ascending")])
    kinds = sorted(set(table["modality"].to_pylist()))
    if len(kinds) != 1:
        raise UserError(f"{shown} holds samples of {', '.join(kinds) or 'no modality'}; one modality is needed")
    # payloads come in the order of the table: it is sorted as `iter_payloads` reads
    rows = (
        _Row(
            row["sample_id"],
            row["codec"],
            row["emotion"],
            payload,
            row["signals"] or (),
            row["group_id"],
            row["subject_id"],
            row["session_id"],
            row["recording_id"],
        )
        for row, payload in iter_payloads(release.path, table)
    )
    place = table.select(["sample_id", "shard", "offset", "n_bytes", "sha256"])

    def payload_of(i: int) -> bytes:
        return read_payload(release.path, place.slice(i, 1).to_pylist()[0])

    return _side(shown, kinds[0], rows, payload_of, number)


def _side(
    shown: str,
    modality: str,
    rows: Iterable[_Row],
    payload: Callable[[int], bytes],
    number: int,
    refusals: Mapping[str, str] | None = None,
) -> Side:
    """Looks at each payload once: hash, whether it can be decoded, fingerprint."""
    method = f"{modality}/{method_of(modality).METHOD}"
    index: list[dict[str, Any]] = []
    prints: list[dict[str, Any]] = []
    bad: list[Unreadable] = []
    for i, row in zip(count(), rows, strict=False):
        own = f"{number}:{row.name}"
        sha = hashlib.sha256(row.payload).hexdigest()
        reason, signals = (refusals or {}).get(row.name) or _unreadable(modality, row.payload), row.signals
        if reason:
            bad.append(Unreadable(row.name, reason))
        if not row.payload:
            sha = hashlib.sha256(f"{number}:{i}".encode()).hexdigest()  # nothing is no copy of nothing
        if modality == "text" and not signals and not reason:
            letters = len(row.payload.decode("utf-8"))
            signals = [{"name": "text", "unit": None, "rate_hz": None, "shape": [letters]}]
        index.append(
            {
                "name": row.name,
                "sample_id": own,
                "sha256": sha,
                "modality": modality,
                "codec": row.codec,
                "signals": list(signals),
                "emotion": row.emotion,
                "group_id": row.group or own,
                "subject_id": row.subject,
                "session_id": row.session,
                "recording_id": row.recording if row.recording not in (None, row.name) else own,
            }
        )
        data = b"" if reason else fingerprint(modality, row.payload, map(dict, signals))
        prints.append({"sample_id": own, "sha256": sha, "method": method, "data": data})
    return Side(
        shown,
        modality,
        pa.Table.from_pylist(index, schema=SIDE),
        pa.Table.from_pylist(prints, schema=FINGERPRINTS),
        tuple(bad),
        payload,
    )


def _unreadable(modality: str, payload: bytes) -> str:
    """Slug of what is wrong with the payload; "" where it can be decoded."""
    try:
        _DECODE[modality](payload)
    except PayloadError as error:
        return error.reason
    return ""
