"""Is an array of signals a possible recording? Length, flat lines, clipping and ranges, against what real ones are.

Signals come as [T, C] (or [T]) of one rate; channels in the same order in all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from features.signal_steps import kind_of
from validators.signals import RANGES, longest_flat_s, out_of_range, share_at_limits

DEFAULTS: dict[str, Any] = {
    "flat_share": 0.2,  # of a trial that a channel may always stay at one value
    "limit_share": 0.02,  # of a trial that a channel may always stand at its own extremes
    "share_times": 1.5,  # of the 99 % quantile of these shares in real trials
    "reach_times": 3.0,  # of the 99 % quantile of how far real trials go from the median
    "channels": (),  # names of the channels ("EDA", "wrist_TEMP"): kinds with a range must keep it; none: not checked
}


class SignalRules:
    """What real trials allow. arrays: bounds [2] s, flat [C], limits [C], centre [C], reach [C]."""

    def __init__(self, arrays: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> None:
        self._low, self._high = map(float, arrays["bounds"])
        self._flat, self._limits = arrays["flat"], arrays["limits"]
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
        shares = np.quantile([_shares(trial, rate_hz) for trial in trials], 0.99, axis=0)  # [2, C]
        least = np.array([options["flat_share"], options["limit_share"]])[:, None]
        flat, limits = np.maximum(least, np.minimum(shares * options["share_times"], 1.0))
        return {
            "bounds": np.array([low * options["short_times"], high * options["long_times"]]),
            "flat": flat,
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
        flat, limits = _shares(x, rate_hz)
        if (flat > self._flat).any():
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


def _shares(x: np.ndarray, rate_hz: float) -> np.ndarray:
    """[T, C] -> [2, C]: longest flat run and time at the own extremes, shares of the trial."""
    flat = [longest_flat_s(column, rate_hz) * rate_hz / len(x) for column in x.T]
    return np.array([flat, [share_at_limits(column) for column in x.T]])
