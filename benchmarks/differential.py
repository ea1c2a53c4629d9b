"""What an edit of the recording does to speech beside what it is meant to do, against WORLD's resynthesis.

    python benchmarks/differential.py shared/data/ravdess --each 10 --out docs/experiments/differential-roundtrip.json

RAVDESS, people 01 to 06, prepared (16 kHz, edges trimmed). Shift: |mean over utterances of (functional after - before)|
over the standard deviation between the people's means, in normal scores of the 88 functionals. MCD frame by frame; F0
over frames voiced in both, octave jumps (over 300 cents) left out. DNSMOS where `speechmos` can be imported.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import corpora.quiet  # noqa: F401
from corpora.codecs import decode_wav, encode_wav
from corpora.errors import PayloadError
from corpora.readers import make_corpus
from corpora.schema import Payload, Sample
from features.speech.differential.analysis import HOP_S, Analysis, analyse
from features.speech.differential.conversion import cepstral_moves, converted, pitch_ratio
from features.speech.differential.statistics import Columns, Statistics
from features.speech.functionals import FUNCTIONAL_NAMES, speech_functionals
from features.speech.prepare import PrepareSpeech, SpeechSteps
from features.speech.vocoder import pyworld
from features.speech.world import WorldFrames, fft_length, track_f0
from features.speech.world import analyse as world_analyse
from features.steps import Source
from generators.effects import NormalScores
from validators.maths.speech.melcepstrum import mcd_plain, mel_cepstrum

RATE_HZ = 16000
PREPARE = PrepareSpeech(SpeechSteps())  # as a run prepares by default
SEMITONE = float(np.log(2) / 12)


@dataclass(frozen=True)
class Utterance:
    """A prepared recording: its wav, who speaks, with what emotion, and its functionals [88]."""

    payload: Payload
    subject: str
    emotion: str
    functionals: np.ndarray


def load(root: Path, people: tuple[str, ...]) -> list[Utterance]:
    """Utterances of these people (two digits each), in the order of the reader."""
    out = []
    for sample in make_corpus("ravdess").read(root, "ravdess"):
        if not isinstance(sample, Sample) or not sample.emotion or str(sample.subject_id)[-2:] not in people:
            continue
        try:
            payload = Payload(PREPARE(Source(sample.payload, "wav"))[0].payload, "wav")
        except PayloadError:
            continue
        functionals = speech_functionals(decode_wav(payload.data)[0][:, 0], RATE_HZ)
        out.append(Utterance(payload, str(sample.subject_id)[-2:], str(sample.emotion), functionals))
    return out


def world_converted(analysis: Analysis, change: Statistics, frames: WorldFrames | None = None) -> np.ndarray:
    """The same moves of envelope and F0, but resynthesised by WORLD -> [n] float64. `frames`: WORLD's, if known."""
    frames = frames or world_analyse(analysis.signal, analysis.rate_hz, hop_s=HOP_S, f0_method="dio")
    cepstra = np.ascontiguousarray(analysis.cepstra + cepstral_moves(analysis, change))
    envelope = pyworld.decode_spectral_envelope(cepstra, analysis.rate_hz, fft_length(analysis.rate_hz))
    f0 = frames.f0_hz * pitch_ratio(analysis, change)
    wave = pyworld.synthesize(f0, envelope, frames.aperiodicity, analysis.rate_hz, HOP_S * 1000)
    out = np.zeros(len(analysis.signal))
    n = min(len(out), len(wave))
    out[:n] = wave[:n]
    return out


def world_plain(signal: np.ndarray) -> np.ndarray:
    """WORLD there and back, nothing coded, nothing moved."""
    frames = world_analyse(signal, RATE_HZ, hop_s=HOP_S, f0_method="dio")
    return pyworld.synthesize(frames.f0_hz, frames.envelope, frames.aperiodicity, RATE_HZ, HOP_S * 1000)[: len(signal)]


