"""What the generators with a network share: checks, the fit around the one loop, sampling in order, save and load.

A generator proper brings its parameters, its network, its losses and its way from (conditions, seeds) to arrays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from corpora.errors import IntegrityError, UserError
from corpora.schema import FROM
from features.representation import Spec
from generators.condition import (
    ConditionEncoder,
    ConditionFields,
    Conditions,
    VectorField,
    encode_conditions,
    require_sources,
    train_conditions,
)
from generators.fitting import FitOptions, Taught, initialised, steps_of
from generators.generator import Device, Draw, Monitor, Progress, TrainData, require_layout, source_class
from generators.normalise import Normaliser, chunks, on_grid
from generators.params import TrainedParams, parse_params
from training import ddp
from training.checkpoint import load_model, save_tensors
from training.device import autocast, resolve_device
from training.loop import Phase
from training.seeds import derive_seed

SAMPLE_BATCH = 256  # rows computed at once, whatever the length of the list of draws
FORMAT = 2


def check_train_data(data: TrainData, spec: Spec, classes: Sequence[str]) -> np.ndarray:
    """-> indices of the rows that gradients may see. Raises `UserError` naming what is wrong with the train split."""
    n = len(data.arrays)
    if tuple(data.arrays.shape[1:]) != tuple(spec.shape):
        raise UserError(f"train arrays have shape {tuple(data.arrays.shape[1:])}; {spec.name} has {tuple(spec.shape)}")
    for field in ("emotions", "ids", "groups", "subjects", "held_out"):
        if len(getattr(data, field)) != n:
            raise UserError(f"train data: {len(getattr(data, field))} {field} for {n} arrays")
    for name, ratings in data.ratings.items():
        if len(ratings) != n:
            raise UserError(f"train data: {len(ratings)} ratings of {name} for {n} arrays")
    for name, values in data.vectors.items():
        if values.ndim != 2 or len(values) != n or not np.isfinite(values).all():
            raise UserError(f"train data: {name} has shape {values.shape}; wanted: {n} rows of finite numbers")
    if tuple(data.classes) != tuple(classes):
        raise UserError(f"the generator is for classes {list(classes)}, the train data has {list(data.classes)}")
    strangers = sorted(set(data.emotions) - set(classes))
    if strangers:
        raise UserError(f"train samples of {strangers[0]!r}, which is not one of the classes {', '.join(classes)}")
    rows = np.flatnonzero(~np.asarray(data.held_out, bool))
    seen = {data.emotions[i] for i in rows}
    for name in classes:
        if name not in seen:
            raise UserError(
                f"class {name!r} has no train sample outside the held-out part; drop the class or hold out less"
            )
    start = 0
    for part in chunks(data.arrays, np.arange(n)):
        broken = np.flatnonzero(~np.isfinite(part).reshape(len(part), -1).all(axis=1))
        if len(broken):
            raise UserError(f"the array of train sample {data.ids[start + int(broken[0])]!r} holds NaN or infinity")
        start += len(part)
    return rows


def data_fingerprint(data: TrainData) -> str:
    """64 hex digits over everything of the train data that a fit looks at."""
    digest = hashlib.sha256()
    digest.update(repr((data.spec, data.classes, data.emotions, data.ids, data.subjects)).encode())
    digest.update(np.asarray(data.held_out, bool).tobytes())
    for name in sorted(data.ratings):
        digest.update(name.encode() + np.asarray(data.ratings[name], np.float32).tobytes())
    for name in sorted(data.vectors):
        digest.update(name.encode() + np.asarray(data.vectors[name], np.float32).tobytes())
    for part in chunks(data.arrays, np.arange(len(data.arrays))):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


@dataclass(slots=True)
class TrainSet:
    """The train split on the device, normalised. x: [N, C, H, W]; rows: those that gradients may see."""

    x: torch.Tensor
    conditions: Conditions
    rows: np.ndarray

    def take(self, rows: np.ndarray) -> tuple[torch.Tensor, Conditions]:
        """[b] indices -> arrays [b, C, H, W] and the conditions under which they stand."""
        index = torch.from_numpy(rows).to(self.x.device)
        return self.x[index], {name: values[index] for name, values in self.conditions.items()}


@dataclass(frozen=True, slots=True)
class Starts:
    """What conversions start from. x: [n, C, H, W] normalised arrays of train samples; emotion: [n, K] float32, 1 for
    the class that train gives each."""

    x: torch.Tensor
    emotion: torch.Tensor

    def part(self, rows: slice, device: torch.device) -> Starts:
        """Some of them, on a device."""
        return Starts(self.x[rows].to(device), self.emotion[rows].to(device))


class Normalised(nn.Module):
    """Base of all that samples: carries what turns units into what networks like, so that one file holds all of it."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.normaliser = Normaliser(spec)


class Network(Normalised):
    """Base of the networks that are trained in one piece with the encoder of their conditions."""

    def __init__(self, spec: Spec, n_classes: int, fields: ConditionFields, embedding: int) -> None:
        super().__init__(spec)
        self.condition = ConditionEncoder(n_classes, fields, embedding)


