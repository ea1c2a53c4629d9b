"""The small spaces in which a conversion moves a sample: its columns, the statistics of its rows, a latent of images.

Each turns arrays into values [N, D], learned from train alone, and moves an array by a difference of values. A
difference of 0 leaves the array as it is, bit for bit: what the space does not hold stays with the source.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

import numpy as np

from features.representation import Spec
from generators.effects import NormalScores

VOICED_ABOVE = 0.5
SPREAD_FLOOR = 1e-3  # in units of the row; a flat row has no spread whose logarithm could be taken
CONTRAST_FLOOR = 0.02  # of the value range; a flat image has no contrast to divide by
MAX_SPREAD_RATIO = 2.0  # rows are not stretched further: beyond it artefacts are louder than the emotion
State = dict[str, np.ndarray]  # of a fitted space, float64


class Space(Protocol):
    """What `Transfer` asks of one. `state`: what `fit` learned, for the file of the model."""

    state: State

    def fit(self, parts: Iterator[np.ndarray], n: int, n_classes: int) -> np.ndarray:
        """Train arrays [n, *spec.shape] in pieces -> their values [n, D] float64."""
        ...

    def moved(self, source: np.ndarray, move: np.ndarray) -> np.ndarray:
        """source [C, H, W] float64, move [D] in the units of the values -> [C, H, W] float64."""
        ...


class ColumnSpace:
    """Vectors: the columns themselves, or their normal scores (for columns with long tails). What is moved stays within
    the range of train and a margin, as samples of all generators do."""

    def __init__(self, spec: Spec, scale: Literal["units", "scores"], state: State | None = None) -> None:
        self.spec, self.scale = spec, scale
        self.state = state or {}
        self._scores = self._restored() if state and scale == "scores" else None

    def fit(self, parts: Iterator[np.ndarray], n: int, n_classes: int) -> np.ndarray:
        values = np.concatenate(list(parts), dtype=np.float64)
        self.state = {"low": values.min(axis=0), "high": values.max(axis=0)}
        if self.scale == "units":
            return values
        self._scores = NormalScores.fit(values)
        ends = np.cumsum([len(knots) for knots in self._scores.values])
        self.state |= {
            "knots": np.concatenate(self._scores.values),
            "scores": np.concatenate(self._scores.scores),
            "knot_ends": ends.astype(np.float64),
        }
        return self._scores.transform(values)

    def _restored(self) -> NormalScores:
        ends = self.state["knot_ends"].astype(np.int64)[:-1]
        return NormalScores(tuple(np.split(self.state["knots"], ends)), tuple(np.split(self.state["scores"], ends)))

    def moved(self, source: np.ndarray, move: np.ndarray) -> np.ndarray:
        from generators.normalise import MARGIN

        x = source[0, :, 0]
        if self._scores is not None:
            z = self._scores.transform(x[None])
            move = (self._scores.inverse(z + move) - self._scores.inverse(z))[0]
        low, high = self.state["low"], self.state["high"]
        margin = MARGIN * (high - low)
        moved: np.ndarray = np.where(move == 0, x, np.clip(x + move, low - margin, high + margin))
        return moved.reshape(source.shape)


class RowSpace:
    """Rows: what a listener calls the manner: mean and log spread of every row over valid columns (log-F0 over voiced
    ones), and the log duration where arrays have one. Signals are rows without a mask: their length stays."""

    def __init__(self, spec: Spec, move_duration: bool, state: State | None = None) -> None:
        self.spec, self.move_duration = spec, move_duration
        self.state = state or {}

    def fit(self, parts: Iterator[np.ndarray], n: int, n_classes: int) -> np.ndarray:
        from generators.normalise import on_grid

        values = np.concatenate([[self._statistics(a) for a in on_grid(part, self.spec)] for part in parts])
        self.state = {"length_range": np.exp([values[:, -1].min(), values[:, -1].max()])}
        return values

    def _row(self, name: str) -> int | None:
        return self.spec.rows.index(name) if name in self.spec.rows else None

    def _length(self, array: np.ndarray) -> int:
        """Valid columns of [C, H, W]; at least 1."""
        if self.spec.mask_row is None:
            return array.shape[-1]
        return max(1, int((array[0, self.spec.mask_row] > 0).sum()))

    def _moved(self) -> np.ndarray:
        """[H] bool: rows whose statistics move. Voicing and the mask say where something is, not how it is."""
        stays = {self._row("voicing"), self.spec.mask_row}
        return np.array([h not in stays for h in range(self.spec.grid[1])])

    def _mean_and_spread(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[C, H, W] -> mean and standard deviation [C, H, 1] over valid columns (log-F0: voiced ones, if there are
        any).
        """
        valid = array[:, :, : self._length(array)]
        mean, spread = valid.mean(axis=2, keepdims=True), valid.std(axis=2, keepdims=True)
        f0, voicing = self._row("log_f0"), self._row("voicing")
        if f0 is not None and voicing is not None:
            voiced = valid[0, voicing] > VOICED_ABOVE
            if voiced.any():
                mean[:, f0, 0], spread[:, f0, 0] = valid[:, f0, voiced].mean(axis=1), valid[:, f0, voiced].std(axis=1)
        return mean, np.maximum(spread, SPREAD_FLOOR)

    def _statistics(self, array: np.ndarray) -> np.ndarray:
        """[C, H, W] -> [2 * C * moved rows + 1]: means, log standard deviations, log length in columns."""
        mean, spread = self._mean_and_spread(array.astype(np.float64))
        moved = self._moved()
        return np.concatenate([mean[:, moved].ravel(), np.log(spread[:, moved]).ravel(), [np.log(self._length(array))]])

    def moved(self, source: np.ndarray, move: np.ndarray) -> np.ndarray:
        if not move.any():
            return source
        moved, channels = self._moved(), self.spec.grid[0]
        half = (len(move) - 1) // 2
        shift, stretch = np.zeros((channels, len(moved), 1)), np.ones((channels, len(moved), 1))
        shift[:, moved, 0] = move[:half].reshape(channels, -1)
        ratio = np.exp(move[half:-1]).clip(1.0 / MAX_SPREAD_RATIO, MAX_SPREAD_RATIO)
        stretch[:, moved, 0] = ratio.reshape(channels, -1)
        length = self._length(source)
        mean, _ = self._mean_and_spread(source)
        valid = (source[:, :, :length] - mean) * stretch + mean + shift
        low, high = self.state["length_range"].tolist()
        wanted = length * float(np.exp(move[-1])) if self.move_duration else length
        # never further outside the lengths of train than the source itself is
        new = round(min(max(wanted, min(low, length)), max(high, length), float(source.shape[-1])))
        out = np.repeat(self._padding(source, length), source.shape[-1], axis=2)
        out[:, :, :new] = _resampled(valid, new)
        voicing, mask = self._row("voicing"), self.spec.mask_row
        if voicing is not None:
            out[:, voicing, :new] = out[:, voicing, :new] > VOICED_ABOVE
        if mask is not None:
            out[:, mask, :new], out[:, mask, new:] = 1.0, -1.0
        return out if self.spec.bounds is None else np.clip(out, *self.spec.bounds)

    def _padding(self, source: np.ndarray, length: int) -> np.ndarray:
        """[C, H, 1]: what stands in a column of padding; zeros where the source has none."""
        return source[:, :, -1:].copy() if length < source.shape[-1] else np.zeros((*source.shape[:2], 1))


