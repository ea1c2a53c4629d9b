"""Intensity where the corpus rates none: rankers of each emotion against neutral, over features of the arrays that the
generator learns from (training/intensity.py).

What an early stop holds out is ranked by nobody: rankers see what gradients see.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from corpora.errors import ParamsError
from features.representation import Spec
from flows.artifacts.fitted import RankedIntensity
from flows.params import GeneratorParams
from generators.generator import TrainData
from training.intensity import rank_intensity

CELLS = 8  # of a side: images are averaged down to 8 x 8 cells
_BLOCK = 256  # arrays in memory at once
LAYOUTS = ("image", "rows", "vector")


def require_rankable(where: str, params: GeneratorParams, kind: Any, spec: Spec) -> None:
    """Raises `ParamsError` where ranked intensity would teach nobody (`kind`: the generator's class), or the arrays
    have no quantities to rank by. `where`: the run's key in params.yaml."""
    if "intensity" not in kind.can_honour(params.params):
        can = "honours" in kind.Params.model_fields
        mend = "add intensity to generator.params.honours" if can else "choose a generator that honours intensity"
        raise ParamsError(
            f"{where}.generator.intensity: 'ranked', but generator {params.name} does not honour intensity as it is "
            f"set up; {mend}, or leave `intensity` out"
        )
    if spec.layout not in LAYOUTS:
        raise ParamsError(
            f"{where}.generator.intensity: 'ranked', but arrays of layout {spec.layout} are no quantities to rank by "
            f"(only {', '.join(LAYOUTS)} are); leave it out, or model another representation"
        )


def with_ranked_intensity(data: TrainData, neutral: str) -> tuple[TrainData, RankedIntensity]:
    """The train data with intensities of rankers in place of ratings (NaN for what is held out), and how often rankers
    order a held-out pair of an emotional and a neutral sample right. Raises `UserError` where there is none to learn.
    """
    rows = np.flatnonzero(~np.asarray(data.held_out, bool))
    ranked = rank_intensity(
        ranking_features(data.arrays, data.spec, rows),
        [data.emotions[i] for i in rows],
        [data.groups[i] for i in rows],
        neutral,
    )
    intensity = np.full(len(data.arrays), np.nan)
    intensity[rows] = ranked.intensity
    summary = RankedIntensity(
        neutral=neutral,
        order_accuracy=round(ranked.order_accuracy, 6),
        n_pairs=ranked.n_pairs,
        by_emotion={name: round(value, 6) for name, value in sorted(ranked.by_emotion.items())},
    )
    return replace(data, ratings={**data.ratings, "intensity": intensity}), summary


def ranking_features(arrays: np.ndarray, spec: Spec, rows: np.ndarray) -> np.ndarray:
    """[N, *spec.shape], indices [n] -> [n, D] float64: columns of vectors; of rows the mean, spread and mean step of
    each over its valid columns, and how many these are; of images means and spreads of cells."""
    features = {"vector": _columns, "rows": _of_rows, "image": _of_cells}[spec.layout]
    return np.concatenate([features(part, spec) for part in _parts(arrays, rows)])


def _parts(arrays: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _BLOCK):
        yield np.asarray(arrays[rows[start : start + _BLOCK]], dtype=np.float64)


def _columns(x: np.ndarray, spec: Spec) -> np.ndarray:
    return x


def _of_rows(x: np.ndarray, spec: Spec) -> np.ndarray:
    valid = np.ones((len(x), x.shape[2]), bool) if spec.mask_row is None else x[:, spec.mask_row] > 0
    valid[~valid.any(axis=1)] = True  # an array without a valid column has nothing else to go by
    kept = [r for r in range(x.shape[1]) if r != spec.mask_row]
    out = []
    for array, columns in zip(x[:, kept], valid, strict=True):
        own = array[:, columns]
        step = np.abs(np.diff(own, axis=1)).mean(axis=1) if own.shape[1] > 1 else np.zeros(len(own))
        out.append(np.concatenate([own.mean(axis=1), own.std(axis=1), step, [columns.sum()]]))
    return np.stack(out)


def _of_cells(x: np.ndarray, spec: Spec) -> np.ndarray:
    n, channels, height, width = x.shape
    down, across = (np.array_split(np.arange(side), min(CELLS, side)) for side in (height, width))
    cells = [x[:, :, i[0] : i[-1] + 1, j[0] : j[-1] + 1].reshape(n, channels, -1) for i in down for j in across]
    parts = [cell.mean(axis=2) for cell in cells] + [cell.std(axis=2) for cell in cells]
    return np.concatenate(parts, axis=1)
