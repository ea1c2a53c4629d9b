"""Physiology: channels and bands masked, surrogates, noise, scale. Names, units, rates and shapes stay.

A channel is one column of one signal. What was recorded before the trial ("..._baseline") is left alone, and means of
channels stay (with noise, but for its own mean), so that a trial still relates to it. Rows of features
(`corpora.signals.is_vector`) are refused: their columns are no series in time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from corpora.errors import PayloadError
from corpora.schema import Payload
from corpora.signals import BASELINE, VECTOR, decode_signals, encode_signals, is_vector
from generators.classical.method import (
    MethodParams,
    Range,
    Unfitted,
    log_uniform,
    require_changed,
    require_codec,
    within,
)

Arrays = dict[str, np.ndarray]
MIN_VALUES = 4  # of a series whose spectrum is changed: below, no frequency but 0 and the highest has a phase


def series_of(payload: Payload) -> Arrays:
    """npz -> {name: [n, channels] float64} of its signals over time but those before the trial, names ascending.

    Raises `PayloadError`: wrong-codec, feature-row, not-float (prepared signals are float32), no-rate (not even one
    signal over time), or what the decoder says.
    """
    require_codec(payload, "npz")
    arrays = decode_signals(payload.data)
    alone = set(arrays) == {VECTOR} and not payload.signals
    if alone or is_vector([signal.as_row() for signal in payload.signals]):
        raise PayloadError("feature-row", "a row of features is no signal over time; methods on vectors take it")
    rates = {signal.name: signal.rate_hz for signal in payload.signals}
    series = {}
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            raise PayloadError("not-float", f"{name} holds {array.dtype}: prepare it first")
        if rates.get(name) and not name.endswith(BASELINE):
            series[name] = array.reshape(len(array), -1).astype(np.float64)
    if not series:
        raise PayloadError("no-rate", f"none of {', '.join(sorted(arrays))} is a signal over time with a rate")
    return series


def with_series(payload: Payload, series: Mapping[str, np.ndarray]) -> Payload:
    """The payload with the signals of `series` replaced. Raises `PayloadError`: non-finite (beyond float32),
    unchanged."""
    arrays = decode_signals(payload.data)
    with np.errstate(over="ignore"):  # to infinity, which is refused
        changed = {name: value.reshape(arrays[name].shape).astype(np.float32) for name, value in series.items()}
    names = sorted(changed)
    require_changed(*(np.concatenate([held[name].ravel() for name in names]) for held in (arrays, changed)))
    return Payload(encode_signals(arrays | changed), payload.codec, payload.signals, payload.duration_s)


def _moving(series: Mapping[str, np.ndarray], values: int = 2) -> list[tuple[str, int]]:
    """(signal, column) of the channels that are not constant and have that many values. Raises `PayloadError`:
    too-short, flat."""
    long = {name: array for name, array in series.items() if len(array) >= values}
    if not long:
        longest = max(len(array) for array in series.values())
        raise PayloadError("too-short", f"at most {longest} values in a signal; at least {values} are needed")
    moving = [(name, int(i)) for name, array in long.items() for i in np.flatnonzero(np.ptp(array, axis=0) > 0)]
    if not moving:
        raise PayloadError("flat", "every channel is constant, so nothing can be changed")
    return moving


class ChannelMaskParams(MethodParams):
    """Parameters of masked channels."""

    share: float = Field(
        0.2, ge=0, le=1, description="channels that are masked, as a share of all; at least one, never all; 0: none"
    )


class ChannelMask(Unfitted):
    """Some channels held at their own mean: an electrode that has come off, without a step in level."""

    Params: ClassVar = ChannelMaskParams

    def __init__(self, params: ChannelMaskParams | None = None) -> None:
        self.params = params or ChannelMaskParams()

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """Raises `PayloadError`: one-channel (that is not constant: masked, nothing would be left), those of
        `series_of` and `with_series`, too-short, flat."""
        series = series_of(payload)
        if self.params.share == 0:
            return payload
        moving = _moving(series)
        if len(moving) == 1:
            raise PayloadError("one-channel", "one channel that is not constant; masked, nothing would be left")
        n = sum(array.shape[1] for array in series.values())
        masked = min(max(1, round(self.params.share * n)), len(moving) - 1)
        for place in rng.permutation(len(moving))[:masked]:
            name, column = moving[place]
            series[name][:, column] = series[name][:, column].mean()
        return with_series(payload, series)


class BandMaskParams(MethodParams):
    """Parameters of masked bands."""

    octaves: float = Field(1.0, gt=0, le=10, description="width of the band")
    attenuation_db: float = Field(40.0, ge=0, le=200, description="by how much the band is attenuated")


class BandMask(Unfitted):
    """One band of each signal's spectrum attenuated, the same one in all its channels.

    Its lower edge is as likely in every octave from two periods in the signal to what leaves the band below half the
    rate. A straight line between the ends is taken off before the Fourier transform and put back: else the step from
    the last value to the first one would be spread over all bands.
    """

    Params: ClassVar = BandMaskParams

    def __init__(self, params: BandMaskParams | None = None) -> None:
        self.params = params or BandMaskParams()

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """Raises `PayloadError`: those of `series_of` and `with_series`, too-short, flat."""
        series = series_of(payload)
        if self.params.attenuation_db == 0:
            return payload
        gain = 10 ** (-self.params.attenuation_db / 20)
        for name in sorted({name for name, _ in _moving(series, MIN_VALUES)}):
            array = series[name]
            n = len(array)
            top = n / 2  # in periods of the signal's length, as all of this is
            low = log_uniform(rng, (2.0, max(2.0, top / 2**self.params.octaves)))
            periods = np.arange(n // 2 + 1)
            band = (periods >= low) & (periods < low * 2**self.params.octaves)
            if not band.any():  # between two lines of the spectrum: the nearest one above
                band[min(int(np.ceil(low)), n // 2)] = True
            line = np.linspace(array[0], array[-1], n)
            spectrum = np.fft.rfft(array - line, axis=0)
            spectrum[band] *= gain
            array[:] = np.fft.irfft(spectrum, n, axis=0) + line
        return with_series(payload, series)


class SurrogateParams(MethodParams):
    """Parameters of surrogates."""

    strength: float = Field(
        1.0, ge=0, le=1, description="phases move by up to this share of half a turn either way; 1: wholly random"
    )
    kind: Literal["ft", "aaft"] = Field(
        "ft", description="ft: keeps the power spectrum; aaft: keeps the values, and the spectrum nearly"
    )


class Surrogate(Unfitted):
    """Fourier surrogates: the same power spectrum, random phases (Theiler et al. 1992, Testing for nonlinearity in time
    series, Physica D 58:77-94), as an augmentation after Schwabedal et al. 2018 (arXiv:1806.08675).

    The columns of one signal get the same phases, so that their cross spectra stay too (Prichard & Theiler 1994, PRL
    73:951). What is not in the spectrum is lost: single beats, responses and their places in time; a drift comes back
    as a slow wave.

    aaft, amplitude-adjusted (there too): the series' ranks on Gaussian values, their surrogate, and the series'
    own values in the order of it. Every column keeps its values exactly.
    """

    Params: ClassVar = SurrogateParams

    def __init__(self, params: SurrogateParams | None = None) -> None:
        self.params = params or SurrogateParams()

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """Raises `PayloadError`: those of `series_of` and `with_series`, too-short, flat."""
        series = series_of(payload)
        if self.params.strength == 0:
            return payload
        for name in sorted({name for name, _ in _moving(series, MIN_VALUES)}):
            array = series[name]
            phases = rng.uniform(-np.pi, np.pi, size=len(array) // 2 + 1) * self.params.strength
            if self.params.kind == "ft":
                array[:] = phases_moved(array, phases)
            else:
                gaussian = np.sort(rng.standard_normal(len(array)))
                order = np.argsort(phases_moved(gaussian[_ranks(array)], phases), axis=0, kind="stable")
                np.put_along_axis(array, order, np.sort(array, axis=0), axis=0)
        return with_series(payload, series)


def phases_moved(array: np.ndarray, phases: np.ndarray) -> np.ndarray:
    """[n, channels], [n // 2 + 1] radians -> [n, channels] with each line of the spectrum turned by its phase; the mean
    and, for even n, the line at half the rate are real and stay."""
    n = len(array)
    turn = np.exp(1j * phases)
    turn[0] = 1
    if n % 2 == 0:
        turn[-1] = 1
    moved: np.ndarray = np.fft.irfft(np.fft.rfft(array, axis=0) * turn[:, None], n, axis=0)
    constant = np.ptp(array, axis=0) == 0
    moved[:, constant] = array[:, constant]
    return moved


def _ranks(array: np.ndarray) -> np.ndarray:
    """[n, channels] -> ranks 0 ... n - 1 of each column; equal values in their order in time."""
    order = np.argsort(array, axis=0, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(array))[:, None], axis=0)
    return ranks


class SensorNoiseParams(MethodParams):
    """Parameters of noise on signals."""

    sd: float = Field(0.1, ge=0, le=10, description="standard deviation of the noise in units of each channel's own")


class SensorNoise(Unfitted):
    """White Gaussian noise on every channel that is not constant (Um et al. 2017, ICMI, "jittering")."""

    Params: ClassVar = SensorNoiseParams

    def __init__(self, params: SensorNoiseParams | None = None) -> None:
        self.params = params or SensorNoiseParams()

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """Raises `PayloadError`: those of `series_of` and `with_series`, too-short, flat."""
        series = series_of(payload)
        if self.params.sd == 0:
            return payload
        for name, column in _moving(series):
            channel = series[name][:, column]
            channel += self.params.sd * channel.std() * rng.standard_normal(len(channel))
        return with_series(payload, series)


class ScaleParams(MethodParams):
    """Parameters of scale."""

    factor: Annotated[Range, within(0.01, 100)] = Field(
        (0.8, 1.25), description="smallest and largest, 1 = as it is; each ratio is as likely as its inverse"
    )


class Scale(Unfitted):
    """The course of each signal about its mean times one factor, the same for all its channels (Um et al. 2017, ICMI,
    "scaling"; there about 0, which would turn a skin of 33 degrees into one of 40)."""

    Params: ClassVar = ScaleParams

    def __init__(self, params: ScaleParams | None = None) -> None:
        self.params = params or ScaleParams()

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """Raises `PayloadError`: those of `series_of` and `with_series`, too-short, flat."""
        series = series_of(payload)
        if self.params.factor == (1, 1):
            return payload
        for name in sorted({name for name, _ in _moving(series)}):
            level = series[name].mean(axis=0)
            series[name][:] = level + (series[name] - level) * log_uniform(rng, self.params.factor)
        return with_series(payload, series)
