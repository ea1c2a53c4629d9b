"""The measures of signals, as `validators.measures.registry` offers them: [T], [n, T] or [n, T, channels] and their
rate in Hz.

Sets of trials, not pairs. The interval is by half-samples of both sets, the floor by random halves of real (people are
in both: it is low); both need 4 trials.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from corpora.errors import UserError
from features.physio import heart
from features.physio.ranges import RANGES
from features.physio.stretches import FLAT_S
from features.profile import BANDS_HZ
from validators.maths import signals
from validators.maths.transport import wasserstein_1d
from validators.measures import options
from validators.measures.measured import About, Measured
from validators.measures.sets import floor_of, half_samples

MIN_TRIALS = 4  # for halves
CLIPPED_SHARE = 0.02  # of a trial at its own extremes, as the validity gate has it

Value = Callable[[np.ndarray, np.ndarray], float]


def _pair(real: np.ndarray, synthetic: np.ndarray, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Both as [n, T, C] at one rate. Raises `UserError`: no rate, other shapes, unlike channels."""
    if not rate_hz > 0 or not math.isfinite(rate_hz):
        raise UserError(f"rate_hz is {rate_hz:g}; signals need their rate in Hz: rate_hz=128")
    a, b = signals.trials_of(real), signals.trials_of(synthetic)
    if a.shape[2] != b.shape[2]:
        raise UserError(f"{a.shape[2]} real and {b.shape[2]} synthetic channels; need as many of both")
    return a, b


def _measured(
    real: np.ndarray,
    synthetic: np.ndarray,
    value: Value,
    about: About,
    *,
    floor: bool,
    seed: int,
) -> Measured:
    """`value` compares features of trials [n, d] and [m, d]."""
    number, low, high, again = value(real, synthetic), math.nan, math.nan, math.nan
    if math.isfinite(number) and min(len(real), len(synthetic)) >= MIN_TRIALS:
        low, high = half_samples(real, synthetic, value, seed)
    if floor and len(real) >= MIN_TRIALS:
        again = floor_of(real, value, seed)
    return Measured(
        number,
        about.unit,
        about.convention,
        len(real),
        len(synthetic),
        low=low,
        high=high,
        floor=again,
        details=about.details,
        reason="" if math.isfinite(number) else about.why or _why(real, synthetic),
    )


def _why(real: np.ndarray, synthetic: np.ndarray) -> str:
    bad = [int((~np.isfinite(rows)).any(axis=1).sum()) for rows in (real, synthetic)]
    if not any(bad):
        return "a channel has no power at a frequency: it is constant in every trial"
    return (
        f"{bad[0]} of {len(real)} real and {bad[1]} of {len(synthetic)} synthetic trials have a channel "
        f"that is constant, or at one value for {FLAT_S:g} s, or holds NaN"
    )


def _gap(a: np.ndarray, b: np.ndarray) -> float:
    """[n, d], [m, d] -> mean over d of the difference of means in size."""
    return float(np.abs(a.mean(axis=0) - b.mean(axis=0)).mean())


def _flat(features: np.ndarray) -> np.ndarray:
    return features.reshape(len(features), -1)


def _doubtful(real: np.ndarray, synthetic: np.ndarray, rate_hz: float) -> dict[str, int]:
    """How many trials stand still or at their limits in some channel: a note, as signals that rest may be meant."""
    counts = {}
    for name, x in (("real", real), ("synthetic", synthetic)):
        counts[f"{name}, flat for {FLAT_S:g} s"] = int(signals.has_flat(x, rate_hz).any(axis=1).sum())
        at_limits = [max(signals.share_at_limits(channel) for channel in trial.T) for trial in x]
        counts[f"{name}, clipped"] = int((np.array(at_limits) > CLIPPED_SHARE).sum())
    return {key: count for key, count in counts.items() if count}


def _by_band(real: np.ndarray, synthetic: np.ndarray, bands: signals.Bands) -> dict[str, list[float]]:
    """[n, C, B] -> band: [mean of real, mean of synthetic]"""
    return {band: [float(x[:, :, i].mean()) for x in (real, synthetic)] for i, band in enumerate(bands)}


def entropy(
    real: np.ndarray, synthetic: np.ndarray, *, rate_hz: float = 0.0, bands: str = "", floor: bool = True, seed: int = 0
) -> Measured:
    """`bands`: names by comma, all five where none is named. `details`: means of real and synthetic by band."""
    real, synthetic = _pair(real, synthetic, rate_hz)
    chosen = _bands(bands, rate_hz)
    a, b = (signals.differential_entropy(x, rate_hz, chosen) for x in (real, synthetic))
    return _measured(
        _flat(a),
        _flat(b),
        _gap,
        About(
            "nats",
            f"|difference of mean 1/2 ln(2 pi e var)|, mean over channels and {_edges_hz(chosen)}, "
            "Butterworth 4 both ways",
            details=_by_band(a, b, chosen) | _doubtful(real, synthetic, rate_hz),
        ),
        floor=floor,
        seed=seed,
    )


