"""The steps of signals: bands and hum, cleaning by NeuroKit2, marks of artefacts, other rates, the own baseline.

Each is a function of (arrays, rates) -> (arrays, rates): {signal: float [n] or [n, channels], time first} and
{signal: Hz}; marks are bool, shaped like their signal. A signal's kind is a part of its name ("EEG", "chest_ECG",
"EEG_baseline"); parameters are given by kind, in the units that the readers keep (µV, µS, °C). Filters run forwards and
backwards: no phase is moved. No step sees a label or another sample.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from corpora.errors import PayloadError
from corpora.signals import BASELINE
from features.physio.statistics import Moments
from features.physio.stretches import FLAT_S, flat_runs
from features.steps import Step

Arrays = Mapping[str, np.ndarray]
Rates = Mapping[str, float]
KINDS = ("EEG", "EOG", "EMG", "ECG", "BVP", "EDA", "RESP", "TEMP", "ACC", "HR")
RESTLESS = ("EEG", "EOG", "EMG", "ECG", "BVP")  # kinds that never stay at one value
_ALIASES = {"GSR": "EDA", "SCR": "EDA", "PPG": "BVP", "RSP": "RESP", "SKT": "TEMP"}
_ORDER = 4  # of a Butterworth band-pass, before it runs twice
_NOTCH_WIDTH_HZ = 2.0  # between the -3 dB points of the notch, for the whole number of Hz that mains wander and more
_FRESH = 0.98  # of half the rate: an edge above has nothing left to remove

Positive = Annotated[float, Field(gt=0)]
Cleaned = Literal["ECG", "BVP", "EDA"]
Band = tuple[Positive | None, Positive | None]


def kind_of(name: str) -> str:
    """ "chest_ECG" -> "ECG", "EEG_baseline" -> "EEG", "GSR" -> "EDA"; a name of no known kind is its own."""
    for part in reversed(name.removesuffix(BASELINE).upper().split("_")):
        if _ALIASES.get(part, part) in KINDS:
            return _ALIASES.get(part, part)
    return name.removesuffix(BASELINE)


class Bands(Step):
    """Band-pass and notch by kind (MNE, Butterworth of order 4, forwards and backwards)."""

    hz: Mapping[str, Band] = Field(
        default_factory=lambda: {"EEG": (1.0, 45.0), "EOG": (0.1, 15.0), "EMG": (20.0, None), "RESP": (0.05, 3.0)},
        description="Kind: [lowest, highest] frequency in Hz that is kept; null: no edge on that side.",
    )
    notch_hz: Positive | None = Field(50.0, description="Mains hum and its harmonics are taken out; null: not.")
    notch_kinds: tuple[str, ...] = Field(("EEG", "EOG", "EMG", "ECG"), description="Kinds that hum.")

    @model_validator(mode="after")
    def _ordered(self) -> Bands:
        for kind, (low, high) in self.hz.items():
            if low is not None and high is not None and low >= high:
                raise ValueError(f"{kind}: the band {low:g} to {high:g} Hz is empty")
        return self


def _methods() -> Mapping[Cleaned, str]:
    return {"ECG": "neurokit", "BVP": "elgendi", "EDA": "neurokit"}


class Clean(Step):
    """NeuroKit2's cleaning by kind: baseline wander and hum of ECG, the band of the pulse, the slow part of EDA."""

    methods: Mapping[Cleaned, str] = Field(
        default_factory=_methods,
        description="Kind: method of neurokit2's ecg_clean, ppg_clean, eda_clean.",
    )


class Artefacts(Step):
    """Marks what no body does, and rejects (`artefacts`) trials, or drops windows, with too much of it."""

    limits: Mapping[str, Positive] = Field(
        default_factory=lambda: {"EEG": 150.0},
        description="Kind: farthest from the channel's median that is believed, in µV for EEG, after the bands.",
    )
    flat_s: Positive = Field(FLAT_S, description="A channel that stays at one value as long is flat.")
    flat_kinds: tuple[str, ...] = Field(RESTLESS, description="Kinds that never rest; EDA and TEMP may.")
    max_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.2, description="Largest share of marked values, in the worst of the signals."
    )


