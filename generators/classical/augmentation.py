"""Classical augmentation as a generator: real payloads of a class, edited by a method or by a chain of methods.

A draw names the train sample that it starts from, of the class that it asks for; its seed says what the methods do. A
method that counts something of train first (texts) does so in each class by itself, where a label must hold; the model
holds the texts that were counted, so it is no less confidential than they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, JsonValue, model_validator

from corpora.errors import ParamsError, PayloadError, UnknownNameError, UserError
from corpora.params import StrictParams
from corpora.schema import FROM, Payload
from features.payloads import modality_of
from features.representation import Spec
from generators.classical.method import PAYLOAD_METHODS, PayloadMethod, payload_method
from generators.condition import emotion_weights, require_honoured
from generators.generator import Device, Draw, Monitor, Progress, SourceClass, TrainData, require_layout
from generators.params import GeneratorParams, parse_params
from generators.trained import check_train_data
from training.checkpoint import load_model, save_tensors
from training.seeds import derive_seed

FORMAT = 1
_MODALITY_OF = {name: modality for modality, own in PAYLOAD_METHODS.items() for name in own}


class Step(StrictParams):
    """One method of `augmentation`."""

    method: str = Field(description="a method on payloads of the run's modality (Methods of arms, below)")
    params: dict[str, JsonValue] = Field(default_factory=dict, description="parameters of the method: how strong it is")
    probability: float = Field(
        1.0, gt=0, le=1, description="chance that it takes part; of `apply: one`, its weight among all"
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.method not in _MODALITY_OF:
            raise ValueError(str(UnknownNameError.of("method of payloads", self.method, _MODALITY_OF)))
        payload_method(_MODALITY_OF[self.method], self.method, self.params)  # raises `ParamsError`
        return self


class AugmentationParams(GeneratorParams):
    """Parameters of `augmentation`."""

    methods: tuple[Step, ...] = Field(
        min_length=1,
        max_length=16,
        description="in the order of a chain, each {method, params, probability}: a method on payloads of the run's "
        "modality, its parameters (Methods of arms, below), its chance to take part (1; of `apply: one`: its weight)",
    )
    apply: Literal["chain", "one"] = Field(
        "chain",
        description="chain: each that its chance lets in, one after the other, and one where chance lets in none; one: "
        "a single method, drawn by weight",
    )


class Augmentation:
    """See the module, and `generators.generator`: a `PayloadEditor`. It draws no arrays and no mixtures of classes."""

    name: ClassVar[str] = "augmentation"
    Params: ClassVar[type[AugmentationParams]] = AugmentationParams
    takes: tuple[str, ...] = (FROM,)
    layouts: frozenset[str] = frozenset({"payload"})
    trains: bool = False
    mixes: ClassVar[bool] = False
    honours: frozenset[str] = frozenset()

    def __init__(self, spec: Spec, classes: Sequence[str], **params: Any) -> None:
        require_layout(self.name, type(self), spec)
        self.spec, self.classes = spec, tuple(classes)
        self.params: AugmentationParams = parse_params(AugmentationParams, params, self.name)
        self.require(params, spec)
        self._emotions: dict[str, str] = {}  # of every train sample
        self._kept: dict[str, list[bytes]] = {}  # class -> payloads that methods learn from, where one does
        self._fitted: dict[str, list[PayloadMethod]] = {}  # class -> its methods

    @classmethod
    def can_honour(cls, params: Mapping[str, Any]) -> frozenset[str]:
        """Nothing beside the class."""
        return cls.honours

    @classmethod
    def source_class(cls, params: Mapping[str, Any]) -> SourceClass:
        """Labels stay as they are."""
        return "same"

    @classmethod
    def modules(cls, params: Mapping[str, Any]) -> tuple[str, ...]:
        """What is imported by name for these parameters: a sample depends on its code."""
        used = [step.method for step in parse_params(AugmentationParams, params, cls.name).methods]
        places = [PAYLOAD_METHODS[_MODALITY_OF[name]][name] for name in used]
        return tuple(sorted({place.partition(":")[0] for place in places}))

    @classmethod
    def require(cls, params: Mapping[str, Any], spec: Spec) -> None:
        """Raises `ParamsError` for a method of another modality than the payloads'."""
        modality = modality_of(spec)
        for step in parse_params(AugmentationParams, params, cls.name).methods:
            if _MODALITY_OF[step.method] != modality:
                known = ", ".join(PAYLOAD_METHODS[modality])
                raise ParamsError(
                    f"generator {cls.name}: method {step.method!r} changes {_MODALITY_OF[step.method]}, and "
                    f"{spec.name} are {modality}. Methods of {modality}: {known}"
                )

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
        """One report. Methods that learn see payloads that are not held out. Raises `UserError` where one learns and
        the train data has no payloads."""
        seen = check_train_data(data, self.spec, self.classes)
        self._emotions = dict(zip(data.ids, data.emotions, strict=True))
        self._kept = {}
        if any(_learns(method) for method in self._methods()):
            if data.payloads is None:
                raise UserError(f"generator {self.name}: its methods learn from payloads, and train data has none")
            by_id = dict(data.payloads([data.ids[i] for i in seen]))
            self._kept = {name: [] for name in self.classes}
            for i in seen:
                self._kept[data.emotions[i]].append(by_id[data.ids[i]].data)
        self._settle()
        yield Progress(1, 1, {"samples": float(len(seen))}, 0.0)

    def edit_payloads(self, draws: Sequence[Draw], sources: Sequence[Payload]) -> list[Payload | PayloadError]:
        """draws (n) and the payloads of their sources (n) -> each edited, or why it cannot be (reasons of the methods,
        a method that found nothing to change among them). Raises `UserError` for a mixture of classes, and for a source
        that is of another class or no train sample."""
        if not self._emotions:
            raise UserError(f"generator {self.name} is not fitted yet; fit or load it first")
        if len(sources) != len(draws) or any(set(d.sources) != {FROM} for d in draws):
            raise UserError(
                f"generator {self.name} edits real samples: every draw names one source and sources has its payload"
            )
        edited: list[Payload | PayloadError] = []
        for draw, source in zip(draws, sources, strict=True):
            self._require(draw)
            try:
                edited.append(self._edited(draw, source))
            except PayloadError as error:
                edited.append(error)
        return edited

    def sample(self, draws: Sequence[Draw], sources: np.ndarray | None = None, *, device: Device) -> np.ndarray:
        """Raises `UserError`: arrays of payloads say nothing; `edit_payloads` draws."""
        raise UserError(f"generator {self.name} edits payloads and draws no arrays: call edit_payloads")

    def _require(self, draw: Draw) -> None:
        require_honoured(draw.condition, self.honours, f"generator {self.name}")
        emotion_weights(draw.condition.emotion, self.classes)  # refuses what is no class
        asked, source = draw.condition.one_class, draw.sources[FROM]
        if asked is None:
            raise UserError(
                f"generator {self.name} draws no mixtures of classes: a payload has the class of its source"
            )
        if source not in self._emotions:
            raise UserError(f"source {source!r} is not a train sample that this generator was fitted with")
        if self._emotions[source] != asked:
            raise UserError(f"source {source!r} is of {self._emotions[source]!r}, and what is asked for is {asked}")

    def _edited(self, draw: Draw, source: Payload) -> Payload:
        methods = self._fitted[str(draw.condition.one_class)]
        payload = source
        for place in self._taking_part(draw.seed):
            rng = np.random.default_rng(derive_seed(self.name, draw.seed, place, self.params.methods[place].method))
            payload = methods[place].apply(payload, rng)
        if payload.data == source.data:  # methods whose parameters say that nothing is to be done
            raise PayloadError("unchanged", "the methods gave the source back; parameters of some strength are wanted")
        return payload

    def _taking_part(self, seed: int) -> list[int]:
        """Places of the methods that a draw applies, ascending; at least one."""
        weights = np.array([step.probability for step in self.params.methods])
        rng = np.random.default_rng(derive_seed(self.name, "which", seed))
        one = [int(rng.choice(len(weights), p=weights / weights.sum()))]
        if self.params.apply == "one":
            return one
        return [int(i) for i in np.flatnonzero(rng.random(len(weights)) < weights)] or one

    def _methods(self) -> list[PayloadMethod]:
        modality = modality_of(self.spec)
        return [payload_method(modality, step.method, step.params) for step in self.params.methods]

    def _settle(self) -> None:
        """Fits the methods of each class on what is kept of it."""
        self._fitted = {}
        for name in self.classes:
            kept = [Payload(data, "txt") for data in self._kept.get(name, ())]
            self._fitted[name] = [m.fit(kept) if _learns(m) else m for m in self._methods()]

    # -- on disk

    def save(self, folder: Path) -> None:
        """Writes model.safetensors and config.json."""
        if not self._emotions:
            raise UserError(f"generator {self.name} is not fitted yet; fit or load it first")
        kept = [(k, data) for k, name in enumerate(self.classes) for data in self._kept.get(name, ())]
        arrays = {
            "payloads": np.frombuffer(b"".join(data for _, data in kept), np.uint8),
            "ends": np.cumsum([0, *(len(data) for _, data in kept)]).astype(np.int64),
            "labels": np.array([k for k, _ in kept], np.int64),
        }
        save_tensors(
            folder,
            {name: torch.from_numpy(np.array(a)) for name, a in arrays.items()},
            {
                "format": FORMAT,
                "generator": self.name,
                "spec": asdict(self.spec),
                "classes": list(self.classes),
                "params": self.params.model_dump(mode="json"),
                "emotions": self._emotions,
            },
        )

    @classmethod
    def load(cls, folder: Path, *, device: Device) -> Self:
        """Raises `IntegrityError` where the folder does not hold a model of this generator."""
        tensors, config = load_model(folder, cls.name, FORMAT, needs=("ends",))
        model = cls(Spec.from_json(config["spec"]), config["classes"], **config["params"])
        model._emotions = config["emotions"]
        blob, ends = tensors["payloads"].numpy().tobytes(), tensors["ends"].tolist()
        labels = tensors["labels"].tolist()
        if labels:
            model._kept = {name: [] for name in model.classes}
        for i, k in enumerate(labels):
            model._kept[model.classes[k]].append(blob[ends[i] : ends[i + 1]])
        model._settle()
        return model


def _learns(method: PayloadMethod) -> bool:
    return bool(getattr(method, "learns", False))