def _changes(i: int) -> dict[str, Statistics]:
    """Of utterance i: name -> a random change."""
    columns = Columns(True, True, True)
    nothing = Statistics.of_vector(np.zeros(len(columns.names)), columns)
    rng = np.random.default_rng([11, i])
    spectrum = replace(
        nothing,
        means=np.concatenate([[0.02], np.full(39, 0.01)]) * rng.standard_normal(40),
        log_sds=np.full(40, 0.01) * rng.standard_normal(40),
    )
    pitched = replace(spectrum, log_f0_mean=0.01 * rng.standard_normal(), log_f0_log_sd=0.02 * rng.standard_normal())
    sign = 1.0 if rng.random() < 0.5 else -1.0
    return {
        "tiny moves, spectrum": spectrum,
        "tiny moves, spectrum + F0": pitched,
        "tiny moves, spectrum + F0 + duration": replace(pitched, log_duration=0.01 * rng.standard_normal()),
        "tiny moves, unvoiced part": replace(nothing, unvoiced=0.02 * rng.standard_normal(6)),
        "tiny moves, jitter + shimmer": replace(
            nothing, jitter=0.02 * rng.standard_normal(), shimmer=0.02 * rng.standard_normal()
        ),
        "F0 +-2 semitones": replace(nothing, log_f0_mean=2 * SEMITONE * sign),
        "duration x1.15 or /1.15": replace(nothing, log_duration=float(np.log(1.15)) * sign),
        "jitter, shimmer x1.5 or /1.5": replace(
            nothing, jitter=float(np.log(1.5)) * sign, shimmer=float(np.log(1.5)) * sign
        ),
    }


