"""Is an array of signals a possible recording? Length, flat lines, clipping and ranges, against what real ones are.

Signals come as [T, C] (or [T]) of one rate; channels in the same order in all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from features.physio.steps import RESTLESS, kind_of
from features.physio.stretches import flat_share
from validators.maths.signals import RANGES, longest_flat_s, out_of_range, share_at_limits

MIN_TRIALS = 20  # real ones, from which it is learned that a channel never rests


class SignalRules:
    """What real trials allow. arrays: bounds [2] s, flat [C], still [C], limits [C], centre [C], reach [C].

    flat: longest run of one value, as a share of the trial. still: all runs of `flat_s` and longer, as a share; 1 for
    channels that may rest. A channel never rests if its name says so (EEG, ECG, BVP, ...), or if at least 20 real
    trials are there and 99 % of them never do.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> None:
        self._low, self._high = map(float, arrays["bounds"])
        self._flat, self._still, self._limits = arrays["flat"], arrays["still"], arrays["limits"]
        self._flat_s = float(options["flat_s"])
        self._centre, self._reach = arrays["centre"], arrays["reach"]
        names = list(options["channels"])
        self._ranged = [(i, name) for i, name in enumerate(names) if kind_of(name) in RANGES]

    @staticmethod
    def learn(signals: Sequence[np.ndarray], rate_hz: float, options: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """-> arrays, from trials with the commonest number of channels."""
        trials = [columns(signal) for signal in signals]
        many = np.bincount([trial.shape[1] for trial in trials]).argmax()
        trials = [trial for trial in trials if trial.shape[1] == many]
        seconds = np.array([len(trial) / rate_hz for trial in trials])
        low, high = np.quantile(seconds, [0.01, 0.99])
        centre = np.median([np.median(trial, axis=0) for trial in trials], axis=0)
        far = np.quantile([np.abs(trial - centre).max(axis=0) for trial in trials], 0.99, axis=0)
        shares = np.quantile([_shares(trial, rate_hz, options["flat_s"]) for trial in trials], 0.99, axis=0)  # [3, C]
        named = [kind_of(name) in RESTLESS for name in options["channels"]]
        restless = np.array(named if len(named) == many else [False] * many)
        never = (shares[1] == 0) & (len(trials) >= MIN_TRIALS)
        still = np.where(restless, 0.0, np.where(never, options["still_share"], 1.0))
        least = np.stack([np.full(many, options["flat_share"]), still, np.full(many, options["limit_share"])])
        flat, still, limits = np.maximum(least, np.minimum(shares * options["share_times"], 1.0))
        return {
            "bounds": np.array([low * options["short_times"], high * options["long_times"]]),
            "flat": flat,
            "still": still,
            "limits": limits,
            "centre": centre,
            "reach": np.maximum(far * options["reach_times"], np.finfo(np.float64).tiny),
        }

    def reason(self, signal: np.ndarray, rate_hz: float) -> str | None:
        """Finite [T, C] -> the first rule that it breaks: not-a-signal, too-short, too-long, flat, clipped,
        out-of-range; None: possible."""
        if signal.ndim not in (1, 2) or columns(signal).shape[1] != len(self._centre):
            return "not-a-signal"
        x = columns(signal)
        seconds = len(x) / rate_hz
        if not self._low <= seconds <= self._high:
            return "too-short" if seconds < self._low else "too-long"
        flat, still, limits = _shares(x, rate_hz, self._flat_s)
        if (flat > self._flat).any() or (still > self._still).any():
            return "flat"
        if (limits > self._limits).any():
            return "clipped"
        if (np.abs(x - self._centre).max(axis=0) > self._reach).any():
            return "out-of-range"
        if any(out_of_range(x[:, i], name) > 0 for i, name in self._ranged):
            return "out-of-range"
        return None


def columns(signal: np.ndarray) -> np.ndarray:
    """[T] or [T, C] -> [T, C] float64"""
    return np.asarray(signal, np.float64).reshape(len(signal), -1)


def _shares(x: np.ndarray, rate_hz: float, flat_s: float) -> np.ndarray:
    """[T, C] -> [3, C]: longest flat run, all flat runs of `flat_s`, time at the own extremes; shares of the trial."""
    flat = [longest_flat_s(column, rate_hz) * rate_hz / len(x) for column in x.T]
    still = [flat_share(column, rate_hz, flat_s) for column in x.T]
    return np.array([flat, still, [share_at_limits(column) for column in x.T]])
