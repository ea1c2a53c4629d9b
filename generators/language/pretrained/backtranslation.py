"""back_translation: a real line of the class through two pretrained translation models, there and back.

Nothing is trained. The label is inherited from the source (Sennrich 2016 for translation; Xie 2020, UDA, for classes).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, field_validator

from corpora.errors import IntegrityError, UserError
from corpora.schema import FROM
from generators.fitting import FitOptions
from generators.generator import Device, Progress
from generators.language.lines import Asked, LineGenerator, TrainLines, same_line
from generators.language.pretrained.checkpoint import Checkpoint, check_place, identity_of, load_checkpoint
from generators.language.pretrained.seq2seq import rewritten
from generators.language.pretrained.tuned import BATCH
from generators.params import GeneratorParams
from training.device import autocast, resolve_device
from training.seeds import derive_seed


class BackTranslationParams(GeneratorParams):
    """Of `back_translation`."""

    there: str = Field(description="path:FOLDER or hub:ORG/NAME@COMMIT of the model into the other language")
    back: str = Field(description="the same of the model back; one model may serve for both, with prefixes")
    prefix_there: str = Field(
        "", max_length=200, description='words before a line: "translate English to German: " of T5'
    )
    prefix_back: str = Field("", max_length=200, description="the same on the way back")
    temperature: float = Field(
        0.8, ge=0, le=5, description="of sampling both ways; 0: the likeliest, one line a source"
    )
    top_p: float = Field(0.95, gt=0, le=1, description="share of probability that is sampled from (nucleus)")
    max_tokens: int = Field(128, ge=1, le=4096, description="longest line, in tokens of the models")
    attempts: int = Field(
        3, ge=1, le=20, description="ways through, before a draw whose line comes back as it was has none"
    )

    @field_validator("there", "back")
    @classmethod
    def _a_place(cls, place: str) -> str:
        return check_place(place)


class BackTranslation(LineGenerator):
    """See the module."""

    name: ClassVar[str] = "back_translation"
    Params: ClassVar[type[BackTranslationParams]] = BackTranslationParams
    params: BackTranslationParams
    takes: tuple[str, ...] = (FROM,)
    source_class: ClassVar[Literal["other", "same"]] = "same"
    trains = False

    def __init__(self, *args: Any, **params: Any) -> None:
        super().__init__(*args, **params)
        self.models: tuple[Checkpoint, Checkpoint] | None = None

    def _open(self) -> tuple[Checkpoint, Checkpoint]:
        there = load_checkpoint(self.params.there, "seq2seq")
        back = there if self.params.back == self.params.there else load_checkpoint(self.params.back, "seq2seq")
        for one in (there, back):
            one.model.eval().requires_grad_(False)
        return there, back

    def _learn(self, train: TrainLines, options: FitOptions) -> Iterator[Progress]:
        self.models = self._open()
        yield Progress(1, 1, {"lines": float(len(train.rows))}, 0.0)

    def _asked(self, draws: Any, sources: Any) -> list[Asked]:
        asked = super()._asked(draws, sources)
        for one in asked:
            if one.source_class not in one.condition.shares:
                raise UserError(
                    f"generator {self.name} keeps the class: a source of {one.source_class!r} gives no line of "
                    f"{'+'.join(one.condition.shares)}"
                )
        return asked

    def _write(self, asked: Sequence[Asked], device: Device) -> list[str]:
        assert self.models is not None
        where = resolve_device(device.kind)
        for one in self.models:
            one.model.to(where)
        lines = [""] * len(asked)
        for attempt in range(self.params.attempts):
            left = [i for i, line in enumerate(lines) if not line]
            for start in range(0, len(left), BATCH):
                part = left[start : start + BATCH]
                seeds = [derive_seed("attempt", asked[i].seed, attempt) for i in part]
                with torch.inference_mode(), autocast(where, device.dtype):
                    written = self._round_trip([asked[i].source for i in part], seeds)
                for i, line in zip(part, written, strict=True):
                    own = " ".join(line.split())
                    copies = same_line(own) in self.known or same_line(own) == same_line(asked[i].source)
                    lines[i] = "" if copies else own
        return lines

    def _round_trip(self, lines: Sequence[str], seeds: Sequence[int]) -> list[str]:
        assert self.models is not None
        p = self.params
        for base, prefix, way in zip(self.models, (p.prefix_there, p.prefix_back), ("there", "back"), strict=True):
            lines = rewritten(
                base,
                [prefix + line for line in lines],
                [derive_seed(way, seed) for seed in seeds],
                longest=p.max_tokens,
                temperature=p.temperature,
                top_p=p.top_p,
            )
        return list(lines)

    def _tensors(self) -> Mapping[str, torch.Tensor]:
        return {}

    def _learned(self) -> dict[str, Any]:
        assert self.models is not None
        return {"there": self.models[0].identity, "back": self.models[1].identity}

    def _restore(self, tensors: Mapping[str, torch.Tensor], learned: Mapping[str, Any], device: Device) -> None:
        for way, place in (("there", self.params.there), ("back", self.params.back)):
            if identity_of(place) != learned.get(way):
                raise IntegrityError(f"{place} is not what this model was fitted with; put it back, or fit it again")
        self.models = self._open()
