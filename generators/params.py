"""Parameters of generators: one pydantic model each; an unknown key is an error that names the nearest one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import Field

from corpora.params import StrictParams, parse
from generators.generator import RATED


class GeneratorParams(StrictParams):
    """What every generator's `Params` derives from; field descriptions and ranges feed docs/parameters.md."""


class LoopFields(GeneratorParams):
    """What the training loop asks of a generator."""

    batch_size: int = Field(32, ge=1, le=65536, description="samples in a training step, over all workers")
    lr: float = Field(1e-3, gt=0, le=1, description="learning rate of Adam after the warm-up")
    warmup: int = Field(50, ge=0, le=1_000_000_000, description="steps over which the learning rate rises to lr")
    decay: bool = Field(False, description="let the learning rate fall to zero along a cosine")
    weight_decay: float = Field(0.0, ge=0, le=1, description="AdamW's decay of weights")
    clip: float = Field(1.0, ge=0, description="largest norm of the gradient; 0: not clipped")
    class_balance: float = Field(
        0.5, ge=0, le=1, description="0: classes as often as they are in train; 1: all classes equally often"
    )


class TrainedParams(LoopFields):
    """What all generators with a network of their own share."""

    ema_std: float = Field(
        0.1, gt=0, lt=0.28, description="width of the weight average as a share of the training so far (Karras 2024)"
    )
    honours: tuple[Literal["intensity", "valence", "arousal", "dominance", "subject"], ...] = Field(
        (),
        description="what draws may ask for beside the class, learned where train's records have it: intensity, "
        "valence, arousal, dominance, subject",
    )
    use_intensity: bool = Field(False, description="the same as `honours: [intensity]`")

    @property
    def rated(self) -> tuple[str, ...]:
        """Ratings to honour, in one order however they were listed."""
        asked = {*self.honours, *(("intensity",) if self.use_intensity else ())}
        return tuple(name for name in RATED if name in asked)


P = TypeVar("P", bound=GeneratorParams)


def parse_params(model: type[P], given: Mapping[str, Any], owner: str) -> P:
    """Checks `given` against `model`. Raises `ParamsError` that names each wrong field and what is allowed."""
    return parse(model, given, f"parameters of generator {owner}")
