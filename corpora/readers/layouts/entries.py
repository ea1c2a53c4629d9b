"""What a layout finds of one sample, before anything is judged, and how its payload becomes a record's."""

from __future__ import annotations

import io
import math
import mmap
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from corpora.codecs import (
    MAX_WAV_S,
    decode_image,
    decode_text,
    encode_png,
    encode_wav,
    plain_wav,
    require_full_scale,
    wav_header,
)
from corpora.errors import PayloadError
from corpora.formats.channels import mixed_down
from corpora.formats.looks import LOOK_BYTES, looks_like
from corpora.formats.pictures import is_deep
from corpora.formats.trial_csv import read_trial
from corpora.readers.described.filekeys import Files, SignalSpec
from corpora.records.files import (
    MAX_IMAGE_BYTES,
    MIN_WAV_S,
    judged_wav,
    physio_sample,
    picture_sample,
    read_file,
    speech_sample,
    text_sample,
    vector_sample,
)
from corpora.schema import CorpusCard, Sample

_LATE_S = 0.05  # a segment's end may be so far behind its file's
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
MAX_PIXEL_TEXT = 512 * 512  # numbers in one cell of pixels


@dataclass(frozen=True, slots=True)
class RawSample:
    """`fields`: field -> text; of `label` also a list of texts or {text: weight}. Where the sample lies: one of `path`,
    `content` (a file's bytes), `text`, `pixels` (numbers separated by blanks, a square), `vector` ({feature: number}).
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
    card: CorpusCard,
    corpus: str,
    raw: RawSample,
    files: Files,
    signals: Mapping[str, SignalSpec],
    facts: dict[str, Any],
) -> Sample:
    """The record of the card's modality. `signals`: those of `files`, patterns as the columns that fit them.

    Raises `PayloadError` for a payload that is none, with its kind's slugs.
    """
    if card.modality == "speech":
        payload = _sound(raw, files.full_scale, facts)
        return speech_sample(card, corpus, raw.native_id, payload, wav_header(payload), **facts)
    if card.modality == "face":
        return picture_sample(card, corpus, raw.native_id, *_picture(raw, files.levels), **facts)
    if card.modality == "text":
        text = raw.text if raw.text is not None else decode_text(bytes_of(raw))
        return text_sample(card, corpus, raw.native_id, text, **facts)
    if raw.vector is not None:
        return vector_sample(card, corpus, raw.native_id, raw.vector, **facts)
    arrays, columns = read_trial(bytes_of(raw), signals, files.missing)
    channels = {f"channels.{name}": ",".join(own) for name, own in columns.items() if arrays[name].ndim == 2}
    facts["extra"] = {**facts.get("extra", {}), **channels}
    units = {name: spec.unit for name, spec in signals.items()}
    rates = {name: spec.rate_hz for name, spec in signals.items()}
    return physio_sample(card, corpus, raw.native_id, arrays, units, rates, **facts)


def bytes_of(raw: RawSample) -> bytes:
    """Content of the sample's file. Raises `PayloadError`: unreadable, too-large, empty."""
    if raw.path is not None:
        return read_file(raw.path)
    if raw.content is None:
        raise PayloadError("empty", "no content")
    return raw.content


def _picture(raw: RawSample, levels: float | None) -> tuple[bytes, str]:
    """(bytes as they are, codec). A picture of more than 8 bits on the scale that the card gives becomes a png of 8."""
    if raw.pixels is not None:
        return _drawn(raw.pixels, levels), "png"
    if raw.path is not None:
        content = read_file(raw.path, MAX_IMAGE_BYTES)
        codec = raw.path.suffix.lower().lstrip(".") or "png"
    elif raw.content is None:
        raise PayloadError("empty", "no picture")
    elif len(raw.content) > MAX_IMAGE_BYTES:
        raise PayloadError("too-large", f"{len(raw.content)} bytes, at most {MAX_IMAGE_BYTES} are read")
    else:
        content, codec = raw.content, raw.codec or "png"
    if levels is not None and is_deep(content):
        return encode_png(decode_image(content, levels=levels)), "png"
    return content, codec


