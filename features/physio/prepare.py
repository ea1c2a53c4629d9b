"""Physiology made alike: which signals are kept, and the steps of features/physio/steps.py in their order; windows.

What needs more than one trial, a subject's own rest or the statistics of the train split, is a fitted object of
features/physio/statistics.py, which records what it saw; it is no step of this worker, which sees one trial.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from corpora.errors import PayloadError
from corpora.schema import Signal
from corpora.signals import BASELINE, check_trial, decode_signals, encode_signals, is_vector
from features.physio.steps import (
    Arrays,
    Artefacts,
    Bands,
    Baseline,
    Clean,
    Rates,
    Resampling,
    against_baseline,
    clean,
    filter_bands,
    kind_of,
    mark_flat,
    mark_wild,
    rate_after,
    resample,
)
from features.physio.windows import Window, Windows, cut
from features.steps import Piece, Reads, Source, Step, Steps


class Population(Step):
    """Each signal less its mean over the train split, and over its deviation. The stage fits it, on train alone, after
    all other steps; this worker, which sees one trial, leaves it out."""


class SignalSteps(Steps):
    """Steps for physiology, in their order."""

    VERSION: ClassVar[str] = "signals-1"

    keep: tuple[str, ...] = Field((), description="Names or kinds of signals that are kept; none given: all.")
    bands: Bands | None = Field(default_factory=Bands, description="Band-pass and notch.")
    clean: Clean | None = Field(default_factory=Clean, description="NeuroKit2's cleaning of ECG, BVP and EDA.")
    artefacts: Artefacts | None = Field(default_factory=Artefacts, description="Reject what no body does.")
    resample: Resampling | None = Field(None, description="Other rates; off by default.")
    baseline: Baseline | None = Field(None, description="The subject's own baseline before the trial; off by default.")
    windows: Windows | None = Field(None, description="Cut trials into windows; off by default.")
    population: Population | None = Field(
        None, description="z-scores by the statistics of train, which the release holds; off by default."
    )


class PrepareSignals:
    """The `Preparation` of physiology: npz of a trial -> npz of the prepared trial, or of its windows. A row of
    features has no time in it: it is handed on as it is."""

    codec = "npz"
    reads = Reads(signals=True)

    def __init__(self, steps: SignalSteps) -> None:
        self.steps = steps

    def __call__(self, source: Source) -> list[Piece]:
        """Raises `PayloadError`: wrong-codec, no-signals, unequal-duration, rate-too-low, artefacts, no-baseline,
        too-short, too-long, or what the decoder says."""
        if source.codec != "npz":
            raise PayloadError("wrong-codec", f"signals are read from npz, this payload is {source.codec!r}")
        if is_vector(source.signals):
            decode_signals(source.payload)
            return [Piece(source.payload, signals=[dict(signal) for signal in source.signals])]
        facts = {str(signal["name"]): signal for signal in source.signals}
        arrays: Arrays = {
            name: np.asarray(array, dtype=np.float64)
            for name, array in decode_signals(source.payload).items()
            if name in facts and _kept(name, self.steps.keep)
        }
        if not arrays:
            raise PayloadError("no-signals", f"none of {', '.join(facts)} is to be kept: {', '.join(self.steps.keep)}")
        rates: Rates = {name: float(facts[name]["rate_hz"]) for name in arrays}
        check_trial(arrays, rates)
        steps, raw = self.steps, arrays
        if steps.bands is not None:
            arrays, rates = filter_bands(arrays, rates, steps.bands)
        if steps.clean is not None:
            arrays, rates = clean(arrays, rates, steps.clean)
        bad: dict[str, np.ndarray] = {}
        if steps.artefacts is not None:
            flat = mark_flat(raw, rates, steps.artefacts)
            wild = mark_wild({n: a for n, a in arrays.items() if _is_micro(facts[n])}, rates, steps.artefacts)
            bad = {name: flat[name] | wild.get(name, False) for name in flat if not name.endswith(BASELINE)}
        marked = dict(rates)
        if steps.resample is not None:
            arrays, rates = resample(arrays, rates, steps.resample)
        if steps.baseline is not None:
            arrays, rates = against_baseline(arrays, rates, steps.baseline)
        units = {s.name: str(s.unit) for s in signals_after([Signal.from_row(row) for row in source.signals], steps)}
        if steps.windows is None:
            worst = _worst(bad, marked, 0.0, math.inf)
            if steps.artefacts is not None and worst > steps.artefacts.max_share:
                raise PayloadError("artefacts", f"{100 * worst:.1f} % of a signal; at most {_percent(steps.artefacts)}")
            return [_piece(arrays, rates, units, None, worst if bad else None)]
        return self._windows(arrays, rates, units, bad, marked, steps.windows)

    def _windows(
        self, arrays: Arrays, rates: Rates, units: Mapping[str, str], bad: Arrays, marked: Rates, windows: Windows
    ) -> list[Piece]:
        pieces, dropped = [], 0
        limit = 1.0 if self.steps.artefacts is None else self.steps.artefacts.max_share
        trial = {name: array for name, array in arrays.items() if not name.endswith(BASELINE)}
        for window in cut(trial, rates, windows):
            worst = _worst(bad, marked, window.start_s, window.stop_s)
            if worst > limit:
                dropped += 1
                continue
            pieces.append(_piece(window.arrays, rates, units, window, worst if bad else None))
        if not pieces:
            raise PayloadError(
                "artefacts", f"all {dropped} windows have more than {100 * limit:g} % of a signal marked"
            )
        pieces[0] = replace(pieces[0], counted=("artefact-window",) * dropped)
        return pieces


def signals_after(signals: Sequence[Signal], steps: SignalSteps) -> tuple[Signal, ...]:
    """A record's signals -> what its prepared pieces have: names, units and rates; shapes stay those of the record."""
    kept = {signal.name: signal for signal in signals if _kept(signal.name, steps.keep)}
    baseline, after = steps.baseline, []
    for name, signal in kept.items():
        if baseline is not None and name.endswith(BASELINE):
            continue
        scaled = baseline is not None and baseline.scale == "zscore" and f"{name}{BASELINE}" in kept
        rate_hz = None if signal.rate_hz is None else rate_after(name, signal.rate_hz, steps.resample)
        after.append(replace(signal, unit="z" if scaled else signal.unit, rate_hz=rate_hz))
    return tuple(after)


