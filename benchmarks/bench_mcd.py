"""Cost of the MCD gate, what its preselection of neighbours does to the score, and the measure beside pymcd.

    python benchmarks/bench_mcd.py shared/data/ravdess --files 600
    OMP_NUM_THREADS=1 python benchmarks/bench_mcd.py shared/data/ravdess --peers FOLDER --pairs 30

Prints ms for a mel-cepstrum, for one DTW and for a candidate (after warm-up, one thread), and the difference between
the score with the default 25 preselected utterances and with the whole class. With --peers (made by `pip install
--no-deps --target FOLDER pymcd pysptk fastdtw decorator`): pairs of 3 s, one after the other in one thread, ours cold,
with one cepstrum kept, with both kept, and pymcd's mode "dtw", which keeps nothing. Of these the time is what the
processor worked, so that other programs count less; ours and pymcd's of a pair follow each other. Times are medians
over pairs, ratios medians of each pair's own. The limit is our DIO and StoneMask of both signals alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rows import OURS, Row, row, write_rows
from corpora.codecs import decode_wav
from corpora.errors import PayloadError
from features.speech.prepare import PrepareSpeech, SpeechSteps
from features.speech.world import track_f0
from features.steps import Source
from validators.gate import Batch
from validators.gates.mcd import NearestMcd
from validators.maths.speech import pymcd
from validators.maths.speech.melcepstrum import HOP_S, mcd, mcd_dtw, mel_cepstrum

ROWS = ("pymcd", "cold", "reference kept", "both kept", "its convention", "limit")
LIMIT = "DIO and StoneMask"
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


def timed(work: Callable[[], object], repeat: int = 5) -> float:
    """Median of `repeat` calls, ms of processor."""
    seconds = []
    for _ in range(repeat):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return 1000 * float(np.median(seconds))


def spread(values: list[float]) -> str:
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    return f"{middle:.1f} [{low:.1f}, {high:.1f}]"


def beside_pymcd(root: Path, peers: Path, n: int) -> list[Row]:
    """Median [10 %, 90 %] over n pairs of the first 3 s of different recordings, silence left in; -> rows of the speed
    table."""
    import soundfile

    sys.path.append(str(peers))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymcd.mcd import Calculate_MCD
    longest = [f for f in sorted(root.rglob("03-01-*.wav")) if soundfile.info(f).duration >= 3.0]
    chosen = [longest[i] for i in np.linspace(0, len(longest) - 1, 2 * n).astype(int)]
    rows: dict[str, list[float]] = {k: [] for k in ROWS}
    peer = Calculate_MCD("dtw")
    differences = []
    with tempfile.TemporaryDirectory() as folder:
        for first, second in [(chosen[0], chosen[n]), *zip(chosen[:n], chosen[n:], strict=True)]:  # the first warms up
            files, signals = [], []
            for name, file in (("a", first), ("b", second)):
                rate = soundfile.info(file).samplerate
                files.append(str(Path(folder) / f"{name}.wav"))
                soundfile.write(files[-1], soundfile.read(file, dtype="int16")[0][: 3 * rate], rate)
                signals.append(decode_wav(Path(files[-1]).read_bytes())[0].mean(axis=1))
            for name, value in of_pair(peer, files, signals, rate, differences).items():
                rows[name].append(value)
    print("| | ms a pair | pymcd / ours |\n|---|---|---|")
    for name, values in rows.items():
        ratio = [p / v for p, v in zip(rows["pymcd"][1:], values[1:], strict=True)]
        print(f"| {name} | {spread(values[1:])} | {spread(ratio)} |")
    share = [limit / cold for limit, cold in zip(rows["limit"][1:], rows["cold"][1:], strict=True)]
    print(f"n = {n}; of the cold pair {np.median(share):.0%} is DIO and StoneMask")
    print(f"ours in its convention differs by at most {max(differences):.1e} relative")
    seconds = {name: [ms / 1000 for ms in values[1:]] for name, values in rows.items()}
    goals = {"cold": 7.0, "reference kept": None, "both kept": None}
    return [
        row(
            f"MCD of 3-s pairs, {name}",
            {OURS: seconds[name], "pymcd": seconds["pymcd"], LIMIT: seconds["limit"]},
            "pymcd",
            goal=goal,
            limit=LIMIT if name == "cold" else None,
        )
        for name, goal in goals.items()
    ]


def of_pair(
    peer: Any, files: Sequence[str], signals: Sequence[np.ndarray], rate: int, differences: list[float]
) -> dict[str, float]:
    """ms of processor by row; to `differences` comes how far our value in pymcd's convention is from pymcd's."""
    theirs: list[float] = []
    ours: list[float] = []

    def cold() -> None:
        read = [decode_wav(Path(file).read_bytes())[0].mean(axis=1) for file in files]
        mcd(*read, rate)

    a, b = (mel_cepstrum(s, rate) for s in signals)
    work = {
        "pymcd": lambda: theirs.append(peer.calculate_mcd(*files)),
        "cold": cold,
        "reference kept": lambda: mcd_dtw(a, mel_cepstrum(signals[1], rate)),
        "both kept": lambda: mcd_dtw(a, b),
        "its convention": lambda: ours.append(pymcd.mcd(*signals, rate)[0]),
        "limit": lambda: [track_f0(s, rate, hop_s=HOP_S) for s in signals],
    }
    spent = {name: timed(work[name], 1) for name in ROWS}
    differences.append(abs(ours[0] / theirs[0] - 1))
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--files", type=int, default=600)
    parser.add_argument("--peers", type=Path, help="folder that holds pymcd; only this comparison is made")
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--out", type=Path, help="where the rows of this comparison go as JSON")
    options = parser.parse_args()
    if options.peers:
        rows = beside_pymcd(options.root, options.peers, options.pairs)
        if options.out is not None:
            write_rows(options.out, rows)
        return
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