class ImageSpace:
    """Images: principal components of train's images with their own brightness and contrast taken out. What they do
    not hold, the residual, stays with the source, as do its brightness and contrast."""

    def __init__(self, spec: Spec, components: int, state: State | None = None) -> None:
        self.spec, self.components = spec, components
        self.state = state or {}

    def fit(self, parts: Iterator[np.ndarray], n: int, n_classes: int) -> np.ndarray:
        flats = (part.reshape(len(part), -1).astype(np.float64) for part in parts)
        flat = np.concatenate([(part - level) / contrast for part in flats for level, contrast in [_light(part)]])
        centre = flat.mean(axis=0)
        # the spread within classes is estimated in this space: a third as many axes as samples, at most
        axes = principal_axes(flat - centre, min(self.components, max(1, (n - n_classes) // 3)))
        self.state = {"axes": axes}
        return (flat - centre) @ axes.T

    def moved(self, source: np.ndarray, move: np.ndarray) -> np.ndarray:
        if not move.any():
            return source
        _, contrast = _light(source.reshape(1, -1))
        moved = source + float(contrast[0, 0]) * (move @ self.state["axes"]).reshape(source.shape)
        return moved if self.spec.bounds is None else np.clip(moved, *self.spec.bounds)


def principal_axes(centred: np.ndarray, most: int) -> np.ndarray:
    """[N, D] centred -> [k, D] orthonormal axes of largest variance, k = min(most, N - 1, D)."""
    n, d = centred.shape
    k = max(1, min(most, n - 1, d))
    if d <= n:
        _, vectors = np.linalg.eigh(centred.T @ centred)
        axes = vectors[:, ::-1][:, :k].T
    else:  # the small side: axes are combinations of the samples
        values, vectors = np.linalg.eigh(centred @ centred.T)
        axes = (vectors[:, ::-1][:, :k].T @ centred) / np.sqrt(np.maximum(values[::-1][:k], 1e-12))[:, None]
    # the sign of an axis is arbitrary and differs between BLAS builds
    return axes * np.sign(axes[np.arange(k), np.abs(axes).argmax(axis=1)])[:, None]


def _light(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[B, D] -> brightness (mean) and contrast (standard deviation) of each image, [B, 1]."""
    return flat.mean(axis=1, keepdims=True), np.maximum(flat.std(axis=1, keepdims=True), CONTRAST_FLOOR)


def _resampled(columns: np.ndarray, length: int) -> np.ndarray:
    """[C, H, T] -> [C, H, length], linear in time, first and last column kept."""
    at = np.linspace(0.0, columns.shape[2] - 1.0, length) if length > 1 else np.zeros(1)
    left = np.floor(at).astype(np.int64)
    right = np.minimum(left + 1, columns.shape[2] - 1)
    share = at - left
    return columns[:, :, left] * (1.0 - share) + columns[:, :, right] * share
