"""Measures of physiological signals: band powers, differential entropy, spectra, autocorrelation, coherence, ranges.

Pure functions over [n, T, C] float: n trials, T values in time, C channels. Values of different units, references or
bands are never compared. Bands: features.profile.BANDS_HZ (delta 1-4, theta 4-8, alpha 8-14, beta 14-31, gamma 31-50
Hz), those with which the features of SEED were computed (Zheng & Lu 2015).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from corpora.errors import UnknownNameError, UserError
from features.physio.steps import kind_of
from features.physio.stretches import flat_runs, flat_share
from features.profile import BANDS_HZ

Bands = Mapping[str, tuple[float, float]]
FILTER_ORDER = 4  # of the Butterworth band-pass, before it runs backwards too
WELCH_S = 2.0  # of a segment, Hann, half overlapping
MIN_SEGMENTS = 4  # of a coherence: that of one segment is 1 whatever it holds


@dataclass(frozen=True, slots=True)
class Range:
    """What a sensor at a living body can read, ends included."""

    low: float
    high: float
    unit: str
    source: str


# By kind, in the units that the readers keep. Wide on purpose: outside is a fault, inside proves nothing.
RANGES: dict[str, Range] = {
    "HR": Range(30.0, 220.0, "beats/min", "25 to 200 in RHRV's FilterNIHR (Vila et al. 1997); up to 220 in exercise"),
    "EDA": Range(0.0, 100.0, "µS", "0.01 to 100 is the range of Empatica's E4; Kleckner et al. 2018 keep 0.05 to 60"),
    "TEMP": Range(20.0, 45.0, "°C", "skin: 30 to 40 while worn (Kleckner et al. 2018), wider for cold hands"),
}


def trials_of(array: np.ndarray) -> np.ndarray:
    """[T], [n, T] or [n, T, C] -> [n, T, C] float64, infinities as NaN. Raises `UserError`: other shapes, no values."""
    x = np.asarray(array, dtype=np.float64)
    x = x[None, :, None] if x.ndim == 1 else x[:, :, None] if x.ndim == 2 else x
    if x.ndim != 3 or 0 in x.shape:
        raise UserError(f"signals of shape {np.shape(array)}; [T], [n, T] or [n, T, channels] with values are needed")
    return np.where(np.isfinite(x), x, np.nan)


def bands_of(names: Sequence[str], rate_hz: float) -> Bands:
    """Names of `BANDS_HZ` -> {name: (low, high) Hz}; none named: all five. Raises `UnknownNameError` for another name,
    `UserError` for a band that reaches half the rate."""
    chosen = list(names) or list(BANDS_HZ)
    for name in chosen:
        if name not in BANDS_HZ:
            raise UnknownNameError.of("band", name, BANDS_HZ)
    fitting = [name for name in chosen if BANDS_HZ[name][1] < rate_hz / 2]
    if fitting != chosen:
        raise UserError(
            f"at {rate_hz:g} Hz there is nothing above {rate_hz / 2:g} Hz; name the bands that fit: "
            f"bands={','.join(fitting) or 'none does'}"
        )
    return {name: BANDS_HZ[name] for name in chosen}


def band_passed(x: np.ndarray, rate_hz: float, low_hz: float, high_hz: float) -> np.ndarray:
    """[n, T, C] -> the same shape: Butterworth of order 4, forwards and backwards (no phase is moved).

    Raises `UserError` where a trial is too short for the filter to settle: three periods of the lower edge.
    """
    from scipy.signal import butter, sosfiltfilt

    if x.shape[1] < 3 * rate_hz / low_hz:
        raise UserError(
            f"trials of {x.shape[1] / rate_hz:.2f} s; a band from {low_hz:g} Hz needs {3 / low_hz:.2f} s at least"
        )
    sos = butter(FILTER_ORDER, [low_hz, high_hz], btype="bandpass", output="sos", fs=rate_hz)
    return np.asarray(sosfiltfilt(sos, x, axis=1, padlen=min(x.shape[1] - 1, round(3 * rate_hz / low_hz))))


def differential_entropy(x: np.ndarray, rate_hz: float, bands: Bands) -> np.ndarray:
    """[n, T, C] -> [n, C, bands] nats: 1/2 ln(2 pi e var) of each band (Duan, Zhu & Lu 2013, eq. 3; SEED's features).

    It is the entropy of a Gaussian of that variance, so it depends on the unit: a factor g adds ln g. NaN for a
    channel without variance in the band, or with a flat stretch: half a trial of it is 0.35 nats less.
    TorchEEG's transform takes log2 and a filter that runs once.
    """
    variance = np.stack([band_passed(x, rate_hz, *edges).var(axis=1) for edges in bands.values()], axis=-1)
    flat = has_flat(x, rate_hz)[:, :, None]
    with np.errstate(divide="ignore"):
        found = 0.5 * np.log(2.0 * math.pi * math.e * variance)
    return np.where(flat | ~np.isfinite(found), np.nan, found)


def spectrum(x: np.ndarray, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """[n, T, C] -> frequencies [F] Hz and power densities [n, C, F] in unit^2/Hz (Welch 1967: Hann, 2 s, half overlap).

    Shorter trials are one segment. The line at 0 Hz, which is the offset, is left out.
    """
    from scipy.signal import welch

    size = min(x.shape[1], round(WELCH_S * rate_hz))
    if size < 4:
        raise UserError(f"trials of {x.shape[1]} values at {rate_hz:g} Hz have no spectrum")
    frequency, power = welch(x, fs=rate_hz, nperseg=size, axis=1)
    return frequency[1:], np.moveaxis(power, 1, 2)[:, :, 1:]


def band_powers_db(x: np.ndarray, rate_hz: float, bands: Bands) -> np.ndarray:
    """[n, T, C] -> [n, C, bands]: 10 log10 of the mean density in a band, dB re unit^2/Hz; NaN where there is none,
    and for a channel with a flat stretch."""
    frequency, power = spectrum(x, rate_hz)
    found = []
    for low, high in bands.values():
        inside = (frequency >= low) & (frequency < high)
        if not inside.any():
            raise UserError(f"trials of {x.shape[1] / rate_hz:.2f} s have no line at {low:g} to {high:g} Hz")
        found.append(power[:, :, inside].mean(axis=2))
    return np.where(has_flat(x, rate_hz)[:, :, None], np.nan, decibels(np.stack(found, axis=-1)))


def has_flat(x: np.ndarray, rate_hz: float) -> np.ndarray:
    """[n, T, C] -> [n, C] bool: constant, or at one value for `FLAT_S` somewhere. What has power in the bands of the
    EEG never is, unless it was off or at the end of its range."""
    found = [[flat_share(channel, rate_hz) > 0 for channel in trial.T] for trial in x]
    return (np.ptp(x, axis=1) == 0) | np.array(found, dtype=bool).reshape(len(x), x.shape[2])


def decibels(power: np.ndarray) -> np.ndarray:
    """10 log10; NaN where there is no power."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 10.0 * np.log10(power)
    return np.where(np.isfinite(found), found, np.nan)


def log_spectral_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Densities [C, F] and [C, F] -> dB: root over lines of the mean squared difference in dB, mean over channels.

    Gray & Markel 1976 (IEEE TASSP 24(5)), the rms log spectral measure. NaN where a line has no power.
    """
    difference = decibels(np.asarray(a)) - decibels(np.asarray(b))
    return float(np.sqrt((difference**2).mean(axis=-1)).mean())


def autocorrelation(x: np.ndarray, rate_hz: float, longest_s: float) -> np.ndarray:
    """[n, T, C] -> [n, C, L] at lags 1/rate to `longest_s`: sum of products over the sum of squares, mean taken off.

    Biased (every lag divided by the same), so in [-1, 1] and positive definite. NaN for a constant channel. Raises
    `UserError` where a lag is not shorter than the trial.
    """
    lags = round(longest_s * rate_hz)
    if not 1 <= lags < x.shape[1]:
        raise UserError(f"lags to {longest_s:g} s of trials of {x.shape[1] / rate_hz:.2f} s at {rate_hz:g} Hz")
    centred = x - x.mean(axis=1, keepdims=True)
    size = 1 << (2 * x.shape[1] - 1).bit_length()  # zero-padded: no end meets the other
    spectrum_of = np.fft.rfft(centred, size, axis=1)
    products = np.fft.irfft(np.abs(spectrum_of) ** 2, size, axis=1)[:, : lags + 1]
    flat = np.ptp(x, axis=1, keepdims=True) == 0
    whole = np.where(flat, np.nan, products[:, :1])
    return np.moveaxis(products[:, 1:] / whole, 1, 2)


def coherence(x: np.ndarray, rate_hz: float, bands: Bands) -> np.ndarray:
    """[n, T, C] -> [n, pairs, bands] in [0, 1]: magnitude-squared coherence (Welch 1 s, half overlap), mean in a band.

    |S_ab|^2 / (S_aa S_bb) (Carter, Knapp & Nuttall 1973). Pairs in the order (0, 1), (0, 2), ... Biased upwards by
    about one over the number of segments, so trials of one length only. NaN for a channel with a flat stretch. Raises
    `UserError`: one channel, fewer than 4 segments.
    """
    from scipy.signal import coherence as of_pair

    size = round(rate_hz)
    step = size - size // 2
    segments = (x.shape[1] - size) // step + 1 if x.shape[1] >= size else 0
    if x.shape[2] < 2:
        raise UserError("coherence is between channels; there is one")
    if segments < MIN_SEGMENTS:
        raise UserError(f"trials of {x.shape[1] / rate_hz:.2f} s have {segments} segments of 1 s; 4 are needed")
    pairs = []
    for i in range(x.shape[2]):
        for j in range(i + 1, x.shape[2]):
            with np.errstate(divide="ignore", invalid="ignore"):
                frequency, value = of_pair(x[:, :, i], x[:, :, j], fs=rate_hz, nperseg=size, axis=1)
            pairs.append(
                [value[:, (frequency >= low) & (frequency < high)].mean(axis=1) for low, high in bands.values()]
            )
    found = np.moveaxis(np.array(pairs), 2, 0)
    flat = has_flat(x, rate_hz)
    bad = [flat[:, i] | flat[:, j] for i in range(x.shape[2]) for j in range(i + 1, x.shape[2])]
    return np.where(np.array(bad).T[:, :, None], np.nan, found)


def out_of_range(x: np.ndarray, kind: str) -> float:
    """Share of values outside `RANGES` of a kind (or a name of it: "chest_EDA", "GSR"); NaN and infinity are outside.

    Raises `UnknownNameError` for a kind without a range: ECG, BVP, EEG have no absolute scale across amplifiers.
    """
    found = RANGES.get(kind_of(kind))
    if found is None:
        raise UnknownNameError.of("kind of signal with a range", kind, RANGES)
    x = np.asarray(x, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        inside = (x >= found.low) & (x <= found.high)
    return float(1.0 - inside.mean()) if x.size else math.nan


def longest_flat_s(signal: np.ndarray, rate_hz: float) -> float:
    """[T] -> seconds of the longest run of one value; NaN values are no run. 0 for fewer than 2 values."""
    runs = flat_runs(signal, 2)
    return float((runs[:, 1] - runs[:, 0]).max()) / rate_hz if len(runs) else 0.0


def share_at_limits(signal: np.ndarray) -> float:
    """[T] -> share of values that stand at the signal's own extremes for two values or longer: where a sensor ran out.

    Of a signal of noise this is near 0. NaN for no values.
    """
    x = np.asarray(signal, dtype=np.float64)
    if x.size == 0:
        return math.nan
    at = (x == x.max()) | (x == x.min())
    again = np.r_[False, (np.diff(x) == 0) & at[1:]] | np.r_[(np.diff(x) == 0) & at[:-1], False]
    return float(again.mean())