class Resampling(Step):
    """Polyphase resampling (scipy) by kind."""

    hz: Mapping[str, Positive] = Field(
        default_factory=dict, description="Kind: rate in Hz; kinds that are not named keep theirs."
    )
    all_hz: Positive | None = Field(None, description="Rate of all kinds that are not named.")


class Baseline(Step):
    """Each trial against what the same subject did right before it: signals named "..._baseline", without labels."""

    scale: Literal["zscore", "mean"] = Field("zscore", description="Less the mean, and over the deviation or not.")
    require: bool = Field(
        False, description="Reject trials without a baseline (no-baseline); else they stay as they are."
    )


def filter_bands(arrays: Arrays, rates_hz: Rates, bands: Bands) -> tuple[Arrays, Rates]:
    """Keeps each kind's band and takes mains hum out. Raises `PayloadError` rate-too-low: nothing of the band is there.

    An edge above half the rate is no edge. Butterworth filters as second-order sections, forwards and backwards
    (Gustafsson 1996), so an attenuation in dB counts twice and the phase is zero.
    """
    from mne.filter import filter_data

    out = {}
    for name, array in arrays.items():
        kind, rate_hz = kind_of(name), rates_hz[name]
        low, high = bands.hz.get(kind, (None, None))
        if low is not None and low >= rate_hz / 2:
            raise PayloadError("rate-too-low", f"{name} at {rate_hz:g} Hz holds nothing above {low:g} Hz")
        if high is not None and high >= _FRESH * rate_hz / 2:
            high = None
        columns = np.ascontiguousarray(np.asarray(array, dtype=np.float64).reshape(len(array), -1).T)
        design: dict[str, Any] = {"method": "iir", "phase": "zero", "verbose": "ERROR"}
        if low is not None or high is not None:
            columns = filter_data(columns, rate_hz, low, high, iir_params=_butterworth(_ORDER), **design)
        if bands.notch_hz is not None and kind in bands.notch_kinds:
            for hum in np.arange(bands.notch_hz, rate_hz / 2 - _NOTCH_WIDTH_HZ, bands.notch_hz):
                edges = (hum + _NOTCH_WIDTH_HZ / 2, hum - _NOTCH_WIDTH_HZ / 2)  # high-pass above low-pass: a band-stop
                columns = filter_data(columns, rate_hz, *edges, iir_params=_butterworth(2), **design)
        out[name] = columns.T.reshape(array.shape)
    return out, rates_hz


def _butterworth(order: int) -> dict[str, Any]:
    return {"order": order, "ftype": "butter", "output": "sos"}


def clean(arrays: Arrays, rates_hz: Rates, params: Clean) -> tuple[Arrays, Rates]:
    """ECG, BVP and EDA through NeuroKit2's cleaning, channel by channel; EDA under 7 Hz stays (it has no fast part).

    Raises `PayloadError`: rate-too-low (ECG or BVP under 20 Hz), too-short (under 1 s).
    """
    import neurokit2

    tools = {"ECG": neurokit2.ecg_clean, "BVP": neurokit2.ppg_clean, "EDA": neurokit2.eda_clean}
    out = dict(arrays)
    for name, array in arrays.items():
        kind, rate_hz = kind_of(name), rates_hz[name]
        method = params.methods.get(kind)  # type: ignore[call-overload]
        if method is None or (kind == "EDA" and rate_hz < 7):
            continue
        if kind != "EDA" and rate_hz < 20:
            raise PayloadError("rate-too-low", f"{name} at {rate_hz:g} Hz: no beat can be cleaned under 20 Hz")
        if len(array) < rate_hz:
            raise PayloadError("too-short", f"{name}: {len(array) / rate_hz:.2f} s, at least 1 s is needed to clean it")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of short signals; their ends are as good as they can be
            columns = [
                np.asarray(tools[kind](column, sampling_rate=rate_hz, method=method))
                for column in np.asarray(array, dtype=np.float64).reshape(len(array), -1).T
            ]
        out[name] = np.stack(columns, axis=1).reshape(array.shape)
    return out, rates_hz


