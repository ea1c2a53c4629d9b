"""Log band power and level of each channel, with a way back that filters a real trial.

What an emotion does to a signal over seconds is mostly how strongly it moves at which pace, and where its level lies.
So a trial is described by that alone, and brought back by a zero-phase filter of the *source*: gains of bands,
interpolated smoothly over log frequency, and a level added. Phase, beats, artefacts and whatever lies outside of the
bands are the source's own; no change is the identity.

Rhythm is left out. A pulse that is to be r times as fast needs r times as much of the signal as the window holds, and
one that slows would have to be cut: an edit that works in one direction alone moves the mean of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload
from features.physio.changes import with_changes
from features.physio.paces import PACES_HZ
from features.physio.rows import Channels, require_units, settled_signals, trial_of
from features.physio.steps import kind_of
from features.representation import Known, Spec, require_array
from features.vectors import vector_spec

if TYPE_CHECKING:  # what decodes a sample needs none of the code that prepares one
    from features.physio.prepare import SignalSteps

# delta, theta, alpha, beta, gamma, as Zheng & Lu 2015 (SEED) cut them
EEG_HZ = ((1.0, 4.0), (4.0, 8.0), (8.0, 14.0), (14.0, 31.0), (31.0, 50.0))
LEVELS = ("EDA", "TEMP", "HR")  # kinds whose mean says something of the body; that of others is the sensor's
LOG_LEVELS = ("EDA",)  # skin conductance differs between people and states by factors (Boucsein 2012, ch. 2.3.3)
MAX_GAIN = 4.0  # of amplitude, 12 dB: beyond it, noise of the sensor is what is heard
_ROUNDS = 4  # neighbouring bands share their flanks: gains are corrected by what they reached
_RELATIVE_FLOOR, _FLOOR = 1e-5, 1e-9  # of the largest value, and in the signal's unit: a constant channel's amplitude


@dataclass(frozen=True, slots=True)
class Bank:
    """Bands [(low, high)] in Hz that one signal is described by; `level`: None, "plain" or "log"."""

    signal: Channels
    bands: tuple[tuple[float, float], ...]
    level: str | None

    @classmethod
    def of(cls, signal: Channels, seconds: float) -> Bank:
        """Bands that the rate holds (upper edge at most half of it) and of which the time shows a whole cycle."""
        kind = kind_of(signal.name)
        fits = (EEG_HZ if kind == "EEG" else PACES_HZ) if signal.rate_hz > 0 else ()
        bands = tuple((a, b) for a, b in fits if b <= signal.rate_hz / 2 and a * seconds >= 1 - 1e-9)
        level = None if kind not in LEVELS else "log" if kind in LOG_LEVELS else "plain"
        return cls(signal, bands, level)

    def columns(self) -> list[tuple[str, str]]:
        """(name, unit) of its features, a channel after the other."""
        unit = self.signal.unit
        level = {"log": f"ln {unit}".rstrip(), "plain": unit}
        columns = []
        for row in self.signal.rows:
            columns += [(f"{row}_{a:g}-{b:g}Hz", f"ln {unit}".rstrip()) for a, b in self.bands]
            columns += [(f"{row}_level", level[self.level])] if self.level else []
        return columns


class BandPowerRepresentation:
    """npz of signals <-> [D] float32: log rms amplitude in bands of each channel, and its level where that means much.

    Columns "<channel>_<low>-<high>Hz": ln of the rms amplitude there, half the log band power, so that a difference is
    the log gain of a filter; "<channel>_level": the mean (EDA: its logarithm). Bands: of EEG delta to gamma, of other
    signals octaves and more from 0.03 to 50 Hz, as far as a rate and `seconds` hold them. `seconds`: the shortest
    trial, which must hold a whole cycle of the slowest band (not given: the windows' length, 10 s without). `signals`:
    a list of {name, unit, rate_hz, columns}; not given: what most samples of the corpora have after the steps. The way
    back is `edit`; an array alone is no signal, so generators other than conversions cannot use it.
    """

    modality = "physio"
    lossless = True  # an edit by nothing is the source, byte for byte
    way_back = True
    needs_source = True  # `decode` cannot: what a generator draws without a source is no payload

    def __init__(self, signals: Sequence[Mapping[str, Any]] = (), seconds: float = 10.0) -> None:
        if not isinstance(seconds, int | float) or not 0 < seconds <= 3600:
            raise ParamsError(f"representation band_power: seconds is {seconds!r}; allowed are more than 0 to 3600.")
        self.seconds = float(seconds)
        self.signals = tuple(sorted((Channels.of(signal) for signal in signals), key=lambda signal: signal.name))
        self.banks = tuple(Bank.of(signal, self.seconds) for signal in self.signals)
        columns = [column for bank in self.banks for column in bank.columns()]
        if self.signals and not columns:
            raise ParamsError(
                f"representation band_power: {self.seconds:g} s of {', '.join(s.name for s in self.signals)} hold no "
                "band and no level; give it longer windows or faster signals"
            )
        names, units = [name for name, _ in columns], [unit for _, unit in columns]
        self._spec = vector_spec(f"band_power{len(names)}", names, units) if names else None

    @classmethod
    def settled(cls, params: Mapping[str, Any], known: Known) -> dict[str, Any]:
        """What params leave open, from what is known of the corpora. Raises `ParamsError` where that does not say."""
        filled = dict(params) | {"signals": settled_signals(params, known, "band_power")}
        if filled.get("seconds") is None:
            filled["seconds"] = 10.0 if known.window_s is None else known.window_s
        return filled

    def require(self, steps: SignalSteps) -> SignalSteps:
        """Steps that leave units alone. Raises `ParamsError` as `require_units` does."""
        return require_units(steps)

    @property
    def spec(self) -> Spec:
        """Raises `ParamsError` before a run is planned, where params name no signals."""
        if self._spec is None:
            raise ParamsError("representation band_power: signals are settled when a run is planned; name them here")
        return self._spec

    def encode(self, payload: Payload) -> np.ndarray:
        """npz -> [D] float32.

        Raises `PayloadError`: those of `trial_of`, too-short (than `seconds`, by more than a value), no-level (a mean
        of EDA that is not above 0).
        """
        trial = self._trial(payload)
        return np.concatenate([_described(trial[bank.signal.name], bank) for bank in self.banks]).astype(np.float32)

    def decode(self, array: np.ndarray) -> Payload:
        """Raises `PayloadError` needs-source: gains and levels are of a real trial, which `edit` has."""
        require_array(array, self.spec)
        raise PayloadError("needs-source", "band powers make no signal of their own; generate by conversion")

    def edit(self, source: Payload, before: np.ndarray, after: np.ndarray) -> Payload:
        """The source, filtered by the change of its band amplitudes and shifted by that of its levels.

        Gains are at most `MAX_GAIN` either way. Raises `PayloadError`: those of `encode`, wrong-shape, non-finite.
        """
        require_array(before, self.spec)
        require_array(after, self.spec)
        if np.array_equal(before, after):
            return source
        trial, moved, first = self._trial(source), after.astype(np.float64) - before, 0
        changes = {}
        for bank in self.banks:
            width = len(bank.columns())
            values = trial[bank.signal.name]
            changes[bank.signal.name] = edited(values, bank, moved[first : first + width]) - values
            first += width
        return with_changes(source, changes)

    def _trial(self, payload: Payload) -> dict[str, np.ndarray]:
        trial = trial_of(payload, self.signals)
        for signal in self.signals:
            if (len(trial[signal.name]) + 1) / signal.rate_hz < self.seconds:
                held = len(trial[signal.name]) / signal.rate_hz
                raise PayloadError("too-short", f"{signal.name}: {held:g} s; the slowest band needs {self.seconds:g} s")
        return trial


def _described(values: np.ndarray, bank: Bank) -> np.ndarray:
    """[n] or [n, channels] -> [channels * columns]"""
    x = values.reshape(len(values), -1)
    parts = [log_amplitudes(_line_and_rest(x)[1], bank, _floor(x))]
    if bank.level is not None:
        parts.append(_levels(x, bank)[None])
    return np.concatenate(parts).T.ravel()


def log_amplitudes(rest: np.ndarray, bank: Bank, floor: np.ndarray) -> np.ndarray:
    """[n, channels] about 0 -> [bands, channels] ln of the rms amplitude in each band, at least ln `floor` [channels].

    Periodogram with a Hann window; lines within [low, high).
    """
    from scipy.signal import periodogram

    frequency, power = periodogram(rest, fs=bank.signal.rate_hz, window="hann", axis=0, detrend=False)
    step = bank.signal.rate_hz / len(rest)
    of_bands = [power[(frequency >= a) & (frequency < b)].sum(axis=0) * step for a, b in bank.bands]
    amplitudes = np.sqrt(np.reshape(of_bands, (len(bank.bands), rest.shape[1])))
    return np.asarray(np.log(np.maximum(amplitudes, floor)))


def edited(values: np.ndarray, bank: Bank, moved: np.ndarray) -> np.ndarray:
    """[n] or [n, channels] and the change [channels * columns] of its description -> the same shape, float64.

    Changes of zeros give the values, bit for bit. Raises `PayloadError` no-level as `encode` does.
    """
    if not moved.any():
        return values
    x = values.reshape(len(values), -1)
    wanted = moved.reshape(x.shape[1], -1).T  # [columns, channels]
    bands, line = wanted[: len(bank.bands)], np.zeros(x.shape[1])
    if bank.level == "log":
        line = np.exp(_levels(x, bank)) * np.expm1(wanted[-1])
    elif bank.level == "plain":
        line = wanted[-1]
    return (x + line + _filtered(x, bank, bands)).reshape(values.shape)


def _filtered(x: np.ndarray, bank: Bank, wanted: np.ndarray) -> np.ndarray:
    """[n, channels], log gains [bands, channels] -> what filtering adds to it, [n, channels]; of zeros, zeros."""
    if not wanted.any():
        return np.zeros_like(x)
    most = np.log(MAX_GAIN)
    wanted = np.clip(wanted, -most, most)
    _, rest = _line_and_rest(x)
    floor = _floor(x)
    start = log_amplitudes(rest, bank, floor)
    padded = np.concatenate([rest[::-1], rest, rest[::-1]])  # ends go on as in a mirror: nothing wraps around
    spectrum = np.fft.rfft(padded, axis=0)
    flanks = _flanks(np.fft.rfftfreq(len(padded), 1.0 / bank.signal.rate_hz), bank)
    gains, added = wanted, np.zeros_like(x)
    for _ in range(_ROUNDS):
        added = np.fft.irfft(spectrum * np.expm1(flanks @ gains), n=len(padded), axis=0)[len(x) : 2 * len(x)]
        reached = log_amplitudes(rest + added, bank, floor) - start
        gains = np.clip(gains + np.where(start > np.log(floor), wanted - reached, 0.0), -most, most)
    return added


def _flanks(frequency: np.ndarray, bank: Bank) -> np.ndarray:
    """[F] Hz -> [F, bands]: how much of each band's log gain a frequency gets. Raised cosines between the middles of
    bands on a log axis, which sum to one inside; nothing half an octave beyond the outer edges, and nothing at 0 Hz.
    """
    middles = [0.5 * np.log2(a * b) for a, b in bank.bands]
    nodes = np.array([np.log2(bank.bands[0][0]) - 0.5, *middles, np.log2(bank.bands[-1][1]) + 0.5])
    at = np.log2(np.maximum(frequency, 1e-12))
    out = np.zeros((len(frequency), len(middles)))
    for band in range(len(middles)):
        left, middle, right = nodes[band : band + 3]
        up, down = np.clip((at - left) / (middle - left), 0, 1), np.clip((right - at) / (right - middle), 0, 1)
        out[:, band] = np.sin(0.5 * np.pi * np.minimum(up, down)) ** 2
    return out


def _line_and_rest(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[n, channels] -> its straight line and what moves about it: a drift across the window is no band's."""
    from scipy.signal import detrend

    rest = detrend(x, axis=0)
    return x - rest, rest


def _levels(x: np.ndarray, bank: Bank) -> np.ndarray:
    """[n, channels] -> [channels] means, or their logarithms."""
    mean = x.mean(axis=0)
    if bank.level == "log":
        if not (mean > 0).all():
            raise PayloadError("no-level", f"{bank.signal.name} is {mean.min():g} {bank.signal.unit} on average")
        return np.asarray(np.log(mean))
    return np.asarray(mean)


def _floor(x: np.ndarray) -> np.ndarray:
    """[n, channels] -> [channels] amplitude below which a band holds nothing."""
    return np.maximum(_RELATIVE_FLOOR * np.abs(x).max(axis=0), _FLOOR)
