"""Speech: noise, pitch, tempo and gain of mono wav.

Noise, pitch and tempo are audiomentations' (its default, Signalsmith Stretch, keeps every sound's place and hits pitch
and length; librosa's phase vocoder takes a third of the level away). How strong, is drawn here, so 0 is known to be
0; the library draws the noise itself from the global random states, which are set for that moment and put back.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from corpora.codecs import decode_wav, encode_wav, require_full_scale
from corpora.errors import PayloadError
from corpora.schema import Payload
from generators.classical.method import (
    MethodParams,
    Range,
    Unfitted,
    log_uniform,
    require_changed,
    require_codec,
    uniform,
    within,
)

SHORTEST_S = 0.12  # one block of the stretcher: what is shorter is smeared into something else
FULL = 32767 / 32768  # the highest level of 16 bits
_LOCK = threading.Lock()  # global random states are one for all threads


def mono(payload: Payload) -> tuple[np.ndarray, int]:
    """-> (float32 [n] in full scale, rate in Hz). Raises `PayloadError`: wrong-codec, not-mono, or what the decoder
    says (empty, not-a-wav, truncated, ...)."""
    require_codec(payload, "wav")
    channels, rate_hz = decode_wav(payload.data)
    if channels.shape[1] != 1:
        raise PayloadError("not-mono", f"{channels.shape[1]} channels: prepare it first")
    if len(channels) == 0:
        raise PayloadError("empty", "no samples")
    return np.ascontiguousarray(channels[:, 0]), rate_hz


def with_samples(payload: Payload, signal: np.ndarray, rate_hz: int) -> Payload:
    """The payload with other samples [n]: PCM16; 32-bit float where they go beyond full scale. Duration and shape
    follow. Raises `PayloadError`: non-finite, unknown-scale (more than 6 dB beyond full scale), unchanged."""
    signal = np.asarray(signal, np.float32)
    require_full_scale(signal)
    signals = tuple(replace(each, shape=(len(signal), *each.shape[1:])) for each in payload.signals)
    seconds = None if payload.duration_s is None else len(signal) / rate_hz
    data = encode_wav(signal, rate_hz, keep_peaks=True)
    require_changed(mono(payload)[0], decode_wav(data)[0][:, 0])
    return Payload(data, payload.codec, signals, seconds)


@contextmanager
def global_states(rng: np.random.Generator) -> Iterator[None]:
    """Seeds Python's and numpy's global random states from `rng`, and puts back what they were, whatever happens.
    One thread at a time."""
    with _LOCK:
        ours, numpys = random.getstate(), np.random.get_state()
        try:
            random.seed(int(rng.integers(2**63)))
            np.random.seed(int(rng.integers(2**32)))
            yield
        finally:
            random.setstate(ours)
            np.random.set_state(numpys)


class NoiseParams(MethodParams):
    """Parameters of noise."""

    snr_db: Annotated[Range, within(-20, 90)] | None = Field(
        (10.0, 30.0), description="lowest and highest signal-to-noise ratio in dB, drawn evenly; null: no noise"
    )


class Noise(Unfitted):
    """White Gaussian noise at a signal-to-noise ratio that is drawn anew each time (RMS of all samples over RMS of the
    noise). The sum may go beyond full scale; it is not clipped."""

    Params: ClassVar = NoiseParams

    def __init__(self, params: NoiseParams | None = None) -> None:
        self.params = params or NoiseParams()

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """Same length. Raises `PayloadError`: silent, those of `mono` and `with_samples`."""
        signal, rate_hz = mono(payload)
        if self.params.snr_db is None:
            return payload
        if not signal.any():
            raise PayloadError("silent", "every sample is 0, so there is no ratio to noise")
        from audiomentations import AddGaussianSNR

        snr_db = uniform(rng, self.params.snr_db)
        with global_states(rng):
            noisy = AddGaussianSNR(min_snr_db=snr_db, max_snr_db=snr_db, p=1.0)(signal, rate_hz)
        return with_samples(payload, noisy, rate_hz)


class PitchParams(MethodParams):
    """Parameters of pitch."""

    semitones: Annotated[Range, within(-12, 12)] = Field(
        (-2.0, 2.0), description="lowest and highest shift in semitones, drawn evenly"
    )


class Pitch(Unfitted):
    """Every frequency times 2 ^ (semitones / 12), formants too: voices become smaller or larger, not only higher.

    Pitch carries emotion, and what it is of a class is the speaker's own; a shift of 2 semitones is less than between
    two people of one sex.
    """

    Params: ClassVar = PitchParams

    def __init__(self, params: PitchParams | None = None) -> None:
        self.params = params or PitchParams()

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """Same length. Raises `PayloadError`: too-short, silent, those of `mono` and `with_samples`."""
        signal, rate_hz = mono(payload)
        semitones = uniform(rng, self.params.semitones)
        if semitones == 0:
            return payload
        _require_sound(signal, rate_hz)
        from audiomentations import PitchShift

        with global_states(rng):
            shifted = PitchShift(min_semitones=semitones, max_semitones=semitones, p=1.0)(signal, rate_hz)
        return with_samples(payload, shifted, rate_hz)


class StretchParams(MethodParams):
    """Parameters of tempo."""

    rate: Annotated[Range, within(0.5, 2)] = Field(
        (0.9, 1.1), description="slowest and fastest tempo, 1 = as it is; each ratio is as likely as its inverse"
    )


class Stretch(Unfitted):
    """Tempo without pitch: the duration is divided by the rate.

    From 0.5 on: slower than that, the stretcher blurs with random numbers that cannot be seeded.
    """

    Params: ClassVar = StretchParams

    def __init__(self, params: StretchParams | None = None) -> None:
        self.params = params or StretchParams()

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """n samples -> n / rate, to within one. Raises `PayloadError`: too-short, silent, those of `mono` and
        `with_samples`."""
        signal, rate_hz = mono(payload)
        rate = log_uniform(rng, self.params.rate)
        if rate == 1:
            return payload
        _require_sound(signal, rate_hz)
        from audiomentations import TimeStretch

        with global_states(rng):
            method = TimeStretch(min_rate=rate, max_rate=rate, leave_length_unchanged=False, p=1.0)
            stretched = method(signal, rate_hz)
        return with_samples(payload, stretched, rate_hz)


def _require_sound(signal: np.ndarray, rate_hz: int) -> None:
    if len(signal) < SHORTEST_S * rate_hz:
        raise PayloadError("too-short", f"{len(signal) / rate_hz:.3f} s; at least {SHORTEST_S:g} s")
    if not signal.any():
        raise PayloadError("silent", "every sample is 0, so nothing can be changed")


class GainParams(MethodParams):
    """Parameters of gain."""

    gain_db: Annotated[Range, within(-40, 40)] = Field(
        (-6.0, 6.0), description="lowest and highest gain in dB, drawn evenly"
    )


class Gain(Unfitted):
    """All samples louder or quieter. A gain that would lift the peak above full scale lifts it to full scale."""

    Params: ClassVar = GainParams

    def __init__(self, params: GainParams | None = None) -> None:
        self.params = params or GainParams()

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """Same length. Raises `PayloadError`: silent, full-scale (the peak is there already and the gain that was drawn
        is above 0), those of `mono` and `with_samples`."""
        signal, rate_hz = mono(payload)
        gain_db = uniform(rng, self.params.gain_db)
        if gain_db == 0:
            return payload
        peak = float(np.abs(signal).max())
        if peak == 0:
            raise PayloadError("silent", "every sample is 0, so nothing can be changed")
        factor = 10 ** (gain_db / 20)
        if factor > 1:
            if peak >= FULL:
                raise PayloadError("full-scale", f"the peak is {peak:.3g} of full scale; it cannot be lifted")
            factor = min(factor, FULL / peak)
        return with_samples(payload, signal * np.float32(factor), rate_hz)
