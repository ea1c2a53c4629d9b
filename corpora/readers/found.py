"""What a layout finds of one sample, before anything is judged, and how its payload becomes a record's."""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from corpora.codecs import MAX_WAV_S, decode_text, encode_png, encode_wav, wav_header
from corpora.errors import PayloadError
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
    vector_sample,
)
from corpora.readers.trial_csv import read_trial
from corpora.schema import CorpusCard, Sample

_LATE_S = 0.05  # a segment's end may be so far behind its file's
MAX_PIXEL_TEXT = 512 * 512  # numbers in one cell of pixels


@dataclass(frozen=True, slots=True)
class Found:
    """`fields`: field -> text; of `label` also a list of texts or {text: weight}. Where the sample lies: one of `path`,
    `content` (a file's bytes), `text`, `pixels` (numbers parted by blanks, a square), `vector` ({feature: number}).
    `cut`: the seconds of the sound that are meant, to infinity: to its end. `ratings`: (dimension, rater, value on the
    corpus' scale). `blank`: groups of a pattern that took no part in it: nothing stands there, and that is known."""

    native_id: str
    fields: Mapping[str, Any]
    path: Path | None = None
    content: bytes | None = None
    text: str | None = None
    pixels: str | None = None
    vector: Mapping[str, float] | None = None
    codec: str = ""  # of `content`
    cut: tuple[float, float] | None = None
    ratings: Sequence[tuple[str, str, float]] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    blank: Collection[str] = ()


def inside(root: Path, name: str, what: str) -> Path:
    """`root` / `name`, which must not lead out of `root`. Raises `PayloadError` outside-corpus, missing-file."""
    relative = PurePosixPath(name.replace("\\", "/"))
    if relative.is_absolute() or ".." in relative.parts or "\0" in name or name[1:2] == ":":
        raise PayloadError("outside-corpus", f"{what} is {name[:80]!r}; a path relative to the corpus is expected")
    path = root / relative
    try:
        there = path.is_file()
    except (OSError, ValueError):  # longer than any name, no text
        there = False
    if not there:
        raise PayloadError("missing-file", f"{what} {name[:80]!r} is not there")
    return path


def make_record(
    card: CorpusCard, corpus: str, found: Found, signals: Mapping[str, SignalSpec], facts: dict[str, Any],
    missing: Sequence[str] = (),
) -> Sample:  # fmt: skip
    """The record of the card's modality; `missing`: texts in a trial that mean no value.

    Raises `PayloadError` for a payload that is none, with its kind's slugs.
    """
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
        text = found.text if found.text is not None else decode_text(bytes_of(found))
        return text_sample(card, corpus, found.native_id, text, **facts)
    if found.vector is not None:
        return vector_sample(card, corpus, found.native_id, found.vector, **facts)
    arrays, columns = read_trial(bytes_of(found), signals, missing)
    channels = {f"channels.{name}": ",".join(own) for name, own in columns.items() if arrays[name].ndim == 2}
    facts["extra"] = {**facts.get("extra", {}), **channels}
    units = {name: spec.unit for name, spec in signals.items()}
    rates = {name: spec.rate_hz for name, spec in signals.items()}
    return physio_sample(card, corpus, found.native_id, arrays, units, rates, **facts)


def bytes_of(found: Found) -> bytes:
    """Content of the sample's file. Raises `PayloadError`: unreadable, too-large, empty."""
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
        content = bytes_of(found)
        if content[:4] == b"RIFF":
            header = wav_header(content)
            _judge_length(header.duration_s)
            return content
    else:
        content = b"" if found.path is not None else bytes_of(found)
    import soundfile

    source: Any = str(found.path) if found.path is not None else io.BytesIO(content)
    try:
        with soundfile.SoundFile(source) as file:
            first, last, told = _frames(found.cut, file.frames, file.samplerate)
            _judge_length((last - first) / file.samplerate)
            file.seek(first)
            signal = file.read(last - first, dtype="float32", always_2d=True)
            if len(signal) < last - first:
                raise PayloadError("truncated", f"{last - first} frames promised, {len(signal)} read")
            facts["extra"] = facts.get("extra", {}) | {"decoded_from": file.format.lower()} | told
            return encode_wav(signal.mean(axis=1), file.samplerate)
    except (soundfile.LibsndfileError, ValueError, TypeError, OSError) as error:
        raise PayloadError("not-audio", str(error)) from error


def _frames(cut: tuple[float, float] | None, n_frames: int, rate_hz: int) -> tuple[int, int, dict[str, str]]:
    """Seconds of a segment -> (first frame, the one after its last, what to say of it).

    An end less than `_LATE_S` behind the file's is rounding of who cut it, and is the file's end: `end_beyond_file_s`
    says by how much. Raises `PayloadError` bad-segment: an end further behind, or before the start.
    """
    if cut is None:
        return 0, n_frames, {}
    begin, end = cut
    seconds = n_frames / rate_hz
    late = end - seconds if end != math.inf else 0.0
    if not 0 <= begin < min(end, seconds):
        raise PayloadError("bad-segment", f"{begin:g} to {end:g} s of a file of {seconds:.3f} s")
    if late > _LATE_S:
        raise PayloadError("bad-segment", f"it ends at {end:g} s, the file at {seconds:.3f} s")
    last = n_frames if end >= seconds else round(end * rate_hz)
    return round(begin * rate_hz), last, {"end_beyond_file_s": f"{late:.4f}"} if late * rate_hz > 1 else {}


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
    except (ValueError, OverflowError) as error:
        raise PayloadError("not-numbers", str(error)[:80]) from None
    if values.min() < 0 or values.max() > 255:
        raise PayloadError("value-out-of-range", f"{values.min()} to {values.max()}; 0 to 255 is expected")
    return encode_png(values.astype(np.uint8).reshape(side, side))
