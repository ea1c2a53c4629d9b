"""What alarms look at in samples of each kind: how different they are, where their class lies, how much detail they
have (validators/trials/alarms.py).

Kinds (`points`) are told apart in what is coarse, detail (`levels`) is what the coarse look does not see, so that a
blurred batch does not look collapsed, nor a collapsed one blurred. Everything is learned from real train samples.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from validators.batch import Batch
from validators.embeddings.features import features_of, plain_features
from validators.embeddings.images import FACE_SIDE, MEL_BANDS, MEL_COLUMNS
from validators.embeddings.projection import Projection, standardised
from validators.maths.alarms import modes
from validators.maths.kernel import squared_distances
from validators.maths.sets import column_scale
from validators.maths.text.words import ngrams, text_of, tokens

COARSE, FINE = 16, 32  # principal components: of kinds, and of where a class lies
LEAD = 0.8  # of the variance within classes: the components of a vector that are coarse
HIGH = 0.25  # cycles a pixel: half of the highest frequency there is
PER_COMPONENT = 5  # train rows for each component: of fewer the small ones are mostly noise
PAIRS = 400  # rows whose distances say how wide a kernel is


@dataclass(frozen=True)
class Look:
    """A batch of n rows. points: [n, d] where kinds are told apart; classes: [n, e] where classes do; levels: name ->
    [n] >= 0, detail of each row; grams: of texts, the pairs of words of each."""

    points: np.ndarray
    classes: np.ndarray
    levels: dict[str, np.ndarray]
    grams: tuple[tuple[tuple[str, ...], ...], ...] = ()

    def count(self, rows: np.ndarray, width: float) -> float:
        """Log of how many different rows there are among these: Vendi score with a kernel of `width`; of texts
        distinct-2 (Li et al. 2016), the share of their pairs of words that are different."""
        if not self.grams:
            return modes(self.points[rows], width)
        pairs = [pair for row in rows for pair in self.grams[row]]
        return math.log(len(set(pairs)) / len(pairs)) if pairs else 0.0


class Eye(Protocol):
    """Looks at batches of one kind as it learned from train."""

    def look(self, batch: Batch) -> Look:
        """Of a batch whose rows can all be used."""
        ...


def eye_of(train: Batch) -> Eye:
    """Learned from train (all rows usable). Raises `UserError` for other channels than each other's."""
    if train.kind == "vector":
        return VectorEye(train)
    return TextEye(train) if train.kind == "text" else SignalEye(train)


