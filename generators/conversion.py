"""Conversion baseline: a real sample of another class, moved by the difference of the class means.

What a class does to a sample is a mean shift in a small space; everything else of the source (its speaker, its words,
its face) is left alone, so the result keeps the identity and is hard to beat. No network and no steps.

- Rows: the space is what a listener calls the manner: mean and spread of every row over valid columns (log-F0 over
  voiced ones), and the duration where arrays have one. Means are taken after each subject's own mean is removed, where
  subjects are known. Signals are rows without a mask: their statistics move, their length stays.
- Vectors: the space is the columns themselves, centred by subject likewise.
- Images: the space is a linear latent of the train split (principal components of images with their own brightness and
  contrast taken out); what the components do not hold, the residual, stays with the source, as do its brightness and
  contrast. Centred by subject where subjects are known, else globally.

Class means are shrunk towards "no difference" by empirical Bayes (Efron & Morris 1975, JASA 70:311-319): what a rare
class seems to do with few samples is mostly noise. Rows and vectors: dimension by dimension, since each means
something. Images: the whole vector of a class at once, in coordinates where the spread within classes is 1, since no
component means anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import Field

from corpora.errors import IntegrityError, UserError
from features.representation import Spec
from generators.condition import ConditionFields, emotion_weights, encode_conditions
from generators.effects import centre_by_subject, shrunk_means, stein_means
from generators.generator import Device, Draw, Monitor, Progress, TrainData, require_layout
from generators.normalise import MARGIN, chunks, on_grid
from generators.params import GeneratorParams, parse_params
from generators.trained import FORMAT, check_train_data
from training.checkpoint import load_tensors, save_tensors
from training.seeds import generator as seeded

VOICED_ABOVE = 0.5
SPREAD_FLOOR = 1e-3  # in units of the row; a flat row has no spread whose logarithm could be taken
IMAGE_STRENGTH = 2.0
CONTRAST_FLOOR = 0.02  # of the value range; a flat image has no contrast to divide by
MAX_SPREAD_RATIO = 2.0  # rows are not stretched further: beyond it artefacts are louder than the emotion


class TransferParams(GeneratorParams):
    """Parameters of the conversion baseline."""

    strength: float | None = Field(
        None,
        ge=0,
        le=5,
        description="how much of the difference of class means is applied; default: 1 for rows and vectors, 2 for "
        "images, whose residual keeps much of the source's class",
    )
    strength_range: float = Field(
        0.2, ge=0, le=1, description="the strength of each draw varies by up to this share, by its seed"
    )
    components: int = Field(64, ge=1, le=1024, description="principal components of the latent of images")
    move_duration: bool = Field(
        True, description="rows with a length: stretch or shorten towards the class' mean duration"
    )


class Transfer:
    """transfer: see the module. Sources are train samples; choose them with `choose_sources`."""

    name: ClassVar[str] = "transfer"
    Params: ClassVar[type[GeneratorParams]] = TransferParams
    takes: tuple[str, ...] = ("from",)
    layouts: frozenset[str] = frozenset({"image", "rows", "vector"})
    honours: frozenset[str] = frozenset()

    @classmethod
    def can_honour(cls, params: Mapping[str, Any]) -> frozenset[str]:
        """Nothing beside the emotion."""
        return frozenset()

    trains: bool = False

    def __init__(self, spec: Spec, classes: Sequence[str], **params: Any) -> None:
        require_layout(self.name, type(self), spec)
        self.spec = spec
        self.classes = tuple(classes)
        self.params: TransferParams = parse_params(TransferParams, params, self.name)
        self.tensors: dict[str, torch.Tensor] | None = None
        self.source_emotions: dict[str, str] = {}  # what a source is moved away from; train samples only

    def fit(
        self,
        data: TrainData,
        *,
        steps: int,
        seed: int,
        device: Device,
        checkpoints: Path | None = None,
        checkpoint_every: int = 500,
        monitor: Monitor | None = None,
        monitor_every: int = 0,
        patience: int = 0,
    ) -> Iterator[Progress]:
        """Closed form: one report. `steps`, `seed`, checkpoints and monitor have nothing to do here."""
        rows = check_train_data(data, self.spec, self.classes)
        if len(self.classes) < 2:
            raise UserError(f"a conversion needs a class to come from; there is only {self.classes[0]!r}")
        labels = np.array([self.classes.index(data.emotions[i]) for i in rows])
        fitted: dict[str, np.ndarray] = {}
        if self.spec.layout == "vector":
            values = np.concatenate([part.astype(np.float64) for part in chunks(data.arrays, rows)])
            fitted["low"], fitted["high"] = values.min(axis=0), values.max(axis=0)
        elif self.spec.layout == "rows":
            values = np.concatenate(
                [[self._statistics(a) for a in on_grid(part, self.spec)] for part in chunks(data.arrays, rows)]
            )
            fitted["length_range"] = np.exp([values[:, -1].min(), values[:, -1].max()])
        else:
            parts = [part.reshape(len(part), -1).astype(np.float64) for part in chunks(data.arrays, rows)]
            flat = np.concatenate([(part - level) / contrast for part in parts for level, contrast in [_light(part)]])
            fitted["centre"] = flat.mean(axis=0)
            # the spread within classes is estimated in this space: a third as many axes as samples, at most
            most = min(self.params.components, max(1, (len(rows) - len(self.classes)) // 3))
            fitted["axes"] = principal_axes(flat - fitted["centre"], most)
            values = (flat - fitted["centre"]) @ fitted["axes"].T
        deviations = centre_by_subject(values, labels, [data.subjects[i] for i in rows], len(self.classes))
        shrink = stein_means if self.spec.layout == "image" else shrunk_means
        fitted["means"], fitted["kept"] = shrink(deviations, labels, len(self.classes))
        self.tensors = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in fitted.items()}
        self.source_emotions = dict(zip(data.ids, data.emotions, strict=True))
        error = float(((deviations - fitted["means"][labels]) ** 2).mean())
        yield Progress(1, 1, {"loss": error, "kept": float(fitted["kept"].mean())}, 0.0)

    def sample(self, draws: Sequence[Draw], sources: np.ndarray | None = None, *, device: Device) -> np.ndarray:
        """Each draw names one train sample of another class; sources[i] is its array, in the representation's units."""
        if self.tensors is None:
            raise UserError(f"generator {self.name} is not fitted yet; fit or load it first")
        if sources is None or len(sources) != len(draws) or any(set(d.sources) != {"from"} for d in draws):
            raise UserError(
                f"generator {self.name} converts real samples: every draw names one source and sources has its array"
            )
        if tuple(sources.shape[1:]) != tuple(self.spec.shape) or not np.isfinite(sources).all():
            raise UserError(f"sources have shape {sources.shape}; wanted: finite arrays of shape {self.spec.shape}")
        encode_conditions([d.condition for d in draws], self.classes, ConditionFields())  # refuses what is not honoured
        grids = on_grid(np.asarray(sources, np.float64), self.spec)
        converted = [self._convert(draw, grid) for draw, grid in zip(draws, grids, strict=True)]
        moved = np.stack(converted).astype(np.float32) if converted else np.zeros((0, *self.spec.grid), np.float32)
        return moved.reshape(-1, *self.spec.shape)

    def _convert(self, draw: Draw, source: np.ndarray) -> np.ndarray:
        assert self.tensors is not None
        source_id = draw.sources["from"]
        if source_id not in self.source_emotions:
            raise UserError(f"source {source_id!r} is not a train sample that this generator was fitted with")
        means = self.tensors["means"].numpy()
        origin = means[self.classes.index(self.source_emotions[source_id])]
        target = emotion_weights(draw.condition.emotion, self.classes) @ means
        turn = 2.0 * float(torch.rand((), generator=seeded(draw.seed), dtype=torch.float64)) - 1.0
        usual = IMAGE_STRENGTH if self.spec.layout == "image" else 1.0
        strength = usual if self.params.strength is None else self.params.strength
        strength *= 1.0 + self.params.strength_range * turn
        move = strength * (target - origin)
        if self.spec.layout == "vector":
            return self._move_columns(source, move)
        if self.spec.layout == "rows":
            return self._move_rows(source, move)
        _, contrast = _light(source.reshape(1, -1))
        moved = source + float(contrast[0, 0]) * (move @ self.tensors["axes"].numpy()).reshape(source.shape)
        return moved if self.spec.bounds is None else np.clip(moved, *self.spec.bounds)

    # -- vectors

    def _move_columns(self, source: np.ndarray, move: np.ndarray) -> np.ndarray:
        """[1, D, 1] -> the same, moved; within the range of train and a margin, as all generators do."""
        assert self.tensors is not None
        low, high = self.tensors["low"].numpy(), self.tensors["high"].numpy()
        margin = MARGIN * (high - low)
        moved: np.ndarray = np.clip(source[0, :, 0] + move, low - margin, high + margin)
        return moved.reshape(source.shape)

    # -- rows: what of an utterance or a window of signals is moved

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

    def _move_rows(self, source: np.ndarray, move: np.ndarray) -> np.ndarray:
        assert self.tensors is not None
        moved, channels = self._moved(), self.spec.grid[0]
        half = (len(move) - 1) // 2
        shift, stretch = np.zeros((channels, len(moved), 1)), np.ones((channels, len(moved), 1))
        shift[:, moved, 0] = move[:half].reshape(channels, -1)
        ratio = np.exp(move[half:-1]).clip(1.0 / MAX_SPREAD_RATIO, MAX_SPREAD_RATIO)
        stretch[:, moved, 0] = ratio.reshape(channels, -1)
        length = self._length(source)
        mean, _ = self._mean_and_spread(source)
        valid = (source[:, :, :length] - mean) * stretch + mean + shift
        low, high = self.tensors["length_range"].tolist()
        wanted = length * float(np.exp(move[-1])) if self.params.move_duration else length
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

    # -- on disk

    def save(self, folder: Path) -> None:
        """Writes model.safetensors and config.json."""
        if self.tensors is None:
            raise UserError(f"generator {self.name} is not fitted yet; fit or load it first")
        save_tensors(
            folder,
            self.tensors,
            {
                "format": FORMAT,
                "generator": self.name,
                "spec": asdict(self.spec),
                "classes": list(self.classes),
                "params": self.params.model_dump(),
                "source_emotions": self.source_emotions,
            },
        )

    @classmethod
    def load(cls, folder: Path, *, device: Device) -> Self:
        """Raises `IntegrityError` where the folder does not hold a model of this generator."""
        tensors, config = load_tensors(folder)
        if config.get("generator") != cls.name or config.get("format") != FORMAT:
            raise IntegrityError(
                f"{folder} holds a model of {config.get('generator')!r} in format {config.get('format')!r}, "
                f"not of {cls.name!r} in format {FORMAT}; fit it again"
            )
        model = cls(Spec.from_json(config["spec"]), config["classes"], **config["params"])
        model.tensors, model.source_emotions = tensors, config["source_emotions"]
        return model


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
