"""A voice's place among voices as what a generator models: a vector, without a way back to a sound."""

from __future__ import annotations

import numpy as np

from corpora.codecs import decode_wav
from corpora.errors import PayloadError
from corpora.schema import Payload
from features.vectors import VectorRepresentation, vector_spec

NAME = "speaker_ge2e"
COLUMNS = 256  # of the network, whose module loads torch: features/speech/speaker.py


class SpeakerRepresentation(VectorRepresentation):
    """wav -> [256] float32: a voice's place in the GE2E speaker encoder, a vector of length 1, without a way back to a
    sound.

    Needs the package resemblyzer (docs/encoders.md). It tells people apart, and emotions little. Nothing is learned
    here.
    """

    modality = "speech"
    encoders = (NAME,)

    def __init__(self) -> None:
        self.spec = vector_spec(NAME, [f"{NAME}_{i}" for i in range(COLUMNS)], [""] * COLUMNS)

    def encode(self, payload: Payload) -> np.ndarray:
        """wav of any rate -> [256] float32. Raises `PayloadError`: wrong-codec, empty, or what the decoder says;
        `UserError` where the encoder is not installed."""
        from features.speech.speaker import speaker_encoder

        if payload.codec != "wav":
            raise PayloadError("wrong-codec", f"speech is read from wav, this payload is {payload.codec!r}")
        channels, rate = decode_wav(payload.data)
        if not len(channels):
            raise PayloadError("empty", "no samples")
        return speaker_encoder().encode(channels.mean(axis=1), rate)