def band_power(
    real: np.ndarray, synthetic: np.ndarray, *, rate_hz: float = 0.0, bands: str = "", floor: bool = True, seed: int = 0
) -> Measured:
    """`bands`: names by comma, all five where none is named. `details`: means of real and synthetic by band."""
    real, synthetic = _pair(real, synthetic, rate_hz)
    chosen = _bands(bands, rate_hz)
    a, b = (signals.band_powers_db(x, rate_hz, chosen) for x in (real, synthetic))
    return _measured(
        _flat(a),
        _flat(b),
        _gap,
        About(
            "dB",
            f"|difference of mean dB|, mean over channels and {_edges_hz(chosen)}, Welch Hann 2 s",
            details=_by_band(a, b, chosen) | _doubtful(real, synthetic, rate_hz),
        ),
        floor=floor,
        seed=seed,
    )


def _bands(names: str | Sequence[str], rate_hz: float) -> signals.Bands:
    """ "alpha,beta" or names, case aside -> {name: (low, high) Hz}. Raises what `bands_of` raises."""
    return signals.bands_of([options.chosen("band", name, BANDS_HZ) for name in options.names_in(names)], rate_hz)


def _edges_hz(bands: signals.Bands) -> str:
    return ", ".join(f"{name} {low:g}-{high:g} Hz" for name, (low, high) in bands.items())


def psd_distance(
    real: np.ndarray,
    synthetic: np.ndarray,
    *,
    rate_hz: float = 0.0,
    low_hz: float = 0.0,
    high_hz: float = 0.0,
    floor: bool = True,
    seed: int = 0,
) -> Measured:
    """Between mean spectra. `low_hz`, `high_hz`: what is compared; 0: from above 0 Hz, to half the rate."""
    real, synthetic = _pair(real, synthetic, rate_hz)
    (frequency, a), (other, b) = signals.spectrum(real, rate_hz), signals.spectrum(synthetic, rate_hz)
    if len(frequency) != len(other):
        raise UserError("real and synthetic trials are of different length, and one is shorter than 2 s")
    inside = (frequency >= low_hz) & (frequency <= (high_hz or math.inf))
    if not inside.any():
        raise UserError(f"no line of the spectrum lies at {low_hz:g} to {high_hz:g} Hz")
    doubtful = _doubtful(real, synthetic, rate_hz)
    a, b = a[:, :, inside], b[:, :, inside]
    value = partial(_spectra, shape=a.shape[1:])
    return _measured(
        _flat(a),
        _flat(b),
        value,
        About(
            "dB",
            f"rms log-spectral distance of mean spectra, Welch Hann 2 s, {frequency[inside][0]:g} to "
            f"{frequency[inside][-1]:g} Hz, mean over channels",
            details=dict(doubtful),
        ),
        floor=floor,
        seed=seed,
    )


def _spectra(a: np.ndarray, b: np.ndarray, shape: tuple[int, ...]) -> float:
    return signals.log_spectral_distance(a.mean(axis=0).reshape(shape), b.mean(axis=0).reshape(shape))


def autocorrelation(
    real: np.ndarray,
    synthetic: np.ndarray,
    *,
    rate_hz: float = 0.0,
    longest_s: float = 1.0,
    floor: bool = True,
    seed: int = 0,
) -> Measured:
    """`longest_s`: largest lag in s."""
    real, synthetic = _pair(real, synthetic, rate_hz)
    a, b = (_flat(signals.autocorrelation(x, rate_hz, longest_s)) for x in (real, synthetic))
    return _measured(
        a,
        b,
        _gap,
        About(
            "1",
            f"|difference of mean autocorrelation|, biased, to {longest_s:g} s, mean over lags and channels",
            details=dict(_doubtful(real, synthetic, rate_hz)),
        ),
        floor=floor,
        seed=seed,
    )


def coherence(
    real: np.ndarray, synthetic: np.ndarray, *, rate_hz: float = 0.0, bands: str = "", floor: bool = True, seed: int = 0
) -> Measured:
    """`bands`: names by comma, all five where none is named. Trials of one length: short ones look coherent."""
    real, synthetic = _pair(real, synthetic, rate_hz)
    if real.shape[1] != synthetic.shape[1]:
        raise UserError(f"trials of {real.shape[1]} and {synthetic.shape[1]} values; coherence needs one length")
    chosen = _bands(bands, rate_hz)
    a, b = (signals.coherence(x, rate_hz, chosen) for x in (real, synthetic))
    return _measured(
        _flat(a),
        _flat(b),
        _gap,
        About(
            "1",
            f"|difference of mean squared coherence|, Welch Hann 1 s, mean over pairs and {_edges_hz(chosen)}",
            details=_by_band(a, b, chosen) | _doubtful(real, synthetic, rate_hz),
        ),
        floor=floor,
        seed=seed,
    )


