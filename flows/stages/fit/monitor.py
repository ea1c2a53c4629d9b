"""A score to stop early by: how far samples lie from the part of train that gradients never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from corpora.errors import UserError
from features.text.ngrams import hashed_ngrams
from generators.draws.sources import SourceTable, choose_sources
from generators.generator import Condition, Device, Draw, Generator, SourceClass, TrainData, no_criterion, source_class
from generators.language.lines import lines_of
from training.seeds import derive_seed
from validators.maths.kernel import energy_distance

SAMPLES_PER_CLASS = 16
CELLS = 256  # arrays are averaged down to about this many cells, so that the distance sees shape and not noise
FEWEST = 2  # held-out rows of a class: the distance within one sample is not known


def held_out_score(model: Generator, data: TrainData, device: Device, seed: int) -> Callable[[Generator], float]:
    """What a fit of `model` is stopped by, lower is better: its own held-out loss (generators/held_out.py), or the
    distance of its samples. Raises `UserError` as `held_out_distance`."""
    own: Any = getattr(model, "params", None)  # pydantic's in ours; an entry point's may be anything
    params = own.model_dump() if hasattr(own, "model_dump") else {}
    if no_criterion("it", type(model), params):
        return held_out_distance(data, device, seed, source_class(model, params))
    return lambda fitted: float(fitted.held_out_loss(data, device))  # type: ignore[attr-defined]


def held_out_distance(
    data: TrainData, device: Device, seed: int, of: SourceClass = "other"
) -> Callable[[Generator], float]:
    """-> monitor(model): mean over classes of the energy distance (validators/maths/kernel.py), lower is better.

    Per class, between `SAMPLES_PER_CLASS` samples (the same draws at every look) and the held-out rows of the class, in
    row-standardised, averaged-down arrays. A model that converts starts from rows of train that are not held out,
    `of` another class than is asked for, or the same.
    Classes with fewer than `FEWEST` held-out rows are left out; raises `UserError` where that leaves none.

    Of tokens, bytes have no distance that says anything: the lines' hashed words and pieces of words are compared
    (features/text/ngrams.py).
    """
    held = np.flatnonzero(data.held_out)
    rows = {c: [n for n, i in enumerate(held) if data.emotions[i] == c] for c in data.classes}
    rows = {c: members for c, members in rows.items() if len(members) >= FEWEST}
    if not rows:
        raise UserError(
            f"early stopping holds out {len(held)} train samples, and no class has {FEWEST} of them; hold out more "
            "(generator.early_stop.share), or set generator.early_stop.every to 0"
        )
    cells = _words if data.spec.layout == "tokens" else _cells
    real = cells(np.asarray(data.arrays[held], dtype=np.float32))
    centre, scale = real.mean(0), real.std(0) + 1e-6
    sources = _Sources(data, seed, of)

    def monitor(model: Generator) -> float:
        distances = []
        for emotion, members in rows.items():
            draws = [_draw(emotion, k, seed, sources, model.takes) for k in range(SAMPLES_PER_CLASS)]
            sampled = cells(model.sample(draws, sources.arrays(draws) if model.takes else None, device=device))
            distances.append(energy_distance((sampled - centre) / scale, (real[members] - centre) / scale).value)
        return float(np.mean(distances))

    return monitor


def _draw(emotion: str, k: int, seed: int, sources: _Sources, takes: Sequence[str]) -> Draw:
    """The k-th draw of a class: the same at every look."""
    chosen = sources.of(emotion, k) if takes else {}
    return Draw(Condition(emotion), derive_seed("monitor", seed, emotion, k), chosen)


class _Sources:
    """What conversions may start from: rows of train that gradients see."""

    def __init__(self, data: TrainData, seed: int, of: SourceClass) -> None:
        seen = np.flatnonzero(~data.held_out).tolist()
        self._data, self._seed = data, derive_seed("monitor-sources", seed)
        self._row = {data.ids[i]: i for i in seen}
        self._table = SourceTable(
            ids=tuple(data.ids[i] for i in seen),
            emotions=tuple(data.emotions[i] for i in seen),
            subjects=tuple(data.subjects[i] for i in seen),
            source_class=of,
        )

    def of(self, emotion: str, k: int) -> dict[str, str]:
        """Role -> id of the source of the k-th draw."""
        return choose_sources([k], self._table, emotion, self._seed)[0]

    def arrays(self, draws: Sequence[Draw]) -> np.ndarray:
        """[n, *shape] float32: the source of each draw."""
        rows = [self._row[draw.sources["from"]] for draw in draws]
        return np.stack([np.asarray(self._data.arrays[i], dtype=np.float32) for i in rows])


def _words(arrays: np.ndarray) -> np.ndarray:
    """[n, T] bytes -> [n, columns]: which words and pieces of words a line has, each part of length 1."""
    return hashed_ngrams(lines_of(arrays))


def _cells(arrays: np.ndarray) -> np.ndarray:
    """[n, *shape] -> [n, about CELLS], by averaging runs of columns; a vector stays as it is."""
    n = len(arrays)
    if arrays.ndim == 2:
        return arrays
    w, rows = arrays.shape[-1], int(np.prod(arrays.shape[1:-1]))
    parts = int(np.clip(CELLS // rows, 1, w))
    edges = np.linspace(0, w, parts + 1).astype(int)[:-1]
    widths = np.diff([*edges, w])
    summed = np.add.reduceat(arrays, edges, axis=-1) / widths
    return summed.reshape(n, -1)
