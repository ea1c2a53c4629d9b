"""What is measured of a recording before it is edited: WORLD's F0 and envelope, active frames, pitch marks.

The estimates steer the edit and never enter the signal: their errors (octaves of F0, noise in the envelope) cancel in
the difference of target and source. Band aperiodicity is not needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from features.speech.vocoder import pyworld
from features.speech.world import F0_FLOOR_HZ, fft_length, interpolated_log_f0, track_f0

if TYPE_CHECKING:  # numba and scipy load where something is analysed: `check` asks only which representation it is
    from features.speech.differential.marks import Marks

HOP_S = 0.005
ORDER = 40  # mel-cepstra c0 to c39
ACTIVE_RANGE = 8.0  # in log power under the 90 % quantile of c0: 35 dB


def hop_of(rate_hz: int) -> int:
    """Samples between frames: the whole number nearest to 5 ms."""
    return round(HOP_S * rate_hz)


@dataclass(frozen=True, slots=True)
class Analysis:
    """A recording of n samples in T frames, one every `hop` samples from 0 on.

    signal [n] float64; f0_hz [T], 0 = unvoiced; cepstra [T, 40]: WORLD's coded envelope, log power, c0 its mean; active
    [T] bool: speech, not pause; marks; amplitude [M]: rms of the period around each mark.
    """

    signal: np.ndarray
    rate_hz: int
    f0_hz: np.ndarray
    cepstra: np.ndarray
    active: np.ndarray
    marks: Marks
    amplitude: np.ndarray

    @property
    def hop(self) -> int:
        """Samples between frames."""
        return hop_of(self.rate_hz)

    @property
    def voiced(self) -> np.ndarray:
        """[T] bool: active frames with a pitch."""
        return (self.f0_hz > 0) & self.active

    def log_f0(self) -> np.ndarray:
        """[T] natural log of Hz, interpolated; a median over 5 frames takes octave errors out."""
        from scipy.ndimage import median_filter, uniform_filter1d

        return uniform_filter1d(median_filter(interpolated_log_f0(self.f0_hz), 5, mode="nearest"), 3, mode="nearest")

    def period_deviation(self) -> tuple[np.ndarray, np.ndarray]:
        """[M - 1] local mean of the periods, and each period's deviation from it, samples; 0 where unvoiced."""
        from features.speech.differential.marks import local_mean

        periods = self.marks.periods
        mean = local_mean(periods, np.where(self.marks.voiced, self.marks.run[:-1], -1))
        return mean, periods - mean

    def amplitude_deviation(self) -> np.ndarray:
        """[M] log amplitude of each period less the local mean of it; 0 where unvoiced."""
        from features.speech.differential.marks import local_mean

        level = np.log(np.maximum(self.amplitude, 1e-9))
        return level - local_mean(level, self.marks.run)


def analyse(signal: np.ndarray, rate_hz: int, f0_method: Literal["dio", "harvest"] = "dio") -> Analysis:
    """[n] float -> analysis. n is 60 ms at least: WORLD wants a few periods."""
    from features.speech.differential.marks import pitch_marks

    x = np.ascontiguousarray(signal, dtype=np.float64)
    hop = hop_of(rate_hz)
    f0, times = track_f0(x, rate_hz, hop_s=hop / rate_hz, f0_method=f0_method)
    envelope = pyworld.cheaptrick(x, f0, times, rate_hz, f0_floor=F0_FLOOR_HZ, fft_size=fft_length(rate_hz))
    cepstra = pyworld.code_spectral_envelope(envelope, rate_hz, ORDER)
    active = cepstra[:, 0] > np.quantile(cepstra[:, 0], 0.9) - ACTIVE_RANGE
    marks = pitch_marks(x, f0, hop, rate_hz)
    return Analysis(x, rate_hz, f0, cepstra, active, marks, _amplitudes(x, marks))


def _amplitudes(x: np.ndarray, marks: Marks) -> np.ndarray:
    """[M]: root mean square over half a period to each side of a mark."""
    power = np.concatenate([[0.0], np.cumsum(x**2)])
    half = np.concatenate([marks.periods, marks.periods[-1:]]) / 2
    low = np.clip(np.rint(marks.at - half).astype(np.int64), 0, len(x) - 1)
    high = np.clip(np.rint(marks.at + half).astype(np.int64), low + 1, len(x))
    return np.sqrt(np.maximum(power[high] - power[low], 0.0) / (high - low))
