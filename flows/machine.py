"""machine.yaml: what never changes bytes: how many processes, where, how long and how often they are tried.

Read by `flows.params.load_machine`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from flows.engine.executor import Patience, Resources

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
CountOrNone = Annotated[int, Field(ge=0, le=1_000_000_000)]  # 0: none


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _store(value: str) -> str:
    """Stages run in the project's folder, actors on other nodes: a relative path would mean several places."""
    place = value.removeprefix("file://")
    if "://" not in place and not Path(place).is_absolute():
        raise ValueError("give an absolute folder, or an fsspec URL such as s3://bucket/folder")
    if "\0" in value:
        raise ValueError("no path holds a zero byte")
    return value


class Retries(_Model):
    """What is tried again, and how often: only what can come out differently, never a gate's no or bad input."""

    stage: CountOrNone = Field(2, description="Times that a stage is begun again after its process was lost.")
    delays_s: tuple[Annotated[float, Field(ge=0, le=86400)], ...] = Field(
        (2.0, 10.0), min_length=1, description="Seconds before each of these; the last one holds for further ones."
    )
    item: Count = Field(3, description="Actors that one work item, or one fit, may take down before it is an error.")


class Machine(_Model):
    """machine.yaml: what never changes bytes. Absent keys have these defaults."""

    actors: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default_factory=lambda: min(os.cpu_count() or 1, 8),
        description="Sampling processes; 0 samples in the stage's own process.",
    )
    ray_address: str | None = Field(
        None, description="A running cluster (or environment RAY_ADDRESS); none: a local one."
    )
    gpus_per_actor: Annotated[float, Field(ge=0, le=1024)] = Field(
        1.0, description="With device cuda; fractions share a GPU."
    )
    store: Annotated[str, AfterValidator(_store)] | None = Field(
        None, description="Absolute folder or fsspec URL of the work store; default .emoforge/store."
    )
    stall_s: Annotated[float, Field(gt=0, le=1e9)] = Field(
        900.0, description="A work item silent for this long is given to another actor."
    )
    retries: Retries = Field(default_factory=lambda: Retries())
    stage_timeout_s: Annotated[float, Field(gt=0, le=1e9)] = Field(
        24 * 3600.0, description="A stage that takes longer is ended."
    )
    min_free_gib: Annotated[float, Field(ge=0, le=1e12)] = Field(
        1.0, description="Less free disk than this stops a run before it starts."
    )
    private_remote: str | None = Field(
        None, description="DVC remote that may hold corpora whose licence forbids passing on."
    )
    private_hub: str | None = Field(
        None, description="Private repository, hf://datasets/OWNER/NAME, that may hold them as well."
    )
    notify: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")] | None = Field(
        None, description="Prefect notification block (TYPE/NAME) that hears of versions, failures and damage."
    )

    def resources(self, *, threads: int, device: str = "cpu", here: bool = False) -> Resources:
        """Of work that is shared out over this machine's actors; `here`: in this process, too little for actors."""
        gpus = self.gpus_per_actor if device != "cpu" else 0.0
        actors = 0 if here else self.actors
        return Resources(actors, threads, device, gpus, address=self.ray_address)

    def patience(self) -> Patience:
        """How long and how often actors are tried."""
        return Patience(self.retries.item, self.stall_s)
