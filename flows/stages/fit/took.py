"""What the steps of a run's last fit took: .emoforge/timings/<run>/steps.json, no part of any out."""

from __future__ import annotations

from pathlib import Path

from pydantic import JsonValue, ValidationError

from corpora.errors import IntegrityError
from corpora.formats.jsonfile import read_json
from corpora.store.atomic import write_json
from flows.artifacts.base import Record
from flows.generating import GeneratorParams
from flows.params import Numerics, RepresentationParams
from flows.stages.plan.plans import FitCompute, FitPlan

TIMINGS = "steps"
NUMERICS = {"device", "dtype", "compile", "fit_threads", "ddp_world_size"}


class StepTiming(Record):
    """steps.json. of: what steps cost the same for (`step_of`); steps: done; seconds: they took, over interruptions."""

    of: dict[str, JsonValue]
    steps: int
    seconds: float


def step_of(
    generator: GeneratorParams, representation: RepresentationParams | None, numerics: Numerics | FitCompute
) -> dict[str, JsonValue]:
    """What makes a step cost what it costs, of parameters."""
    return {
        "generator": generator.name,
        "params": dict(generator.params),
        "representation": None if representation is None else representation.model_dump(mode="json"),
        "numerics": numerics.model_dump(mode="json", include=NUMERICS),
    }


def keep_timing(path: Path, plan: FitPlan, steps: int, seconds: float) -> None:
    """Writes what `last_fit` reads."""
    assert plan.generator is not None
    of = step_of(plan.generator, plan.representation, plan.compute)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, StepTiming(of=of, steps=steps, seconds=round(seconds, 3)).to_json())


def last_fit(path: Path) -> StepTiming | None:
    """What the last fit of a run took; None where there is no file that can be read: it is scratch."""
    try:
        return StepTiming.model_validate(read_json(path))
    except (IntegrityError, ValidationError):
        return None
