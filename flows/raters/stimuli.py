"""Payloads as raters get them: encoded anew, so that the size of a stimulus tells its length and nothing else.

A compressed picture or sound is smaller the smoother it is, and generated ones are smooth; a file may carry tags that
say what made it. Sounds become plain 16-bit PCM, pictures uncompressed PNG: the bytes of two stimuli differ in number
only where they last longer or are larger.
"""

from __future__ import annotations

import base64
import io

import numpy as np

from corpora.codecs import decode_image, decode_text, decode_wav, encode_wav
from corpora.errors import UserError
from corpora.formats.channels import mixed_down

CODECS = ("wav", "png", "txt")


def stimulus(payload: bytes, codec: str) -> dict[str, str]:
    """wav, png -> {"type": MIME type, "data": base64}; txt -> {"text": the text}. Raises `PayloadError` for bytes that
    cannot be decoded, `UserError` for what nobody can hear, see or read."""
    if codec == "wav":
        signal, rate_hz = decode_wav(payload)
        return _held("audio/wav", encode_wav(mixed_down(signal, np.float32)[0], rate_hz))
    if codec == "png":
        return _held("image/png", _stored(decode_image(payload)))
    if codec == "txt":
        return {"text": decode_text(payload)}
    raise UserError(f"samples of codec {codec!r} cannot be put to raters; those that can: {', '.join(CODECS)}")


def _stored(image: np.ndarray) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(image).save(out, "png", compress_level=0)
    return out.getvalue()


def _held(kind: str, data: bytes) -> dict[str, str]:
    return {"type": kind, "data": base64.b64encode(data).decode("ascii")}
