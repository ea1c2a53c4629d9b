"""A sentence's place among sentences as what a generator models: a vector, without a way back to a sentence."""

from __future__ import annotations

import numpy as np

from corpora.codecs import decode_text
from corpora.errors import PayloadError
from corpora.schema import Payload
from features.text.minilm import COLUMNS, NAME, minilm
from features.vectors import VectorRepresentation, vector_spec


class MinilmRepresentation(VectorRepresentation):
    """txt -> [384] float32: a sentence's place in all-MiniLM-L6-v2, a vector of length 1, without a way back to a
    sentence.

    Needs the extra `pretrained` (docs/encoders.md). English; other languages as far as their words are known. Nothing
    is learned here.
    """

    modality = "text"
    encoders = (NAME,)

    def __init__(self) -> None:
        self.spec = vector_spec(NAME, [f"minilm_{i}" for i in range(COLUMNS)], [""] * COLUMNS)

    def encode(self, payload: Payload) -> np.ndarray:
        """txt -> [384] float32. Raises `PayloadError`: wrong-codec, no-words, or what the decoder says; `UserError`
        where the encoder is not installed."""
        if payload.codec != "txt":
            raise PayloadError("wrong-codec", f"text is read from txt, this payload is {payload.codec!r}")
        point = minilm().encode([decode_text(payload.data)])[0]
        if not point.any():
            raise PayloadError("no-words", "nothing in it that the encoder has a word piece for")
        return point