def pipelines(i: int, signal: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    """Name -> what makes the changed signal; the analysis is done before and not timed."""
    analysis = analyse(signal, RATE_HZ)
    changes = _changes(i)
    nothing = Statistics.of_vector(np.zeros(83), Columns())

    def there_and_back() -> np.ndarray:
        move = changes["F0 +-2 semitones"]
        back = replace(move, log_f0_mean=-move.log_f0_mean)
        return converted(analyse(converted(analysis, move), RATE_HZ), back)

    out: dict[str, Callable[[], np.ndarray]] = {
        "source": lambda: signal,
        "WORLD 5 ms, uncoded": lambda: world_plain(signal),
        "WORLD 5 ms, 40 coefficients": lambda: world_converted(analysis, nothing),
        "nothing, forced through both stages": lambda: converted(analysis, nothing, forced=True),
    }
    for name, change in changes.items():
        out[name] = lambda change=change: converted(analysis, change)
    out["F0 +-2 semitones and back"] = there_and_back
    return out


def _as_stored(signal: np.ndarray) -> np.ndarray:
    return decode_wav(encode_wav(np.clip(signal, -1, 1).astype(np.float32), RATE_HZ))[0][:, 0]


def _pitch(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """RMS cents without octave jumps, voicing error in %."""
    tracks = [track_f0(x, RATE_HZ, hop_s=HOP_S)[0] for x in (a, b)]
    n = min(map(len, tracks))
    x, y = tracks[0][:n], tracks[1][:n]
    both = (x > 0) & (y > 0)
    cents = 1200 * np.log2(y[both] / x[both])
    cents -= np.median(cents) if both.any() else 0.0  # a meant move is no error
    cents = cents[np.abs(cents) <= 300]
    return float(np.sqrt((cents**2).mean())) if len(cents) else np.nan, 100 * float(((x > 0) != (y > 0)).mean())


def naturalness(signals: list[np.ndarray]) -> np.ndarray | None:
    """-> [n] DNSMOS overall, or None where nothing is to be heard or the package is not there."""
    if not signals:
        return None
    try:
        from speechmos import dnsmos
    except ImportError:
        return None
    return np.array([float(dnsmos.run(s.astype(np.float32), RATE_HZ)["ovrl_mos"]) for s in signals])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--each", type=int, default=10, help="utterances of each person")
    parser.add_argument("--heard", type=int, default=40, help="utterances that DNSMOS hears")
    parser.add_argument("--only", nargs="*", help="these pipelines alone, beside the source")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    people = tuple(f"{i:02d}" for i in range(1, 7))
    everyone = load(options.root, people)
    scores = NormalScores.fit(np.stack([u.functionals for u in everyone]))
    of = {p: [u for u in everyone if u.subject == p] for p in people}
    means = np.stack([scores.transform(np.stack([u.functionals for u in of[p]])).mean(0) for p in people])
    spread = means.std(axis=0, ddof=1)
    chosen = [of[p][k] for p in people for k in np.linspace(0, len(of[p]) - 1, options.each).round().astype(int)]
    signals = [decode_wav(u.payload.data)[0][:, 0].astype(np.float64) for u in chosen]
    seconds = np.array([len(s) for s in signals]) / RATE_HZ
    changed: dict[str, list[np.ndarray]] = {}
    cost: dict[str, float] = {}
    for i, signal in enumerate(signals):
        for name, make in pipelines(i, signal).items():
            if options.only and name not in (*options.only, "source"):
                continue
            began = time.process_time()
            result = make()
            cost[name] = cost.get(name, 0.0) + 1000 * (time.process_time() - began)
            changed.setdefault(name, []).append(_as_stored(result))
    before = scores.transform(np.stack([speech_functionals(s, RATE_HZ) for s in changed["source"]]))
    quiet = naturalness(changed["source"][: options.heard])
    rows = []
    for name, outs in changed.items():
        after = scores.transform(np.stack([speech_functionals(s, RATE_HZ) for s in outs]))
        shift = (after - before).mean(axis=0) / spread
        each = np.sqrt((((after - before) / spread) ** 2).mean())
        mcd, pitch = [], []
        for a, b in zip(changed["source"], outs, strict=True):
            ca, cb = mel_cepstrum(a, RATE_HZ), mel_cepstrum(b, RATE_HZ)
            n = min(len(ca), len(cb))
            mcd.append(mcd_plain(ca[:n], cb[:n]))
            pitch.append(_pitch(a, b))
        heard = naturalness(outs[: options.heard]) if quiet is not None else None
        lost = heard - quiet if heard is not None and quiet is not None else None
        rows.append(
            {
                "pipeline": name,
                "mcd_db": float(np.mean(mcd)),
                "f0_rmse_cents": float(np.nanmean([p[0] for p in pitch])),
                "voicing_error_pct": float(np.mean([p[1] for p in pitch])),
                "shift_mean": float(np.abs(shift).mean()),
                "shift_median": float(np.median(np.abs(shift))),
                "utterance_rms": float(each),
                "cpu_ms_per_s": cost[name] / float(seconds.sum()),
                "ovrl": None if heard is None else float(heard.mean()),
                "ovrl_difference": None if lost is None else float(lost.mean()),
                "ovrl_half_width": None if lost is None else float(1.96 * lost.std(ddof=1) / np.sqrt(len(lost))),
                "shifts": {n: round(float(v), 3) for n, v in zip(FUNCTIONAL_NAMES, shift, strict=True)},
            }
        )
    print(f"{len(chosen)} utterances of {len(people)} people, {seconds.sum():.0f} s")
    print(
        "| pipeline | MCD dB | F0 cents | V/UV % | shift: mean (median) | utterance rms | ms per s | DNSMOS - source |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for r in rows:
        mos = "" if r["ovrl"] is None else f"{r['ovrl_difference']:+.2f} ±{r['ovrl_half_width']:.2f}"
        print(
            f"| {r['pipeline']} | {r['mcd_db']:.2f} | {r['f0_rmse_cents']:.0f} | {r['voicing_error_pct']:.1f} | "
            f"{r['shift_mean']:.3f} ({r['shift_median']:.3f}) | {r['utterance_rms']:.2f} | {r['cpu_ms_per_s']:.1f} | "
            f"{mos} |"
        )
    if options.out:
        options.out.write_text(json.dumps({"n": len(chosen), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