def _sound(raw: RawSample, full_scale: float | None, facts: dict[str, Any]) -> bytes:
    """wav bytes as they are; what else libsndfile reads (flac, ogg, mp3), and a part of a file, as mono wav.

    `full_scale`: of float samples, where the card names one.
    """
    if raw.cut is None:
        content = bytes_of(raw)
        if (raw.path is not None and raw.path.suffix.lower() in ("", ".wav")) or content[8:12] == b"WAVE":
            return judged_wav(content, full_scale)[0]
    import soundfile

    try:
        with soundfile.SoundFile(_source(raw)) as file:
            first, last, notes = _frames(raw.cut, file.frames, file.samplerate)
            _judge_length((last - first) / file.samplerate)
            file.seek(first)
            signal = file.read(last - first, dtype="float32", always_2d=True)
            if len(signal) < last - first:
                raise PayloadError("truncated", f"{last - first} frames promised, {len(signal)} read")
            if not file.subtype.startswith("PCM"):
                if full_scale is not None and file.subtype in ("FLOAT", "DOUBLE"):
                    signal = signal / np.float32(full_scale)
                require_full_scale(signal)
            mono, slug = mixed_down(signal, np.float32)
            facts["extra"] = facts.get("extra", {}) | {"decoded_from": file.format.lower()} | notes
            if slug is not None:
                facts["extra"]["mixed_down"] = slug
            return encode_wav(mono, file.samplerate, keep_peaks=True)
    except (soundfile.LibsndfileError, ValueError, TypeError, OSError) as error:
        raise PayloadError(
            "not-audio", f"no sound that can be decoded; it looks like {looks_like(_head(raw))}"
        ) from error


def _source(raw: RawSample) -> Any:
    """What libsndfile opens: the file, or bytes; a wav whose header it reads otherwise than we do, behind a plain one.

    Raises `PayloadError` for a wav that cannot be read, before a part of it is taken.
    """
    if raw.path is None:
        content = bytes_of(raw)
        return io.BytesIO(plain_wav(content, wav_header(content))[0] if content[8:12] == b"WAVE" else content)
    with raw.path.open("rb") as file:
        if b"WAVE" not in file.read(LOOK_BYTES):
            return str(raw.path)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content_of:  # an hour, of which seconds are meant
            header = wav_header(content_of)  # type: ignore[arg-type]
            return str(raw.path) if header.plain else io.BytesIO(plain_wav(content_of[:], header)[0])


def _head(raw: RawSample) -> bytes:
    if raw.path is None:
        return (raw.content or b"")[:LOOK_BYTES]
    with suppress(OSError), raw.path.open("rb") as file:
        return file.read(LOOK_BYTES)
    return b""


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


def _drawn(pixels: str, levels: float | None = None) -> bytes:
    """Numbers separated by blanks or commas, a square picture row by row -> png. They are whole and from 0 to 255, or
    of any kind and from 0 to `levels`."""
    parts = pixels.replace(",", " ").split()
    side = int(len(parts) ** 0.5)
    if not 0 < len(parts) <= MAX_PIXEL_TEXT or side * side != len(parts):
        raise PayloadError("wrong-number-of-pixels", f"{len(parts)} numbers; a square is expected")
    try:
        values = np.array(parts, dtype=np.float64)
    except ValueError:
        odd = next((part for part in parts if not _NUMBER.fullmatch(part)), parts[0])
        raise PayloadError("not-numbers", f"{odd[:40]!r} among the pixels") from None
    if not np.isfinite(values).all():
        raise PayloadError("not-numbers", f"{int((~np.isfinite(values)).sum())} pixels are no finite numbers")
    low, high = values.min(), values.max()
    if levels is None and (values != np.rint(values)).any():
        raise PayloadError(
            "unknown-scale",
            f"pixels from {low:g} to {high:g} that are no whole numbers: which is white is not known. If it is one for "
            "all pictures of the corpus, its card says so: files.levels: 1",
        )
    white = 255.0 if levels is None else levels
    if low < 0 or high > white:
        raise PayloadError(
            "value-out-of-range", f"{low:g} to {high:g}; 0 to {white:g} is expected (files.levels names another white)"
        )
    return encode_png(np.rint(values * (255.0 / white)).astype(np.uint8).reshape(side, side))
