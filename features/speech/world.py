"""Speech as an image: coded WORLD parameters, F0, voicing and a mask, and the way back to a waveform.

WORLD (Morise, Yokomori & Ozawa 2016, IEICE Trans. E99-D(7), https://doi.org/10.1587/transinf.2015EDP7457) parts speech
into a smooth envelope, F0 and band aperiodicity. The envelope is coded as a mel-warped cepstrum of a few dozen
coefficients (Morise, Miyashita & Ozawa 2017, "Low-dimensional representation of spectral envelope without deterioration
for full-band speech analysis/synthesis system"), which generators can model and which loses next to nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from corpora.codecs import decode_wav, encode_wav
from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload, Signal
from features.masks import valid_columns
from features.representation import Spec
from features.speech.required import require_rate
from features.speech.vocoder import pyworld

if TYPE_CHECKING:  # what decodes a sample needs none of the code that prepares one
    from features.speech.prepare import SpeechSteps

F0_FLOOR_HZ, F0_CEIL_HZ = 71.0, 800.0  # WORLD's own search range; the floor also fixes the length of its FFT
UNVOICED_F0_HZ = 150.0  # log-F0 row of an utterance without one voiced frame; voicing says that it is not heard
SILENT_PEAK = 1e-4  # -80 dBFS
COLUMN_MULTIPLE = 16  # so that U-Nets can halve the width four times
FADE_S = 0.005  # at both ends, against clicks
C0_RANGE = (-26.0, 6.0)  # below: under the rounding noise of PCM16 (about -25); 6: far beyond full scale
CEPSTRUM_RANGE = (-10.0, 10.0)  # real speech stays within +-6
APERIODICITY_DB_RANGE = (-60.0, 0.0)
VOICED_ABOVE = 0.5
F0_HOP_S = 0.005  # F0 is tracked at least this finely and then thinned: DIO's continuity rules fail on a coarse grid


@dataclass(frozen=True, slots=True)
class WorldFrames:
    """T frames, float64: f0_hz [T] (0: unvoiced), envelope (power) and aperiodicity (0 to 1) [T, n_fft / 2 + 1]."""

    f0_hz: np.ndarray
    envelope: np.ndarray
    aperiodicity: np.ndarray


def analyse(signal: np.ndarray, rate_hz: int, *, hop_s: float, f0_method: Literal["dio", "harvest"]) -> WorldFrames:
    """[n] float -> WORLD frames, one every `hop_s` seconds from 0 on."""
    x = np.ascontiguousarray(signal, dtype=np.float64)
    f0, times = track_f0(x, rate_hz, hop_s=hop_s, f0_method=f0_method)
    n_fft = fft_length(rate_hz)
    envelope = pyworld.cheaptrick(x, f0, times, rate_hz, f0_floor=F0_FLOOR_HZ, fft_size=n_fft)
    # threshold 0: voicing is DIO's alone. D4C's own second opinion turns a tenth of the voiced frames of RAVDESS into
    # noise: voicing error of the round trip 16 % instead of 7 %
    aperiodicity = pyworld.d4c(x, f0, times, rate_hz, threshold=0.0, fft_size=n_fft)
    return WorldFrames(f0, envelope, aperiodicity)


def track_f0(
    signal: np.ndarray, rate_hz: int, *, hop_s: float, f0_method: Literal["dio", "harvest"] = "dio"
) -> tuple[np.ndarray, np.ndarray]:
    """[n] float -> (F0 [T] Hz, 0 = unvoiced; times [T] s), refined by StoneMask; T = n // hop + 1."""
    from features.speech.tracking.dio import dio  # compiled: what only decodes does without
    from features.speech.tracking.stonemask import stonemask

    x = np.ascontiguousarray(signal, dtype=np.float64)
    finer = max(1, math.ceil(hop_s / F0_HOP_S - 1e-9))
    hop_ms = hop_s * 1000.0 / finer
    if f0_method == "dio":
        f0, times = dio(x, rate_hz, f0_floor=F0_FLOOR_HZ, f0_ceil=F0_CEIL_HZ, hop_ms=hop_ms)
    else:
        f0, times = pyworld.harvest(x, rate_hz, f0_floor=F0_FLOOR_HZ, f0_ceil=F0_CEIL_HZ, frame_period=hop_ms)
    f0, times = np.ascontiguousarray(f0[::finer]), np.ascontiguousarray(times[::finer])
    return stonemask(x, f0, times, rate_hz), times