class TrainedGenerator:
    """See `generators.generator.Generator`, whose methods these are."""

    name: ClassVar[str]
    Params: ClassVar[type[TrainedParams]] = TrainedParams
    takes: tuple[str, ...] = ()
    layouts: frozenset[str] = frozenset({"image", "rows", "vector"})
    trains: bool = True
    learns_given: ClassVar[bool] = True
    format: ClassVar[int] = FORMAT  # of saved models; one of another format is refused

    def __init__(self, spec: Spec, classes: Sequence[str], **params: Any) -> None:
        require_layout(self.name, type(self), spec)
        self.spec = spec
        self.classes = tuple(classes)
        self.params = parse_params(self.Params, params, self.name)
        self.fields = ConditionFields(rated=self.params.rated)
        self.network: Normalised | None = None
        self.source_emotions: dict[str, str] = {}  # of what converts: what a train sample is moved away from
        self._unsettled: TrainSet | None = None  # while a monitor looks: what `_settle` is due with before a sample

    @classmethod
    def can_honour(cls, params: Mapping[str, Any]) -> frozenset[str]:
        """Names of `Condition.given` that a model with these parameters honours."""
        return frozenset((*params.get("honours", ()), *(("intensity",) if params.get("use_intensity") else ())))

    @property
    def honours(self) -> frozenset[str]:
        """Names of `Condition.given` that a draw may set."""
        return self._asked().names

    # -- what a generator brings

    def _build(self) -> Normalised:
        raise NotImplementedError

    def _phases(self, network: Any, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        """Phases of the loop."""
        raise NotImplementedError

    def _result(self, network: Any, phases: Sequence[Phase]) -> Normalised:
        """What `sample` uses, and of which the monitor keeps the best weights: the first phase's average, or module."""
        first = phases[0]
        result = first.module if first.ema is None else first.ema.module
        assert isinstance(result, Normalised)
        return result

    def _asked(self) -> ConditionFields:
        """What a draw may ask for; more than the network learned where sampling alone can honour it."""
        return self.fields

    def _generate(self, conditions: Conditions, seeds: Sequence[int], device: torch.device) -> torch.Tensor:
        """-> [n, C, H, W] in normalised space. Asked where `takes` is empty."""
        raise NotImplementedError

    def _convert(
        self, starts: Starts, conditions: Conditions, seeds: Sequence[int], device: torch.device
    ) -> torch.Tensor:
        """-> [n, C, H, W] in normalised space. Asked of generators that take a source (`takes`)."""
        raise NotImplementedError

    def _look(self, data: TrainData, rows: np.ndarray) -> None:
        """Called before the network is built, for what it has to know of train; rows: those that gradients see."""

    def _recall(self, config: Mapping[str, Any]) -> None:
        """Called before the network of a saved model is built: what `_look` saw, from what `_config` said."""

    def _alike(self, network: Any, train: TrainSet) -> np.ndarray | None:
        """[n] int64 of the rows that gradients see: rows of one number are best taught in one batch; None: any."""
        return None

    def _settle(self, train: TrainSet) -> None:
        """Called on the weights that will sample, before a monitor looks at them and at the end of the fit."""

    def _choose(self, score: Callable[[], float]) -> None:
        """Called at the end of a fit that has a monitor, to choose among weights; lower scores are better."""

    # -- the protocol

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
        """Trains on rows that are not held out. Raises `UserError` for train data it cannot learn from."""
        rows = check_train_data(data, self.spec, self.classes)
        options = FitOptions(steps, seed, device, checkpoints, checkpoint_every, monitor, monitor_every, patience)
        if "subject" in self.params.honours:
            self.fields = replace(self.fields, subjects=known_subjects(data, rows))
        if self.learns_given:
            learned = tuple(VectorField.of(name, np.asarray(data.vectors[name])[rows]) for name in sorted(data.vectors))
            self.fields = replace(self.fields, vectors=learned)
        if self.takes:
            if len(self.classes) < 2 and source_class(self, self.params.model_dump()) == "other":
                raise UserError(f"a conversion needs a class to come from; there is only {self.classes[0]!r}")
            self.source_emotions = dict(zip(data.ids, data.emotions, strict=True))
        self._look(data, rows)
        where = resolve_device(device.kind)
        # before the weights are initialised: drawing them must not depend on, or touch, the caller's random state
        with initialised(derive_seed(seed, "init", self.name)):
            network = self._build()
        network.normaliser.fit(data.arrays, rows)
        network.to(where)
        with torch.no_grad():
            everything = chunks(data.arrays, np.arange(len(data.arrays)))
            x = torch.cat(
                [network.normaliser(torch.from_numpy(on_grid(part, self.spec)).to(where)) for part in everything]
            )
        conditions = {k: v.to(where) for k, v in train_conditions(data, self.fields).items()}
        train = TrainSet(x, conditions, rows)
        phases = self._phases(network, train, device, seed)
        result = self._result(network, phases)
        self.network = result

        def score() -> float:
            assert monitor is not None
            self._unsettled = train  # a monitor that draws no sample needs no densities of codes
            try:
                return float(monitor(self))
            finally:
                self._unsettled = None

        identity = repr((self.format, self._config(), data_fingerprint(data), asdict(device)))
        taught = Taught(rows, [data.emotions[i] for i in rows], identity, self._alike(network, train))
        yield from steps_of(
            phases, self.params, options, taught, result=result, score=None if monitor is None else score
        )
        result.eval().requires_grad_(False)
        if monitor is not None:
            self._choose(lambda: ddp.from_first(score))
        self._settle(train)

    def sample(self, draws: Sequence[Draw], sources: np.ndarray | None = None, *, device: Device) -> np.ndarray:
        """draws (n) -> [n, *spec.shape] float32 in the representation's units. Raises `UserError` for a condition that
        the fitted model does not honour, and where draws and sources are not what `takes` says."""
        network = self._fitted()
        if self._unsettled is not None:
            train, self._unsettled = self._unsettled, None
            self._settle(train)
        starts = self._starts(draws, sources)
        where = resolve_device(device.kind)
        network.to(where)
        conditions = encode_conditions([d.condition for d in draws], self.classes, self._asked())
        sampled = [np.zeros((0, *self.spec.grid), np.float32)]
        for start in range(0, len(draws), SAMPLE_BATCH):
            part = slice(start, start + SAMPLE_BATCH)
            asked = {name: values[part].to(where) for name, values in conditions.items()}
            with torch.inference_mode():
                with autocast(where, device.dtype):
                    seeds = [d.seed for d in draws[part]]
                    if starts is None:
                        z = self._generate(asked, seeds, where)
                    else:
                        z = self._convert(starts.part(part, where), asked, seeds, where)
                sampled.append(network.normaliser.inverse(z).cpu().numpy())
        return np.concatenate(sampled).reshape(-1, *self.spec.shape)

    def _starts(self, draws: Sequence[Draw], sources: np.ndarray | None) -> Starts | None:
        network = self._fitted()
        if not self.takes:
            if sources is not None or any(d.sources for d in draws):
                raise UserError(f"generator {self.name} takes no sources; its draws name some")
            return None
        sources = require_sources(draws, sources, self.takes, self.spec, f"generator {self.name}")
        ids = [d.sources[FROM] for d in draws]
        for source_id in ids:
            if source_id not in self.source_emotions:
                raise UserError(f"source {source_id!r} is not a train sample that this generator was fitted with")
        emotion = np.zeros((len(draws), len(self.classes)), np.float32)
        emotion[np.arange(len(draws)), [self.classes.index(self.source_emotions[i]) for i in ids]] = 1.0
        x = torch.from_numpy(np.ascontiguousarray(on_grid(np.asarray(sources, np.float32), self.spec)))
        return Starts(network.normaliser(x.to(next(network.parameters()).device)), torch.from_numpy(emotion))

    def save(self, folder: Path) -> None:
        """Writes model.safetensors and config.json."""
        save_tensors(folder, self._fitted().state_dict(), self._config())

    @classmethod
    def load(cls, folder: Path, *, device: Device) -> Self:
        """Raises `IntegrityError` where the folder does not hold a model of this generator."""
        tensors, config = load_model(folder, cls.name, cls.format)
        model = cls(Spec.from_json(config["spec"]), config["classes"], **config["params"])
        model.fields = replace(model.fields, subjects=tuple(config.get("subjects", ())))
        vectors = [VectorField(v["name"], tuple(v["mean"]), tuple(v["scale"])) for v in config.get("vectors", ())]
        model.fields = replace(model.fields, vectors=tuple(vectors))
        model.source_emotions = dict(config.get("source_emotions", {}))
        model._recall(config)
        with torch.random.fork_rng(devices=[]):
            network = model._build()
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            raise IntegrityError(f"{folder} does not fit its own config: {error}") from error
        model.network = network.eval().requires_grad_(False).to(resolve_device(device.kind))
        return model

    def _fitted(self) -> Normalised:
        if self.network is None:
            raise UserError(f"generator {self.name} is not fitted yet; fit or load it first")
        return self.network

    def _config(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "generator": self.name,
            "spec": asdict(self.spec),
            "classes": list(self.classes),
            "params": self.params.model_dump(),
            **({"subjects": list(self.fields.subjects)} if self.fields.subjects else {}),
            **({"vectors": [asdict(own) for own in self.fields.vectors]} if self.fields.vectors else {}),
            **({"source_emotions": self.source_emotions} if self.takes else {}),
        }


def known_subjects(data: TrainData, rows: np.ndarray) -> tuple[str, ...]:
    """Of the samples that gradients see. Raises `UserError` where the corpora know none."""
    known = sorted({s for s in (data.subjects[i] for i in rows) if s is not None})
    if not known:
        raise UserError("no train sample names its subject, which the generator is to honour; leave subject out")
    return tuple(known)
