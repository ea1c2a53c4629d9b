"""Cost of the MCD gate, and what its preselection of neighbours does to the score.

    python benchmarks/bench_mcd.py shared/data/ravdess --files 600

Prints ms for a mel-cepstrum, for one DTW and for a candidate (after warm-up, one thread), and the difference between
the score with the default 25 preselected utterances and with the whole class.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from corpora.codecs import decode_wav
from corpora.errors import PayloadError
from features.prepare_speech import PrepareSpeech, SpeechSteps
from features.steps import Source
from validators.gate import Batch
from validators.mcd import NearestMcd
from validators.melcepstrum import mcd_dtw, mel_cepstrum

PREPARE = PrepareSpeech(SpeechSteps.model_validate({"trim": {"below_db": 30}, "length": {"max_s": 8}}))


def load(root: Path, n_files: int) -> Batch:
    """RAVDESS' names carry emotion (third field) and actor (seventh)."""
    files = sorted(root.rglob("03-01-*.wav"))
    rows = []
    for i in np.unique(np.linspace(0, len(files) - 1, min(n_files, len(files))).round().astype(int)):
        fields = files[i].stem.split("-")
        try:
            signal = decode_wav(PREPARE(Source(files[i].read_bytes(), "wav"))[0].payload)[0][:, 0]
        except PayloadError:
            continue
        rows.append((files[i].stem, fields[2], fields[6], signal))
    ids, emotions, actors, signals = zip(*rows, strict=True)
    return Batch("speech", ids, emotions, list(signals), ids, 16000.0, subjects=actors, groups=actors)


def timed(work: object, repeat: int = 5) -> float:
    """Median of `repeat` calls, ms."""
    seconds = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()  # type: ignore[operator]
        seconds.append(time.perf_counter() - began)
    return 1000 * float(np.median(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--files", type=int, default=600)
    options = parser.parse_args()
    batch = load(options.root, options.files)
    classes = sorted(set(batch.emotions))
    everything = {"known_sha256": frozenset(), "classes": classes, "seed": 0}
    began = time.perf_counter()
    gate = NearestMcd.fit(batch, params={}, **everything)
    print(f"fit on {len(batch)} utterances: {time.perf_counter() - began:.1f} s (with compilation or cache load)")
    exact = NearestMcd.fit(batch, params={"candidates": 10_000}, **everything)
    began = time.perf_counter()
    near = gate.reference()
    print(f"reference(), {sum(map(len, near.values()))} utterances: {time.perf_counter() - began:.1f} s")
    full = exact.reference()
    a, b = np.concatenate([near[c] for c in classes]), np.concatenate([full[c] for c in classes])
    sizes = [batch.emotions.count(c) for c in classes]
    print(f"score: mean {a.mean():.3f} sd {a.std():.3f} dB; classes of {min(sizes)} to {max(sizes)} utterances")
    excess, r = a - b, np.corrcoef(a, b)[0, 1]
    print(
        f"25 preselected, not the whole class: higher by {excess.mean():.4f} dB, at most {excess.max():.4f}; r {r:.5f}"
    )
    one = [s[:24000] for s in batch.signals if len(s) >= 24000][:20]  # 1.5 s
    first, second = mel_cepstrum(one[0], 16000), mel_cepstrum(one[1], 16000)
    analysis, alignment = timed(lambda: mel_cepstrum(one[0], 16000)), timed(lambda: mcd_dtw(first, second))
    print(f"mel-cepstrum of 1.5 s: {analysis:.1f} ms; DTW: {alignment:.2f} ms")
    ids = tuple(f"new{i}" for i in range(len(one)))
    fresh = Batch("speech", ids, batch.emotions[: len(one)], one, ids, 16000.0)
    print(f"a candidate of 1.5 s: {timed(lambda: gate.score(fresh), 3) / len(one):.1f} ms")


if __name__ == "__main__":
    main()
