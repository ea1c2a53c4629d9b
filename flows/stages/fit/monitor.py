"""A score to stop early by: how far samples lie from the part of train that gradients never saw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from generators.generator import Condition, Device, Draw, Generator, TrainData
from training.seeds import derive_seed

SAMPLES_PER_CLASS = 16
CELLS = 256  # arrays are averaged down to about this many cells, so that the distance sees shape and not noise


def held_out_distance(data: TrainData, device: Device, seed: int) -> Callable[[Generator], float]:
    """-> monitor(model): mean over classes of the squared energy distance (Szekely & Rizzo 2013), lower is better.

    Per class, between `SAMPLES_PER_CLASS` samples (the same draws at every look) and the held-out rows of the class, in
    row-standardised, averaged-down arrays. Classes without held-out rows are left out.
    """
    held = np.flatnonzero(data.held_out)
    real = _cells(np.asarray(data.arrays[held], dtype=np.float32))
    centre, scale = real.mean(0), real.std(0) + 1e-6
    rows = {c: [n for n, i in enumerate(held) if data.emotions[i] == c] for c in data.classes}

    def monitor(model: Generator) -> float:
        distances = []
        for emotion, members in rows.items():
            if not members:
                continue
            draws = [
                Draw(Condition(emotion), derive_seed("monitor", seed, emotion, k)) for k in range(SAMPLES_PER_CLASS)
            ]
            made = _cells(model.sample(draws, None, device=device))
            distances.append(energy_distance((made - centre) / scale, (real[members] - centre) / scale))
        return float(np.mean(distances))

    return monitor


def energy_distance(x: np.ndarray, y: np.ndarray) -> float:
    """[n, d], [m, d] -> 2 E|X-Y| - E|X-X'| - E|Y-Y'| as a V-statistic, >= 0."""

    def mean_distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)).mean())

    return 2 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y)


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
