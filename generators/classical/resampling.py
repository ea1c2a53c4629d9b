"""Classical rows as a generator: SMOTE and its family, mixup, jitter and repeats, a draw at a time.

A draw names the train row that it starts from, of the class that it asks for; where a method moves it towards another
row, its seed says which. That other row is of the same class, and of the same corpus: a release gives a sample the
licence, subject and group of its source, and a row of another corpus would bring a licence that is not named. The model
holds the train rows, as a nearest neighbour's does: it is no less confidential than they are.

A soft label is one row of each of its classes, by the method, mixed by the shares that are asked for: the pairs (lambda
x_i + (1 - lambda) x_j, lambda y_i + (1 - lambda) y_j) of Zhang et al. 2018 (mixup, ICLR, eq. 1), with a lambda that is
asked for instead of drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, JsonValue, model_validator

from corpora.errors import UserError
from corpora.schema import FROM
from features.representation import Spec
from generators.classical.method import VECTOR_METHODS, Among, VectorMethod, vector_method
from generators.classical.vectors import within_sd
from generators.condition import emotion_weights, require_honoured, require_sources
from generators.generator import Device, Draw, Monitor, Progress, SourceClass, TrainData, require_layout
from generators.params import GeneratorParams, parse_params
from generators.trained import check_train_data
from training.checkpoint import load_model, save_tensors
from training.seeds import derive_seed

FORMAT = 1
Key = tuple[int, str]  # class index, and the corpus or the subject


class ResamplingParams(GeneratorParams):
    """Parameters of `resampling`."""

    method: Literal["smote", "borderline", "adasyn", "mixup", "jitter", "oversample"] = Field(
        "smote", description="how a row of a class is varied; the same methods as arms of studies have"
    )
    of_method: dict[str, JsonValue] = Field(
        default_factory=dict, description="parameters of the method (Methods of arms, below)"
    )
    within: Literal["corpus", "subject"] = Field(
        "corpus", description="whose rows of the class a row is moved towards: all of its corpus, or its subject's own"
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        vector_method(self.method, self.of_method)  # raises `ParamsError` for what the method does not have
        return self


class Resampling:
    """See the module, and `generators.generator.Generator`, whose methods these are."""

    name: ClassVar[str] = "resampling"
    Params: ClassVar[type[ResamplingParams]] = ResamplingParams
    takes: tuple[str, ...] = (FROM,)
    layouts: frozenset[str] = frozenset({"vector"})
    trains: bool = False
    honours: frozenset[str] = frozenset()

    def __init__(self, spec: Spec, classes: Sequence[str], **params: Any) -> None:
        require_layout(self.name, type(self), spec)
        self.spec, self.classes = spec, tuple(classes)
        self.params: ResamplingParams = parse_params(ResamplingParams, params, self.name)
        self.method: VectorMethod = vector_method(self.params.method, self.params.of_method)
        self.turns: dict[str, int] = {}  # train sample -> how often it is started from before all begin again
        self.refuses: dict[str, str] = {}
        self._emotions: dict[str, str] = {}  # of every train sample
        self._owners: dict[str, str] = {}  # train sample -> its corpus, or its subject, whose rows it is moved towards
        self._ids: tuple[str, ...] = ()  # of the rows
        self._rows = self._scale = self._unit = np.zeros(0)
        self._groups: dict[Key, np.ndarray] = {}

    @classmethod
    def can_honour(cls, params: Mapping[str, Any]) -> frozenset[str]:
        """Nothing beside the class."""
        return cls.honours

    @classmethod
    def source_class(cls, params: Mapping[str, Any]) -> SourceClass:
        """Variants of a class start from its own rows."""
        return "same"

    @classmethod
    def modules(cls, params: Mapping[str, Any]) -> tuple[str, ...]:
        """What is imported by name for these parameters: a sample depends on its code."""
        return (VECTOR_METHODS[parse_params(ResamplingParams, params, cls.name).method].partition(":")[0],)

    @classmethod
    def foresee(
        cls, params: Mapping[str, Any], ids: Sequence[str], emotions: Sequence[str], subjects: Sequence[str | None]
    ) -> list[str]:
        """What the train samples say against a fit, in words, before anything is prepared or fitted."""
        own = parse_params(ResamplingParams, params, cls.name)
        partners = vector_method(own.method, own.of_method).partners
        owners = _owners(ids, subjects, own.within)
        counts: dict[tuple[str, str], int] = {}
        for sample_id, emotion in zip(ids, emotions, strict=True):
            if sample_id in owners:
                key = emotion, owners[sample_id]
                counts[key] = counts.get(key, 0) + 1
        most = {name: max((n for (e, _), n in counts.items() if e == name), default=0) for name in set(emotions)}
        return [_too_few(own, name, n, partners) for name, n in sorted(most.items()) if n <= partners]

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
        """Keeps the rows that are not held out: one report. Classes that the method is not defined for are `refuses`;
        raises `UserError` where all are."""
        seen = check_train_data(data, self.spec, self.classes)
        x = np.asarray(data.arrays[seen], np.float64)
        y = np.array([self.classes.index(data.emotions[i]) for i in seen])
        spread = x.std(axis=0)
        flat = np.ptp(x, axis=0) == 0
        self._scale = np.where(flat | (spread == 0), 1.0, spread)
        self._unit = within_sd(x, y) if self.params.method == "jitter" else np.zeros(x.shape[1])
        self._rows, self._ids = x, tuple(data.ids[i] for i in seen)
        self._emotions = dict(zip(data.ids, data.emotions, strict=True))
        self._owners = _owners(data.ids, data.subjects, self.params.within)
        self._group(y)
        turns = dict(zip(self._ids, map(int, self.method.turns(x / self._scale, y)), strict=True))
        if all(turns.values()) and len(set(turns.values())) == 1:
            turns = dict.fromkeys(data.ids, 1)
        for sample_id, emotion in self._emotions.items():
            if len(self._members(self.classes.index(emotion), sample_id)) < self.method.partners:
                turns[sample_id] = 0
            turns.setdefault(sample_id, 0)
        self.turns = {i: n for i, n in turns.items() if n != 1}
        self.refuses = self._why_refused(turns)
        if len(self.refuses) == len(self.classes):
            raise UserError(f"generator {self.name}: " + "; ".join(dict.fromkeys(self.refuses.values())))
        yield Progress(1, 1, {"rows": float(len(seen))}, 0.0)

    def sample(self, draws: Sequence[Draw], sources: np.ndarray | None = None, *, device: Device) -> np.ndarray:
        """Each draw names one train sample of the class that it asks for (of a mixture: of one of its classes);
        sources[i] is its array. Raises `UserError` for a class that the generator `refuses`, and for a source that its
        method never starts from."""
        if not self._ids:
            raise UserError(f"generator {self.name} is not fitted yet; fit or load it first")
        sources = require_sources(draws, sources, self.takes, self.spec, f"generator {self.name}")
        rows = [self._drawn(draw, np.asarray(sources[i], np.float64)) for i, draw in enumerate(draws)]
        drawn = np.stack(rows).astype(np.float32) if rows else np.zeros((0, *self.spec.shape), np.float32)
        return drawn if self.spec.bounds is None else np.clip(drawn, *self.spec.bounds)

    def _drawn(self, draw: Draw, start: np.ndarray) -> np.ndarray:
        require_honoured(draw.condition, self.honours, f"generator {self.name}")
        shares = emotion_weights(draw.condition.emotion, self.classes).astype(np.float64)
        source = draw.sources[FROM]
        if source not in self._emotions:
            raise UserError(f"source {source!r} is not a train sample that this generator was fitted with")
        if self.turns.get(source, 1) == 0:
            raise UserError(f"{self.params.method} never starts from source {source!r}: {self._why_not(source)}")
        origin = self.classes.index(self._emotions[source])
        if shares[origin] == 0:
            asked = ", ".join(self.classes[k] for k in np.flatnonzero(shares))
            raise UserError(f"source {source!r} is of {self.classes[origin]!r}, and what is asked for is {asked}")
        parts = []
        for k in np.flatnonzero(shares):
            if self.classes[k] in self.refuses:
                raise UserError(f"generator {self.name} draws nothing of {self.refuses[self.classes[k]]}")
            rng = np.random.default_rng(derive_seed(self.name, draw.seed, self.classes[k]))
            at = (source, start) if k == origin else self._started(int(k), source, rng)
            parts.append(self._one(int(k), *at, rng))
        # as steps from the first: columns in which all are equal stay exactly as they are
        weights = shares[np.flatnonzero(shares)]
        mixed: np.ndarray = parts[0] + sum(w * (part - parts[0]) for w, part in zip(weights, parts, strict=True))
        return mixed

    def _one(self, k: int, sample_id: str, row: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        members = self._members(k, sample_id)
        x = self._rows[members]
        return self.method.one(row, row / self._scale, Among(x, x / self._scale, self._unit), rng)

    def _started(self, k: int, source: str, rng: np.random.Generator) -> tuple[str, np.ndarray]:
        """A row of another class of a mixture, of the source's corpus (or subject), by the draw's seed."""
        members = self._groups.get((k, self._owners[source]), np.zeros(0, np.int64))
        turns = np.array([self.turns.get(self._ids[i], 1) for i in members], np.float64)
        if not turns.any():
            raise UserError(
                f"generator {self.name} mixes rows of one {self.params.within}, and {self._owners[source]!r} has none "
                f"of {self.classes[k]!r} to start from"
            )
        row = int(rng.choice(members, p=turns / turns.sum()))
        return self._ids[row], self._rows[row]

    def _members(self, k: int, sample_id: str) -> np.ndarray:
        """Rows of a class among which a sample is varied: of its corpus or subject, without itself."""
        members = self._groups.get((k, self._owners.get(sample_id, "")), np.zeros(0, np.int64))
        return members[members != self._row_of.get(sample_id, -1)]

    def _group(self, y: np.ndarray) -> None:
        self._y = y
        self._row_of = {sample_id: i for i, sample_id in enumerate(self._ids)}
        places: dict[Key, list[int]] = {}
        for i, sample_id in enumerate(self._ids):
            if sample_id in self._owners:
                places.setdefault((int(y[i]), self._owners[sample_id]), []).append(i)
        self._groups = {key: np.array(rows, np.int64) for key, rows in places.items()}

    def _why_refused(self, turns: Mapping[str, int]) -> dict[str, str]:
        """Class -> why no row of it is started from."""
        refused = {}
        for k, name in enumerate(self.classes):
            if any(turns[i] for i, emotion in self._emotions.items() if emotion == name):
                continue
            most = max((len(rows) for (c, _), rows in self._groups.items() if c == k), default=0)
            if most <= self.method.partners:
                refused[name] = _too_few(self.params, name, most, self.method.partners)
            else:
                refused[name] = f"{name}: {self.params.method} starts from none of its rows, {_APART}"
        return refused

    def _why_not(self, source: str) -> str:
        if source not in self._owners:
            return "its subject is not known"
        if len(self._members(self.classes.index(self._emotions[source]), source)) < self.method.partners:
            return f"there is no other row of its class and {self.params.within}"
        return _APART if source in self._row_of else "it was held out"

    # -- on disk

    def save(self, folder: Path) -> None:
        """Writes model.safetensors and config.json."""
        if not self._ids:
            raise UserError(f"generator {self.name} is not fitted yet; fit or load it first")
        arrays = {"rows": self._rows.astype(np.float32), "labels": self._y.astype(np.int64)}
        arrays |= {"scale": self._scale, "unit": self._unit}
        save_tensors(
            folder,
            {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()},
            {
                "format": FORMAT,
                "generator": self.name,
                "spec": asdict(self.spec),
                "classes": list(self.classes),
                "params": self.params.model_dump(mode="json"),
                "ids": list(self._ids),
                "emotions": self._emotions,
                "owners": self._owners,
                "turns": self.turns,
                "refuses": self.refuses,
            },
        )

    @classmethod
    def load(cls, folder: Path, *, device: Device) -> Self:
        """Raises `IntegrityError` where the folder does not hold a model of this generator."""
        tensors, config = load_model(folder, cls.name, FORMAT, needs=("rows",))
        model = cls(Spec.from_json(config["spec"]), config["classes"], **config["params"])
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        model._rows, model._ids = arrays["rows"].astype(np.float64), tuple(config["ids"])
        model._scale, model._unit = arrays["scale"], arrays["unit"]
        model._emotions, model._owners = config["emotions"], config["owners"]
        model.turns, model.refuses = config["turns"], config["refuses"]
        model._group(arrays["labels"])
        return model


_APART = "for none of them lies near the border of another class"


def _owners(ids: Sequence[str], subjects: Sequence[str | None], within: str) -> dict[str, str]:
    """Sample -> the corpus or the subject among whose rows it is varied; without those whose subject is not known."""
    if within == "corpus":
        return {i: i.partition("/")[0] for i in ids}
    return {i: subject for i, subject in zip(ids, subjects, strict=True) if subject is not None}


def _too_few(params: ResamplingParams, name: str, most: int, partners: int) -> str:
    return (
        f"{name}: {params.method} needs {partners + 1} rows of one {params.within}, and the most that any has is "
        f"{most}. Take `jitter` or `oversample`, or leave the class out"
    )