def mark_wild(arrays: Arrays, rates_hz: Rates, params: Artefacts) -> dict[str, np.ndarray]:
    """-> {signal: bool, shaped like it}: farther from its channel's median than the limit of its kind."""
    marks = {}
    for name, array in arrays.items():
        limit = params.limits.get(kind_of(name), math.inf)
        marks[name] = np.abs(array - np.median(array, axis=0)) > limit
    return marks


def mark_flat(arrays: Arrays, rates_hz: Rates, params: Artefacts) -> dict[str, np.ndarray]:
    """-> {signal: bool, shaped like it}: inside a run of one and the same value that lasts `flat_s` or longer."""
    marks = {}
    for name, array in arrays.items():
        marks[name] = np.zeros(array.shape, dtype=bool)
        if kind_of(name) not in params.flat_kinds:
            continue
        least = math.ceil(params.flat_s * rates_hz[name])
        for signal, marked in zip(array.reshape(len(array), -1).T, marks[name].reshape(len(array), -1).T, strict=True):
            for start, stop in flat_runs(signal, least):
                marked[start:stop] = True
    return marks


def resample(arrays: Arrays, rates_hz: Rates, params: Resampling) -> tuple[Arrays, Rates]:
    """Other rates by polyphase filters. Raises `PayloadError` rate-misfit as `resampled` does."""
    out, new = dict(arrays), dict(rates_hz)
    for name, array in arrays.items():
        new[name] = rate_after(name, rates_hz[name], params)
        out[name] = resampled(array, rates_hz[name], new[name], name)
    return out, new


def rate_after(name: str, rate_hz: float, params: Resampling | None) -> float:
    """Hz of a signal after the step `resample`; None: the step is off."""
    wanted = None if params is None else params.hz.get(kind_of(name), params.all_hz)
    return rate_hz if wanted is None else wanted


def resampled(array: np.ndarray, from_hz: float, to_hz: float, name: str) -> np.ndarray:
    """[n] or [n, channels] at one rate -> the same signal at another, ceil(n * to / from) values.

    Polyphase filters (scipy); ends continue along a line, so that a level does not ring. Raises `PayloadError`
    rate-misfit: two rates without a ratio of whole numbers up to 10,000.
    """
    from scipy.signal import resample_poly

    if from_hz == to_hz:
        return array
    ratio = Fraction(to_hz / from_hz).limit_denominator(10_000)
    if not math.isclose(ratio, to_hz / from_hz, rel_tol=1e-9):
        raise PayloadError("rate-misfit", f"{name}: {from_hz:g} to {to_hz:g} Hz is no ratio of whole numbers")
    done: np.ndarray = resample_poly(array, ratio.numerator, ratio.denominator, axis=0, padtype="line")
    return done


def against_baseline(arrays: Arrays, rates_hz: Rates, params: Baseline) -> tuple[Arrays, Rates]:
    """Each signal that has a "..._baseline" beside it, less that one's mean and over its deviation, channel by channel;
    baselines are gone afterwards. Raises `PayloadError` no-baseline."""
    out = {}
    for name, array in arrays.items():
        if name.endswith(BASELINE):
            continue
        rest = arrays.get(f"{name}{BASELINE}")
        if rest is not None:
            array = Moments.of(rest).applied(array, scale=params.scale == "zscore")
        elif params.require:
            raise PayloadError("no-baseline", f"no {name}{BASELINE} was recorded")
        out[name] = array
    return out, {name: rates_hz[name] for name in out}
