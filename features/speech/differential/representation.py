"""The representation `differential`: generators move statistics of an utterance, the recording itself is edited."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from corpora.codecs import decode_wav, encode_wav
from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload, Signal
from features.representation import Spec
from features.speech.differential.analysis import Analysis, analyse
from features.speech.differential.statistics import Columns, Statistics, statistics
from features.speech.required import require_rate
from features.speech.world import SILENT_PEAK

if TYPE_CHECKING:  # what encodes a sample needs none of the code that prepares one
    from features.speech.prepare import SpeechSteps

SHORTEST_S = 0.06
REMEMBERED = 32  # analyses by default: about 1 MB for each 4 s


class DifferentialRepresentation:
    """wav -> [D] float32, statistics of the utterance; back by an edit of the wav that they came from.

    The statistics: mean and log spread of log-F0, log duration, mean and log spread of 40 mel-cepstra over active
    frames; where asked for log jitter, log shimmer, and how the unvoiced frames' first 6 mel-cepstra differ from the
    voiced ones'.

    Parameters: `rate_hz` that payloads must have; `f0_method`: "dio" (fast) or "harvest" (far slower, fewer gaps),
    both refined by StoneMask; `jitter`, `shimmer`, `unvoiced`: whether the vector holds these and an edit moves them
    (off: they did not help recognisers, docs/experiments/differential.md); `move_duration`: whether an edit moves the
    duration (on: with shared effects it helps; edges should be trimmed, since silence counts as no tempo).
    """

    modality = "speech"
    lossless = True  # an edit by nothing is the source, byte for byte
    way_back = True
    needs_source = True

    def __init__(
        self,
        rate_hz: int = 16000,
        f0_method: Literal["dio", "harvest"] = "dio",
        jitter: bool = False,
        shimmer: bool = False,
        unvoiced: bool = False,
        move_duration: bool = True,
    ) -> None:
        if not 8000 <= rate_hz <= 48000:
            raise ParamsError(f"representation differential: rate_hz is {rate_hz}; allowed are 8000 to 48000.")
        if f0_method not in ("dio", "harvest"):
            raise ParamsError(
                f"representation differential: f0_method is {f0_method!r}; allowed are 'dio' and 'harvest'."
            )
        self.rate_hz, self.move_duration = int(rate_hz), move_duration
        self.f0_method: Literal["dio", "harvest"] = f0_method
        self.columns = Columns(jitter, shimmer, unvoiced)
        names, units = self.columns.names, self.columns.units
        label = f"differential{self.rate_hz // 1000}k"
        self.spec = Spec(name=label, shape=(len(names),), layout="vector", rows=names, units=units)
        self.remembered = REMEMBERED
        self._analyses: OrderedDict[str, Analysis] = OrderedDict()  # by hash of the payload, oldest first

    def require(self, steps: SpeechSteps) -> SpeechSteps:
        """See `require_rate`."""
        return require_rate(steps, self.rate_hz)

    def encode(self, payload: Payload) -> np.ndarray:
        """wav -> [D] float32, always finite; what an utterance does not have is neutral (statistics.py).

        Raises `PayloadError`: wrong-codec, wrong-rate, several-channels, empty, too-short (under 60 ms), silent (peak
        under -80 dBFS), or what the decoder says (non-finite, too-long, ...).
        """
        return statistics(self.analysis(payload)).vector(self.columns)

    def decode(self, array: np.ndarray) -> Payload:
        """Raises `PayloadError` needs-source: statistics alone are no sound."""
        raise PayloadError(
            "needs-source",
            "the representation differential edits a real utterance and cannot make one from statistics alone: use it "
            "with a generator that starts from a sample (transfer), or the representation world with one that does not",
        )

    def edit(self, source: Payload, before: np.ndarray, after: np.ndarray) -> Payload:
        """The source, filtered and re-timed as its statistics changed -> PCM16 mono wav at `rate_hz`, or the source.

        `before` is the source's encoding; that is the caller's word, and only the difference counts. Changes are
        clipped where an edit would no longer sound like speech (conversion.py). Where a peak would leave full scale (or
        that of a float source which is beyond it already: then the wav is float), the gain goes down around it, by 12
        dB at most. A clipped source is edited as it is: its flat tops are part of the recording. Only statistics that
        the source has can move: an unvoiced one keeps its (absent) pitch.

        Raises `PayloadError`: wrong-shape, non-finite, beyond-full-scale, and those of `encode`.
        """
        from features.speech.differential.conversion import converted
        from features.speech.differential.levels import within_full_scale

        for array in (before, after):
            if array.shape != self.spec.shape:
                raise PayloadError("wrong-shape", f"{array.shape}; {self.spec.name} has {self.spec.shape}")
            if not np.isfinite(array).all():
                raise PayloadError("non-finite", f"{int((~np.isfinite(array)).sum())} statistics are NaN or infinite")
        change = Statistics.of_vector(after.astype(np.float64) - before.astype(np.float64), self.columns)
        if not self.move_duration:
            change = replace(change, log_duration=0.0)
        if np.array_equal(before, after):
            return source
        analysis = self.analysis(source)
        signal = converted(analysis, change)
        if signal is analysis.signal:  # what changed is nothing that this source has
            return source
        ceiling = max(1.0, float(np.abs(analysis.signal).max()))
        signal = within_full_scale(signal, self.rate_hz, ceiling)
        data = encode_wav(signal.astype(np.float32), self.rate_hz, keep_peaks=ceiling > 1.0)
        audio = Signal("audio", "full scale", float(self.rate_hz), (len(signal), 1))
        return Payload(data, "wav", (audio,), len(signal) / self.rate_hz)

    def analysis(self, payload: Payload) -> Analysis:
        """What is known of a recording; remembered, so that many edits of one source cost one analysis. Errors as in
        `encode`."""
        key = hashlib.sha256(payload.data).hexdigest()
        if key in self._analyses:
            self._analyses.move_to_end(key)
            return self._analyses[key]
        analysis = analyse(self._signal(payload), self.rate_hz, self.f0_method)
        self._analyses[key] = analysis
        if len(self._analyses) > self.remembered:
            self._analyses.popitem(last=False)
        return analysis

    def _signal(self, payload: Payload) -> np.ndarray:
        if payload.codec != "wav":
            raise PayloadError("wrong-codec", f"speech is read from wav, this payload is {payload.codec!r}")
        channels, rate = decode_wav(payload.data)
        if int(rate) != self.rate_hz:
            raise PayloadError("wrong-rate", f"{rate} Hz; the representation wants {self.rate_hz} Hz: prepare it first")
        if channels.shape[1] != 1:
            raise PayloadError("several-channels", f"{channels.shape[1]}; an edit wants one: prepare it first")
        signal = channels[:, 0].astype(np.float64)
        n = len(signal)
        if n == 0:
            raise PayloadError("empty", "no samples")
        if not np.isfinite(signal).all():
            raise PayloadError("non-finite", f"{int((~np.isfinite(signal)).sum())} of {n} samples are NaN or infinite")
        if n < SHORTEST_S * self.rate_hz:
            raise PayloadError("too-short", f"{n / self.rate_hz:.3f} s; at least {SHORTEST_S:g} s")
        peak = float(np.abs(signal).max())
        if peak < SILENT_PEAK:
            raise PayloadError("silent", f"peak {peak:.1e} of full scale; at least {SILENT_PEAK:.0e} is speech")
        return signal
