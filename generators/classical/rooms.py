"""Speech: the reverberation of a room that is made up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from corpora.errors import PayloadError
from corpora.schema import Payload
from generators.classical.method import MethodParams, Range, Unfitted, log_uniform, uniform, within
from generators.classical.speech import mono, with_samples

FIRST_S = 0.002  # from the direct sound to the first reflection: 0.7 m of way


class ReverbParams(MethodParams):
    """Parameters of reverberation."""

    rt60_s: Annotated[Range, within(0.05, 5)] | None = Field(
        (0.2, 0.8),
        description="shortest and longest time in which the sound falls by 60 dB, in seconds; each ratio is as likely "
        "as its inverse; null: no room",
    )
    direct_db: Annotated[Range, within(-20, 40)] = Field(
        (0.0, 12.0), description="lowest and highest energy of the direct sound over that of the reverberation, in dB"
    )


class Reverb(Unfitted):
    """The sound convolved with an impulse response of a room: the direct sound, and after 2 ms white Gaussian noise
    that decays exponentially (the late part of a diffuse room: Polack 1988; Habets 2007, Single- and multi-microphone
    speech dereverberation, eq. 2.11). No geometry, no early reflections, all frequencies decay alike. As augmentation:
    Ko et al. 2017 (A study on data augmentation of reverberant speech for robust speech recognition, ICASSP), whose
    responses come from the image method and from recordings.
    """

    Params: ClassVar = ReverbParams

    def __init__(self, params: ReverbParams | None = None) -> None:
        self.params = params or ReverbParams()

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """Same length and RMS; what rings on behind the end is cut. Raises `PayloadError`: silent, those of
        `speech.mono` and `speech.with_samples`."""
        signal, rate_hz = mono(payload)
        if self.params.rt60_s is None:
            return payload
        if not signal.any():
            raise PayloadError("silent", "every sample is 0, so nothing can be changed")
        from scipy.signal import fftconvolve

        response = room(log_uniform(rng, self.params.rt60_s), uniform(rng, self.params.direct_db), rate_hz, rng)
        wet = fftconvolve(signal.astype(np.float64), response)[: len(signal)]
        power = float(np.mean(wet**2))
        if not power > 0:
            raise PayloadError("silent", "nothing is left of it in the room")
        return with_samples(payload, wet * np.sqrt(np.mean(signal.astype(np.float64) ** 2) / power), rate_hz)


def room(rt60_s: float, direct_db: float, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """[n] float64, an impulse response that begins with the direct sound, 1. Amplitudes of the tail fall as
    exp(-3 ln 10 t / rt60): 60 dB in rt60_s; its energy lies direct_db below that of the direct sound."""
    t = np.arange(1, round(rt60_s * rate_hz) + 1) / rate_hz
    tail = np.where(t >= FIRST_S, rng.standard_normal(len(t)) * np.exp(-3 * np.log(10) * t / rt60_s), 0.0)
    energy = float((tail**2).sum())
    if energy > 0:
        tail *= np.sqrt(10 ** (-direct_db / 10) / energy)
    return np.concatenate([[1.0], tail])
