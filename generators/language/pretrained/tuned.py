"""What fine-tuned language models share: the fit around the one loop, sampling in batches with attempts, save and load.

A model that is saved holds the trained weights, the place of its base and the base's hash: without the same base it is
not loaded. With LoRA that is a small part of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import torch
from pydantic import Field, field_validator
from torch import nn

from corpora.errors import IntegrityError
from generators.fitting import FitOptions, Taught, initialised, steps_of
from generators.generator import Device, Progress
from generators.language.lines import FORMAT, Asked, LineGenerator, TrainLines, same_line
from generators.language.pretrained.checkpoint import Checkpoint, Kind, check_place, load_checkpoint
from generators.trained import data_fingerprint
from generators.tuning import Trainable, TuningParams, tune
from training.device import autocast, resolve_device
from training.loop import Losses, Minibatch, Phase
from training.seeds import derive_seed

BATCH = 64  # lines that are written at once


class LanguageParams(TuningParams):
    """Of models of lines."""

    model: str = Field(description="path:FOLDER of a checkpoint of transformers, or hub:ORG/NAME@COMMIT")
    temperature: float = Field(1.0, ge=0, le=5, description="of sampling; 0: the likeliest token")
    top_p: float = Field(0.95, gt=0, le=1, description="share of probability that is sampled from (nucleus)")
    max_tokens: int = Field(64, ge=1, le=4096, description="longest line, in tokens of the model")
    attempts: int = Field(
        3, ge=1, le=20, description="lines that a draw may use up before it has none, where they are empty or copies"
    )

    @field_validator("model")
    @classmethod
    def _a_place(cls, place: str) -> str:
        return check_place(place)


class TunedLines(LineGenerator):
    """Base of `causal_lm` and `seq2seq`; see the module. They bring `_prepare`, `_loss` and `_lines`."""

    Params: ClassVar[type[LanguageParams]] = LanguageParams
    params: LanguageParams
    kind: ClassVar[Kind]

    def __init__(self, *args: Any, **params: Any) -> None:
        super().__init__(*args, **params)
        self.base: Checkpoint | None = None
        self.trainable: Trainable | None = None

    # -- what a generator brings

    def _prepare(self, base: Checkpoint) -> dict[str, nn.Parameter]:
        """Further parameters to train, by name."""
        return {}

    def _train_rows(self, train: TrainLines) -> Any:
        """What `_loss` needs of train, tokenised once."""
        raise NotImplementedError

    def _loss(self, rows: Any, batch: Minibatch) -> torch.Tensor:
        """Mean loss of a batch."""
        raise NotImplementedError

    def _lines(self, asked: Sequence[Asked], seeds: Sequence[int]) -> list[str]:
        """One line each; at most `BATCH`."""
        raise NotImplementedError

    # -- shared

    def _open(self, seed: int) -> tuple[Checkpoint, Trainable]:
        base = load_checkpoint(self.params.model, self.kind)
        with initialised(seed):
            named = {f"model.{name}": p for name, p in tune(base.model, self.params).items()}
            trainable = Trainable(named | self._prepare(base))
        self.base, self.trainable = base, trainable
        return base, trainable

    def _learn(self, train: TrainLines, options: FitOptions) -> Iterator[Progress]:
        p = self.params
        where = resolve_device(options.device.kind)
        base, trainable = self._open(derive_seed(options.seed, "init", self.name))
        trainable.to(where)
        base.model.to(where)
        rows = self._train_rows(train)

        def loss(batch: Minibatch) -> Losses:
            base.model.train()
            return {"loss": self._loss(rows, batch)}

        def score() -> float:
            assert options.monitor is not None
            base.model.eval()
            self.fitted = True  # the monitor samples
            try:
                return float(options.monitor(self))
            finally:
                self.fitted = False

        identity = repr((FORMAT, self._config(), data_fingerprint(train.data), asdict(options.device)))
        taught = Taught(train.rows, [train.data.emotions[i] for i in train.rows], identity)
        phase = Phase("model", trainable, loss, p.lr, weight_decay=p.weight_decay, clip=p.clip)
        yield from steps_of([phase], p, options, taught, score=None if options.monitor is None else score)
        base.model.eval()

    def _write(self, asked: Sequence[Asked], device: Device) -> list[str]:
        assert self.base is not None and self.trainable is not None
        where = resolve_device(device.kind)
        self.base.model.to(where).eval()
        self.trainable.to(where)
        lines = [""] * len(asked)
        for attempt in range(self.params.attempts):
            left = [i for i, line in enumerate(lines) if not line]
            for start in range(0, len(left), BATCH):
                part = left[start : start + BATCH]
                seeds = [derive_seed("attempt", asked[i].seed, attempt) for i in part]
                with torch.inference_mode(), autocast(where, device.dtype):
                    written = self._lines([asked[i] for i in part], seeds)
                for i, line in zip(part, written, strict=True):
                    own = " ".join(line.split())
                    copies = same_line(own) in self.known or same_line(own) == same_line(asked[i].source)
                    lines[i] = "" if copies else own
        return lines

    def _tensors(self) -> Mapping[str, torch.Tensor]:
        assert self.trainable is not None
        return {name: p.detach() for name, p in self.trainable.named_parameters()}

    def _learned(self) -> dict[str, Any]:
        assert self.base is not None
        return {"base": self.base.identity}

    def _restore(self, tensors: Mapping[str, torch.Tensor], learned: Mapping[str, Any], device: Device) -> None:
        base, trainable = self._open(0)
        if learned.get("base") != base.identity:
            raise IntegrityError(
                f"{self.params.model} holds {base.identity}, this model was fitted on {learned.get('base')}; put the "
                "base back, or fit it again"
            )
        trainable.load_state_dict(dict(tensors))
        where = resolve_device(device.kind)
        base.model.to(where).eval()
        trainable.to(where)
