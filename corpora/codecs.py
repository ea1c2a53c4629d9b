"""Payload bytes <-> arrays and text: wav, images, UTF-8. What cannot be decoded raises `PayloadError`.

Slugs of wav: empty, not-a-wav, truncated, unsupported-encoding, too-long, non-finite.
Slugs of images: empty, not-an-image, truncated, too-large.
Slugs of text: empty, not-utf8, too-large. Signals: corpora/signals.py.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from corpora.errors import PayloadError
from corpora.looks import looks_like

if TYPE_CHECKING:
    from PIL import Image

MAX_WAV_S = 60.0
MAX_TEXT_BYTES = 1 << 20  # a novel's chapter; more is no utterance
MAX_PIXELS = 4096 * 4096  # above this an image is a mistake or a decompression bomb
MAX_SCANS = 50  # of a progressive jpeg, which has about 10; each goes over all pixels and may take 30 bytes
# What corpora publish. Pillow knows 40 formats more, and of some it asks other programs (Ghostscript for EPS).
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "PPM", "WEBP")
logging.getLogger("PIL").addHandler(logging.NullHandler())  # else a damaged file writes a line to stderr
_END_MARKS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}
_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_UNKNOWN_SIZE = 0xFFFFFFFF  # what a writer to a pipe leaves in the header


@dataclass(frozen=True, slots=True)
class WavHeader:
    """What a wav says of itself. `data`: where its samples lie in the payload, in bytes."""

    encoding: int
    channels: int
    rate_hz: int
    bits: int
    data: slice

    @property
    def is_integer(self) -> bool:
        return self.encoding != _FLOAT

    @property
    def n_frames(self) -> int:
        return (self.data.stop - self.data.start) // (self.channels * (self.bits // 8))

    @property
    def duration_s(self) -> float:
        return self.n_frames / self.rate_hz


def wav_header(payload: bytes) -> WavHeader:
    """Reads the RIFF chunks and checks that the samples which they promise are there; decodes nothing.

    Raises `PayloadError`: empty, not-a-wav, truncated, unsupported-encoding.
    """
    if not payload:
        raise PayloadError("empty", "0 bytes")
    if payload[:4] != b"RIFF" or payload[8:12] != b"WAVE":
        raise PayloadError("not-a-wav", f"no RIFF/WAVE header; it looks like {looks_like(payload)}")
    position, form = 12, None
    while position + 8 <= len(payload):
        name, size = struct.unpack_from("<4sI", payload, position)
        body = position + 8
        if name == b"fmt ":
            if size < 16 or body + 16 > len(payload):
                raise PayloadError("truncated", "the format chunk is cut off")
            form = struct.unpack_from("<HHIIHH", payload, body)
            if form[0] == _EXTENSIBLE and size >= 40 and body + 26 <= len(payload):
                form = (struct.unpack_from("<H", payload, body + 24)[0], *form[1:])
        elif name == b"data":
            if form is None:
                raise PayloadError("not-a-wav", "samples before the format chunk")
            end = len(payload) if size == _UNKNOWN_SIZE else body + size
            if end > len(payload):
                raise PayloadError(
                    "truncated", f"the header promises {size} bytes of samples, {len(payload) - body} follow"
                )
            return _checked(form, slice(body, end))
        position = body + size + (size & 1)
    raise PayloadError("truncated", "the file ends before its samples begin")


def _checked(form: tuple[int, ...], data: slice) -> WavHeader:
    encoding, channels, rate_hz, _, _, bits = form
    widths = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64), _ALAW: (8,), _ULAW: (8,)}
    if encoding not in widths or bits not in widths[encoding]:
        raise PayloadError(
            "unsupported-encoding", f"wav format tag {encoding} with {bits} bits (known: PCM, float, A/mu-law)"
        )
    if channels == 0 or rate_hz == 0:
        raise PayloadError("not-a-wav", f"{channels} channels at {rate_hz} Hz")
    header = WavHeader(encoding, channels, rate_hz, bits, data)
    if header.n_frames == 0:
        raise PayloadError("empty", "a header without samples")
    return header


def decode_wav(payload: bytes, *, max_s: float = MAX_WAV_S) -> tuple[np.ndarray, int]:
    """wav bytes -> (float32 [n, channels] in [-1, 1], rate in Hz). 8/16/24/32-bit PCM, float, A-law, mu-law; any rate.

    Float files may hold values beyond 1; they are handed on as they are. Raises `PayloadError`: empty, not-a-wav,
    truncated, unsupported-encoding, too-long (from the header, before anything is decoded), non-finite.
    """
    header = wav_header(payload)
    if header.duration_s > max_s:
        raise PayloadError("too-long", f"{header.duration_s:.1f} s, at most {max_s:g} s are allowed")
    if (
        header.encoding == _PCM and header.bits == 16
    ):  # nearly all speech corpora; the same values as soundfile's, sooner
        raw = np.frombuffer(payload[header.data], dtype="<i2", count=header.n_frames * header.channels)
        return raw.astype(np.float32).reshape(-1, header.channels) / np.float32(32768.0), header.rate_hz
    import soundfile

    try:
        signal, rate_hz = soundfile.read(io.BytesIO(payload), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise PayloadError("not-a-wav", "the samples cannot be decoded as the header describes them") from error
    if len(signal) < header.n_frames:
        raise PayloadError("truncated", f"{header.n_frames} frames promised, {len(signal)} read")
    if not np.isfinite(signal).all():
        raise PayloadError("non-finite", f"{int((~np.isfinite(signal)).sum())} samples are NaN or infinite")
    return signal, int(rate_hz)


def encode_wav(signal: np.ndarray, rate_hz: int) -> bytes:
    """float32 [n] in [-1, 1] -> mono PCM16 wav, the same bytes everywhere. Values beyond the range are clipped.

    Raises `PayloadError`: empty, non-finite. Raises ValueError for another shape or rate.
    """
    if signal.ndim != 1 or not 0 < rate_hz < 2**31:
        raise ValueError(f"need one channel [n] and a rate in Hz, got shape {signal.shape} at {rate_hz} Hz")
    if signal.size == 0:
        raise PayloadError("empty", "no samples to write")
    if not np.isfinite(signal).all():
        raise PayloadError("non-finite", f"{int((~np.isfinite(signal)).sum())} samples are NaN or infinite")
    pcm = np.clip(np.rint(signal.astype(np.float64) * 32768.0), -32768, 32767).astype("<i2").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, _PCM, 1, int(rate_hz), 2 * int(rate_hz), 2, 16)
    head = b"RIFF" + struct.pack("<I", 36 + len(pcm)) + b"WAVE" + form + b"data" + struct.pack("<I", len(pcm))
    return head + pcm


def decode_image(payload: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """png, jpeg, ... -> uint8 [H, W] (grey) or [H, W, 3] (colour), upright by EXIF.

    Transparency is dropped; 16 bits become 8.

    Raises `PayloadError`: empty, not-an-image, truncated, too-large (from the header, before anything is decoded).
    """
    from PIL import ImageOps

    image = _opened(payload, max_pixels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # thousands of damaged files are rejects, not thousands of lines
            image.load()
            ImageOps.exif_transpose(image, in_place=True)  # else it is copied
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise PayloadError(
            "truncated", f"the {image.format} file is cut short or damaged: its pixels cannot be decoded"
        ) from error
    if image.mode.startswith(("I;16", "I")):
        return (np.clip(np.asarray(image, dtype=np.int64), 0, 65535) >> 8).astype(np.uint8)
    grey = image.mode in ("L", "1", "LA", "La")
    return np.array(image.convert("L" if grey else "RGB"), dtype=np.uint8)


def _opened(payload: bytes, max_pixels: int) -> Image.Image:
    """The picture with its header read and its size judged; its pixels are not decoded yet."""
    from PIL import Image, UnidentifiedImageError

    if not payload:
        raise PayloadError("empty", "0 bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged EXIF; and of bombs, where our own limit is stricter
            image: Image.Image = Image.open(io.BytesIO(payload), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise PayloadError("too-large", f"more pixels than the {max_pixels} that are allowed") from error
    except (UnidentifiedImageError, SyntaxError, ValueError, OSError) as error:
        raise PayloadError(
            "not-an-image", f"no picture that is read here; it looks like {looks_like(payload)}"
        ) from error
    if image.width * image.height > max_pixels:
        raise PayloadError("too-large", f"{image.width} x {image.height} pixels, at most {max_pixels} are allowed")
    if image.format in ("JPEG", "MPO") and (scans := payload.count(b"\xff\xda")) > MAX_SCANS:
        raise PayloadError("too-large", f"{scans} scans of a progressive jpeg, at most {MAX_SCANS} are decoded")
    return image


def image_header(payload: bytes) -> tuple[int, int, int]:
    """-> (height, width, channels: 1 or 3) from the header; a png or jpeg that has its end mark is not decoded.

    Raises `PayloadError`: empty, not-an-image, too-large, truncated.
    """
    with _opened(payload, MAX_PIXELS) as image:
        end = _END_MARKS.get(image.format or "")
        grey = image.mode in ("L", "1", "LA", "La") or image.mode.startswith("I")
        found = image.height, image.width, 1 if grey else 3
    if end is None or end not in payload:
        decode_image(payload)  # cut short, or whole but for the mark, or of a format without one: decoding tells
    return found


def encode_png(array: np.ndarray) -> bytes:
    """uint8 [H, W] or [H, W, 3] -> png, the same bytes for the same array. Raises ValueError for anything else.

    Written here and not by Pillow: "up" filter and Huffman coding alone are smaller than Pillow's level 1 on faces of
    48 x 48, 5 times faster to write, and leave zlib no matches to choose, so builds of zlib agree more often.
    """
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)) or 0 in array.shape:
        raise ValueError(f"need uint8 [H, W] or [H, W, 3], got {array.dtype} {array.shape}")
    height, width = array.shape[:2]
    rows = np.ascontiguousarray(array).reshape(height, -1)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2  # filter "up": each byte minus the one above it, modulo 256
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    deflate = zlib.compressobj(1, zlib.DEFLATED, 15, 8, zlib.Z_HUFFMAN_ONLY)
    body = deflate.compress(filtered.tobytes()) + deflate.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if array.ndim == 2 else 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def encode_text(text: str) -> bytes:
    """Text as it stands -> UTF-8. Raises `PayloadError`: empty (blank too), too-large, not-utf8 (lone surrogates)."""
    if not text.strip():
        raise PayloadError("empty", "no text")
    try:
        payload = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PayloadError("not-utf8", f"half of a surrogate pair at character {error.start}") from error
    if len(payload) > MAX_TEXT_BYTES:
        raise PayloadError("too-large", f"{len(payload)} bytes, at most {MAX_TEXT_BYTES} are read")
    return payload


def decode_text(payload: bytes) -> str:
    """UTF-8 -> text. Raises `PayloadError`: empty, too-large, not-utf8."""
    if not payload.strip():
        raise PayloadError("empty", "no text")
    if len(payload) > MAX_TEXT_BYTES:
        raise PayloadError("too-large", f"{len(payload)} bytes, at most {MAX_TEXT_BYTES} are read")
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PayloadError(
            "not-utf8", f"no UTF-8 at byte {error.start}: {payload[error.start : error.start + 4]!r}"
        ) from error
