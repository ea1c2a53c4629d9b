"""Band powers and heart rate of signals as what a generator models: vectors, without a way back to signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload
from features.physio.heart import MIN_RATE_HZ, heart
from features.physio.paces import columns_at, trial_features, units_at
from features.physio.rows import Channels, require_units, settled_signals, trial_of
from features.physio.steps import kind_of
from features.representation import Known, Spec
from features.vectors import VectorRepresentation, vector_spec

if TYPE_CHECKING:  # what encodes a sample needs none of the code that prepares one
    from features.physio.prepare import SignalSteps


class BandsRepresentation(VectorRepresentation):
    """npz of signals -> [D] float32: level, shape and band powers of each channel, without a way back to signals.

    Each signal at its own rate, columns "<channel>_<feature>" with the features of `trial_features`: differential
    entropies (log band powers) of the bands that its rate holds, mean, ln of the deviation, skewness, kurtosis, trend,
    roughness, pulse. `signals`: a list of {name, unit, rate_hz, columns}; not given: what most samples of the corpora
    have after the steps.
    """

    modality = "physio"

    def __init__(self, signals: Sequence[Mapping[str, Any]] = ()) -> None:
        self.signals = tuple(sorted((Channels.of(signal) for signal in signals), key=lambda signal: signal.name))
        names = [f"{row}_{n}" for s in self.signals for row in s.rows for n in columns_at(s.rate_hz)]
        units = [unit for s in self.signals for _ in s.rows for unit in units_at(s.rate_hz, s.unit)]
        self._spec = vector_spec(f"bands{len(names)}", names, units) if names else None

    @classmethod
    def settled(cls, params: Mapping[str, Any], known: Known) -> dict[str, Any]:
        """What params leave open, from what is known of the corpora. Raises `ParamsError` where that does not say."""
        return dict(params) | {"signals": settled_signals(params, known, "bands")}

    def require(self, steps: SignalSteps) -> SignalSteps:
        """Steps that leave units alone. Raises `ParamsError` as `require_units` does."""
        return require_units(steps)

    @property
    def spec(self) -> Spec:  # type: ignore[override]
        """Raises `ParamsError` before a run is planned, where params name no signals."""
        if self._spec is None:
            raise ParamsError("representation bands: signals are settled when a run is planned; name them here")
        return self._spec

    def encode(self, payload: Payload) -> np.ndarray:
        """npz -> [D] float32. Raises `PayloadError` as `trial_of` does."""
        trial = trial_of(payload, self.signals)
        parts = [trial_features([trial[signal.name]], signal.rate_hz)[0] for signal in self.signals]
        return np.concatenate(parts).astype(np.float32)


class HeartRepresentation(VectorRepresentation):
    """npz of signals -> [3] float32: heart rate and its variability of one signal, without a way back to beats.

    Columns: bpm, sdnn_ms, rmssd_ms of `Heart`. Give it windows of 30 s; too few sound beats cannot be encoded.
    `signals`: one {name, unit, rate_hz, columns} of ECG or BVP; not given: that of the corpora, ECG before BVP.
    """

    modality = "physio"

    def __init__(self, signals: Sequence[Mapping[str, Any]] = ()) -> None:
        self.signals = tuple(Channels.of(signal) for signal in signals)
        for signal in self.signals:
            if kind_of(signal.name) not in ("ECG", "BVP") or signal.columns is not None or signal.rate_hz < MIN_RATE_HZ:
                raise ParamsError(
                    f"representation heart: {signal.name} at {signal.rate_hz:g} Hz; wanted is one channel of ECG "
                    f"or BVP of {MIN_RATE_HZ:g} Hz and more"
                )
        if len(self.signals) > 1:
            raise ParamsError(f"representation heart: {len(self.signals)} signals; beats are taken from one")
        self.spec = vector_spec("heart", ("bpm", "sdnn_ms", "rmssd_ms"), ("beats/min", "ms", "ms"))

    @classmethod
    def settled(cls, params: Mapping[str, Any], known: Known) -> dict[str, Any]:
        """What params leave open, from what is known of the corpora. Raises `ParamsError` where that does not say."""
        signals = settled_signals(params, known, "heart")
        beating_ones = [s for kind in ("ECG", "BVP") for s in signals if kind_of(str(s["name"])) == kind]
        if not beating_ones:
            names = ", ".join(str(s["name"]) for s in signals)
            raise ParamsError(f"representation heart: no ECG and no BVP among {names}")
        return dict(params) | {"signals": beating_ones[:1]}

    def require(self, steps: SignalSteps) -> SignalSteps:
        """Steps that leave units alone. Raises `ParamsError` as `require_units` does."""
        return require_units(steps)

    def encode(self, payload: Payload) -> np.ndarray:
        """npz -> [3] float32. Raises `PayloadError` as `trial_of` does, or with the reason of `heart`."""
        if not self.signals:
            raise ParamsError("representation heart: its signal is settled when a run is planned; name it here")
        signal = self.signals[0]
        beats = heart(trial_of(payload, self.signals)[signal.name], signal.rate_hz, signal.name)
        if beats.reason is not None:
            raise PayloadError(beats.reason, f"{signal.name}: {beats.beats} beats, {beats.left_out} intervals left out")
        return np.array([beats.bpm, beats.sdnn_ms, beats.rmssd_ms], dtype=np.float32)
