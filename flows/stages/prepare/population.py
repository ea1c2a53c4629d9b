"""The one step of preparation that looks beyond a payload: signals against the statistics of the train split.

Fitted in the stage, from prepared payloads in the work store, one at a time; on train alone, or it raises. What it saw
is counted and hashed in statistics.json, which a release holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from corpora.errors import CorpusError
from corpora.schema import Sample
from corpora.signals import decode_signals, encode_signals, is_vector
from features.physio.statistics import PopulationStatistics
from flows.stages.prepare.packs import PieceContent


def fit_population(train: Iterable[PieceContent], split_of: Mapping[str, str]) -> PopulationStatistics:
    """From the pieces of the train split, in the order of their ids: sums are taken in that order. Raises
    `CorpusError` where there is none, `LeakError` for one of another split."""
    if "train" not in split_of.values():
        raise CorpusError("no train sample is left to take statistics of signals from")
    return PopulationStatistics.fit(_timed_pieces(train), split_of)


def _timed_pieces(train: Iterable[PieceContent]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    for prepared in train:
        signals = [signal.as_row() for signal in prepared.piece.signals]
        yield prepared.piece_id, _timed(decode_signals(prepared.payload), signals)


def _timed(arrays: dict[str, np.ndarray], signals: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Signals as they are, time first; a row of features [d] as one moment [1, d], so that each has its own moments."""
    return {name: array[None] for name, array in arrays.items()} if is_vector(signals) else arrays


def standardised(sample: Sample, statistics: PopulationStatistics) -> Sample:
    """z-scores of every signal. Raises `CorpusError` for a signal that no train sample has."""
    arrays = decode_signals(sample.payload)
    missing = sorted(set(arrays) - set(statistics.moments))
    if missing:
        raise CorpusError(
            f"{sample.sample_id} has {', '.join(missing)}, which no train sample has: name the signals to keep "
            "(prepare.physio.keep), or leave prepare.physio.population out"
        )
    scaled = statistics.apply(_timed(arrays, sample.signals))
    reshaped = {name: np.asarray(scaled[name], dtype=np.float32).reshape(arrays[name].shape) for name in arrays}
    facts = [{**dict(signal), "unit": "z"} for signal in sample.signals]
    return replace(sample, payload=encode_signals(reshaped), signals=facts)