def fft_length(rate_hz: int) -> int:
    """Points of the FFT that WORLD uses at this rate (1024 at 16 kHz)."""
    return int(pyworld.get_cheaptrick_fft_size(rate_hz, F0_FLOOR_HZ))


def interpolated_log_f0(f0_hz: np.ndarray) -> np.ndarray:
    """[T] Hz, 0 = unvoiced -> [T] natural log of Hz, linear across unvoiced stretches, held at the edges."""
    voiced = np.flatnonzero(f0_hz > 0)
    if voiced.size == 0:
        return np.full(len(f0_hz), math.log(UNVOICED_F0_HZ))
    return np.interp(np.arange(len(f0_hz)), voiced, np.log(f0_hz[voiced]))


class WorldRepresentation:
    """wav <-> [rows, columns] float32 with one column every `hop_s` seconds.

    Rows: `coefficients` of the envelope's mel-warped cepstrum (log power), interpolated log-F0 (natural log of Hz),
    voicing (0 or 1), band aperiodicity (dB; one band at 16 kHz), mask (+1 valid, -1 padding): 28 + 4 = 32 by default.
    Padding columns are 0 in every other row. The width is max_s / hop_s rounded up to a multiple of 16.

    Parameters: `rate_hz` that payloads must have; `hop_s`, a whole number of samples; `max_s`, the longest utterance;
    `f0_method`: "dio" (fast) or "harvest" (far slower, fewer gaps), both refined by StoneMask.
    """

    modality = "speech"
    lossless = False
    way_back = True

    def __init__(
        self,
        rate_hz: int = 16000,
        hop_s: float = 0.01,
        coefficients: int = 28,
        max_s: float = 3.2,
        f0_method: Literal["dio", "harvest"] = "dio",
    ) -> None:
        if not 8000 <= rate_hz <= 48000:
            raise ParamsError(f"representation world: rate_hz is {rate_hz}; allowed are 8000 to 48000.")
        hop = hop_s * rate_hz
        if not 0.001 <= hop_s <= 0.05 or abs(hop - round(hop)) > 1e-6:
            raise ParamsError(
                f"representation world: hop_s is {hop_s}; allowed are 0.001 to 0.05 s that make a whole number of "
                f"samples at {rate_hz} Hz (0.005, 0.01, 0.02)."
            )
        if not 8 <= coefficients <= 80:
            raise ParamsError(f"representation world: coefficients is {coefficients}; allowed are 8 to 80.")
        if not 0.2 <= max_s <= 60.0:
            raise ParamsError(f"representation world: max_s is {max_s}; allowed are 0.2 to 60 s.")
        if f0_method not in ("dio", "harvest"):
            raise ParamsError(f"representation world: f0_method is {f0_method!r}; allowed are 'dio' and 'harvest'.")
        self.rate_hz, self.hop_s, self.coefficients, self.max_s = int(rate_hz), float(hop_s), coefficients, float(max_s)
        self.f0_method: Literal["dio", "harvest"] = f0_method
        self._hop = round(hop)  # samples
        # WORLD codes one band each 3 kHz below the Nyquist frequency less 3 kHz, none below 12 kHz
        bands = int(pyworld.get_num_aperiodicities(self.rate_hz))
        self._row_f0 = coefficients
        self._row_voicing = coefficients + 1
        self._rows_aperiodicity = slice(coefficients + 2, coefficients + 2 + bands)
        width = math.ceil(math.ceil(max_s / hop_s - 1e-9) / COLUMN_MULTIPLE) * COLUMN_MULTIPLE
        rows = (
            *(f"mcep_{i}" for i in range(coefficients)),
            "log_f0",
            "voicing",
            *(f"aperiodicity_{i}_db" for i in range(bands)),
            "mask",
        )
        self.spec = Spec(
            name=f"world{self.rate_hz // 1000}k-{coefficients}c-{hop_s * 1000:g}ms",
            shape=(len(rows), width),
            layout="rows",
            rows=rows,
            units=tuple("ln Hz" if r == "log_f0" else "dB" if r.endswith("_db") else "" for r in rows),
            rate_hz=1.0 / self.hop_s,
            mask_row=len(rows) - 1,
        )

    def require(self, steps: SpeechSteps) -> SpeechSteps:
        """See `require_rate`."""
        return require_rate(steps, self.rate_hz)

    def encode(self, payload: Payload) -> np.ndarray:
        """wav -> [rows, columns] float32.

        Raises `PayloadError`: wrong-codec, wrong-rate, empty, non-finite, silent, too-long, or what the decoder says.
        Unvoiced utterances are fine: voicing is 0 and log-F0 is the log of 150 Hz.
        """
        if payload.codec != "wav":
            raise PayloadError("wrong-codec", f"speech is read from wav, this payload is {payload.codec!r}")
        channels, rate = decode_wav(payload.data)
        if int(rate) != self.rate_hz:
            raise PayloadError("wrong-rate", f"{rate} Hz; the representation wants {self.rate_hz} Hz: prepare it first")
        return self.encode_signal(channels.mean(axis=1))

    def encode_signal(self, signal: np.ndarray) -> np.ndarray:
        """[n] float in [-1, 1] at `rate_hz` -> [rows, columns] float32; errors as in `encode`."""
        n = len(signal)
        if n == 0:
            raise PayloadError("empty", "no samples")
        if not np.isfinite(signal).all():
            raise PayloadError("non-finite", f"{int((~np.isfinite(signal)).sum())} of {n} samples are NaN or infinite")
        peak = float(np.abs(signal).max())
        if peak < SILENT_PEAK:
            raise PayloadError("silent", f"peak {peak:.1e} of full scale; at least {SILENT_PEAK:.0e} is speech")
        if n > self.max_s * self.rate_hz + 0.5:
            raise PayloadError("too-long", f"{n / self.rate_hz:.3f} s; the representation holds {self.max_s:g} s")
        columns = math.ceil(n / self._hop)
        padded = np.zeros(columns * self._hop)  # WORLD gives one frame more than whole hops: enough for `columns`
        padded[:n] = signal
        frames = analyse(padded, self.rate_hz, hop_s=self.hop_s, f0_method=self.f0_method)
        f0 = frames.f0_hz[:columns]
        cepstra = pyworld.code_spectral_envelope(frames.envelope[:columns], self.rate_hz, self.coefficients)
        image = np.zeros(self.spec.shape, dtype=np.float32)
        image[: self.coefficients, :columns] = cepstra.T
        image[self._row_f0, :columns] = interpolated_log_f0(f0)
        image[self._row_voicing, :columns] = f0 > 0
        image[self._rows_aperiodicity, :columns] = self._code_aperiodicity(frames.aperiodicity[:columns]).T
        image[:-1, :columns] = self._within_physics(image[:-1, :columns])
        image[-1] = -1.0
        image[-1, :columns] = 1.0
        return image

    def decode(self, array: np.ndarray) -> Payload:
        """[rows, columns] float32 -> PCM16 mono wav at `rate_hz`; the same array gives the same bytes.

        The mask row gives the length, values beyond physics are clipped (F0 71-800 Hz, ...), a peak above full scale is
        scaled down. Raises `PayloadError`: wrong-shape, non-finite (in a valid column or the mask), empty, silent.
        """
        signal = self.decode_signal(array)
        audio = Signal("audio", "full scale", float(self.rate_hz), (len(signal), 1))
        return Payload(encode_wav(signal, self.rate_hz), "wav", (audio,), len(signal) / self.rate_hz)

    def decode_signal(self, array: np.ndarray) -> np.ndarray:
        """[rows, columns] float32 -> [n] float32 in [-1, 1]; errors as in `decode`."""
        if array.shape != self.spec.shape:
            raise PayloadError("wrong-shape", f"{array.shape}; {self.spec.name} has {self.spec.shape}")
        if not np.isfinite(array).all():
            raise PayloadError("non-finite", f"{int((~np.isfinite(array)).sum())} values are NaN or infinite")
        columns = valid_columns(array[-1])
        if columns == 0:
            raise PayloadError("empty", "the mask row holds no valid column")
        image = self._within_physics(array[:-1, :columns].astype(np.float64))
        voiced = image[self._row_voicing] > VOICED_ABOVE
        f0 = np.where(voiced, np.exp(image[self._row_f0]), 0.0)
        n_fft = fft_length(self.rate_hz)
        cepstra = np.ascontiguousarray(image[: self.coefficients].T)
        envelope = pyworld.decode_spectral_envelope(cepstra, self.rate_hz, n_fft)
        aperiodicity = self._decode_aperiodicity(image[self._rows_aperiodicity].T, voiced, n_fft)
        wave = pyworld.synthesize(f0, envelope, aperiodicity, self.rate_hz, self.hop_s * 1000.0)
        n = columns * self._hop
        signal = np.zeros(n)
        signal[: min(n, len(wave))] = wave[:n]
        fade = min(int(FADE_S * self.rate_hz), n // 2)
        ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / fade)
        signal[:fade] *= ramp
        signal[n - fade :] *= ramp[::-1]
        peak = float(np.abs(signal).max())
        if not math.isfinite(peak):
            raise PayloadError("non-finite", "synthesis overflowed")
        if peak < 1.0 / 32768:
            raise PayloadError("silent", f"peak {peak:.1e} is below one step of PCM16")
        return (signal / max(peak, 1.0)).astype(np.float32)

    def _within_physics(self, rows: np.ndarray) -> np.ndarray:
        """[H - 1, T] -> the same, each row clipped to what speech can be."""
        out = rows.copy()
        out[0] = np.clip(rows[0], *C0_RANGE)
        out[1 : self.coefficients] = np.clip(rows[1 : self.coefficients], *CEPSTRUM_RANGE)
        out[self._row_f0] = np.clip(rows[self._row_f0], math.log(F0_FLOOR_HZ), math.log(F0_CEIL_HZ))
        out[self._row_voicing] = np.clip(rows[self._row_voicing], 0.0, 1.0)
        out[self._rows_aperiodicity] = np.clip(rows[self._rows_aperiodicity], *APERIODICITY_DB_RANGE)
        return out

    def _code_aperiodicity(self, aperiodicity: np.ndarray) -> np.ndarray:
        """[T, n_fft/2+1] in [0, 1] -> [T, bands] dB."""
        if self._rows_aperiodicity.start == self._rows_aperiodicity.stop:
            return np.zeros((len(aperiodicity), 0))
        return pyworld.code_aperiodicity(aperiodicity, self.rate_hz)

    def _decode_aperiodicity(self, coded_db: np.ndarray, voiced: np.ndarray, n_fft: int) -> np.ndarray:
        """[T, bands] dB -> [T, n_fft/2+1] in [0, 1]; unvoiced frames are noise all through."""
        if coded_db.shape[1] == 0:
            return np.where(voiced[:, None], 1e-3, 1.0) * np.ones((1, n_fft // 2 + 1))
        full = pyworld.decode_aperiodicity(np.ascontiguousarray(coded_db), self.rate_hz, n_fft)
        return np.where(voiced[:, None], full, 1.0)
