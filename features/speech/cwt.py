"""Prosody at several time scales: a continuous wavelet transform of log-F0.

Slow components are phrases, fast ones syllables and jitter, and emotions move them differently. Mexican hat at scales
one octave apart, as in Suni et al. 2013 ("Wavelets for intonation modeling in HMM speech synthesis", SSW8) and Ming et
al. 2016 (Interspeech), whose weights (i + 2.5)^(-5/2) for the way back are replaced by the ones that follow from the
wavelet itself: over scales a one octave apart, sum_i (a_i w)^2 exp(-(a_i w)^2 / 2) is 1 / ln 2 within 1 % wherever
the scales reach. What they do not reach (the mean, trends longer than the utterance) is the `rest`, so that nothing is
lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from corpora.errors import ParamsError

SCALES = 10  # as in the papers
OCTAVE = math.log(2.0)
PEAK = math.sqrt(2.0)  # angular frequency times scale where the wavelet answers most


@dataclass(frozen=True, slots=True)
class Prosody:
    """components: [scales, T], from the fastest; rest: [T]. They sum to the contour."""

    components: np.ndarray
    rest: np.ndarray


def scale_lengths(hop_s: float, scales: int = SCALES) -> np.ndarray:
    """[scales] seconds, one octave apart from one hop on. Raises `ParamsError` for fewer than 1 or more than 20."""
    if not (hop_s > 0 and 1 <= scales <= 20):
        raise ParamsError(f"scales is {scales}, hop_s is {hop_s}; allowed are 1 to 20 scales and a positive hop")
    return hop_s * 2.0 ** np.arange(scales)


def periods(hop_s: float, scales: int = SCALES) -> np.ndarray:
    """[scales] seconds: period of the sine that each scale answers most to, 4.44 times its length."""
    return 2.0 * math.pi / PEAK * scale_lengths(hop_s, scales)


def decompose(contour: np.ndarray, hop_s: float, scales: int = SCALES) -> Prosody:
    """[T] contour without gaps (`interpolated_log_f0`), a value every hop_s seconds -> its components. Linear. Beyond
    both ends the contour goes on mirrored."""
    x = np.asarray(contour, np.float64)
    if x.ndim != 1 or len(x) == 0 or not np.isfinite(x).all():
        raise ParamsError(f"a contour is one row of finite numbers; this one has shape {x.shape}")
    mirrored = np.concatenate([x, x[::-1]])  # periodic and without a jump
    omega = 2.0 * math.pi * np.fft.rfftfreq(len(mirrored), hop_s)
    reach = (scale_lengths(hop_s, scales)[:, None] * omega) ** 2
    response = OCTAVE * reach * np.exp(-reach / 2.0)
    components = np.fft.irfft(response * np.fft.rfft(mirrored), n=len(mirrored))[:, : len(x)]
    return Prosody(components, x - components.sum(axis=0))


def reconstruct(prosody: Prosody) -> np.ndarray:
    """The contour [T] of which these are the components."""
    return np.asarray(prosody.components.sum(axis=0) + prosody.rest)


@lru_cache(maxsize=8)
def operator(columns: int, hop_s: float, scales: int = SCALES) -> np.ndarray:
    """[scales + 1, columns, columns] float64: times a contour [columns] it is its components, then the rest."""
    each = [decompose(unit, hop_s, scales) for unit in np.eye(columns)]
    return np.stack([np.concatenate([p.components, p.rest[None]]) for p in each], axis=2)
