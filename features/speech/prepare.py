"""Speech made alike: one rate, one channel, no DC, clipping, noise, edges, pieces, loudness.

Defaults do what emotion data can bear: one rate, one channel, silent edges off. Loudness is kept by default, because it
carries arousal: actors are louder when they are angry, and a corpus that fixes the gain (RAVDESS, EmoDB) shows it.
Bringing each utterance to one loudness takes that away from generators, gates and classifiers alike. Turn it on where
the gain was not fixed (calls, videos), and level is the microphone's doing.

Nothing is brought to its own peak: a file 20 dB quieter than another stays so. What goes beyond full scale (overshoot
of a decoder or of resampling) is written as 32-bit float; what goes further than `MAX_PEAK` is no overshoot.
"""

from __future__ import annotations

import math
import warnings
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import numpy as np
import soxr
from pydantic import Field, JsonValue, SerializerFunctionWrapHandler, model_serializer, model_validator

from corpora.codecs import decode_wav, encode_wav, require_full_scale
from corpora.errors import PayloadError
from corpora.formats.channels import SILENT_RMS, mixed_down
from features.steps import Piece, Reads, Source, Step, Steps

_FRAME_S, _HOP_S = 0.032, 0.008
_NOISE_QUANTILE = 0.1
_AUDIBLE = 0.02  # of full scale: below, few levels are left and neighbours share the highest one by chance
_BLOCK_S = 0.4  # gating block of ITU-R BS.1770-4

Seconds = Annotated[float, Field(gt=0)]


class Resample(Step):
    """Mean of the channels that hold a sound and do not cancel out, mean (DC) removed, soxr at quality HQ."""

    rate_hz: Annotated[int, Field(ge=8000, le=48000)] = Field(16000, description="Sampling rate of what is prepared.")


class Clipping(Step):
    """Rejects what was recorded too loud (`clipped`), measured on the samples as they are in the file."""

    max_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.01, description="Largest share of samples in runs of two or more at the file's highest level."
    )


class Noise(Step):
    """Rejects recordings whose estimated signal-to-noise ratio is too low (`noisy`). See `snr_db`."""

    min_db: float = Field(10.0, description="Lowest signal-to-noise ratio in dB.")


