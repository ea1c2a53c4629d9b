"""Does the identity gate tell people apart? Power and false alarms on real speakers of RAVDESS.

    python benchmarks/bench_identity.py shared/data/ravdess --actors 6 --strangers 2 [--embedding statistics]

The gate learns half of what each of the first actors recorded: repetition 1, or the first of the two sentences. The
other half is passed off as conversions: of the right actor (the source is a train sample of that actor in another
emotion), of every other actor of train, and, recorded by actors whom train has never heard, of every actor of train. At
the default limit: how many of the right ones pass, how many of the wrong ones are caught. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpora.codecs import decode_wav
from features.speech.prepare import PrepareSpeech, SpeechSteps
from features.steps import Source
from validators.batch import rows_of
from validators.embeddings.people import fit_identity
from validators.gate import Batch, admit, default_limit
from validators.gates.identity import Identity
from validators.maths.intervals import wilson_interval

PREPARE = PrepareSpeech(SpeechSteps.model_validate({"trim": {"below_db": 30}, "length": {"max_s": 8}}))
FIELDS = {"repetition": 5, "sentence": 4}  # of a file's name, from 0


def load(root: Path, first: int, actors: int) -> Batch:
    """RAVDESS' names carry emotion (third field) and actor (seventh)."""
    rows = []
    for folder in sorted(p for p in root.iterdir() if p.is_dir())[first : first + actors]:
        for file in sorted(folder.glob("03-01-*.wav")):
            signal = decode_wav(PREPARE(Source(file.read_bytes(), "wav"))[0].payload)[0][:, 0]
            fields = file.stem.split("-")
            rows.append((file.stem, fields[2], fields[6], signal))
    ids, emotions, who, signals = zip(*rows, strict=True)
    return Batch("speech", ids, emotions, list(signals), ids, 16000.0, subjects=who, groups=who)


def claimed(batch: Batch, claims: list[str], train: Batch) -> Batch:
    """`batch` as conversions of train samples of `claims`, of another emotion than the row's."""
    rng, emotions, who = np.random.default_rng(0), np.asarray(train.emotions), np.asarray(train.subjects)
    sources = [
        (train.ids[rng.choice(np.flatnonzero((who == c) & (emotions != e)))],)
        for c, e in zip(claims, batch.emotions, strict=True)
    ]
    return replace(batch, ids=tuple(f"syn/{i}" for i in batch.ids), subjects=(), groups=(), source_ids=tuple(sources))


def passes(gate: Identity, batch: Batch) -> np.ndarray:
    limits = {c: default_limit(gate).resolve(v) for c, v in gate.reference().items()}
    values, emotions = gate.score(batch), np.asarray(batch.emotions)
    out = np.zeros(len(batch), bool)
    for name, limit in limits.items():
        out[emotions == name] = admit(values[emotions == name], limit, gate.better)
    return out


def share(hits: np.ndarray) -> str:
    low, high = wilson_interval(int(hits.sum()), len(hits))
    return f"{100 * hits.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}], n {len(hits)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--skip", type=int, default=0, help="actors left out: those an embedding was chosen on")
    parser.add_argument("--actors", type=int, default=6)
    parser.add_argument("--strangers", type=int, default=2)
    parser.add_argument("--embedding", nargs="+", default=["statistics"])
    parser.add_argument("--save", type=Path, help="folder for an embedding of all files of the actors")
    options = parser.parse_args()
    everything = load(options.root, options.skip, options.actors + options.strangers)
    names = sorted(set(everything.subjects))
    known = names[: options.actors]
    of_known = np.isin(np.asarray(everything.subjects), known)
    print("| embedding | held out | right speaker passes % | another of train caught % | stranger caught % | fit s |")
    print("|---|---|---|---|---|---|")
    for kind in options.embedding:
        for held_out, field in FIELDS.items():
            first = np.asarray([i.split("-")[field] == "01" for i in everything.ids])
            train, new = rows_of(everything, of_known & first), rows_of(everything, of_known & ~first)
            strangers = rows_of(everything, ~of_known)
            began = time.perf_counter()
            gate = Identity.fit(
                train, classes=sorted(set(train.emotions)), known_sha256=frozenset(), params={"embedding": kind}, seed=0
            )
            seconds = time.perf_counter() - began
            right = passes(gate, claimed(new, [str(s) for s in new.subjects], train))
            wrong, strange = [], []
            for shift in range(1, len(known)):
                others = [known[(known.index(str(s)) + shift) % len(known)] for s in new.subjects]
                wrong.append(~passes(gate, claimed(new, others, train)))
            for name in known if len(strangers) else ():
                strange.append(~passes(gate, claimed(strangers, [name] * len(strangers), train)))
            cells = [share(right), share(np.concatenate(wrong)), share(np.concatenate(strange)) if strange else "none"]
            print("| " + " | ".join([kind, held_out, *cells, f"{seconds:.0f}"]) + " |", flush=True)
    if options.save:
        fit_identity(rows_of(everything, of_known), kind=options.embedding[0]).save(options.save)


if __name__ == "__main__":
    main()
