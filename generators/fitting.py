"""How generators with a network are fitted: the arguments of a fit, initial weights, and the one loop around phases."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from corpora.errors import UserError
from generators.generator import Device, Monitor, Progress
from generators.params import LoopFields
from training.device import resolve_device
from training.loop import LoopParams, Order, Phase, class_weights, run
from training.seeds import derive_seed

REPORTS = 100  # points of a loss curve
GAIN = 0.01  # of all that was gained since the first look: less is no progress, and a fit that goes on so has stalled


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How a fit is to go: the arguments of `Generator.fit`. Raises `UserError` for steps below 1."""

    steps: int
    seed: int
    device: Device
    checkpoints: Path | None = None
    checkpoint_every: int = 500
    monitor: Monitor | None = None
    monitor_every: int = 0
    patience: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.checkpoint_every < 1:
            raise UserError(
                f"steps is {self.steps}, checkpoint_every is {self.checkpoint_every}; both must be at least 1"
            )


@contextmanager
def initialised(seed: int) -> Iterator[None]:
    """Weights drawn within depend on `seed` (in [0, 2**63)) alone, and leave the caller's random state as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@dataclass(frozen=True, slots=True)
class Taught:
    """What teaches. rows: [n] int64, those that gradients see; emotions: their classes; identity: names data,
    parameters and numerics, for a state to be resumed by no other fit; alike: as of `training.loop.Order`."""

    rows: np.ndarray
    emotions: Sequence[str]
    identity: str
    alike: np.ndarray | None = None


def steps_of(
    phases: Sequence[Phase],
    params: LoopFields,
    options: FitOptions,
    taught: Taught,
    *,
    result: nn.Module | None = None,
    score: Callable[[], float] | None = None,
) -> Iterator[Progress]:
    """Runs the phases to their end (`training.loop.run`, whose `result` and monitor these are)."""
    reports = run(
        phases,
        Order(
            taught.rows,
            derive_seed(options.seed, "order"),
            class_weights(taught.emotions, params.class_balance),
            taught.alike,
        ),
        LoopParams(
            steps=options.steps,
            batch_size=params.batch_size,
            seed=derive_seed(options.seed, "loop"),
            warmup=params.warmup,
            decay=params.decay,
            report_every=max(1, options.steps // REPORTS),
            checkpoint_every=options.checkpoint_every,
            monitor_every=options.monitor_every,
            patience=options.patience,
            gain=GAIN,
            dtype=options.device.dtype,
        ),
        device=resolve_device(options.device.kind),
        identity=hashlib.sha256(taught.identity.encode()).hexdigest(),
        result=result,
        checkpoints=options.checkpoints,
        monitor=score,
    )
    for report in reports:
        yield Progress(report.step, report.steps, report.losses, report.seconds)
