"""Development people of six corpora as rows of features, and cells in which one class is pruned to a tenth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from benchmarks.effects.arms import Cell, cell_of
from benchmarks.effects.corpora import LEAST, Rows, rows_of


@dataclass(frozen=True)
class Corpus:
    """What the tables say of it. representation: of the run whose features these are."""

    modality: str
    representation: str


CORPORA = {
    "ravdess": Corpus("speech", "functionals"),
    "emodb": Corpus("speech", "functionals"),
    "fer2013": Corpus("face", "hog"),
    "goemotions": Corpus("text", "sentence"),
    "meld": Corpus("text", "sentence"),
    "stress_predict": Corpus("physio", "bands"),
}


def load(name: str, data: Path) -> Rows:
    """Features of one corpus of `CORPORA`."""
    own = {"emodb": emodb, "stress_predict": stress_predict}
    return own[name](data) if name in own else rows_of(name, data)


def _one_unit_out(units: np.ndarray, seed: int) -> list[np.ndarray]:
    """Each unit is tested once."""
    return [np.flatnonzero(units == unit) for unit in np.unique(units)]


@lru_cache
def emodb(data: Path) -> Rows:
    """Two speakers, each tested once by what the other shows."""
    from corpora.codecs import decode_wav
    from corpora.readers import make_corpus
    from corpora.schema import Sample
    from features.speech.functionals import speech_functionals

    samples = [s for s in make_corpus("emodb").read(data / "emodb", "emodb") if isinstance(s, Sample) and s.emotion]
    rows = []
    for sample in samples:
        channels, rate = decode_wav(sample.payload)
        rows.append(speech_functionals(channels.mean(axis=1), int(rate)))
    classes = tuple(sorted({str(s.emotion) for s in samples}))
    y = np.array([classes.index(str(s.emotion)) for s in samples])
    people = np.array([str(s.subject_id) for s in samples])
    pruned = tuple(k for k in range(len(classes)) if (y == k).sum() >= 4 * LEAST)
    return Rows("ravdess emodb", np.stack(rows), y, list(people), classes, pruned, partial(_one_unit_out, people))


@lru_cache
def stress_predict(data: Path) -> Rows:
    """Windows of 30 s of S02 to S07; pairs of people are tested."""
    from corpora.readers import make_corpus
    from corpora.schema import Payload, Sample, Signal
    from features.physio.prepare import PrepareSignals, SignalSteps
    from features.physio.vectors import BandsRepresentation
    from features.representation import Known
    from features.steps import Source

    allowed = {f"S{i:02d}" for i in range(2, 8)}
    prepare = PrepareSignals(SignalSteps.model_validate({"windows": {"length_s": 30.0, "hop_s": 30.0}}))
    payloads, labels, people = [], [], []
    for sample in make_corpus("stress_predict").read(data / "stress_predict", "stress_predict"):
        if not isinstance(sample, Sample) or not sample.emotion or str(sample.subject_id)[-3:] not in allowed:
            continue
        for piece in prepare(Source(sample.payload, sample.codec, list(sample.signals))):
            signals = tuple(Signal.from_row(row) for row in piece.signals)
            payloads.append(Payload(piece.payload, "npz", signals, piece.duration_s))
            labels.append(str(sample.emotion))
            people.append(str(sample.subject_id))
    first = Counter(p.signals for p in payloads).most_common(1)[0][0]
    known = Known(tuple(Signal(s.name, s.unit, s.rate_hz, s.shape[1:]) for s in first), 30.0)
    bands = BandsRepresentation(**BandsRepresentation.settled({}, known))
    kept = [i for i, p in enumerate(payloads) if p.signals == first]
    x = np.stack([bands.encode(payloads[i]) for i in kept]).astype(np.float64)
    classes = tuple(sorted(set(labels)))
    y = np.array([classes.index(labels[i]) for i in kept])
    who = np.array([people[i] for i in kept])
    return Rows("ravdess bands", x, y, list(who), classes, tuple(range(len(classes))), partial(_thirds, who))


def _thirds(people: np.ndarray, seed: int) -> list[np.ndarray]:
    units = np.random.default_rng([5, seed]).permutation(np.unique(people))
    return [np.flatnonzero(np.isin(people, part)) for part in np.array_split(units, 3)]


def cells(rows: Rows, seeds: int) -> Iterator[tuple[tuple[int, int, int], Cell]]:
    """(seed, fold, class) and the cell: one class of each fold is pruned, in rotation, so that all have their turn."""
    turn = 0
    for seed in range(seeds):
        for f, test in enumerate(rows.folds(seed)):
            rest = np.setdiff1d(np.arange(len(rows.y)), test)
            for _ in rows.pruned:
                k = rows.pruned[turn % len(rows.pruned)]
                turn += 1
                if (rows.y[rest] == k).sum() > 2 * LEAST and (rows.y[test] == k).any():
                    break
            else:
                continue
            yield (seed, f, k), cell_of(rows, (seed, f, k), test)