def kernel_width(points: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """Median distance between real rows of one class; 1 where all are equal."""
    rows = np.random.default_rng(seed).permutation(len(points))[:PAIRS]
    own = labels[rows]
    distances = squared_distances(points[rows], points[rows])[
        (own[:, None] == own[None]) & ~np.eye(len(rows), dtype=bool)
    ]
    width = float(np.sqrt(np.median(distances))) if distances.size else 0.0
    return width or 1.0


class VectorEye:
    """Rows of features, in the principal components within classes: the leading ones are coarse, the others detail."""

    def __init__(self, train: Batch) -> None:
        x, labels = features_of(train, "plain"), np.asarray(train.emotions, dtype=str)
        self._mean = x.mean(axis=0)
        self._scale = column_scale(x.std(axis=0), self._mean)
        standard = standardised(x, self._mean, self._scale)
        within = _residuals(standard, labels, out=standard)
        values, vectors = np.linalg.eigh(within.T @ within / max(len(x) - len(np.unique(labels)), 1))
        values, vectors = values[::-1], vectors[:, ::-1]
        known = max(1, min(int((values > 1e-8 * max(values[0], 1e-300)).sum()), len(x) // PER_COMPONENT))
        self._basis = vectors[:, :known] / np.sqrt(np.maximum(values[:known], 1e-300))
        share = np.cumsum(values[:known]) / values[:known].sum()
        self._lead = min(int(np.searchsorted(share, LEAD)) + 1, known - 1) if known > 1 else 1

    def look(self, batch: Batch) -> Look:
        """levels: "detail", mean square about the class' own mean in the small components; "spread": in the rest."""
        w = standardised(features_of(batch, "plain"), self._mean, self._scale) @ self._basis
        squares = _residuals(w, np.asarray(batch.emotions, dtype=str)) ** 2
        parts = {"spread": squares[:, : self._lead], "detail": squares[:, self._lead :]}
        levels = {name: part.mean(axis=1) for name, part in parts.items() if part.shape[1]}
        return Look(w[:, : min(self._lead, COARSE)], w, levels)


def _residuals(x: np.ndarray, labels: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """[n, d] minus the mean of the row's class, at the length that rows about the true mean would have; in `out`, which
    may be x."""
    out = np.empty_like(x) if out is None else out
    for name in np.unique(labels):
        own = labels == name
        rows, n = x[own], int(own.sum())
        rows -= rows.mean(axis=0)
        rows *= math.sqrt(n / max(n - 1, 1))
        out[own] = rows
    return out


class SignalEye:
    """Faces, voices and signals: coarse pictures of them (of physiology levels and paces). Classes are looked for in
    hand-made features, of faces in a picture of 12 x 12: edges are what a blur takes first, whatever the face shows."""

    def __init__(self, train: Batch) -> None:
        self._coarse = Projection.fit(_coarse(train), COARSE, whiten=True)
        self._classes = Projection.fit(_class_features(train), FINE, whiten=True)
        self._scale = _channel_scale(train) if train.kind == "physio" else np.ones(1)

    def look(self, batch: Batch) -> Look:
        """levels: "detail" and "spread" as root mean squares: of faces above a quarter of a cycle a pixel, of voices
        in the log-mel picture beside its neighbourhood, of signals from one value to the next."""
        levels = {"face": _face_levels, "speech": _voice_levels}.get(batch.kind)
        return Look(
            self._coarse.apply(_coarse(batch)),
            self._classes.apply(_class_features(batch)),
            levels(batch) if levels else _signal_levels(batch, self._scale),
        )


def _picture(batch: Batch) -> np.ndarray:
    if batch.kind == "face":
        return features_of(batch, "pixels").reshape(len(batch), FACE_SIDE, FACE_SIDE)
    return features_of(batch, "mel").reshape(len(batch), MEL_BANDS, MEL_COLUMNS)


def _coarse(batch: Batch) -> np.ndarray:
    """[n, 64 or 80]: means of blocks of the picture; of physiology its hand-made features."""
    if batch.kind == "physio":
        return plain_features(batch)
    return _blocks(_picture(batch), 6, 6) if batch.kind == "face" else _blocks(_picture(batch), 4, 8)


def _class_features(batch: Batch) -> np.ndarray:
    return _blocks(_picture(batch), 4, 4) if batch.kind == "face" else plain_features(batch)


def _blocks(picture: np.ndarray, down: int, across: int) -> np.ndarray:
    """[n, H, W] -> [n, H / down * W / across] means."""
    n, height, width = picture.shape
    means: np.ndarray = picture.reshape(n, height // down, down, width // across, across).mean(axis=(2, 4))
    return means.reshape(n, -1)


def _face_levels(batch: Batch) -> dict[str, np.ndarray]:
    picture = _picture(batch)
    picture = picture - picture.mean(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.fft2(picture)) ** 2 / picture[0].size
    frequency = np.fft.fftfreq(FACE_SIDE)
    high = np.hypot(frequency[:, None], frequency[None]) > HIGH
    return {"detail": np.sqrt(power[:, high].mean(axis=1)), "spread": picture.std(axis=(1, 2))}


def _voice_levels(batch: Batch) -> dict[str, np.ndarray]:
    from scipy.ndimage import uniform_filter

    picture = _picture(batch)
    beside = picture - uniform_filter(picture, size=(0, 3, 3))
    moves = picture.var(axis=2).mean(axis=1)
    return {"detail": np.sqrt((beside**2).mean(axis=(1, 2))), "spread": np.sqrt(moves)}


def _trials(batch: Batch) -> list[np.ndarray]:
    return [np.asarray(s, np.float64).reshape(len(s), -1) for s in batch.signals]


def _channel_scale(batch: Batch) -> np.ndarray:
    spread: np.ndarray = np.median([trial.std(axis=0) for trial in _trials(batch)], axis=0)
    return np.where(spread > 0, spread, 1.0)


def _signal_levels(batch: Batch, scale: np.ndarray) -> dict[str, np.ndarray]:
    trials = [trial / scale for trial in _trials(batch)]
    steps = [np.diff(trial, axis=0) if len(trial) > 1 else np.zeros_like(trial) for trial in trials]
    detail = [float(np.sqrt((step**2).mean(axis=0)).mean()) for step in steps]
    return {"detail": np.asarray(detail), "spread": np.asarray([float(t.std(axis=0).mean()) for t in trials])}


class TextEye:
    """Texts: hashed n-grams, and what words they take."""

    def __init__(self, train: Batch) -> None:
        self._classes = Projection.fit(plain_features(train), FINE)
        words = [_words(batch_text) for batch_text in train.signals]
        counts = Counter(word for own in words for word in own)
        half, so_far, common = sum(counts.values()) / 2, 0, set()
        for word, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            if so_far >= half:
                break
            common.add(word)
            so_far += n
        self._common = frozenset(common)
        self._length = float(np.median([math.log1p(len(own)) for own in words]))

    def look(self, batch: Batch) -> Look:
        """levels: "rare words", the share of words beside the commonest ones that make up half of train; "length", how
        far the log of the number of words lies from train's median."""
        words = [_words(signal) for signal in batch.signals]
        rare = [sum(w not in self._common for w in own) / max(len(own), 1) for own in words]
        lengths = [abs(math.log1p(len(own)) - self._length) for own in words]
        points = self._classes.apply(plain_features(batch))
        grams = tuple(tuple(ngrams(own, 2)) for own in words)
        return Look(points, points, {"rare words": np.asarray(rare), "length": np.asarray(lengths)}, grams)


def _words(signal: np.ndarray) -> list[str]:
    return tokens((text_of(np.asarray(signal)) or "").lower())
