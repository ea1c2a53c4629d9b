"""What the speech representation loses: MCD, F0 and voicing error of its round trip on a real corpus.

    python benchmarks/bench_world_roundtrip.py shared/data/ravdess --files 100

Reference: the harmonised recording (16 kHz mono, edges trimmed). MCD frame by frame (the round trip keeps time), in the
convention of validators/maths/speech/melcepstrum.py; F0 by DIO and StoneMask at 5 ms. Prints mean, sd and median over
files.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np

from corpora.codecs import decode_wav
from corpora.errors import PayloadError
from features.speech.prepare import PrepareSpeech, SpeechSteps
from features.speech.vocoder import pyworld
from features.speech.world import WorldFrames, WorldRepresentation, analyse, track_f0
from features.steps import Source
from validators.maths.speech.melcepstrum import mcd_dtw, mcd_plain, mel_cepstrum
from validators.maths.speech.pitch import compare_pitch

PREPARE = PrepareSpeech(SpeechSteps.model_validate({"trim": {"below_db": 30}, "length": {"max_s": 8}}))
METRICS = (
    "mcd_db",
    "mcd_dtw_db",
    "f0_rmse_cents",
    "f0_median_cents",
    "f0_rmse_hz",
    "f0_correlation",
    "voicing_error_pct",
)


def harmonised(root: Path, n_files: int) -> tuple[list[np.ndarray], int]:
    """Evenly spaced files below `root` -> their harmonised signals, and how many were refused."""
    files = sorted(root.rglob("*.wav"))
    chosen = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, min(n_files, len(files))).round().astype(int))]
    signals, refused = [], 0
    for file in chosen:
        try:
            signals.append(decode_wav(PREPARE(Source(file.read_bytes(), "wav"))[0].payload)[0][:, 0])
        except PayloadError:
            refused += 1
    return signals, refused


class Vocoder:
    """Plain WORLD with nothing coded: the part of the loss that no representation on top of it can win back."""

    rate_hz = 16000

    def encode_signal(self, signal: np.ndarray) -> WorldFrames:
        return analyse(signal, self.rate_hz, hop_s=0.005, f0_method="dio")

    def decode_signal(self, frames: WorldFrames) -> np.ndarray:
        wave = pyworld.synthesize(frames.f0_hz, frames.envelope, frames.aperiodicity, self.rate_hz, 5.0)
        return wave.astype(np.float32)


def measure(world: WorldRepresentation | Vocoder, signals: list[np.ndarray]) -> dict[str, np.ndarray]:
    """-> metric -> [n]; NaN where a file has no voiced speech."""
    rows = []
    seconds = []
    for signal in signals:
        began = time.perf_counter()
        array = world.encode_signal(signal)
        middle = time.perf_counter()
        back = world.decode_signal(array)
        seconds.append((middle - began, time.perf_counter() - middle))
        a, b = mel_cepstrum(signal, world.rate_hz), mel_cepstrum(back, world.rate_hz)
        n = min(len(a), len(b))
        pitch = compare_pitch(signal, back, world.rate_hz)
        f0 = [track_f0(x, world.rate_hz, hop_s=0.005)[0] for x in (signal, back)]
        t = min(map(len, f0))
        both = (f0[0][:t] > 0) & (f0[1][:t] > 0)
        cents = np.abs(1200 * np.log2(f0[1][:t][both] / f0[0][:t][both]))
        rows.append(
            (
                mcd_plain(a[:n], b[:n]),
                mcd_dtw(a, b),
                pitch.rmse_cents,
                float(np.median(cents)) if both.any() else np.nan,
                pitch.rmse_hz,
                pitch.correlation,
                100 * pitch.voicing_error,
            )
        )
    columns = np.array(rows).T
    found = dict(zip(METRICS, columns, strict=True))
    found["encode_ms"], found["decode_ms"] = 1000 * np.array(seconds).T
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    signals, refused = harmonised(options.root, options.files)
    durations = np.array([len(s) / 16000 for s in signals])
    print(f"{options.root.name}: n = {len(signals)}, refused {refused}, {platform.machine()}, numpy {np.__version__}")
    p95, longest = np.quantile(durations, 0.95), durations.max()
    print(f"seconds after trimming: mean {durations.mean():.2f}, p95 {p95:.2f}, max {longest:.2f}")
    results = {}
    vocoder = Vocoder()
    for label, params in {
        "WORLD alone, 5 ms, nothing coded": None,
        "5 ms": {"hop_s": 0.005},
        "10 ms": {"hop_s": 0.01},
        "20 ms": {"hop_s": 0.02},
        "10 ms, 40 coefficients": {"hop_s": 0.01, "coefficients": 40},
        "10 ms, harvest": {"hop_s": 0.01, "f0_method": "harvest"},
    }.items():
        found = measure(vocoder if params is None else WorldRepresentation(max_s=8.0, **params), signals)
        results[label] = {
            k: [float(np.nanmean(v)), float(np.nanstd(v, ddof=1)), float(np.nanmedian(v))] for k, v in found.items()
        }
        print(f"\n{label}")
        for metric, values in found.items():
            mean, sd, median = results[label][metric]
            n = int(np.isfinite(values).sum())
            print(f"  {metric:18s} mean {mean:8.3f}  sd {sd:8.3f}  median {median:8.3f}  n {n}")
    if options.json:
        options.json.write_text(
            json.dumps({"n": len(signals), "refused": refused, "results": results}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
