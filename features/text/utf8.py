"""Texts as what a language model generates: their bytes, with a way back."""

from __future__ import annotations

import numpy as np

from corpora.codecs import decode_text, encode_text
from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload, Signal
from features.representation import Spec, require_array

MOST_BYTES = 65_536
PADDING = 0


class Utf8Representation:
    """txt <-> [max_bytes] float32: the bytes of the text as UTF-8, then zeros.

    `max_bytes`: of the longest text; a longer one is refused (`too-long`), never cut. Nothing is lost and nothing is
    learned: which pieces of words a language model knows is its own business.
    """

    modality = "text"
    lossless = True
    way_back = True

    def __init__(self, max_bytes: int = 256) -> None:
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or not 8 <= max_bytes <= MOST_BYTES:
            raise ParamsError(f"representation utf8: max_bytes is {max_bytes!r}; allowed are 8 to {MOST_BYTES}.")
        self.max_bytes = max_bytes
        self.spec = Spec(name=f"utf8-{max_bytes}", shape=(max_bytes,), layout="tokens")

    def encode(self, payload: Payload) -> np.ndarray:
        """txt -> [max_bytes] float32, whole numbers in [0, 255]; 0 is padding, after the last byte alone.

        Raises `PayloadError`: wrong-codec, too-long, nul-byte, or what the decoder says (empty, not-utf8).
        """
        if payload.codec != "txt":
            raise PayloadError("wrong-codec", f"text is read from txt, this payload is {payload.codec!r}")
        written = encode_text(decode_text(payload.data))
        if len(written) > self.max_bytes:
            raise PayloadError("too-long", f"{len(written)} bytes of UTF-8; {self.spec.name} has {self.max_bytes}")
        if PADDING in written:
            raise PayloadError("nul-byte", f"NUL at byte {written.index(PADDING)}, which stands for the end here")
        array = np.zeros(self.max_bytes, np.float32)
        array[: len(written)] = np.frombuffer(written, np.uint8)
        return array

    def decode(self, array: np.ndarray) -> Payload:
        """[max_bytes] float32 -> txt, the very bytes.

        Raises `PayloadError`: wrong-shape, non-finite, not-bytes (a number that is no byte, or a byte after padding),
        or what the decoder says of the bytes (empty, not-utf8).
        """
        require_array(array, self.spec)
        data = bytes_of(array)
        return Payload(data, "txt", (Signal("text", "character", None, (len(decode_text(data)),)),))


def bytes_of(array: np.ndarray) -> bytes:
    """[T] numbers -> the bytes before the padding. Raises `PayloadError`: not-bytes."""
    whole = np.rint(array)
    if (whole != array).any() or whole.min() < 0 or whole.max() > 255:
        wrong = int(np.flatnonzero((whole != array) | (whole < 0) | (whole > 255))[0])
        raise PayloadError("not-bytes", f"{float(array[wrong])!r} at {wrong}; bytes are whole numbers from 0 to 255")
    used = int((whole != PADDING).sum())
    if (whole[:used] == PADDING).any():
        raise PayloadError("not-bytes", f"padding at {int(np.argmax(whole == PADDING))}, and bytes after it")
    return whole[:used].astype(np.uint8).tobytes()