class Trim(Step):
    """Cuts edges off that are quiet, or in which nobody speaks."""

    method: Literal["level", "vad"] = Field(
        "level",
        description="level: by `below_db`; vad: where a network hears no speech (docs/encoders.md), and a recording "
        "without any is a reject: no-speech.",
    )
    threshold: Annotated[float, Field(gt=0, lt=1)] = Field(0.5, description="Of vad: least probability of speech.")
    below_db: Annotated[float, Field(ge=10, le=120)] = Field(
        35.0, description="Edges this far under the loudest 32 ms are cut."
    )
    margin_s: Annotated[float, Field(ge=0, le=1)] = Field(0.05, description="Kept at each edge.")

    @model_serializer(mode="wrap")
    def _what_it_uses(self, dump: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """By level, what it was before there were two ways: samples that are prepared already stay what they are."""
        unused = ("method", "threshold") if self.method == "level" else ("below_db",)
        return {key: value for key, value in dump(self).items() if key not in unused}


class Segment(Step):
    """Cuts long utterances at their pauses. Pieces keep label, subject and group; ids get `#s0001`, `#s0002`, ..."""

    max_s: Seconds = Field(10.0, description="No piece is longer.")
    min_s: Seconds = Field(1.0, description="No piece is shorter.")
    pause_db: Annotated[float, Field(ge=5, le=120)] = Field(
        25.0,
        description="A pause is this far under the loudest 32 ms; without one the utterance is a reject: no-pause.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Segment:
        if self.max_s < 2 * self.min_s:
            raise ValueError(f"max_s {self.max_s:g} must be at least twice min_s {self.min_s:g}")
        return self


class Length(Step):
    """Rejects what is left too short or too long (`too-short`, `too-long`); never cuts, for that could take the
    emotion away."""

    min_s: Seconds = Field(0.2, description="Shorter ones are rejects.")
    max_s: Seconds = Field(30.0, description="Longer ones are rejects.")


class Loudness(Step):
    """Brings every utterance to one integrated loudness (ITU-R BS.1770-4, by pyloudnorm); peaks are never clipped."""

    lufs: Annotated[float, Field(ge=-60, le=-5)] = Field(-23.0, description="Target in LUFS (EBU R 128: -23).")
    peak_db: Annotated[float, Field(ge=-20, le=0)] = Field(
        -1.0, description="A gain that would lift the peak above this (dBFS) is made smaller."
    )


class SpeechSteps(Steps):
    """Steps for speech, in their order."""

    VERSION: ClassVar[str] = "speech-3"  # 3: no peak is brought to 1, channels that cancel out are not averaged

    resample: Resample = Field(default_factory=Resample, description="One rate, one channel, no DC.")
    clipping: Clipping | None = Field(
        None, description="Reject what is clipped; off by default, because it takes the loudest classes' samples first."
    )
    noise: Noise | None = Field(None, description="Reject what is noisy; off by default.")
    trim: Trim | None = Field(default_factory=Trim, description="Cut quiet edges.")
    segment: Segment | None = Field(None, description="Cut long utterances at pauses; off by default.")
    length: Length = Field(default_factory=Length, description="Reject what is too short or too long.")
    loudness: Loudness | None = Field(
        None, description="Bring all to one loudness; off by default, because loudness carries arousal."
    )

    @model_validator(mode="after")
    def _pieces_fit(self) -> SpeechSteps:
        if self.segment is not None and not (
            self.length.min_s <= self.segment.min_s and self.segment.max_s <= self.length.max_s
        ):
            raise ValueError(
                f"pieces of {self.segment.min_s:g} to {self.segment.max_s:g} s would be refused by length "
                f"({self.length.min_s:g} to {self.length.max_s:g} s)"
            )
        return self

    def encoders(self) -> tuple[str, ...]:
        """The network that hears where somebody speaks, where trimming asks it."""
        return ("silero",) if self.trim is not None and self.trim.method == "vad" else ()


class PrepareSpeech:
    """The `Preparation` of speech: wav of any rate and number of channels -> mono wav at one rate, PCM16; 32-bit float
    where the signal goes beyond full scale."""

    codec = "wav"
    reads = Reads()

    def __init__(self, steps: SpeechSteps) -> None:
        self.steps = steps

    def __call__(self, source: Source) -> list[Piece]:
        """Raises `PayloadError`: wrong-codec, non-finite, silent, clipped, noisy, no-speech, no-pause, too-short,
        too-long, unknown-scale, or what the decoder says."""
        steps = self.steps
        if source.codec != "wav":
            raise PayloadError("wrong-codec", f"speech is read from wav, this payload is {source.codec!r}")
        channels, rate = decode_wav(source.payload)
        if steps.clipping is not None:
            _require_unclipped(channels, steps.clipping.max_share)
        rate_hz = steps.resample.rate_hz
        mono, slug = mixed_down(channels)
        signal = resampled(mono, rate, rate_hz)
        loudest = float(frame_rms(signal, rate_hz).max())
        if loudest < SILENT_RMS:  # asked before the length: a file of silence is silent, not too short
            raise PayloadError("silent", f"the loudest 32 ms have RMS {loudest:.1e} of full scale")
        if steps.noise is not None:  # before trimming: the edges are where the noise can be heard alone
            ratio_db = snr_db(signal, rate_hz)
            if not ratio_db >= steps.noise.min_db:
                raise PayloadError("noisy", f"estimated at {ratio_db:.1f} dB; at least {steps.noise.min_db:g} dB")
        start, stop = 0, len(signal)
        if steps.trim is not None:
            start, stop = _kept_span(signal, rate_hz, steps.trim)
        cuts = [start, stop]
        if steps.segment is not None:
            cuts = pause_cuts(signal, rate_hz, start, stop, steps.segment)
        return [
            self._piece(signal[a:b], a / rate_hz, b / rate_hz, f"#s{i:04d}" if len(cuts) > 2 else "", slug)
            for i, (a, b) in enumerate(pairwise(cuts), 1)
        ]

    def _piece(self, signal: np.ndarray, start_s: float, stop_s: float, suffix: str, slug: str | None) -> Piece:
        rate_hz, length = self.steps.resample.rate_hz, self.steps.length
        seconds = len(signal) / rate_hz
        if seconds < length.min_s:
            raise PayloadError("too-short", f"{seconds:.3f} s after trimming; at least {length.min_s:g} s")
        if seconds > length.max_s:
            raise PayloadError("too-long", f"{seconds:.3f} s after trimming; at most {length.max_s:g} s")
        if self.steps.loudness is not None:
            signal = to_loudness(signal, rate_hz, self.steps.loudness.lufs, self.steps.loudness.peak_db)
        require_full_scale(signal)
        facts = {"name": "audio", "unit": "full scale", "rate_hz": float(rate_hz), "shape": [len(signal), 1]}
        notes = {} if slug is None else {"mixed_down": slug}
        return Piece(
            encode_wav(signal.astype(np.float32), rate_hz, keep_peaks=True),
            suffix,
            seconds,
            start_s,
            stop_s,
            signals=(facts,),
            notes=notes,
            counted=tuple(notes.values()),
        )


def _kept_span(signal: np.ndarray, rate_hz: int, trim: Trim) -> tuple[int, int]:
    """Raises `PayloadError` no-speech, `UserError` where the network that is asked for is not installed."""
    if trim.method == "level":
        return active_span(signal, rate_hz, trim_db=trim.below_db, margin_s=trim.margin_s)
    from features.speech.vad import speech_span

    span = speech_span(signal, rate_hz, threshold=trim.threshold, margin_s=trim.margin_s)
    if span is None:
        raise PayloadError("no-speech", f"no 32 ms have a probability of speech of {trim.threshold:g} or more")
    return span


def resampled(mono: np.ndarray, rate: int, rate_hz: int) -> np.ndarray:
    """[n] at `rate` -> [m] float64 at `rate_hz`, without DC. Raises `PayloadError`: non-finite, too-short."""
    signal = np.array(mono, dtype=np.float64)
    if not np.isfinite(signal).all():
        raise PayloadError("non-finite", f"{int((~np.isfinite(signal)).sum())} of {len(signal)} samples")
    signal -= signal.mean()
    if int(rate) != rate_hz:
        signal = soxr.resample(signal, rate, rate_hz, quality="HQ")
    if len(signal) == 0:
        raise PayloadError("too-short", "nothing left after resampling")
    return signal


def frame_rms(signal: np.ndarray, rate_hz: int) -> np.ndarray:
    """[n] -> [ceil(n / hop)] float64 RMS of 32 ms centred on every 8 ms; shorter near the edges."""
    half, hop = max(1, round(_FRAME_S * rate_hz / 2)), max(1, round(_HOP_S * rate_hz))
    power = np.concatenate([[0.0], np.cumsum(np.asarray(signal, dtype=np.float64) ** 2)])
    centres = np.arange(0, len(signal), hop)
    low, high = np.maximum(centres - half, 0), np.minimum(centres + half, len(signal))
    rms: np.ndarray = np.sqrt(np.maximum(power[high] - power[low], 0.0) / (high - low))
    return rms


def active_span(signal: np.ndarray, rate_hz: int, *, trim_db: float, margin_s: float) -> tuple[int, int]:
    """[n] -> (start, stop) in samples: first to last frame within `trim_db` of the loudest, widened by `margin_s`."""
    rms = frame_rms(signal, rate_hz)
    loud = np.flatnonzero(rms >= rms.max() * 10.0 ** (-trim_db / 20.0))
    hop, margin = max(1, round(_HOP_S * rate_hz)), math.ceil(margin_s * rate_hz)
    return max(0, int(loud[0]) * hop - margin), min(len(signal), (int(loud[-1]) + 1) * hop + margin)


def clipped_share(channels: np.ndarray) -> float:
    """[n, channels] -> share of the worst channel's samples that stand in runs of two or more at its extreme level.

    The extreme is the channel's own: a recording that was clipped and turned down afterwards is found as well. A lone
    highest sample is a peak and not clipping. Of an unclipped wave next to nothing stands in such runs.
    """
    worst = 0.0
    for signal in np.asarray(channels).T:
        for level in (signal.max(), signal.min()):
            at = np.concatenate([[False], signal == level, [False]])
            runs = at[1:-1] & (at[:-2] | at[2:])
            if abs(level) >= _AUDIBLE:
                worst = max(worst, float(runs.mean()))
    return worst


def _require_unclipped(channels: np.ndarray, max_share: float) -> None:
    share = clipped_share(channels)
    if share > max_share:
        raise PayloadError("clipped", f"{100 * share:.2f} % of the samples at the limit; at most {100 * max_share:g} %")


def snr_db(signal: np.ndarray, rate_hz: int) -> float:
    """[n] -> signal-to-noise ratio in dB, from the energies of 32 ms frames.

    Noise: the 10th percentile of the frames' power; signal: the mean power of all frames less the noise. Needs pauses
    in at least a tenth of the recording: without them quiet speech passes for noise, and the estimate is too low.
    Steady noise only; a slamming door is signal to it. inf where the quietest tenth is digital silence.
    """
    power = frame_rms(signal, rate_hz) ** 2
    noise = float(np.quantile(power, _NOISE_QUANTILE))
    if noise <= 0.0:
        return math.inf
    return 10.0 * math.log10(max(float(power.mean()) - noise, 1e-12 * noise) / noise)


def pause_cuts(signal: np.ndarray, rate_hz: int, start: int, stop: int, params: Segment) -> list[int]:
    """[n] -> sample positions start < ... < stop that lie in pauses and at most `max_s` apart.

    Each cut is the middle of the quietest 100 ms that leave pieces of `min_s` to `max_s`. Raises `PayloadError`
    no-pause where the quietest is still speech: no word is ever cut.
    """
    longest, shortest = int(params.max_s * rate_hz), math.ceil(params.min_s * rate_hz)
    hop = max(1, round(_HOP_S * rate_hz))
    rms = frame_rms(signal, rate_hz)
    width = max(1, round(0.1 / _HOP_S))
    smooth = np.sqrt(np.convolve(np.pad(rms**2, width // 2, mode="edge"), np.ones(width) / width, "same"))
    smooth = smooth[width // 2 : width // 2 + len(rms)]
    limit = float(rms.max()) * 10.0 ** (-params.pause_db / 20.0)
    cuts = [start]
    while stop - cuts[-1] > longest:
        first = math.ceil((cuts[-1] + shortest) / hop)
        last = min(cuts[-1] + longest, stop - shortest) // hop
        window = smooth[first : last + 1]
        if len(window) == 0 or window.min() > limit:
            at = cuts[-1] / rate_hz
            raise PayloadError("no-pause", f"none from {at + params.min_s:.1f} to {at + params.max_s:.1f} s to cut at")
        # of equal ones the last: long pieces, few cuts
        cuts.append((first + int(np.flatnonzero(window == window.min())[-1])) * hop)
    return [*cuts, stop]


def loudness_lufs(signal: np.ndarray, rate_hz: int) -> float:
    """[n] -> integrated loudness, ITU-R BS.1770-4. Below 0.4 s one gating block of the signal's own length is used."""
    import pyloudnorm

    block = min(_BLOCK_S, len(signal) / rate_hz)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no block: -inf, handled by the caller
        return float(pyloudnorm.Meter(rate_hz, block_size=block).integrated_loudness(np.asarray(signal, np.float64)))


def to_loudness(signal: np.ndarray, rate_hz: int, lufs: float, peak_db: float) -> np.ndarray:
    """[n] -> [n] with one gain. Raises `PayloadError` silent where BS.1770 finds no block above -70 LUFS."""
    level_lufs = loudness_lufs(signal, rate_hz)
    if not math.isfinite(level_lufs):
        raise PayloadError("silent", "no 0.4 s above -70 LUFS")
    gain = 10.0 ** ((lufs - level_lufs) / 20.0)
    room = 10.0 ** (peak_db / 20.0) / float(np.abs(signal).max())
    scaled: np.ndarray = signal * min(gain, room)
    return scaled
