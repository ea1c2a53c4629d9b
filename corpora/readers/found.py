"""What a layout finds of one sample, before anything is judged, and how its payload becomes a record's."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from corpora.codecs import MAX_WAV_S, decode_text, encode_png, encode_wav, wav_header
from corpora.errors import PayloadError
from corpora.looks import LOOK_BYTES, looks_like
from corpora.readers.cardfile import SignalSpec
from corpora.readers.files import (
    MAX_IMAGE_BYTES,
    MIN_WAV_S,
    face_sample,
    physio_sample,
    picture_sample,
    read_file,
    read_wav,
    speech_sample,
    text_sample,
)
from corpora.schema import CorpusCard, Sample

MAX_PIXEL_TEXT = 512 * 512  # numbers in one cell of pixels


@dataclass(frozen=True, slots=True)
class Found:
    """`fields`: field -> text; of `label` also a list of texts or {text: weight}. Where the sample lies: one of `path`,
    `content` (a file's bytes), `text`, `pixels` (numbers parted by blanks, a square). `cut`: the seconds of the sound
    that are meant. `ratings`: (dimension, rater, value on the corpus' scale)."""

    native_id: str
    fields: Mapping[str, Any]
    path: Path | None = None
    content: bytes | None = None
    text: str | None = None
    pixels: str | None = None
    codec: str = ""  # of `content`
    cut: tuple[float, float] | None = None
    ratings: Sequence[tuple[str, str, float]] = ()
    extra: Mapping[str, str] = field(default_factory=dict)


def inside(root: Path, name: str, what: str) -> Path:
    """`root` / `name`, which must not lead out of `root`. Raises `PayloadError` outside-corpus, missing-file."""
    relative = PurePosixPath(name.replace("\\", "/"))
    if relative.is_absolute() or ".." in relative.parts or "\0" in name or name[1:2] == ":":
        raise PayloadError("outside-corpus", f"{what} is {name[:80]!r}; a path relative to the corpus is expected")
    path = root / relative
    if not path.is_file():
        raise PayloadError("missing-file", f"{what} {name[:80]!r} is not there")
    return path


def make_record(
    card: CorpusCard, corpus: str, found: Found, signals: Mapping[str, SignalSpec], facts: dict[str, Any]
) -> Sample:
    """The record of the card's modality. Raises `PayloadError` for a payload that is none, with its kind's slugs."""
    if card.modality == "speech":
        payload = _sound(found, facts)
        return speech_sample(card, corpus, found.native_id, payload, wav_header(payload), **facts)
    if card.modality == "face":
        if found.pixels is not None:
            return picture_sample(card, corpus, found.native_id, _drawn(found.pixels), "png", **facts)
        if found.path is not None:
            return face_sample(card, corpus, found.native_id, found.path, **facts)
        if found.content is None:
            raise PayloadError("empty", "no picture")
        if len(found.content) > MAX_IMAGE_BYTES:
            raise PayloadError("too-large", f"{len(found.content)} bytes, at most {MAX_IMAGE_BYTES} are read")
        return picture_sample(card, corpus, found.native_id, found.content, found.codec or "png", **facts)
    if card.modality == "text":
        text = found.text if found.text is not None else decode_text(_bytes(found))
        return text_sample(card, corpus, found.native_id, text, **facts)
    arrays = _trial(_bytes(found), signals)
    units = {name: spec.unit for name, spec in signals.items()}
    rates = {name: spec.rate_hz for name, spec in signals.items()}
    return physio_sample(card, corpus, found.native_id, arrays, units, rates, **facts)


def _bytes(found: Found) -> bytes:
    if found.path is not None:
        return read_file(found.path)
    if found.content is None:
        raise PayloadError("empty", "no content")
    return found.content


def _sound(found: Found, facts: dict[str, Any]) -> bytes:
    """wav bytes as they are; what else libsndfile reads (flac, ogg, mp3), and a part of a file, as mono wav."""
    if found.cut is None:
        if found.path is not None and found.path.suffix.lower() in ("", ".wav"):
            return read_wav(found.path)[0]
        content = _bytes(found)
        if content[:4] == b"RIFF":
            header = wav_header(content)
            _judge_length(header.duration_s)
            return content
    else:
        content = b"" if found.path is not None else _bytes(found)
    import soundfile

    source: Any = str(found.path) if found.path is not None else io.BytesIO(content)
    try:
        with soundfile.SoundFile(source) as file:
            begin, end = found.cut or (0.0, file.frames / file.samplerate)
            first, last = round(begin * file.samplerate), min(round(end * file.samplerate), file.frames)
            _judge_length((last - first) / file.samplerate)
            if not 0 <= first < last:
                raise PayloadError("too-short", f"{begin:g} to {end:g} s of {file.frames / file.samplerate:.3f} s")
            file.seek(first)
            signal = file.read(last - first, dtype="float32", always_2d=True)
            if len(signal) < last - first:
                raise PayloadError("truncated", f"{last - first} frames promised, {len(signal)} read")
            facts["extra"] = facts.get("extra", {}) | {"decoded_from": file.format.lower()}
            return encode_wav(signal.mean(axis=1), file.samplerate)
    except (soundfile.LibsndfileError, ValueError, TypeError, OSError) as error:
        raise PayloadError(
            "not-audio", f"no sound that can be decoded; it looks like {looks_like(_head(found))}"
        ) from error


def _head(found: Found) -> bytes:
    if found.path is None:
        return (found.content or b"")[:LOOK_BYTES]
    with suppress(OSError), found.path.open("rb") as file:
        return file.read(LOOK_BYTES)
    return b""


def _judge_length(seconds: float) -> None:
    if seconds > MAX_WAV_S:
        raise PayloadError("too-long", f"{seconds:.1f} s, at most {MAX_WAV_S:g} s are allowed")
    if seconds < MIN_WAV_S:
        raise PayloadError("too-short", f"{seconds:.3f} s, at least {MIN_WAV_S:g} s are needed")


def _drawn(pixels: str) -> bytes:
    """Numbers from 0 to 255 parted by blanks or commas, a square picture row by row -> png."""
    parts = pixels.replace(",", " ").split()
    side = int(len(parts) ** 0.5)
    if not 0 < len(parts) <= MAX_PIXEL_TEXT or side * side != len(parts):
        raise PayloadError("wrong-number-of-pixels", f"{len(parts)} numbers; a square is expected")
    try:
        values = np.array(parts, dtype=np.int64)
    except (ValueError, OverflowError):
        odd = next((part for part in parts if not part.lstrip("+-").isdecimal() or len(part) > 18), "")
        raise PayloadError("not-numbers", f"{odd[:40]!r} among the pixels; whole numbers are expected") from None
    if values.min() < 0 or values.max() > 255:
        raise PayloadError("value-out-of-range", f"{values.min()} to {values.max()}; 0 to 255 is expected")
    return encode_png(values.astype(np.uint8).reshape(side, side))


def _trial(content: bytes, signals: Mapping[str, SignalSpec]) -> dict[str, np.ndarray]:
    """A csv with a line of names -> {signal: float32 [n]}. Raises `PayloadError`: not-a-csv, missing-signal."""
    import pyarrow as pa
    import pyarrow.csv as pacsv

    try:
        table = pacsv.read_csv(io.BytesIO(content))
    except pa.ArrowInvalid:
        raise PayloadError("not-a-csv", f"no table of equally long rows; it begins with {content[:40]!r}") from None
    arrays = {}
    for name, spec in signals.items():
        column = spec.column or name
        if column not in table.column_names:
            raise PayloadError("missing-signal", f"no column {column!r}; found: {', '.join(table.column_names)[:300]}")
        try:
            arrays[name] = table[column].cast(pa.float32()).drop_null().to_numpy()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise PayloadError("not-numbers", f"column {column!r} holds {table[column].type}, no numbers") from None
    return arrays