def heart_rate(
    real: np.ndarray,
    synthetic: np.ndarray,
    *,
    rate_hz: float = 0.0,
    kind: str = "ECG",
    channel: int = 0,
    floor: bool = True,
    seed: int = 0,
) -> Measured:
    """`kind`: ECG or BVP. `channel`: which one it is. Of trials without a rate, `details` counts the reasons; of those
    with one, the intervals left out, and the seconds without a signal."""
    return _heart(real, synthetic, "bpm", "beats/min", _Beats(rate_hz, kind, channel), floor=floor, seed=seed)


def rmssd(
    real: np.ndarray,
    synthetic: np.ndarray,
    *,
    rate_hz: float = 0.0,
    kind: str = "ECG",
    channel: int = 0,
    floor: bool = True,
    seed: int = 0,
) -> Measured:
    """As `heart-rate`; steady from about a minute a trial."""
    return _heart(real, synthetic, "rmssd_ms", "ms", _Beats(rate_hz, kind, channel), floor=floor, seed=seed)


def sdnn(
    real: np.ndarray,
    synthetic: np.ndarray,
    *,
    rate_hz: float = 0.0,
    kind: str = "ECG",
    channel: int = 0,
    floor: bool = True,
    seed: int = 0,
) -> Measured:
    """As `heart-rate`; it grows with the length of a trial."""
    return _heart(real, synthetic, "sdnn_ms", "ms", _Beats(rate_hz, kind, channel), floor=floor, seed=seed)


@dataclass(frozen=True, slots=True)
class _Beats:
    """Where heart beats are looked for: the rate in Hz, ECG or BVP, and the channel that holds it."""

    rate_hz: float
    kind: str
    channel: int


def _heart(
    real: np.ndarray,
    synthetic: np.ndarray,
    field: str,
    unit: str,
    beats: _Beats,
    *,
    floor: bool,
    seed: int,
) -> Measured:
    real, synthetic = _pair(real, synthetic, beats.rate_hz)
    if not 0 <= beats.channel < real.shape[2]:
        raise UserError(f"channel {beats.channel} of {real.shape[2]}; counted from 0")
    details: dict[str, Any] = {}
    rows = []
    for name, x in (("real", real), ("synthetic", synthetic)):
        hearts = [heart.heart(trial[:, beats.channel], beats.rate_hz, beats.kind) for trial in x]
        values = np.array([getattr(one, field) for one in hearts if one.reason is None], dtype=np.float64)
        details |= {
            f"{name}, mean": float(values.mean()) if values.size else math.nan,
            f"{name}, left out": dict(Counter(one.reason for one in hearts if one.reason)),
            f"{name}, intervals left out": sum(one.left_out for one in hearts if one.reason is None),
            f"{name}, intervals": sum(one.intervals for one in hearts if one.reason is None),
            f"{name}, seconds without a signal": sum(one.off_s for one in hearts if one.reason is None),
        }
        rows.append(values[:, None])
    value: Value = lambda a, b: wasserstein_1d(a[:, 0], b[:, 0], p=1) if len(a) and len(b) else math.nan  # noqa: E731
    return _measured(
        rows[0],
        rows[1],
        value,
        About(
            unit,
            f"Wasserstein-1 of trials' {field.partition('_')[0].upper()}, {signals.kind_of(beats.kind)}, "
            f"{heart.CONVENTION}",
            details=details,
            why="no trial of one set has beats",
        ),
        floor=floor,
        seed=seed,
    )


def out_of_range(
    real: np.ndarray, synthetic: np.ndarray, *, rate_hz: float = 0.0, kind: str = "", floor: bool = True
) -> Measured:
    """`kind`: HR, EDA or TEMP, for all channels. Floor: the share among real values. The rate does not matter."""
    if not kind:
        raise UserError(f"out-of-range needs the kind of signal: kind={'|'.join(RANGES)}")
    a, b = signals.trials_of(real), signals.trials_of(synthetic)
    value, allowed = signals.out_of_range(b, kind), RANGES[signals.kind_of(kind)]
    return Measured(
        value,
        "share",
        f"values outside of {allowed.low:g} to {allowed.high:g} {allowed.unit}",
        len(a),
        len(b),
        floor=signals.out_of_range(a, kind) if floor else math.nan,
        details={"trials with any": sum(signals.out_of_range(one, kind) > 0 for one in b)},
    )
