"""Payload bytes <-> arrays and text: wav, images, UTF-8. What cannot be decoded raises `PayloadError`.

Slugs of wav: empty, not-a-wav, truncated, unsupported-encoding, several-data-chunks, too-long, non-finite,
unknown-scale.
Slugs of images: empty, not-an-image, truncated, too-large, unsupported-encoding, unknown-scale, non-finite.
Slugs of text: empty, not-utf8, too-large. Signals: corpora/signals.py.
"""

from __future__ import annotations

import math
import struct
import zlib
from functools import cache

import numpy as np

from corpora.errors import PayloadError
from corpora.formats.pictures import MAX_PIXELS as MAX_PIXELS
from corpora.formats.pictures import decode_image as decode_image
from corpora.formats.pictures import image_header as image_header
from corpora.formats.plainpng import remember
from corpora.formats.riff import ALAW, FLOAT, PCM, ULAW
from corpora.formats.riff import WavHeader as WavHeader
from corpora.formats.riff import wav_header as wav_header

MAX_WAV_S = 60.0
MAX_PEAK = 2.0  # of float samples, 6 dB over full scale: overshoot of decoders and resamplers stays well below
MAX_TEXT_BYTES = 1 << 20  # a novel's chapter; more is no utterance


def decode_wav(payload: bytes, *, max_s: float = MAX_WAV_S) -> tuple[np.ndarray, int]:
    """wav bytes -> (float32 [n, channels] in [-1, 1], rate in Hz). 8 to 32-bit PCM, float, A-law, mu-law; any rate.

    The scale is the encoding's. Float files may go beyond 1 (a decoder or a resampler overshoots), up to `MAX_PEAK`;
    they are handed on as they are. Above it, or where all values are whole numbers, they are on another scale, which
    nothing in the file tells: unknown-scale.

    Raises `PayloadError`: those of `wav_header`, too-long (from the header, before anything is decoded), non-finite,
    unknown-scale.
    """
    header = wav_header(payload)
    if header.duration_s > max_s:
        raise PayloadError("too-long", f"{header.duration_s:.1f} s, at most {max_s:g} s are allowed")
    signal = wav_samples(payload, header)
    if header.proof_bits is not None:
        _require_upper_bits(signal, header.bits, header.proof_bits)
    if not header.is_integer:
        require_full_scale(signal)
    return signal, header.rate_hz


