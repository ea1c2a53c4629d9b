"""Speech: masks in time and frequency (SpecAugment), on the waveform.

Park et al. 2019 (SpecAugment, Interspeech) mask the log-mel rows that a network reads, for which 0 is the mean. Here a
payload must come back that any feature can be computed from, so the short-time spectrum is masked and inverted:

- frequency masks are bands on the mel axis, up to a share of it; time masks are stretches, up to a share of the
  utterance (27 of 80 mel rows and 0.2 to 1 of the frames in the paper);
- a masked cell keeps its phase and takes the mean level of the utterance (of log magnitudes over all cells), which is
  what the paper's 0 stands for; levels more than 80 dB below the loudest cell count as 80 dB below;
- time warping is left out: the paper's own ablation shows that it adds least;
- windows overlap, so the edges of a mask are blurred by one window when the spectrum is computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from corpora.errors import PayloadError
from corpora.schema import Payload
from generators.classical.method import MethodParams, Unfitted
from generators.classical.speech import mono, with_samples

WINDOW_S, HOP_S = 0.032, 0.008
FLOOR_DB = 80.0


class SpecAugmentParams(MethodParams):
    """Parameters of SpecAugment."""

    frequency_masks: int = Field(2, ge=0, le=20, description="bands that are masked")
    frequency_share: float = Field(0.15, ge=0, le=1, description="widest band, as a share of the mel axis")
    time_masks: int = Field(2, ge=0, le=20, description="stretches that are masked")
    time_share: float = Field(0.1, ge=0, le=1, description="longest stretch, as a share of the utterance")


class SpecAugment(Unfitted):
    """SpecAugment without time warping. Widths are drawn evenly from 0 to the widest, places evenly."""

    Params: ClassVar = SpecAugmentParams

    def __init__(self, params: SpecAugmentParams | None = None) -> None:
        self.params = params or SpecAugmentParams()

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """Same length. Raises `PayloadError`: too-short (less than 4 windows), silent, those of `speech.mono` and
        `speech.with_samples`."""
        from scipy.signal import ShortTimeFFT
        from scipy.signal.windows import hann

        signal, rate_hz = mono(payload)
        p = self.params
        if not (p.frequency_masks and p.frequency_share) and not (p.time_masks and p.time_share):
            return payload
        window, hop = round(WINDOW_S * rate_hz), round(HOP_S * rate_hz)
        if len(signal) < 4 * window:
            raise PayloadError("too-short", f"{len(signal) / rate_hz:.3f} s; at least {4 * WINDOW_S:g} s")
        if not signal.any():
            raise PayloadError("silent", "every sample is 0, so nothing can be changed")
        transform = ShortTimeFFT(hann(window, sym=False), hop, rate_hz)
        spectrum = transform.stft(signal.astype(np.float64))  # [bins, frames]
        mask = masked_cells(transform.f, spectrum.shape[1], p, rng)
        spectrum[mask] = _at_mean_level(spectrum)[mask]
        return with_samples(payload, transform.istft(spectrum, k1=len(signal)), rate_hz)


def masked_cells(
    frequencies_hz: np.ndarray, frames: int, params: SpecAugmentParams, rng: np.random.Generator
) -> np.ndarray:
    """frequencies_hz [bins] -> boolean [bins, frames]. At least one cell where any mask is asked for."""
    mask = np.zeros((len(frequencies_hz), frames), bool)
    mel = 2595 * np.log10(1 + frequencies_hz / 700)  # O'Shaughnessy 1987, as in HTK
    axis = mel / mel[-1]
    for _ in range(params.frequency_masks):
        width = rng.uniform(0, params.frequency_share)
        low = rng.uniform(0, 1 - width)
        mask[(axis >= low) & (axis < low + width)] = True
    for _ in range(params.time_masks):
        length = int(rng.integers(0, int(params.time_share * frames) + 1))
        start = int(rng.integers(0, frames - length + 1))
        mask[:, start : start + length] = True
    if not mask.any():  # all widths came out narrower than a bin or a frame
        if params.time_masks and params.time_share:
            mask[:, int(rng.integers(frames))] = True
        else:
            mask[int(rng.integers(len(frequencies_hz)))] = True
    return mask


def _at_mean_level(spectrum: np.ndarray) -> np.ndarray:
    """[bins, frames] complex -> the same phases, all at the mean level; cells that are 0 have phase 0."""
    size = np.abs(spectrum)
    level = np.exp(np.log(np.maximum(size, size.max() * 10 ** (-FLOOR_DB / 20))).mean())
    unit = np.divide(spectrum, size, out=np.ones_like(spectrum), where=size > 0)
    leveled: np.ndarray = level * unit
    return leveled
