"""What the representation `rows` loses of windows of Stress-Predict, by its rate, and how far levels lie apart.

    python -m benchmarks.bench_rows_roundtrip FOLDER [--window 30] [--rates 8,16,32]

FOLDER: a Stress-Predict folder (Raw_data, Processed_data). Printed of each signal, over all windows: the deviation
within a window (median), that of the windows' means, and the error of the way there and back (root mean square) as a
share of the deviation within the window (median).
"""

from __future__ import annotations

import argparse
import platform
from collections import defaultdict
from pathlib import Path

import numpy as np

from corpora.readers import make_corpus
from corpora.schema import Payload, Sample, Signal
from corpora.signals import decode_signals
from features.physio.prepare import PrepareSignals, SignalSteps
from features.physio.rows import RowsRepresentation
from features.representation import Known
from features.steps import Source


def windows_of(folder: Path, window_s: float) -> list[Payload]:
    """Windows of every trial, prepared with the default steps."""
    prepare = PrepareSignals(SignalSteps.model_validate({"windows": {"length_s": window_s}}))
    payloads = []
    for sample in make_corpus("stress_predict").read(folder, "stress_predict"):
        if isinstance(sample, Sample):
            for piece in prepare(Source(sample.payload, sample.codec, list(sample.signals))):
                signals = tuple(Signal.from_row(row) for row in piece.signals)
                payloads.append(Payload(piece.payload, "npz", signals, piece.duration_s))
    return payloads


def losses(payloads: list[Payload], window_s: float, rate_hz: float) -> dict[str, list[float]]:
    """Signal -> of each window, the error of the way there and back over the deviation within it."""
    known = Known(tuple(Signal(s.name, s.unit, s.rate_hz, s.shape[1:]) for s in payloads[0].signals), window_s)
    rows = RowsRepresentation(**RowsRepresentation.settled({"rate_hz": rate_hz}, known))
    shares = defaultdict(list)
    for payload in payloads:
        back = decode_signals(rows.decode(rows.encode(payload)).data)
        for name, array in decode_signals(payload.data).items():
            spread = float(array.std(axis=0).mean())
            if spread > 0:
                shares[name].append(float(np.sqrt(((back[name] - array) ** 2).mean())) / spread)
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--window", type=float, default=30.0)
    parser.add_argument("--rates", default="8,16,32")
    options = parser.parse_args()
    payloads = windows_of(options.folder, options.window)
    print(f"{len(payloads)} windows of {options.window:g} s; {platform.machine()}, numpy {np.__version__}")
    within, means = defaultdict(list), defaultdict(list)
    for payload in payloads:
        for name, array in decode_signals(payload.data).items():
            within[name].append(float(array.std(axis=0).mean()))
            means[name].append(float(array.mean()))
    by_rate = {float(rate): losses(payloads, options.window, float(rate)) for rate in options.rates.split(",")}
    print("| signal | within a window | between windows | " + " | ".join(f"lost at {r:g} Hz" for r in by_rate) + " |")
    print("|---|---:|---:|" + "---:|" * len(by_rate))
    for name in sorted(within):
        lost = " | ".join(f"{100 * np.median(shares[name]):.1f} %" for shares in by_rate.values())
        print(f"| {name} | {np.median(within[name]):.3g} | {np.std(means[name]):.3g} | {lost} |")


if __name__ == "__main__":
    main()
