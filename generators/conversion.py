"""Conversion: a real sample of another class, moved by what the class that is asked for does to a sample.

What a class does is a shift in a small space (generators/spaces.py); everything else of the source (its speaker, its
words, its face) is left alone, so the result keeps the identity and is hard to beat. No network and no steps. The shift
of a class with few samples is estimated with the help of the others (generators/effects); of images, whose columns mean
nothing alone, in the latent of the train split.

Strength 0 gives the source back, bit for bit. Every sample of another class is a source: for a rare class that is
several for each one that is missing, which then weigh less each (`target.by: weight`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from corpora.errors import UserError
from features.representation import Spec
from generators.effects import EffectParams, class_effects
from generators.generator import Device, Draw, Monitor, Progress, TrainData, require_layout
from generators.params import GeneratorParams, parse_params
from generators.spaces import ColumnSpace, ImageSpace, RowSpace, Space, State
from training.checkpoint import load_model, save_tensors
from training.seeds import generator as seeded

IMAGE_STRENGTH = 2.0
FLAT = 1e-9  # of the largest spread of a column: below it the column says nothing of a class


class TransferParams(EffectParams):
    """Parameters of the conversion."""

    strength: float | None = Field(
        None,
        ge=0,
        le=5,
        description="how much of the difference of class effects is applied; default: 1 for rows and vectors, 2 for "
        "images, whose residual keeps much of the source's class",
    )
    strength_range: float = Field(
        0.2, ge=0, le=1, description="the strength of each draw varies by up to this share, by its seed"
    )
    scale: Literal["units", "scores"] = Field(
        "units",
        description="vectors: effects add up in the columns' own units, or in their normal scores (columns with long "
        "tails, as functionals have)",
    )
    components: int = Field(64, ge=1, le=1024, description="principal components of the latent of images")
    move_duration: bool | None = Field(
        None,
        description="rows with a length: stretch or shorten towards the class' mean duration; default: of speech, "
        "which is rendered; what edits a trial keeps its length",
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
        self.space: Space | None = None
        self.offsets = np.zeros((1, 0, 0, 0))  # [1 + corpora, K target, K source, D]; first: of all corpora together
        self.corpora: tuple[str, ...] = ()  # where there are several
        self.how: tuple[str, ...] = ()  # of each class, how its effect was estimated
        self.source_emotions: dict[str, str] = {}  # what a source is moved away from; train samples only

    @property
    def refuses(self) -> dict[str, str]:
        """Class -> why nothing is converted to it."""
        return {name: how for name, how in zip(self.classes, self.how, strict=False) if how.startswith("refused")}

    def _space(self, state: State | None = None) -> Space:
        if self.spec.layout == "vector":
            return ColumnSpace(self.spec, self.params.scale, state)
        if self.spec.layout == "rows":
            moves = self.params.move_duration
            return RowSpace(self.spec, "log_f0" in self.spec.rows if moves is None else moves, state)
        return ImageSpace(self.spec, self.params.components, state)

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
        from generators.normalise import chunks
        from generators.trained import check_train_data

        rows = check_train_data(data, self.spec, self.classes)
        if len(self.classes) < 2:
            raise UserError(f"a conversion needs a class to come from; there is only {self.classes[0]!r}")
        labels = np.array([self.classes.index(data.emotions[i]) for i in rows])
        space = self._space()
        values = space.fit(chunks(data.arrays, rows), len(rows), len(self.classes))
        spread = _spread_within(values, labels, len(self.classes))
        values /= spread  # not a second one of all of train
        effects = class_effects(
            values,
            labels,
            [data.subjects[i] for i in rows],
            len(self.classes),
            corpora=[data.ids[i].partition("/")[0] for i in rows],
            params=self.params,
        )
        self.space, self.how, self.corpora = space, effects.how, tuple(effects.by_corpus)
        each = [effects, *effects.by_corpus.values()]
        self.offsets = np.stack([of.offsets for of in each]) * spread
        if len(self.refuses) == len(self.classes):
            raise UserError("no class has enough train samples for its effect: " + "; ".join(dict.fromkeys(self.how)))
        self.source_emotions = dict(zip(data.ids, data.emotions, strict=True))
        uncertain, shift = (float(np.sqrt(np.nanmean(v))) for v in (effects.variance, effects.offsets**2))
        yield Progress(1, 1, {"loss": uncertain, "shift": shift}, 0.0)  # in standard deviations within classes

    def sample(self, draws: Sequence[Draw], sources: np.ndarray | None = None, *, device: Device) -> np.ndarray:
        """Each draw names one train sample of another class; sources[i] is its array, in the representation's units.
        Raises `UserError` for a class that the generator `refuses`."""
        from generators.condition import ConditionFields, encode_conditions, require_sources
        from generators.normalise import on_grid

        if self.space is None:
            raise UserError(f"generator {self.name} is not fitted yet; fit or load it first")
        sources = require_sources(draws, sources, self.takes, self.spec, f"generator {self.name}")
        encode_conditions([d.condition for d in draws], self.classes, ConditionFields())  # refuses what is not honoured
        grids = on_grid(np.asarray(sources, np.float64), self.spec)
        converted = [self.space.moved(grid, self._move(draw)) for draw, grid in zip(draws, grids, strict=True)]
        moved = np.stack(converted).astype(np.float32) if converted else np.zeros((0, *self.spec.grid), np.float32)
        return moved.reshape(-1, *self.spec.shape)

    def _move(self, draw: Draw) -> np.ndarray:
        """[D] what is added to the source of a draw, in the units of the space's values."""
        import torch

        from generators.condition import emotion_weights

        source_id = draw.sources["from"]
        if source_id not in self.source_emotions:
            raise UserError(f"source {source_id!r} is not a train sample that this generator was fitted with")
        origin = self.classes.index(self.source_emotions[source_id])
        asked = np.asarray(emotion_weights(draw.condition.emotion, self.classes), np.float64)
        for k in np.flatnonzero(asked):
            if self.classes[k] in self.refuses:
                raise UserError(f"generator {self.name} converts nothing to {self.classes[k]!r}: {self.how[k]}")
        targets = np.flatnonzero(asked)
        whole: np.ndarray = asked[targets] @ self._offsets(source_id.partition("/")[0])[targets, origin]
        if not np.isfinite(whole).all():
            raise UserError(f"source {source_id!r} is of {self.classes[origin]!r}, which has too few train samples")
        turn = 2.0 * float(torch.rand((), generator=seeded(draw.seed), dtype=torch.float64)) - 1.0
        usual = IMAGE_STRENGTH if self.spec.layout == "image" else 1.0
        strength = usual if self.params.strength is None else self.params.strength
        return strength * (1.0 + self.params.strength_range * turn) * whole

    def _offsets(self, corpus: str) -> np.ndarray:
        """[K, K, D] of a source's corpus; of a class that the corpus does not know well enough, of all corpora."""
        if corpus not in self.corpora:
            return self.offsets[0]
        own = self.offsets[1 + self.corpora.index(corpus)]
        return np.where(np.isfinite(own), own, self.offsets[0])

    # -- on disk

    def save(self, folder: Path) -> None:
        """Writes model.safetensors and config.json."""
        import torch

        from generators.trained import FORMAT

        if self.space is None:
            raise UserError(f"generator {self.name} is not fitted yet; fit or load it first")
        arrays = {"offsets": self.offsets, **self.space.state}
        save_tensors(
            folder,
            {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()},
            {
                "format": FORMAT,
                "generator": self.name,
                "spec": asdict(self.spec),
                "classes": list(self.classes),
                "params": self.params.model_dump(),
                "how": list(self.how),
                "corpora": list(self.corpora),
                "source_emotions": self.source_emotions,
            },
        )

    @classmethod
    def load(cls, folder: Path, *, device: Device) -> Self:
        """Raises `IntegrityError` where the folder does not hold a model of this generator."""
        from generators.trained import FORMAT

        tensors, config = load_model(folder, cls.name, FORMAT, needs=("offsets",))
        model = cls(Spec.from_json(config["spec"]), config["classes"], **config["params"])
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        model.offsets, model.how = arrays.pop("offsets"), tuple(config["how"])
        model.corpora = tuple(config["corpora"])
        model.space, model.source_emotions = model._space(arrays), config["source_emotions"]
        return model


def _spread_within(values: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """[N, D] -> [D] standard deviation within classes, the unit in which effects are estimated; 1 for a column that is
    flat."""
    means = np.stack([values[labels == k].mean(axis=0) for k in range(n_classes)])
    rest = means[labels]
    np.subtract(values, rest, out=rest)
    np.square(rest, out=rest)
    spread = np.sqrt(rest.mean(axis=0))
    widest = float(spread.max()) if spread.size else 0.0
    return np.where(spread > FLAT * max(widest, 1e-300), spread, 1.0)