def wav_samples(payload: bytes, header: WavHeader) -> np.ndarray:
    """-> float32 [n, channels]: integers over the full scale of their bits, floats as they are."""
    n, order = header.n_frames * header.channels, header.order
    raw = memoryview(payload)[header.data.start : header.data.start + n * (header.bits // 8)]
    signal: np.ndarray
    if header.encoding == FLOAT:
        with np.errstate(over="ignore", invalid="ignore"):  # beyond float32 lies inf, which is judged later
            signal = np.frombuffer(raw, dtype=f"{order}f{header.bits // 8}").astype(np.float32)
    elif header.encoding in (ALAW, ULAW):
        signal = companding_table(header.encoding)[np.frombuffer(raw, np.uint8)]
    elif header.bits == 8:
        signal = (np.frombuffer(raw, np.uint8).astype(np.float32) - np.float32(128)) / np.float32(128)
    elif header.bits == 24:  # as the upper three bytes of 32 bits
        wide = np.zeros((n, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(n, 3)[:, :: 1 if order == "<" else -1]
        signal = wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
    else:
        signal = np.frombuffer(raw, dtype=f"{order}i{header.bits // 8}").astype(np.float32)
        signal /= np.float32(2 ** (header.bits - 1))
    return signal.reshape(-1, header.channels)


@cache
def companding_table(encoding: int) -> np.ndarray:
    """float32 [256]: what each byte of A-law or mu-law means. ITU-T G.711, tables 1 and 2, as libsndfile scales them:
    A-law to 13 of 16 bits, mu-law to 14."""
    code = np.arange(256)
    if encoding == ULAW:
        code = 255 - code
        level = (((code & 15) << 3) + 132 << (code >> 4 & 7)) - 132
        sign = np.where(code & 128, -1, 1)
    else:
        code = code ^ 0x55
        exponent = code >> 4 & 7
        level = ((code & 15) << 4) + np.where(exponent > 0, 264, 8) << np.maximum(exponent - 1, 0)
        sign = np.where(code & 128, 1, -1)
    return (sign * level / 32768).astype(np.float32)


def _require_upper_bits(signal: np.ndarray, bits: int, used: int) -> None:
    """Of `bits`, the upper `used` ones count, by the standard. Raises `PayloadError` unknown-scale where these samples
    use the lower ones and would fit into those alone: then they may stand at the wrong end."""
    values = np.rint(signal.astype(np.float64) * 2 ** (bits - 1)).astype(np.int64)
    if (values & ((1 << (bits - used)) - 1)).any() and np.abs(values).max() <= 1 << (used - 1):
        raise PayloadError(
            "unknown-scale",
            f"{used} bits in {bits} belong into the upper ones; here the lowest {bits - used} are used, and no sample "
            f"is beyond {np.abs(values).max()}: full scale is {1 << used - 1} or {1 << bits - 1}. Save the files as "
            "16 or 24 bits",
        )


def require_full_scale(signal: np.ndarray) -> None:
    """float [n, channels]. Raises `PayloadError`: non-finite, unknown-scale (see `decode_wav`)."""
    low, high = (float(signal.min()), float(signal.max())) if signal.size else (0.0, 0.0)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise PayloadError("non-finite", f"{int((~np.isfinite(signal)).sum())} samples are NaN or infinite")
    peak = max(-low, high)
    if peak > MAX_PEAK or (peak >= 1 and bool((signal == np.rint(signal)).all())):
        raise PayloadError(
            "unknown-scale",
            f"samples from {low:.6g} to {high:.6g} in a float file, where full scale is 1 and at most {MAX_PEAK:g} is "
            "taken for overshoot. If all files of the corpus have one other scale, its card says so: "
            "files.full_scale: 32768",
        )


def rescaled_wav(payload: bytes, header: WavHeader, full_scale: float) -> tuple[bytes, WavHeader]:
    """A float wav whose full scale is `full_scale` -> 32-bit float wav with full scale 1, all channels.

    Raises `PayloadError`: non-finite, unknown-scale where the samples do not fit that scale either.
    """
    signal = wav_samples(payload, header) / np.float32(full_scale)
    require_full_scale(signal)
    wav = _wav_bytes(signal.astype("<f4").tobytes(), FLOAT, header.channels, header.rate_hz, 32)
    return wav, wav_header(wav)


def plain_wav(payload: bytes, header: WavHeader) -> tuple[bytes, WavHeader]:
    """The same samples behind a header that every program reads alike; as they are where it is one already."""
    if header.plain:
        return payload, header
    width = header.bits // 8
    data = payload[header.data.start : header.data.start + header.n_frames * header.channels * width]
    if header.order == ">":
        data = np.frombuffer(data, np.uint8).reshape(-1, width)[:, ::-1].tobytes()
    wav = _wav_bytes(data, header.encoding, header.channels, header.rate_hz, header.bits)
    return wav, wav_header(wav)


def _wav_bytes(data: bytes, encoding: int, channels: int, rate_hz: int, bits: int) -> bytes:
    frame = channels * bits // 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, encoding, channels, rate_hz, rate_hz * frame, frame, bits)
    pad = b"\0" * (len(data) & 1)
    size = struct.pack("<I", 36 + len(data) + len(pad))
    return b"RIFF" + size + b"WAVE" + form + b"data" + struct.pack("<I", len(data)) + data + pad


def encode_wav(signal: np.ndarray, rate_hz: int, *, keep_peaks: bool = False) -> bytes:
    """float32 [n] in [-1, 1] -> mono PCM16 wav, the same bytes everywhere. Values beyond the range are clipped.

    `keep_peaks`: a signal that goes beyond full scale is written as 32-bit float instead, and nothing is clipped.
    Raises `PayloadError`: empty, non-finite. Raises ValueError for another shape or rate.
    """
    if signal.ndim != 1 or not 0 < rate_hz < 2**31:
        raise ValueError(f"need one channel [n] and a rate in Hz, got shape {signal.shape} at {rate_hz} Hz")
    if signal.size == 0:
        raise PayloadError("empty", "no samples to write")
    if not np.isfinite(signal).all():
        raise PayloadError("non-finite", f"{int((~np.isfinite(signal)).sum())} samples are NaN or infinite")
    if keep_peaks and float(np.abs(signal).max()) > 1.0:
        return _wav_bytes(signal.astype("<f4").tobytes(), FLOAT, 1, int(rate_hz), 32)
    pcm = np.clip(np.rint(signal.astype(np.float64) * 32768.0), -32768, 32767).astype("<i2").tobytes()
    return _wav_bytes(pcm, PCM, 1, int(rate_hz), 16)


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
    payload = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")
    remember(payload, array)
    return payload


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
