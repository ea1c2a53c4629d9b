"""How much averaging of voices the gate `variance` sees, and how many real strangers it rejects.

    python benchmarks/bench_variance.py RAVDESS [--splits 4]

Every utterance goes through WORLD and back, as it is and with its log envelope averaged over 50 ms to 1 s around each
frame. Half of the actors are train, the others strangers, at the gate's default limit. `mcd` beside it, at its own.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import resample_poly

WIDTHS_MS = (0, 50, 100, 200, 400, 1000)
RATE = 16000
CLASSES = ("anger", "neutral", "sadness")


def utterances(root: Path) -> list[tuple[str, str, np.ndarray]]:
    """(subject, emotion, signal without silence at its ends)"""
    from corpora.codecs import decode_wav
    from corpora.readers import make_corpus
    from corpora.schema import Sample

    found = []
    for sample in make_corpus("ravdess").read(root, "r"):
        if isinstance(sample, Sample) and sample.emotion in CLASSES and sample.subject_id is not None:
            channels, rate = decode_wav(sample.payload)
            signal = resample_poly(channels.mean(axis=1), RATE, int(rate)).astype(np.float32)
            loud = np.flatnonzero(np.abs(signal) > 0.01 * np.abs(signal).max())
            found.append((sample.subject_id, sample.emotion, signal[loud[0] : loud[-1] + 1]))
    return found


def averaged(signal: np.ndarray, ms: float) -> np.ndarray:
    from features.speech.vocoder import pyworld
    from features.speech.world import analyse

    frames = analyse(signal, RATE, hop_s=0.005, f0_method="dio")
    log = uniform_filter1d(np.log(frames.envelope), max(1, round(ms / 5)), axis=0, mode="nearest")
    made = pyworld.synthesize(frames.f0_hz, np.exp(log), frames.aperiodicity, RATE, 5.0)
    return (made * (np.abs(signal).max() / np.abs(made).max())).astype(np.float32)


def main() -> None:
    from validators.batch import rows_of
    from validators.gate import Batch, class_limits, default_limit, gate_class, lets_in
    from validators.maths.intervals import wilson_interval

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--gates", nargs="+", default=["variance", "mcd"])
    args = parser.parse_args()
    rows = utterances(args.root)
    who, emotions = tuple(r[0] for r in rows), tuple(r[1] for r in rows)
    ids = tuple(f"{i}" for i in range(len(rows)))
    forms = {
        ms: Batch("speech", ids, emotions, [averaged(r[2], ms) for r in rows], ids, float(RATE), who, who)
        for ms in WIDTHS_MS
    }
    people = sorted(set(who))
    passed: dict[tuple[str, int], list[bool]] = {}
    for split in range(args.splits):
        chosen = np.random.default_rng(split).permutation(people)[: len(people) // 2]
        learn = np.isin(who, chosen)
        for name in args.gates:
            train = rows_of(forms[0], learn)
            kind = gate_class(name)
            gate = kind.fit(train, classes=CLASSES, known_sha256=frozenset(train.sha256), params={}, seed=split)
            limits, _ = class_limits(gate, default_limit(gate), CLASSES)
            for ms, form in forms.items():
                made = rows_of(form, ~learn)
                scores = gate.score(made)
                passed.setdefault((name, ms), []).extend(
                    bool(lets_in(gate, [v], [None], limits[e])[0]) for v, e in zip(scores, made.emotions, strict=True)
                )
    print(f"{platform.machine()}, Python {platform.python_version()}; {len(people)} actors, {args.splits} splits\n")
    print("| envelope averaged over | n | " + " | ".join(f"rejected by {name} [95 %]" for name in args.gates) + " |")
    print("|---|---:|" + "---|" * len(args.gates))
    for ms in WIDTHS_MS:
        cells = []
        for name in args.gates:
            gone = [not ok for ok in passed[name, ms]]
            low, high = wilson_interval(sum(gone), len(gone))
            cells.append(f"{np.mean(gone):.2f} [{low:.2f}, {high:.2f}]")
        told = f"{ms} ms" if ms else "nothing (real strangers)"
        print(f"| {told} | {len(passed[args.gates[0], ms])} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
