"""Payloads of a release as arrays and text, by libraries that everybody has: soundfile, Pillow, numpy.

| codec | what comes out |
|---|---|
| wav, flac | (float32 [n] or [n, channels] in [-1, 1], rate in Hz) |
| png, jpg, jpeg | uint8 [H, W] or [H, W, 3] |
| npz | {signal: array [n] or [n, channels]}, time first |
| txt | str |

Corpora are decoded by corpora/codecs.py, which judges files of strangers. What stands in a release has passed that.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np

from corpora.errors import PayloadError, UnknownNameError
from corpora.signals import decode_signals


def wav(payload: bytes) -> tuple[np.ndarray, int]:
    """-> (float32 [n] or [n, channels] in [-1, 1], rate in Hz). Raises `PayloadError` not-a-wav."""
    import soundfile

    try:
        samples, rate_hz = soundfile.read(io.BytesIO(payload), dtype="float32")
    except soundfile.LibsndfileError as error:
        raise PayloadError("not-a-wav", "libsndfile cannot read it") from error
    return samples, int(rate_hz)


def picture(payload: bytes) -> np.ndarray:
    """-> uint8 [H, W] of grey levels, or [H, W, 3] of colours. Raises `PayloadError` not-an-image."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(payload)) as image:
            image.load()
            return np.array(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise PayloadError("not-an-image", "Pillow cannot read it") from error


def text(payload: bytes) -> str:
    """UTF-8 -> text. Raises `PayloadError` not-utf8."""
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PayloadError("not-utf8", f"no UTF-8 at byte {error.start}") from error


DECODERS: dict[str, Callable[[bytes], Any]] = {
    "wav": wav,
    "flac": wav,
    "png": picture,
    "jpg": picture,
    "jpeg": picture,
    "npz": decode_signals,
    "txt": text,
}


def decoder(codec: str) -> Callable[[bytes], Any]:
    """Of a payload's file ending. Raises `UnknownNameError` for one that nothing here reads (then: `decode=False`)."""
    if codec not in DECODERS:
        raise UnknownNameError.of("codec that can be decoded (decode=False gives the bytes)", codec, DECODERS)
    return DECODERS[codec]


class ByEnding:
    """A handler of webdataset's `decode`: (".png", bytes) -> what comes out; None for an ending that is not ours."""

    def __call__(self, ending: str, payload: bytes) -> Any:
        known = DECODERS.get(ending.rpartition(".")[2].lower())
        return None if known is None else known(payload)
