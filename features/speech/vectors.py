"""Functionals of an utterance as what a generator models: a vector, without a way back to a sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from corpora.codecs import decode_wav
from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload
from features.speech.functionals import FUNCTIONAL_NAMES, FUNCTIONAL_UNITS, speech_functionals
from features.speech.required import require_rate
from features.vectors import VectorRepresentation, vector_spec

if TYPE_CHECKING:  # what encodes a sample needs none of the code that prepares one
    from features.speech.prepare import SpeechSteps


class FunctionalsRepresentation(VectorRepresentation):
    """wav -> [88] float32 in the order and units of `FUNCTIONAL_NAMES`, without a way back to a sound.

    `rate_hz`: what payloads must have; spectral statistics depend on it.
    """

    modality = "speech"

    def __init__(self, rate_hz: int = 16000) -> None:
        if not 8000 <= rate_hz <= 48000:
            raise ParamsError(f"representation functionals: rate_hz is {rate_hz}; allowed are 8000 to 48000.")
        self.rate_hz = int(rate_hz)
        self.spec = vector_spec(f"functionals{self.rate_hz // 1000}k", FUNCTIONAL_NAMES, FUNCTIONAL_UNITS)

    def require(self, steps: SpeechSteps) -> SpeechSteps:
        """See `require_rate`."""
        return require_rate(steps, self.rate_hz)

    def encode(self, payload: Payload) -> np.ndarray:
        """wav -> [88] float32.

        Raises `PayloadError`: wrong-codec, wrong-rate, empty, non-finite, or what the decoder says.
        """
        if payload.codec != "wav":
            raise PayloadError("wrong-codec", f"speech is read from wav, this payload is {payload.codec!r}")
        channels, rate = decode_wav(payload.data)
        if int(rate) != self.rate_hz:
            raise PayloadError("wrong-rate", f"{rate} Hz; the representation wants {self.rate_hz} Hz: prepare it first")
        if not len(channels):
            raise PayloadError("empty", "no samples")
        return speech_functionals(channels.mean(axis=1), self.rate_hz)
