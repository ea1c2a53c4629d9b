"""Which generator a run has and how long it is fitted: `runs.<name>.generator` of params.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from corpora.params import StrictParams
from flows.given import GivenParams
from generators.preset import filled_in

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
CountOrNone = Annotated[int, Field(ge=0, le=1_000_000_000)]  # 0: none
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class EarlyStop(StrictParams):
    """Looks at a part of train that gradients never see; gates' references stay untouched."""

    every: CountOrNone = Field(0, description="Steps between looks; 0 never stops early.")
    patience: Count = Field(3, description="Looks without a better score before the fit ends.")
    share: Share = Field(0.1, description="Share of the train groups held out for it (only when `every` > 0).")


class GeneratorParams(StrictParams):
    """Which generator, and how long it is fitted."""

    name: Name = Field(description="One that `emoforge generators` lists; left out where `preset` names it.")
    preset: str | None = Field(
        None,
        description="A system of the literature (`emoforge generators --presets`), e.g. speech/chatziagapi-2019: gives "
        "name, params and steps; what stands beside it here goes before what the preset says.",
    )
    steps: CountOrNone = Field(2000, description="Optimiser steps (ignored by generators without training).")
    params: dict[str, Any] = Field(default_factory=dict, description="The generator's own (its Params model).")
    early_stop: EarlyStop = Field(default_factory=lambda: EarlyStop())
    intensity: Literal["rated", "ranked"] = Field(
        "rated",
        description="Where a generator that honours intensity learns it: from the corpus' ratings, or from rankers of "
        "each emotion against neutral (docs/conditions.md).",
    )
    neutral: str = Field(
        "neutral", description="For `intensity: ranked`: the class that the others are ranked against."
    )
    given: dict[str, GivenParams] = Field(
        default_factory=dict,
        description="Name: a vector of train samples that draws may be asked for beside the class (action units, a "
        "text, what was said before; docs/conditions.md).",
    )
    checkpoint_every: Count = Field(500, description="Steps between resumable checkpoints.")

    @model_serializer(mode="wrap")
    def _without_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Most runs name no vector."""
        return {k: v for k, v in dump(self).items() if k != "given" or v}

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, given: Any) -> Any:
        return filled_in(given, name="name")