def _kept(name: str, keep: tuple[str, ...]) -> bool:
    return not keep or name.removesuffix(BASELINE) in keep or kind_of(name) in keep


def _is_micro(fact: Mapping[str, Any]) -> bool:
    """Limits are in µV; a signal in other units is not judged by them."""
    return kind_of(str(fact["name"])) != "EEG" or str(fact["unit"]) in ("µV", "μV", "uV")


def _worst(bad: Arrays, rates_hz: Rates, start_s: float, stop_s: float) -> float:
    """Largest share of marked values of a signal between two times."""
    worst = 0.0
    for name, marks in bad.items():
        first = round(start_s * rates_hz[name])
        last = len(marks) if stop_s == math.inf else max(first + 1, round(stop_s * rates_hz[name]))
        part = marks[first:last]
        worst = max(worst, float(part.mean()) if part.size else 0.0)
    return worst


def _percent(params: Artefacts) -> str:
    return f"{100 * params.max_share:g} %"


def _piece(
    arrays: Arrays, rates_hz: Rates, units: Mapping[str, str], window: Window | None, worst: float | None
) -> Piece:
    singles = {name: np.asarray(array, dtype=np.float32) for name, array in arrays.items()}
    facts = [
        {"name": name, "unit": units[name], "rate_hz": float(rates_hz[name]), "shape": list(singles[name].shape)}
        for name in sorted(singles)
    ]
    seconds = max(len(array) / rates_hz[name] for name, array in singles.items())
    notes = {} if worst is None else {"artefact_share": f"{worst:.4f}"}
    return Piece(
        encode_signals(singles),
        "" if window is None else window.suffix,
        seconds if window is None else window.stop_s - window.start_s,
        None if window is None else window.start_s,
        None if window is None else window.stop_s,
        signals=facts,
        notes=notes,
    )
